//! The verifying key: what a proof's relations are, in canonical CBOR.
//!
//! Invariant: two slices whose relations differ in anything, a weight, an index, a range, a limb width, have different bytes.
//! Coefficients and indices stand in it by SHA-256 of their number and little-endian bytes.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zkinfer_crds::Digest;

use super::logup::Blocks;
use super::parameters::SliceParameters;
use super::plan::Plan;
use crate::canonical;
use crate::graph::{IntRange, LinearMap, Requantise, TensorId};
use crate::relations::{Product, Relation, SliceRelations, SliceTensor};

/// Raised when the argument changes, so that keys and statements of different versions differ.
const VERSION: u8 = 2;
/// Bytes of a list that are hashed at once.
const HASHED_AT_ONCE: usize = 8192;

#[derive(Serialize)]
struct TensorDescription {
    id: TensorId,
    len: u64,
    range: IntRange,
}

#[derive(Serialize)]
enum MapDescription {
    Dense {
        inputs: u32,
        outputs: u32,
    },
    Conv2d {
        input: [u32; 3],
        output: [u32; 3],
        kernel: [u32; 2],
        stride: [u32; 2],
        dilation: [u32; 2],
        pad: [u32; 2],
        groups: u32,
    },
    Affine {
        outer: u32,
        channels: u32,
        inner: u32,
    },
}

#[derive(Serialize)]
enum RelationDescription<'a> {
    Range {
        tensor: TensorId,
        range: IntRange,
    },
    Requantised {
        inputs: &'a [TensorId],
        input_ranges: &'a [IntRange],
        map: MapDescription,
        weight: Digest,
        bias: Digest,
        requantise: Requantise,
        output: TensorId,
    },
    Product {
        factors: [TensorId; 2],
        ranges: [IntRange; 2],
        product: Product,
        requantise: Requantise,
        output: TensorId,
    },
    Maximum {
        input: TensorId,
        range: IntRange,
        windows: Digest,
        output: TensorId,
    },
    Wired {
        input: TensorId,
        source: Option<Digest>,
        output: TensorId,
    },
    Read {
        input: TensorId,
        index: TensorId,
        output: TensorId,
    },
    Permutation {
        input: TensorId,
        output: TensorId,
    },
    Table {
        table: Digest,
        index: TensorId,
        outputs: &'a [TensorId],
    },
}

/// The key's bytes. Where tensors, columns, lookups and claims stand follows from the rest by this program's code; its digest
/// is in them, so that two programs which place otherwise do not believe that they have the same key.
pub(super) fn describe(
    relations: &SliceRelations,
    parameters: SliceParameters,
    plan: &Plan,
    blocks: &Blocks,
) -> Vec<u8> {
    let tensors = |tensors: &[SliceTensor]| {
        let describe = |t: &SliceTensor| TensorDescription {
            id: t.id,
            len: t.len as u64,
            range: t.range,
        };
        tensors.iter().map(describe).collect::<Vec<_>>()
    };
    let claims: Vec<_> = relations.relations.iter().map(relation).collect();
    let slice = (tensors(&relations.inputs), tensors(&relations.outputs), claims);
    let placed = plan_digest(plan, blocks);
    canonical::to_bytes(&(
        VERSION,
        super::PARAMETER_ID,
        parameters,
        slice,
        &plan.tables,
        placed,
    ))
}

/// SHA-256 of the canonical encoding of how a proof is read.
pub(super) fn plan_digest(plan: &Plan, blocks: &Blocks) -> Digest {
    canonical::digest(&(plan, blocks))
}

fn relation(relation: &Relation) -> RelationDescription<'_> {
    match relation {
        Relation::Range { tensor, range } => RelationDescription::Range {
            tensor: *tensor,
            range: *range,
        },
        Relation::Requantised {
            inputs,
            input_ranges,
            map,
            requantise,
            output,
            // A function of the map and the ranges.
            bound: _,
        } => RelationDescription::Requantised {
            inputs,
            input_ranges,
            map: geometry(map),
            weight: digest(map.weight().iter().map(|w| w.to_le_bytes())),
            bias: digest(map.bias().iter().map(|b| b.to_le_bytes())),
            requantise: *requantise,
            output: *output,
        },
        Relation::Product {
            factors,
            ranges,
            product,
            requantise,
            output,
        } => RelationDescription::Product {
            factors: *factors,
            ranges: *ranges,
            product: *product,
            requantise: *requantise,
            output: *output,
        },
        Relation::Maximum {
            input,
            range,
            windows,
            output,
        } => {
            // Each window with its length in front, so that two cuts of one list differ.
            let entries = windows
                .iter()
                .flat_map(|w| [w.len() as u32].into_iter().chain(w.iter().copied()));
            RelationDescription::Maximum {
                input: *input,
                range: *range,
                windows: digest(entries.map(u32::to_le_bytes)),
                output: *output,
            }
        }
        Relation::Read { input, index, output } => RelationDescription::Read {
            input: *input,
            index: *index,
            output: *output,
        },
        Relation::Table {
            table,
            index,
            outputs,
        } => RelationDescription::Table {
            table: table.digest(),
            index: *index,
            outputs,
        },
        Relation::Permutation { input, output } => RelationDescription::Permutation {
            input: *input,
            output: *output,
        },
        Relation::Wired {
            input,
            source,
            output,
        } => RelationDescription::Wired {
            input: *input,
            source: source.as_ref().map(|s| digest(s.iter().map(|i| i.to_le_bytes()))),
            output: *output,
        },
    }
}

fn geometry(map: &LinearMap) -> MapDescription {
    match map {
        LinearMap::Dense { inputs, outputs, .. } => MapDescription::Dense {
            inputs: *inputs,
            outputs: *outputs,
        },
        LinearMap::Conv2d {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
            groups,
            ..
        } => MapDescription::Conv2d {
            input: *input,
            output: *output,
            kernel: *kernel,
            stride: *stride,
            dilation: *dilation,
            pad: *pad,
            groups: *groups,
        },
        LinearMap::Affine {
            outer,
            channels,
            inner,
            ..
        } => MapDescription::Affine {
            outer: *outer,
            channels: *channels,
            inner: *inner,
        },
    }
}

/// The number of items, then the items; hashed as they come, since a layer's weights fill 32 MiB.
fn digest<const N: usize>(items: impl Iterator<Item = [u8; N]> + Clone) -> Digest {
    let mut hash = Sha256::new();
    hash.update((items.clone().count() as u64).to_le_bytes());
    let mut buffer = Vec::with_capacity(HASHED_AT_ONCE + N);
    for item in items {
        buffer.extend_from_slice(&item);
        if buffer.len() >= HASHED_AT_ONCE {
            hash.update(&buffer);
            buffer.clear();
        }
    }
    hash.update(&buffer);
    Digest::new(hash.finalize().into())
}
