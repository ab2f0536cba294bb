//! The manifest: integers only, and with the ONNX bytes the whole of what fixes the function and its circuits.
//!
//! Invariants, checked by [`Manifest::check`] before anything else is believed: slices cover every node once, in
//! order; every boundary tensor has one producer, which stands before its consumers; every slice reads only the
//! request's input and outputs of earlier slices. No float and no measurement is in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zkinfer_crds::{Digest, ParameterId, ProofSystem};

use crate::backend::{self, Circuit};
use crate::canonical::{self, CanonicalError};
use crate::graph::{IntGraph, IntRange, QuantisationPlan, TensorId, TensorInfo};
use crate::relations::SliceTensor;

/// The version that this code writes and reads.
pub const VERSION: u32 = 1;
/// The largest manifest that is read, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 16 << 20;
/// Most slices of a model.
pub const MAX_SLICES: usize = 4096;
/// Most values of one boundary tensor.
pub const MAX_TENSOR_LEN: usize = 1 << 22;

/// One slice: consecutive nodes of the integer graph with one verifying key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSlice {
    /// First node.
    pub first_node: u32,
    /// Number of nodes.
    pub node_count: u32,
    /// Tensors from outside, in the order of the statement's public values.
    pub inputs: Vec<TensorId>,
    /// Tensors that leave.
    pub outputs: Vec<TensorId>,
    /// Limb width, and with Halo2Kzg k and columns.
    pub circuit: Circuit,
    /// SHA-256 of the verifying key.
    pub vk: Digest,
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
    /// [`VERSION`].
    pub version: u32,
    /// SHA-256 of the ONNX file.
    pub model: Digest,
    /// The integers that quantise it.
    pub quantisation: QuantisationPlan,
    /// Digest of the integer graph.
    pub graph: Digest,
    /// Number of nodes of the integer graph.
    pub node_count: u32,
    /// Greatest allowed error against the float model, in millionths of max(1, max |y|).
    pub error_budget_millionths: u32,
    /// The proof system.
    pub proof_system: ProofSystem,
    /// Its parameters.
    pub parameter_id: ParameterId,
    /// The verifier part of the SRS; all zero for a transparent proof system.
    pub srs: Digest,
    /// The request's inputs.
    pub inputs: Vec<TensorId>,
    /// The request's outputs.
    pub outputs: Vec<TensorId>,
    /// Every boundary tensor, by ascending id.
    pub boundary: Vec<BoundaryTensor>,
    /// The slices, in topological order.
    pub slices: Vec<ManifestSlice>,
}

/// Boundary tensors of all slices as the graph describes them, by ascending id.
#[must_use]
pub fn boundary(graph: &IntGraph, slices: &[ManifestSlice]) -> Vec<BoundaryTensor> {
    let ids: BTreeSet<TensorId> = slices
        .iter()
        .flat_map(|s| s.inputs.iter().chain(&s.outputs))
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
    #[error("manifest version {0} is not known (this program knows {VERSION})")]
    Version(u32),
    /// Proof system and parameter id do not belong together.
    #[error("manifest: {parameter_id} is not a parameter id of {proof_system}")]
    Parameters {
        /// The proof system.
        proof_system: ProofSystem,
        /// The parameter id.
        parameter_id: ParameterId,
    },
    /// An SRS where the proof system has none, or none where it has one.
    #[error("manifest: {proof_system} {needs}, and the SRS digest says otherwise")]
    Srs {
        /// The proof system.
        proof_system: ProofSystem,
        /// What it needs.
        needs: &'static str,
    },
    /// A slice's parameters are another proof system's.
    #[error("manifest: slice {slice} has the parameters of {got}, the model is proved with {proof_system}")]
    Circuit {
        /// The slice.
        slice: usize,
        /// The manifest's proof system.
        proof_system: ProofSystem,
        /// The slice's.
        got: ProofSystem,
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

    /// Decodes and checks a manifest.
    ///
    /// # Errors
    /// Bytes that are not the encoding of a well-formed manifest.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = canonical::from_bytes(bytes, MAX_MANIFEST_BYTES)?;
        manifest.check()?;
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
        self.boundary
            .iter()
            .filter(|t| !self.inputs.contains(&t.id) && !self.outputs.contains(&t.id))
    }

    /// The files that verifying a receipt of this manifest takes: verifying keys, where they are files, and the integer
    /// graph.
    pub fn files(&self) -> impl Iterator<Item = Digest> {
        let keys = (!backend::derives_keys(self.proof_system)).then(|| self.slices.iter().map(|s| s.vk));
        keys.into_iter().flatten().chain([self.graph])
    }

    /// Whether the description of nodes, inputs, outputs and boundary is that of the graph.
    #[must_use]
    pub fn describes(&self, graph: &IntGraph) -> bool {
        graph.nodes.len() == self.node_count as usize
            && (&graph.inputs, &graph.outputs) == (&self.inputs, &self.outputs)
            && boundary(graph, &self.slices) == self.boundary
    }

    /// Checks everything that the module's invariant states.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.version != VERSION {
            return Err(ManifestError::Version(self.version));
        }
        if self.parameter_id.proof_system() != self.proof_system {
            let Self {
                proof_system,
                parameter_id,
                ..
            } = *self;
            return Err(ManifestError::Parameters {
                proof_system,
                parameter_id,
            });
        }
        if self.slices.is_empty() || self.slices.len() > MAX_SLICES {
            return Err(ManifestError::Limit("the number of slices"));
        }
        self.check_system()?;
        self.check_tensors()?;
        self.check_cover()?;
        self.check_wiring()
    }

    /// Every part is of the one proof system.
    fn check_system(&self) -> Result<(), ManifestError> {
        let proof_system = self.proof_system;
        let needs = match (backend::needs_srs(proof_system), self.srs == backend::NO_SRS) {
            (true, true) => Some("needs a trusted setup"),
            (false, false) => Some("has no trusted setup"),
            _ => None,
        };
        if let Some(needs) = needs {
            return Err(ManifestError::Srs { proof_system, needs });
        }
        for (slice, s) in self.slices.iter().enumerate() {
            let got = s.circuit.proof_system();
            if got != proof_system {
                return Err(ManifestError::Circuit {
                    slice,
                    proof_system,
                    got,
                });
            }
            if !s.circuit.check() {
                return Err(ManifestError::Limit("a slice's circuit"));
            }
        }
        Ok(())
    }

    fn check_tensors(&self) -> Result<(), ManifestError> {
        if let Some(pair) = self.boundary.windows(2).find(|p| p[0].id >= p[1].id) {
            return Err(ManifestError::Tensor(pair[1].id.0));
        }
        for BoundaryTensor { info, .. } in &self.boundary {
            let len = info
                .shape
                .iter()
                .try_fold(1usize, |len, &d| len.checked_mul(d as usize));
            if info.shape.len() > 16 || !len.is_some_and(|len| (1..=MAX_TENSOR_LEN).contains(&len)) {
                return Err(ManifestError::Limit("a tensor's shape"));
            }
            if !(1..=IntRange::MAX_BITS).contains(&info.range.bits) {
                return Err(ManifestError::Limit("a tensor's range"));
            }
        }
        Ok(())
    }

    fn check_cover(&self) -> Result<(), ManifestError> {
        let mut next = 0u32;
        for (slice, s) in self.slices.iter().enumerate() {
            let end = s.first_node.checked_add(s.node_count);
            match end {
                Some(end) if s.first_node == next && s.node_count > 0 => next = end,
                _ => return Err(ManifestError::Cover { slice }),
            }
        }
        if next == self.node_count {
            Ok(())
        } else {
            Err(ManifestError::Cover {
                slice: self.slices.len() - 1,
            })
        }
    }

    /// One producer each, before every consumer; nothing described that is not used.
    fn check_wiring(&self) -> Result<(), ManifestError> {
        let wiring = |id: TensorId, what| ManifestError::Wiring { tensor: id.0, what };
        // Producer of each tensor; the request itself stands before slice 0.
        let mut made: BTreeMap<TensorId, ()> = BTreeMap::new();
        let mut used: BTreeSet<TensorId> = self.outputs.iter().copied().collect();
        if self.inputs.is_empty() || self.outputs.is_empty() || used.len() != self.outputs.len() {
            return Err(ManifestError::Limit("the request's inputs or outputs"));
        }
        let mut make = |id: TensorId| {
            self.tensor(id).ok_or(ManifestError::Tensor(id.0))?;
            made.insert(id, ())
                .map_or(Ok(()), |()| Err(wiring(id, "it is made twice")))?;
            Ok::<(), ManifestError>(())
        };
        self.inputs.iter().try_for_each(|&id| make(id))?;
        let mut available: BTreeSet<TensorId> = self.inputs.iter().copied().collect();
        for slice in &self.slices {
            if slice.inputs.is_empty() || slice.outputs.is_empty() {
                return Err(ManifestError::Limit("a slice's inputs or outputs"));
            }
            for (i, &id) in slice.inputs.iter().enumerate() {
                if !available.contains(&id) {
                    return Err(wiring(id, "it is read before it is made"));
                }
                if slice.inputs[..i].contains(&id) {
                    return Err(wiring(id, "a slice reads it twice"));
                }
                used.insert(id);
            }
            slice.outputs.iter().try_for_each(|&id| make(id))?;
            available.extend(&slice.outputs);
        }
        if let Some(&id) = self
            .outputs
            .iter()
            .find(|id| self.inputs.contains(id) || !available.contains(id))
        {
            return Err(wiring(id, "it is an output that no slice makes"));
        }
        match self
            .boundary
            .iter()
            .find(|t| !used.contains(&t.id) || !available.contains(&t.id))
        {
            Some(t) => Err(wiring(t.id, "it is described and never used")),
            None => Ok(()),
        }
    }
}
