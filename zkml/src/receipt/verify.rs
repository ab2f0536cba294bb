//! The receipt's verifier. Each stage takes what the stages before it have established; cheap checks come first.
//!
//! Guarantees, when the report is valid: for the boundary values in the receipt, each slice's outputs are what the
//! integer graph's nodes of that slice give for its inputs. Slices cover the graph, and values are listed once per
//! tensor, so the output is the integer graph's output for the input.
//!
//! Assumptions: the caller trusts the manifest (or the ONNX file) and, where the proof system has one, the verifier part of
//! the SRS that they give.

use std::collections::BTreeMap;

use rayon::prelude::*;
use zkinfer_crds::SliceIndex;

use super::report::Report;
use super::{BoundaryValues, Receipt, RunStatement, VERSION};
use crate::backend;
use crate::canonical::CanonicalError;
use crate::compile::{Derived, derive};
use crate::graph::tensor_file::{FloatInput, dequantise, quantise_input, relative_error};
use crate::graph::{IntTensor, TensorId, TensorInfo};
use crate::halo2::{SrsSource, VerifierSrs, development_srs_digest};
use crate::manifest::Manifest;
use crate::proof::{Files, KeySources, SliceVerifier, slice_verifiers};
use crate::statement::MAX_NETWORK_ID;

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
    /// An ONNX file: integer graph and keys are derived from it and the receipt's integers.
    Model {
        /// The file.
        onnx: &'a [u8],
        /// The points that keys are derived with, where the proof system takes any.
        srs: Option<&'a SrsSource>,
        /// A manifest that must be the receipt's too.
        manifest: Option<&'a Manifest>,
    },
}

/// What to verify a receipt against.
#[derive(Clone, Copy)]
pub struct Verification<'a> {
    /// Depth (a) or (b).
    pub against: Against<'a>,
    /// Verifier parts that the caller trusts; the development SRS is one only if `allow_development_srs`.
    pub srs: &'a [VerifierSrs],
    /// Look at receipts that are forgeable by anyone.
    pub allow_development_srs: bool,
    /// Depth (c): the requester's own inputs, by the model's input names in order.
    pub input: Option<&'a [FloatInput]>,
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
    trusted_manifest(receipt, &verification.against, report)?;
    let srs = trusted_srs(receipt, verification, report)?;
    let tensors = Tensors::new(receipt, report)?;
    claims(receipt, report)?;
    own_input(receipt, &tensors, verification.input, report)?;
    let (verifiers, derived) = keys(receipt, &verification.against, srs.as_ref(), report)?;
    proofs(receipt, &tensors, &verifiers, report)?;
    float_model(receipt, &tensors, derived.as_ref(), report)
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

fn trusted_manifest(receipt: &Receipt, against: &Against<'_>, report: &mut Report) -> Option<()> {
    if let Err(e) = receipt.manifest.check() {
        report.fails(format!("The receipt's manifest is not well-formed: {e}."));
        return None;
    }
    let digest = receipt.manifest.digest();
    let trusted = match against {
        Against::Manifest { manifest, .. } => Some(*manifest),
        Against::Model { manifest, .. } => *manifest,
    };
    match trusted {
        Some(manifest) if manifest.digest() != digest => {
            report.fails(format!(
                "The receipt is for manifest {digest}, not for yours, {} (model {}).",
                manifest.digest(),
                manifest.model
            ));
            return None;
        }
        Some(_) => report.holds(format!("The receipt is for your manifest, {digest}.")),
        None => {}
    }
    report.holds(format!(
        "By the manifest's wiring, {} slices cover all {} nodes of the model once, in order, and every boundary tensor \
         has one producer, before its consumers.",
        receipt.manifest.slices.len(),
        receipt.manifest.node_count
    ));
    Some(())
}

/// The SRS that the proofs rest on; `Some(None)` where the proof system has none.
fn trusted_srs(
    receipt: &Receipt,
    verification: &Verification<'_>,
    report: &mut Report,
) -> Option<Option<VerifierSrs>> {
    let (digest, system) = (receipt.srs, receipt.manifest.proof_system);
    if digest != receipt.manifest.srs {
        report.fails("The receipt names another SRS than its manifest.");
        return None;
    }
    report.holds(format!(
        "The proofs are of {system}: {}.",
        backend::rests_on(system)
    ));
    if !backend::needs_srs(system) {
        return Some(None);
    }
    if digest == development_srs_digest() {
        if verification.allow_development_srs {
            report.holds(
                "Keys and proofs were made with the development SRS: this receipt is FORGEABLE BY ANYONE and convinces \
                 nobody. You allowed that.",
            );
            return Some(Some(VerifierSrs::development()));
        }
        report.fails(
            "Keys and proofs were made with the development SRS, so the receipt is FORGEABLE BY ANYONE. To look at it \
             all the same, give --allow-dev-srs.",
        );
        return None;
    }
    match verification.srs.iter().find(|srs| srs.digest() == digest) {
        Some(srs) => {
            report.holds(format!(
                "The SRS {digest} is one that you trust; whoever knows its secret could forge."
            ));
            Some(Some(srs.clone()))
        }
        None => {
            report.fails(format!(
                "The SRS {digest} is none that you trust (give it with --srs)."
            ));
            None
        }
    }
}

/// The receipt's boundary tensors with the manifest's shapes, lengths and ranges checked.
struct Tensors<'a> {
    values: BTreeMap<TensorId, &'a [i64]>,
    input: Vec<IntTensor>,
    output: Vec<IntTensor>,
}

impl<'a> Tensors<'a> {
    fn new(receipt: &'a Receipt, report: &mut Report) -> Option<Self> {
        let manifest = &receipt.manifest;
        let inner: Vec<_> = manifest.inner().map(|t| t.id).collect();
        let sides = [
            (&receipt.input, &manifest.inputs),
            (&receipt.inner, &inner),
            (&receipt.output, &manifest.outputs),
        ];
        for (values, ids) in sides {
            if !values.iter().map(|v| &v.id).eq(ids.iter()) {
                report.fails(
                    "The receipt's boundary tensors are not those of its manifest, each once, in order.",
                );
                return None;
            }
            for v in values {
                if let Err(why) = fits(v, manifest.tensor(v.id)) {
                    report.fails(why);
                    return None;
                }
            }
        }
        report.holds(format!(
            "All {} boundary tensors have the manifest's shapes and ranges; each stands in the receipt once, so every \
             consumer sees its producer's values.",
            manifest.boundary.len()
        ));
        let with_shape = |values: &[BoundaryValues]| -> Vec<IntTensor> {
            let shape =
                |v: &BoundaryValues| manifest.tensor(v.id).map(|i| i.shape.clone()).unwrap_or_default();
            values
                .iter()
                .map(|v| IntTensor {
                    shape: shape(v),
                    values: v.values.clone(),
                })
                .collect()
        };
        Some(Self {
            values: receipt.values(),
            input: with_shape(&receipt.input),
            output: with_shape(&receipt.output),
        })
    }

    fn values(&self, slice_tensors: &[crate::relations::SliceTensor]) -> Vec<&[i64]> {
        slice_tensors
            .iter()
            .filter_map(|t| self.values.get(&t.id).copied())
            .collect()
    }
}

fn fits(values: &BoundaryValues, info: Option<&TensorInfo>) -> Result<(), String> {
    let info = info.ok_or("A boundary tensor is not described in the manifest.")?;
    let (name, len) = (&info.name, values.values.len());
    if info.len() != len {
        return Err(format!(
            "Tensor `{name}` has {len} values, the manifest says {}.",
            info.len()
        ));
    }
    match values.values.iter().position(|v| !info.range.contains(*v)) {
        Some(at) => Err(format!("Tensor `{name}` has a value out of its range at {at}.")),
        None => Ok(()),
    }
}

fn claims(receipt: &Receipt, report: &mut Report) -> Option<()> {
    let expected = receipt.manifest.slices.len();
    if receipt.slices.len() != expected {
        report.fails(format!(
            "The receipt has {} slice proofs, the manifest {expected} slices.",
            receipt.slices.len()
        ));
        return None;
    }
    let mut ids: Vec<_> = receipt.slices.iter().map(|s| s.claim).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != expected {
        report.fails("Two slices carry the same claim.");
        return None;
    }
    Some(())
}

fn own_input(
    receipt: &Receipt,
    tensors: &Tensors<'_>,
    input: Option<&[FloatInput]>,
    report: &mut Report,
) -> Option<()> {
    let Some(input) = input else {
        report.not_checked(
            "The input was not checked against anybody's: the receipt proves an input, not that it is the requester's \
             (give --input).",
        );
        return Some(());
    };
    let manifest = &receipt.manifest;
    if input.len() != manifest.inputs.len() {
        report.fails(format!(
            "The model has {} inputs, you gave {}.",
            manifest.inputs.len(),
            input.len()
        ));
        return None;
    }
    for ((id, own), proved) in manifest.inputs.iter().zip(input).zip(&tensors.input) {
        let info = manifest.tensor(*id)?;
        match quantise_input(info, own) {
            Ok(own) if own == *proved => {}
            Ok(_) => {
                report.fails(format!("The receipt's input `{}` is not your input.", info.name));
                return None;
            }
            Err(e) => {
                report.fails(format!(
                    "Your input `{}` is not one that the model takes: {e}.",
                    info.name
                ));
                return None;
            }
        }
    }
    report.holds("The receipt's input is your input, quantised by the manifest's rule.");
    Some(())
}

/// The slices' verifiers, from files by digest or derived from the model.
fn keys(
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

fn proofs(
    receipt: &Receipt,
    tensors: &Tensors<'_>,
    verifiers: &[SliceVerifier],
    report: &mut Report,
) -> Option<()> {
    let manifest = &receipt.manifest;
    let run = RunStatement::new(
        manifest,
        &receipt.network,
        receipt.request,
        &tensors.input,
        &tensors.output,
    );
    let verdicts: Vec<_> = (&receipt.slices, verifiers)
        .into_par_iter()
        .enumerate()
        .map(|(index, (proved, verifier))| {
            let statement = run
                .slice(SliceIndex(index as u32), proved.claim, proved.identity)
                .digest();
            let (inputs, outputs) = (
                tensors.values(verifier.inputs()),
                tensors.values(verifier.outputs()),
            );
            verifier.verify_proof(&proved.proof, &statement, &inputs, &outputs)
        })
        .collect();
    let mut bad = 0;
    for (index, verdict) in verdicts.iter().enumerate() {
        if let Err(e) = verdict {
            bad += 1;
            report.fails(format!("Slice {index}: {e}."));
        }
    }
    if bad > 0 {
        return None;
    }
    report.holds(format!(
        "All {} slice proofs hold, each for this request {}, its own claim and miner, and this input and output.",
        verdicts.len(),
        receipt.request
    ));
    let accounts = verifiers.iter().filter_map(SliceVerifier::security);
    if let Some(least) = accounts.min_by(|a, b| a.bits.total_cmp(&b.bits)) {
        report.holds(format!(
            "By the verifier's own account each of them has at least {:.1} bits of soundness, {}.",
            least.bits, least.regime
        ));
    }
    Some(())
}

fn float_model(
    receipt: &Receipt,
    tensors: &Tensors<'_>,
    derived: Option<&Derived>,
    report: &mut Report,
) -> Option<()> {
    let manifest = &receipt.manifest;
    let Some(derived) = derived else {
        report.not_checked(format!(
            "Whether the manifest follows from the ONNX file {}, and how far its integers are from the float model, was \
             not checked (give --model).",
            manifest.model
        ));
        return Some(());
    };
    let floats = |id: &crate::graph::TensorId, t: &IntTensor| {
        manifest
            .tensor(*id)
            .map(|info| dequantise(info, &t.values))
            .unwrap_or_default()
    };
    let input: Vec<_> = manifest
        .inputs
        .iter()
        .zip(&tensors.input)
        .map(|(id, t)| floats(id, t))
        .collect();
    let all = match derived.float.evaluate(&input) {
        Ok(all) => all,
        Err(e) => {
            report.fails(format!(
                "The float model does not run on the receipt's input: {e}."
            ));
            return None;
        }
    };
    let mut error = 0f64;
    for (id, t) in manifest.outputs.iter().zip(&tensors.output) {
        let expected = all.get(id.0 as usize).map(Vec::as_slice).unwrap_or_default();
        error = error.max(relative_error(&floats(id, t), expected));
    }
    report.error_vs_float = Some(error);
    let budget = f64::from(manifest.error_budget_millionths) / 1e6;
    let text = format!(
        "the greatest error against the float model on this input is {error:.2e}, the budget {budget:.2e}"
    );
    if error <= budget {
        report.holds(format!("Within the budget: {text}."));
        Some(())
    } else {
        report.fails(format!("Above the budget: {text}."));
        None
    }
}
