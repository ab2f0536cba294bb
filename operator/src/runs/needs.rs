//! How much memory a request takes while it is begun, and while it is at work.
//!
//! Invariant: every number follows from the integer graph and the manifest that the operator has checked itself, but for the size of
//! proofs, which is the compiler's prediction within bounds; none is a requester's.

use std::collections::BTreeSet;

use zkinfer_crds::wire::MAX_ENVELOPE_BYTES;
use zkml::graph::TensorId;
use zkml::manifest::Manifest;

use super::model::CompiledModel;

/// A value is a whole number or a float of 64 bits.
const VALUE: u64 = 8;
/// Queue, status and tasks of a request, and of each slice.
const OVERHEAD: u64 = 32 << 10;
const PER_SLICE: u64 = 1 << 10;
/// The least that a proof is taken to have.
const LEAST_PROOF: u64 = 1 << 10;
/// Decoded, a manifest takes so many times its bytes.
const MANIFEST: u64 = 8;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// In bytes, until the graph is evaluated and the slices are queued; no less than `kept`.
    pub beginning: u64,
    /// In bytes, until it is over.
    pub kept: u64,
    /// How many values its inputs have, all that the manifest takes at once.
    pub inputs: u64,
}

impl Needs {
    /// Of a request of this model, however many inputs its manifest takes at once.
    #[must_use]
    pub fn of(model: &CompiledModel) -> Self {
        let (manifest, graph) = (&model.manifest, &model.graph);
        let boundary = boundary(model);
        let (inputs, outputs) = (input_len(manifest), len(manifest, &manifest.outputs));
        let values = len(manifest, &boundary);
        let proofs = model.report.slices.iter().fold(0_u64, |sum, slice| {
            let proof = slice.predicted_proof_bytes.clamp(LEAST_PROOF, MAX_ENVELOPE_BYTES);
            sum.saturating_add(proof).saturating_add(PER_SLICE)
        });
        let fixed = OVERHEAD.saturating_add(model.report.manifest.size.saturating_mul(MANIFEST));
        // The receipt in the making, and its bytes; proofs in either. Inputs as floats, and as what the float model is asked.
        let kept = times(values, 2 * VALUE)
            .saturating_add(times(proofs, 2))
            .saturating_add(times(inputs.saturating_add(outputs), 2 * VALUE))
            .saturating_add(fixed);
        // While each input of a batch is evaluated alone the boundary is there beside it. Inputs as they were given, as floats, and
        // quantised.
        let evaluating = graph.evaluation_len(&boundary).saturating_add(values);
        let evaluating =
            times(evaluating.saturating_add(inputs.saturating_mul(3)), VALUE).saturating_add(fixed);
        // Each slice's inputs are written to the store, from a copy.
        let slices = manifest.slices.iter().map(|slice| len(manifest, &slice.inputs));
        let storing = kept.saturating_add(times(slices.max().unwrap_or(0), 2 * VALUE));
        Self {
            beginning: evaluating.max(storing),
            kept,
            inputs,
        }
    }
}

/// How many values a manifest's inputs have, all that it takes at once.
#[must_use]
pub fn input_len(manifest: &Manifest) -> u64 {
    len(manifest, &manifest.inputs)
}

fn len<'a>(manifest: &Manifest, ids: impl IntoIterator<Item = &'a TensorId>) -> u64 {
    let infos = ids.into_iter().filter_map(|id| manifest.tensor(*id));
    infos.fold(0_u64, |sum, info| sum.saturating_add(info.len() as u64))
}

const fn times(values: u64, each: u64) -> u64 {
    values.saturating_mul(each)
}

/// The tensors whose values a receipt has.
pub(super) fn boundary(model: &CompiledModel) -> BTreeSet<TensorId> {
    let manifest = &model.manifest;
    let inner = manifest.boundary.iter().map(|tensor| &tensor.id);
    let all = inner.chain(&manifest.inputs).chain(&manifest.outputs);
    all.copied().collect()
}
