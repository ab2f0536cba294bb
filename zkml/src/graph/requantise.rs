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

impl Activation {
    /// z of a quotient.
    #[must_use]
    pub const fn of(self, q: i64) -> i64 {
        match self {
            Self::Identity => q,
            Self::Relu if q < 0 => 0,
            Self::Relu => q,
        }
    }

    /// The same on floats; of what is no number some activations make one.
    #[must_use]
    pub const fn of_float(self, q: f64) -> f64 {
        match self {
            Self::Identity => q,
            Self::Relu => q.max(0.0),
        }
    }

    /// The values that it takes over all signed quotients of so many bits.
    #[must_use]
    pub const fn range(self, bits: u8) -> IntRange {
        match self {
            Self::Identity => IntRange::signed(bits),
            Self::Relu => IntRange::unsigned(bits - 1),
        }
    }
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
        self.activation.range(self.bits)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// In integers, in floats, and as a range: three matches that have to agree.
    #[test]
    fn an_activation_takes_exactly_the_values_of_its_range() {
        for activation in [Activation::Identity, Activation::Relu] {
            for bits in 2..=8 {
                let (quotients, range) = (IntRange::signed(bits), activation.range(bits));
                let made = (quotients.lo()..=quotients.hi()).map(|q| activation.of(q));
                let made: std::collections::BTreeSet<_> = made.collect();
                assert!((range.lo()..=range.hi()).eq(made), "{activation:?} {bits}");
            }
            for q in -3i64..=3 {
                assert_eq!(
                    activation.of_float(q as f64),
                    activation.of(q) as f64,
                    "{activation:?}"
                );
            }
        }
    }
}
