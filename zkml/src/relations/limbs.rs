//! The cut of a value into limbs of exact width, shared by every backend.
//!
//! A non-negative value below `2^w` is `Σ limb_i · 2^offset_i` with `limb_i` in `[0, 2^width_i)` and
//! `Σ width_i = w`, lowest limb first. Each limb is looked up in a table of exactly `2^width_i` rows. A table that
//! is wider than the limb would need a second lookup of `limb · 2^(T−width)`; exact tables need one.

/// Widths of the limbs of a `bits`-wide value, lowest first: full limbs, then the rest. Zero bits give no limb.
#[must_use]
pub fn limb_widths(bits: u32, limb_bits: u32) -> Vec<u32> {
    let mut widths = vec![limb_bits; (bits / limb_bits) as usize];
    if !bits.is_multiple_of(limb_bits) {
        widths.push(bits % limb_bits);
    }
    widths
}

/// The limbs of a requantised accumulator.
///
/// `acc + 2^(S-1) + 2^(bits-1+S) = sign · 2^(bits-1+S) + magnitude · 2^S + remainder` with `sign` in {0, 1},
/// `magnitude` in `[0, 2^(bits-1))`, `remainder` in `[0, 2^S)`. Then `q = magnitude + (sign − 1) · 2^(bits-1)`,
/// which is `floor((acc + 2^(S-1)) / 2^S)` in its signed range, and only that: the decomposition is unique.
/// (Without the rounding term when `S = 0`.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimbPlan {
    /// Widths of the remainder's limbs, lowest first.
    pub remainder: Vec<u32>,
    /// Widths of the magnitude's limbs, lowest first.
    pub magnitude: Vec<u32>,
    /// Bits of the remainder (`S`).
    pub shift: u32,
    /// Width of the signed quotient.
    pub bits: u32,
}

impl LimbPlan {
    /// The plan of a requantisation.
    #[must_use]
    pub fn new(requantise: crate::graph::Requantise, limb_bits: u32) -> Self {
        let (shift, bits) = (u32::from(requantise.shift), u32::from(requantise.bits));
        Self {
            remainder: limb_widths(shift, limb_bits),
            magnitude: limb_widths(bits - 1, limb_bits),
            shift,
            bits,
        }
    }

    /// What is added to the accumulator so that the decomposition is of a non-negative number.
    #[must_use]
    pub fn offset(&self) -> i64 {
        let rounding = if self.shift == 0 {
            0
        } else {
            1i64 << (self.shift - 1)
        };
        rounding + (1i64 << (self.bits - 1 + self.shift))
    }

    /// `(sign, limbs)` of an accumulator, remainder limbs before magnitude limbs; `None` when `q` is out of range.
    #[must_use]
    pub fn decompose(&self, acc: i64) -> Option<(u64, Vec<u64>)> {
        let v = u64::try_from(acc.checked_add(self.offset())?).ok()?;
        if v >> (self.bits + self.shift) != 0 {
            return None;
        }
        let sign = v >> (self.bits - 1 + self.shift);
        let mut rest = v;
        let limbs = self.widths().map(|w| {
            let limb = rest & ((1 << w) - 1);
            rest >>= w;
            limb
        });
        Some((sign, limbs.collect()))
    }

    /// All widths: remainder's, then magnitude's.
    pub fn widths(&self) -> impl Iterator<Item = u32> + '_ {
        self.remainder.iter().chain(&self.magnitude).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Requantise};
    use proptest::prelude::*;

    #[test]
    fn widths_are_exact() {
        assert_eq!(limb_widths(13, 8), [8, 5]);
        assert_eq!(limb_widths(16, 8), [8, 8]);
        assert!(limb_widths(0, 8).is_empty());
    }

    proptest! {
        #[test]
        fn decomposition_gives_the_specified_quotient(acc in -(1i64 << 40)..(1i64 << 40), shift in 0u8..=20, bits in 2u8..=16) {
            let requantise = Requantise { shift, bits, activation: Activation::Identity };
            let plan = LimbPlan::new(requantise, 7);
            let q = requantise.quotient(acc);
            let inside = requantise.output_range().contains(q);
            match plan.decompose(acc) {
                None => prop_assert!(!inside),
                Some((sign, limbs)) => {
                    prop_assert!(inside);
                    let (mut at, mut magnitude) = (0, 0i64);
                    for (w, limb) in plan.widths().zip(limbs) {
                        prop_assert!(limb < 1 << w);
                        if at >= plan.shift { magnitude += (limb as i64) << (at - plan.shift); }
                        at += w;
                    }
                    prop_assert_eq!(magnitude + (sign as i64 - 1) * (1 << (bits - 1)), q);
                }
            }
        }
    }
}
