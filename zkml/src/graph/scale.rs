//! The integers that turn a float graph into the integer graph. All of it stands in the manifest.

use serde::{Deserialize, Serialize};

/// How much precision is spent where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Profile {
    /// 8-bit activations: the cheapest proofs.
    P8,
    /// 12-bit activations.
    P12,
    /// 16-bit activations: the smallest error.
    P16,
}

/// The scale of one tensor of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorScale {
    /// Width of the signed value before an activation, headroom included.
    pub bits: u8,
    /// Value `v` stands for `v · 2^-exponent`.
    pub exponent: i16,
}

/// With the ONNX bytes, this fixes the integer graph: one scale per tensor, one shift per node.
///
/// A linear node with input exponents `e_k`, output exponent `e` and shift `S` has integer coefficients
/// `round(w · 2^(e + S − e_k))` and biases `round(b · 2^(e + S))`, ties away from zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuantisationPlan {
    /// By node; 0 for nodes that are not linear.
    pub shifts: Vec<u8>,
    /// Whose limits the integers obey.
    pub profile: Profile,
    /// By tensor id.
    pub tensors: Vec<TensorScale>,
}
