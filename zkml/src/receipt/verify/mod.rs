//! The receipt's verifier. Each stage takes what the stages before it have established; cheap checks come first.
//!
//! Guarantees, when the report is valid: for the boundary values in the receipt, each slice's outputs are what the
//! integer graph's nodes of that slice give for its inputs. Slices cover the graph, and values are listed once per
//! tensor, so the output is the integer graph's output for the input. With a model: that output is within the
//! verifier's own greatest error of the float model's for the verifier's own input, and names the same class.
//!
//! Assumptions: the caller trusts the manifest (or the ONNX file) and, where the proof system has one, the verifier part of
//! the SRS that they give. What a receipt or its manifest says of itself (budget, scales, names) decides nothing.

mod input;
mod keys;
mod manifest;
mod model;
mod parties;
mod proofs;
mod tensors;

pub use model::{Derivation, Model, Proved, judge_outputs};
pub use parties::Expected;

use self::keys::Keys;
use super::report::Report;
use super::{Receipt, VERSION};
use crate::accuracy::{DEFAULT_MAX_ERROR_MILLIONTHS, Rule};
use crate::backend::{System, Systems};
use crate::canonical::CanonicalError;
use crate::graph::Inputs;
use crate::manifest::Manifest;
use crate::proof::Files;
use crate::qualification::Qualification;
use crate::setup::VerifierSrs;
use crate::statement::MAX_NETWORK_ID;
use crate::systems::SYSTEMS;

/// How an answer is judged unless the verifier says otherwise.
pub static DEFAULT_RULE: Rule = Rule {
    max_error: DEFAULT_MAX_ERROR_MILLIONTHS as f64 / 1e6,
    output_scale: Vec::new(),
    compare_top1: true,
};

/// What the caller trusts.
#[derive(Clone, Copy)]
pub enum Against<'a> {
    /// A manifest; what it names by digest comes from files: verifying keys, or the integer graph that they follow from.
    Manifest {
        /// The trusted manifest.
        manifest: &'a Manifest,
        /// The files that it names.
        files: Files<'a>,
    },
    /// A model: integer graph and keys are derived from it and the receipt's integers.
    Model {
        /// The model.
        model: &'a dyn Model,
        /// A manifest that must be the receipt's too.
        manifest: Option<&'a Manifest>,
    },
}

/// What to verify a receipt against, and how its answer is judged.
#[derive(Clone, Copy)]
pub struct Verification<'a> {
    /// Depth (a) or (b).
    pub against: Against<'a>,
    /// Verifier parts that the caller trusts; the development SRS is one only if `allow_development_srs`.
    pub srs: &'a [VerifierSrs],
    /// Look at receipts that are forgeable by anyone.
    pub allow_development_srs: bool,
    /// Depth (c): the requester's own input; of a batch, as many as [`rows`](crate::graph::rows) takes.
    pub input: Option<&'a Inputs>,
    /// Whose names the receipt must bear.
    pub expected: Expected<'a>,
    /// How the answer is judged. Without output scales, those that a qualification measured count.
    pub rule: &'a Rule,
    /// What the verifier's own data said of the manifest.
    pub qualification: Option<&'a Qualification>,
    /// The proof systems that the receipt may be of.
    pub systems: Systems<'a, dyn System>,
}

impl<'a> Verification<'a> {
    /// Against this and nothing else, by the default rule, in any proof system that is shipped.
    #[must_use]
    pub fn new(against: Against<'a>) -> Self {
        Self {
            against,
            srs: &[],
            allow_development_srs: false,
            input: None,
            expected: Expected::default(),
            rule: &DEFAULT_RULE,
            qualification: None,
            systems: SYSTEMS,
        }
    }
}

/// Verifies a receipt. Never panics; whatever is wrong with the bytes is a sentence that fails.
#[must_use]
pub fn verify(bytes: &[u8], verification: &Verification<'_>) -> Report {
    verify_decoded(&Receipt::from_bytes(bytes), verification)
}

/// As [`verify`], for whoever has decoded the bytes by [`Receipt::from_bytes`] and wants to say what stands in them, too:
/// decoding a receipt of hundreds of megabytes twice is not for free.
#[must_use]
pub fn verify_decoded(decoded: &Result<Receipt, CanonicalError>, verification: &Verification<'_>) -> Report {
    let mut report = Report::default();
    // A stage that fails has said so in the report; what follows would rest on it.
    let _ = stages(decoded, verification, &mut report);
    report
}

/// `None` ends the verification: a sentence that fails has been written.
fn stages(
    decoded: &Result<Receipt, CanonicalError>,
    verification: &Verification<'_>,
    report: &mut Report,
) -> Option<()> {
    let receipt = decode(decoded, report)?;
    manifest::trusted(receipt, &verification.against, verification.systems, report)?;
    let srs = manifest::trusted_srs(receipt, verification, report)?;
    let rule = manifest::rule(receipt, verification, report)?;
    let tensors = tensors::Tensors::new(receipt, report)?;
    parties::claims(receipt, report)?;
    parties::expected(receipt, &verification.expected, report)?;
    let own = input::own(receipt, &tensors, verification, report)?;
    let keys = keys::keys(receipt, verification, srs.as_ref(), report)?;
    proofs::proofs(receipt, &tensors, keys.verifiers(), report)?;
    match keys {
        Keys::Named(_) => Some(()),
        Keys::Derived(derived) => {
            let proved = Proved {
                receipt,
                input: &tensors.input,
                output: &tensors.output,
                floats: &own.floats,
                rows: own.rows,
                rule: &rule,
            };
            derived.judge(&proved, report)
        }
    }
}

fn decode<'r>(decoded: &'r Result<Receipt, CanonicalError>, report: &mut Report) -> Option<&'r Receipt> {
    let receipt = match decoded {
        Ok(receipt) => receipt,
        Err(e @ CanonicalError::Version { .. }) => {
            report.fails(format!("The receipt cannot be read: {e}."));
            return None;
        }
        Err(e) => {
            report.fails(format!("The file is not a receipt: {e}."));
            return None;
        }
    };
    if receipt.network.len() > MAX_NETWORK_ID {
        report.fails("The receipt's network id is too long.");
        return None;
    }
    report.holds(format!(
        "The file is the one canonical encoding of a version {VERSION} receipt."
    ));
    Some(receipt)
}
