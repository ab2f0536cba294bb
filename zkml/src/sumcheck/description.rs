//! The verifying key: what a proof's relations are, in canonical CBOR.
//!
//! Invariant: two slices whose relations differ in anything, a weight, an index, a range, a limb width, have different bytes.
//! Coefficients and indices stand in it by SHA-256 of their number and little-endian bytes.

use serde::Serialize;
use zkinfer_crds::Digest;

use super::parameters::SliceParameters;
use super::plan::Plan;
use super::relation::Stated;
use crate::canonical;
use crate::graph::{IntRange, TensorId};
use crate::relations::{SliceRelations, SliceTensor};

/// Raised when the argument changes, so that keys and statements of different versions differ.
const VERSION: u8 = 2;

#[derive(Serialize)]
struct TensorDescription {
    id: TensorId,
    len: u64,
    range: IntRange,
}

/// The key's bytes. Where tensors, columns, lookups and claims stand follows from the rest by this program's code; its digest
/// is in them, so that two programs which place otherwise do not believe that they have the same key.
pub(super) fn describe(relations: &SliceRelations, parameters: SliceParameters, plan: &Plan) -> Vec<u8> {
    let tensors = |tensors: &[SliceTensor]| {
        let describe = |t: &SliceTensor| TensorDescription {
            id: t.id,
            len: t.len as u64,
            range: t.range,
        };
        tensors.iter().map(describe).collect::<Vec<_>>()
    };
    let claims: Vec<_> = relations.relations.iter().map(Stated::of).collect();
    let slice = (tensors(&relations.inputs), tensors(&relations.outputs), claims);
    let placed = plan_digest(plan);
    canonical::to_bytes(&(
        VERSION,
        super::PARAMETER_ID,
        parameters,
        slice,
        &plan.layout.tables,
        placed,
    ))
}

/// SHA-256 of the canonical encoding of how a proof is read.
pub(super) fn plan_digest(plan: &Plan) -> Digest {
    canonical::digest(&(plan, &plan.blocks))
}
