//! Tensors of integers: exact ranges, shapes, values.

use serde::{Deserialize, Serialize};

use super::ranks::Ranks;
use super::scale::power_of_two;

/// The place of a tensor in a graph's list of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TensorId(pub u32);

/// The exact set of values of a tensor: `[0, 2^bits)`, or `[-2^(bits-1), 2^(bits-1))` when signed.
///
/// Widths are powers of two by construction, so that a decomposition into limbs of exact width proves
/// membership and nothing more has to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntRange {
    /// log2 of the number of values; 1..=32.
    pub bits: u8,
    /// Whether half of the values are negative.
    pub signed: bool,
}

impl IntRange {
    /// The widest range that the engine accepts, in bits.
    pub const MAX_BITS: u8 = 32;

    /// `[-2^(bits-1), 2^(bits-1))`.
    #[must_use]
    pub const fn signed(bits: u8) -> Self {
        Self { bits, signed: true }
    }

    /// `[0, 2^bits)`.
    #[must_use]
    pub const fn unsigned(bits: u8) -> Self {
        Self { bits, signed: false }
    }

    /// The least value.
    #[must_use]
    pub const fn lo(self) -> i64 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    /// The greatest value.
    #[must_use]
    pub const fn hi(self) -> i64 {
        self.lo() + (1 << self.bits) - 1
    }

    /// Whether `v` is one of the values.
    #[must_use]
    pub const fn contains(self, v: i64) -> bool {
        self.lo() <= v && v <= self.hi()
    }

    /// The greatest absolute value.
    #[must_use]
    pub const fn magnitude(self) -> i64 {
        if self.signed { -self.lo() } else { self.hi() }
    }
}

/// What is known of a tensor before any input: it is part of the integer graph's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorInfo {
    /// The name in the model, or one derived from the node that makes it. For people; bound by the digest.
    pub name: String,
    /// The exact range of every value.
    pub range: IntRange,
    /// Of an input that is held by ranks: which bounds it is held against; the exponent is 0. Not written where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Ranks>,
    /// Dimensions, outermost first; row-major. Batch symbols are bound (to 1 unless told otherwise).
    pub shape: Vec<u32>,
    /// Of an input: whether the model takes whole numbers there, or yes and no as 1 and 0; the exponent is 0. Not written where
    /// it does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// The float that value `v` stands for is `v · 2^-exponent`.
    pub exponent: i16,
}

impl TensorInfo {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().map(|&d| d as usize).product()
    }

    /// The float between one integer and the next.
    #[must_use]
    pub fn step(&self) -> f64 {
        power_of_two(-i32::from(self.exponent))
    }

    /// Whether there is no value at all (never in a valid graph).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The values of one tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntTensor {
    /// Dimensions, outermost first.
    pub shape: Vec<u32>,
    /// Row-major values; as many as the product of `shape`.
    pub values: Vec<i64>,
}
