//! Depth (b): what the verifier's own model says of a receipt.
//!
//! Invariant: nothing here reads a model. Whoever can implements [`Model`] (the crate `zkml-compile`, for ONNX files), so that
//! a verifier by manifest carries no reader of models.

use super::super::report::Report;
use crate::accuracy::{self, Answer, Rule, Verdict};
use crate::backend::{System, Systems};
use crate::graph::{IntTensor, TensorInfo, dequantise};
use crate::manifest::Manifest;
use crate::proof::SliceVerifier;
use crate::receipt::Receipt;

/// A model that the verifier trusts.
pub trait Model: Sync {
    /// Derives everything that follows from this model and the manifest's integers, and compares it with the manifest, which
    /// is of one of these proof systems.
    ///
    /// # Errors
    /// What does not follow, in words.
    fn derive(
        &self,
        manifest: &Manifest,
        systems: Systems<'_, dyn System>,
    ) -> Result<Box<dyn Derivation + '_>, String>;
}

/// What follows from a model and a manifest's integers.
pub trait Derivation {
    /// By slice: made from the model, not from anything that came with the receipt.
    fn verifiers(&self) -> &[SliceVerifier];

    /// Judges a proved answer against the float model by the verifier's rule, into the report. `None`: a sentence that fails
    /// has been written.
    fn judge(&self, proved: &Proved<'_>, report: &mut Report) -> Option<()>;
}

/// What has been proved, and how its answer is judged.
pub struct Proved<'a> {
    /// The receipt.
    pub receipt: &'a Receipt,
    /// The request's inputs.
    pub input: &'a [IntTensor],
    /// The request's outputs.
    pub output: &'a [IntTensor],
    /// By input: the floats that the float model is run on, the requester's own wherever they were given. Of a batch, of all
    /// its rows.
    pub floats: &'a [Vec<f64>],
    /// How many inputs are answered, of a batch its first rows: what is behind them fills it up.
    pub rows: usize,
    /// How.
    pub rule: &'a Rule,
}

/// Judges proved outputs, each with its description, against the float model's, all in the model's order; those must be
/// `exact` of which the model says it, and those of which nothing is said.
#[must_use]
pub fn judge_outputs(
    rule: &Rule,
    outputs: &[(&TensorInfo, &[i64])],
    float: &[Vec<f64>],
    exact: &[bool],
) -> Verdict {
    let got: Vec<Vec<f64>> = outputs.iter().map(|(info, v)| dequantise(info, v)).collect();
    // An output that the float model does not have is infinitely wrong, as one of another length is.
    let floats = float.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
    let answers: Vec<Answer<'_>> = outputs
        .iter()
        .zip(&got)
        .zip(floats)
        .zip(exact.iter().chain(std::iter::repeat(&true)))
        .map(|((((info, _), got), float), &exact)| Answer {
            name: &info.name,
            shape: &info.shape,
            got,
            float,
            exact,
        })
        .collect();
    accuracy::judge(rule, &answers)
}
