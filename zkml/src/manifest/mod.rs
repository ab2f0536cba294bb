//! The manifest: integers only, and with the ONNX bytes the whole of what fixes the function and its circuits.
//!
//! Invariants, checked by [`Manifest::check`] before anything else is believed: slices cover every node once, in
//! order; every boundary tensor has one producer, which stands before its consumers; every slice reads only the
//! request's input and outputs of earlier slices; SRS and parameters are of the one proof system; every input and output of a
//! batch has its rows along the first axis. No float and no measurement is in it.

mod check;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use zkinfer_crds::Digest;

use crate::backend::{Circuit, ParametersId, System, SystemId, Systems, UnknownSystem};
use crate::canonical::{self, CanonicalError};
use crate::graph::{IntGraph, QuantisationPlan, TensorId, TensorInfo};
use crate::relations::SliceTensor;

/// The version that this code writes and reads.
pub const VERSION: u32 = 2;
/// The largest manifest that is read, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 16 << 20;
/// Most slices of a model.
pub const MAX_SLICES: usize = 4096;
/// Most boundary tensors.
pub const MAX_BOUNDARY: usize = crate::graph::validate::MAX_TENSORS;
/// Most tensors that slices read, a tensor counted for each slice.
pub const MAX_READS: usize = 1 << 16;
/// Most values of one boundary tensor.
pub const MAX_TENSOR_LEN: usize = 1 << 22;

/// One slice: consecutive nodes of the integer graph with one verifying key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSlice {
    /// SHA-256 of the verifying key.
    pub vk: Digest,
    /// Tensors from outside, in the order of the statement's public values.
    pub inputs: Vec<TensorId>,
    /// The proof system's parameters for it.
    pub circuit: Circuit,
    /// Tensors that leave.
    pub outputs: Vec<TensorId>,
    /// First node.
    pub first_node: u32,
    /// Number of nodes.
    pub node_count: u32,
}

impl ManifestSlice {
    /// The slice's place in [`crate::graph::IntGraph::nodes`].
    #[must_use]
    pub fn nodes(&self) -> std::ops::Range<usize> {
        let first = self.first_node as usize;
        first..first.saturating_add(self.node_count as usize)
    }
}

/// A boundary tensor: one that crosses slices, or is the request's input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundaryTensor {
    /// Its id in the graph.
    pub id: TensorId,
    /// Name, shape, range and exponent.
    pub info: TensorInfo,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The verifier part of the SRS; all zero for a transparent proof system.
    pub srs: Digest,
    /// How many inputs the graph takes at once, each a row along the first axis of every input and every output. Not written
    /// where it is 1.
    #[serde(default = "alone", skip_serializing_if = "is_alone")]
    pub batch: u32,
    /// Digest of the integer graph.
    pub graph: Digest,
    /// SHA-256 of the ONNX file.
    pub model: Digest,
    /// The request's inputs.
    pub inputs: Vec<TensorId>,
    /// The slices, in topological order.
    pub slices: Vec<ManifestSlice>,
    /// The request's outputs.
    pub outputs: Vec<TensorId>,
    /// [`VERSION`].
    pub version: u32,
    /// Every boundary tensor, by ascending id.
    pub boundary: Vec<BoundaryTensor>,
    /// Number of nodes of the integer graph.
    pub node_count: u32,
    /// Its parameters.
    pub parameter_id: ParametersId,
    /// The proof system.
    pub proof_system: SystemId,
    /// The integers that quantise it.
    pub quantisation: QuantisationPlan,
    /// Greatest error against the float model that whoever compiled it allows, in millionths, as
    /// [`output_error`](crate::accuracy::output_error) measures it. It decides nothing for whoever verifies.
    pub error_budget_millionths: u32,
}

/// Most inputs of a batch: whoever judges its answers evaluates the graph once for each.
pub const MAX_BATCH: u32 = 64;

const fn alone() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_alone(batch: &u32) -> bool {
    *batch == 1
}

/// Boundary tensors of all slices, and inputs that no slice reads, as the graph describes them, by ascending id.
#[must_use]
pub fn boundary(graph: &IntGraph, slices: &[ManifestSlice]) -> Vec<BoundaryTensor> {
    let ids: BTreeSet<TensorId> = slices
        .iter()
        .flat_map(|s| s.inputs.iter().chain(&s.outputs))
        .chain(&graph.inputs)
        .copied()
        .collect();
    ids.into_iter()
        .filter_map(|id| {
            graph.tensors.get(id.0 as usize).map(|info| BoundaryTensor {
                id,
                info: info.clone(),
            })
        })
        .collect()
}

/// Why a manifest is not well-formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not the encoding of a manifest.
    #[error("manifest: {0}")]
    Encoding(#[from] CanonicalError),
    /// A version that this code does not know.
    #[error("manifest: it is of version {0}, {who}; this program reads version {VERSION}", who = canonical::readers(u64::from(*.0)))]
    Version(u32),
    /// Proof system and parameter id do not belong together.
    #[error("manifest: {parameter_id} is not a parameter id of {proof_system}")]
    Parameters {
        /// The proof system.
        proof_system: SystemId,
        /// The parameter id.
        parameter_id: ParametersId,
    },
    /// An SRS where the proof system has none, or none where it has one.
    #[error("manifest: {proof_system} {needs}, and the SRS digest says otherwise")]
    Srs {
        /// The proof system.
        proof_system: SystemId,
        /// What it needs.
        needs: &'static str,
    },
    /// There is no such proof system.
    #[error("manifest: {0}")]
    System(#[from] UnknownSystem),
    /// A slice's parameters have no proof system's form.
    #[error("manifest: slice {slice} has no parameters of {proof_system}")]
    NoCircuit {
        /// The slice.
        slice: usize,
        /// The manifest's proof system.
        proof_system: SystemId,
    },
    /// A slice's parameters are another proof system's.
    #[error("manifest: slice {slice} has the parameters of {got}, the model is proved with {proof_system}")]
    Circuit {
        /// The slice.
        slice: usize,
        /// The manifest's proof system.
        proof_system: SystemId,
        /// The slice's.
        got: SystemId,
    },
    /// A number is outside its limits.
    #[error("manifest: {0} is outside its limits")]
    Limit(&'static str),
    /// A tensor is named but not described, or described twice.
    #[error("manifest: tensor {0} is not described exactly once")]
    Tensor(u32),
    /// Slices leave out, repeat or reorder nodes.
    #[error("manifest: slice {slice} does not go on where the one before ended")]
    Cover {
        /// The slice.
        slice: usize,
    },
    /// A tensor is read before it is made, made twice, or never used.
    #[error("manifest: wiring of tensor {tensor}: {what}")]
    Wiring {
        /// The tensor.
        tensor: u32,
        /// What is wrong.
        what: &'static str,
    },
}

impl Manifest {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    /// SHA-256 of the canonical encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        canonical::digest(self)
    }

    /// Decodes and checks a manifest, of one of these proof systems.
    ///
    /// # Errors
    /// Bytes that are not the encoding of a well-formed manifest.
    pub fn from_bytes(bytes: &[u8], systems: Systems<'_, dyn System>) -> Result<Self, ManifestError> {
        let manifest: Self = canonical::from_bytes_of_version(bytes, MAX_MANIFEST_BYTES, VERSION)?;
        manifest.check(systems)?;
        Ok(manifest)
    }

    /// Description of a boundary tensor.
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> Option<&TensorInfo> {
        self.boundary
            .binary_search_by_key(&id, |t| t.id)
            .ok()
            .map(|at| &self.boundary[at].info)
    }

    /// The tensors as relations see them. Ids that are not described are left out; [`Manifest::check`] excludes them.
    #[must_use]
    pub fn slice_tensors(&self, ids: &[TensorId]) -> Vec<SliceTensor> {
        let describe = |&id: &TensorId| {
            self.tensor(id).map(|info| SliceTensor {
                id,
                len: info.len(),
                range: info.range,
            })
        };
        ids.iter().filter_map(describe).collect()
    }

    /// Boundary tensors that are neither the request's input nor its output, by ascending id.
    pub fn inner(&self) -> impl Iterator<Item = &BoundaryTensor> {
        let ends: BTreeSet<TensorId> = self.inputs.iter().chain(&self.outputs).copied().collect();
        self.boundary.iter().filter(move |t| !ends.contains(&t.id))
    }

    /// The files that verifying a receipt of this manifest takes: verifying keys, where its proof system has them in files,
    /// and the integer graph.
    pub fn files(&self, system: &dyn System) -> impl Iterator<Item = Digest> {
        let keys = (!system.derives_keys()).then(|| self.slices.iter().map(|s| s.vk));
        keys.into_iter().flatten().chain([self.graph])
    }

    /// Whether the description of nodes, inputs, outputs and boundary is that of the graph.
    #[must_use]
    pub fn describes(&self, graph: &IntGraph) -> bool {
        graph.nodes.len() == self.node_count as usize
            && (&graph.inputs, &graph.outputs) == (&self.inputs, &self.outputs)
            && boundary(graph, &self.slices) == self.boundary
    }
}
