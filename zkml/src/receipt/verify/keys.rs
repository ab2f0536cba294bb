//! The verifying keys of a receipt's slices.

use super::super::report::Report;
use super::Against;
use crate::compile::{Derived, derive};
use crate::halo2::VerifierSrs;
use crate::proof::{KeySources, SliceVerifier, slice_verifiers};
use crate::receipt::Receipt;

/// The slices' verifiers, from files by digest or derived from the model.
pub(super) fn keys(
    receipt: &Receipt,
    against: &Against<'_>,
    srs: Option<&VerifierSrs>,
    report: &mut Report,
) -> Option<(Vec<SliceVerifier>, Option<Derived>)> {
    let manifest = &receipt.manifest;
    match against {
        Against::Manifest { files, .. } => {
            let sources = KeySources {
                files,
                srs,
                graph: None,
            };
            match slice_verifiers(manifest, &sources) {
                Ok(verifiers) => Some((verifiers, None)),
                Err(why) => {
                    report.fails(format!("The keys of the slices: {why}."));
                    None
                }
            }
        }
        Against::Model { onnx, srs, .. } => match derive(onnx, manifest, *srs) {
            Ok(derived) => {
                report.holds(format!(
                    "The integer graph and all {} verifying keys follow from the model {} and the manifest's integers.",
                    derived.verifiers.len(),
                    manifest.model
                ));
                Some((derived.verifiers.clone(), Some(derived)))
            }
            Err(why) => {
                report.fails(format!("The receipt does not follow from your model: {why}."));
                None
            }
        },
    }
}
