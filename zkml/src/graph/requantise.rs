//! From an accumulator to a tensor's value: rounding, range, activation.
//!
//! Invariant: floor division has one quotient, so an accumulator has one value or none.

use serde::{Deserialize, Serialize};

use super::IntRange;

/// The greatest shift.
pub const MAX_SHIFT: u8 = 40;

/// The non-linear function at the end of a requantisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Activation {
    /// z = q.
    Identity,
    /// z = max(q, 0).
    Relu,
}

/// From accumulator to activation: `q = floor((acc + 2^(shift-1)) / 2^shift)` (`q = acc` when `shift = 0`):
/// round half up, exact for negatives. `q` must lie in `[-2^(bits-1), 2^(bits-1))`; then `z = activation(q)`.
///
/// There is one shift per tensor; a per-channel scale goes into the channel's coefficients. A `q` outside its
/// range is a loss of completeness (the input is refused, naming the node), never a clamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requantise {
    /// Width of the signed `q`; 2..=32.
    pub bits: u8,
    /// Bits dropped from the accumulator; 0..=40.
    pub shift: u8,
    /// What follows.
    pub activation: Activation,
}

impl Requantise {
    /// The range of `z`.
    #[must_use]
    pub const fn output_range(self) -> IntRange {
        match self.activation {
            Activation::Identity => IntRange::signed(self.bits),
            Activation::Relu => IntRange::unsigned(self.bits - 1),
        }
    }

    /// `q` of an accumulator, before its range is checked.
    #[must_use]
    pub const fn quotient(self, acc: i64) -> i64 {
        if self.shift == 0 {
            acc
        } else {
            (acc + (1 << (self.shift - 1))) >> self.shift
        }
    }
}
