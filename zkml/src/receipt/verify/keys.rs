//! The verifying keys of a receipt's slices.

use super::super::report::Report;
use super::model::Derivation;
use super::{Against, Verification};
use crate::proof::{KeySources, SliceVerifier, slice_verifiers};
use crate::receipt::Receipt;
use crate::setup::VerifierSrs;

/// What the proofs are verified with.
pub(super) enum Keys<'a> {
    /// Read from files by digest.
    Named(Vec<SliceVerifier>),
    /// Derived from the verifier's own model, with what else that says.
    Derived(Box<dyn Derivation + 'a>),
}

impl Keys<'_> {
    pub(super) fn verifiers(&self) -> &[SliceVerifier] {
        match self {
            Self::Named(verifiers) => verifiers,
            Self::Derived(derived) => derived.verifiers(),
        }
    }
}

/// The slices' verifiers, from files by digest or derived from the model.
pub(super) fn keys<'a>(
    receipt: &Receipt,
    verification: &Verification<'a>,
    srs: Option<&VerifierSrs>,
    report: &mut Report,
) -> Option<Keys<'a>> {
    let manifest = &receipt.manifest;
    match &verification.against {
        Against::Manifest { files, .. } => {
            let sources = KeySources {
                systems: verification.systems,
                files,
                srs,
                graph: None,
            };
            match slice_verifiers(manifest, &sources) {
                Ok(verifiers) => Some(Keys::Named(verifiers)),
                Err(why) => {
                    report.fails(format!("The keys of the slices: {why}."));
                    None
                }
            }
        }
        Against::Model { model, .. } => match model.derive(manifest, verification.systems) {
            Ok(derived) => {
                report.holds(format!(
                    "The integer graph and all {} verifying keys follow from the model {} and the manifest's integers.",
                    derived.verifiers().len(),
                    manifest.model
                ));
                Some(Keys::Derived(derived))
            }
            Err(why) => {
                report.fails(format!("The receipt does not follow from your model: {why}."));
                None
            }
        },
    }
}
