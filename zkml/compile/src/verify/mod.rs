//! Depth (b) of a receipt's verification: against an ONNX file that the verifier has.
//!
//! Invariant: graph, keys and the float answer come from the file, and from nothing that came with the receipt but integers
//! that are compared.

mod answer;
mod rows;

#[cfg(test)]
mod tests;

use zkml::backend::{System, Systems};
use zkml::manifest::Manifest;
use zkml::proof::SliceVerifier;
use zkml::receipt::{Derivation, Model, Proved, Report};
use zkml::setup::SrsSource;

use crate::compile::{Derived, derive};

/// An ONNX file that a verifier trusts.
#[derive(Clone, Copy)]
pub struct OnnxModel<'a> {
    /// The file.
    pub onnx: &'a [u8],
    /// The points that keys are derived with, where the proof system takes any.
    pub srs: Option<&'a SrsSource>,
}

impl Model for OnnxModel<'_> {
    fn derive(
        &self,
        manifest: &Manifest,
        systems: Systems<'_, dyn System>,
    ) -> Result<Box<dyn Derivation + '_>, String> {
        follow(self.onnx, manifest, self.srs, systems)
    }
}

/// What follows from a file and a manifest's integers.
fn follow<'a>(
    onnx: &'a [u8],
    manifest: &Manifest,
    srs: Option<&SrsSource>,
    systems: Systems<'_, dyn System>,
) -> Result<Box<dyn Derivation + 'a>, String> {
    let derived = derive(onnx, manifest, srs, systems).map_err(|e| e.to_string())?;
    Ok(Box::new(OnnxDerivation { onnx, derived }))
}

/// See [`follow`].
struct OnnxDerivation<'a> {
    onnx: &'a [u8],
    derived: Derived,
}

impl Derivation for OnnxDerivation<'_> {
    fn verifiers(&self) -> &[SliceVerifier] {
        &self.derived.verifiers
    }

    fn judge(&self, proved: &Proved<'_>, report: &mut Report) -> Option<()> {
        answer::judge(self.onnx, &self.derived, proved, report)
    }
}
