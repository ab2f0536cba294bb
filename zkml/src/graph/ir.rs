//! The integer graph: tensors with exact ranges, and operators between them, each of which is a file of `ops/`.
//!
//! Invariants, checked by [`IntGraph::validate`]: nodes stand in topological order; every tensor is a graph
//! input or the output of exactly one node; shapes fit; every accumulator is statically below 2^62 in absolute
//! value, so equality modulo either backend's prime is equality over the integers.

use serde::{Deserialize, Serialize};
use zkinfer_crds::Digest;

use super::ops::Op;
use super::table::TableRef;
use super::tensor::{TensorId, TensorInfo};
use crate::canonical::{self, CanonicalError};

/// The version of [`IntGraph::to_bytes`].
pub const VERSION: u32 = 2;

/// One operator with its tensors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// The model's name for the node (after fusion, the last fused one's).
    pub name: String,
    /// Tensors read, in the operator's order.
    pub inputs: Vec<TensorId>,
    /// The tensor made.
    pub output: TensorId,
}

/// The exact integer function that is proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntGraph {
    /// Operators in topological order.
    pub nodes: Vec<Node>,
    /// The request's inputs, in the model's order.
    pub inputs: Vec<TensorId>,
    /// The tables that nodes read, each once, in the order of the first nodes that read them. Not written where there is none.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::table::deserialize_tables"
    )]
    pub tables: Vec<TableRef>,
    /// The request's outputs, in the model's order.
    pub outputs: Vec<TensorId>,
    /// Every tensor; `TensorId` indexes it.
    pub tensors: Vec<TensorInfo>,
}

/// An integer graph as it is written: with its version.
#[derive(Serialize)]
struct Written<'a> {
    graph: &'a IntGraph,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    graph: IntGraph,
    version: u32,
}

impl IntGraph {
    /// The canonical encoding, with [`VERSION`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_bytes(&Written {
            graph: self,
            version: VERSION,
        })
    }

    /// SHA-256 of the canonical encoding: the graph's name in a manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Decodes a graph; [`IntGraph::validate`] comes next.
    ///
    /// # Errors
    /// More than `max` bytes, another version, or bytes that are no graph's encoding.
    pub fn from_bytes(bytes: &[u8], max: usize) -> Result<Self, CanonicalError> {
        let read: Read = canonical::from_bytes_of_version(bytes, max, VERSION)?;
        Ok(read.graph)
    }
}
