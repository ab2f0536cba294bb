//! The whole part of a tensor or of its opposite, divided by a power of two, or the whole number nearest to it: what a cast to
//! whole numbers is made of.
//!
//! Invariant: rounded once, by the one requantisation that it is: with a coefficient of one and half of a step less,
//! `floor((acc − 2^(shift−1) + 2^(shift−1)) / 2^shift)` is the whole part below; without that half it is the nearest whole number, of
//! two the greater.

use zkml::graph::scale::power_of_two;
use zkml::graph::{self, Activation, IntRange, LinearMap, Op, ProfileLimits, Requantise, TensorId};

use super::{Form, NoValues, Place, QuantiseError, Readers, Scales, TableList};
use crate::interval::Interval;

/// Steps to 1 of what floats of 32 bits tell apart from 128 on.
const TOLD_APART: f64 = 65536.0;
/// The greatest coefficient, of a tensor in steps of more than 1.
const MOST: i32 = 30;

/// `z = activation(floor(sign · x / 2^halvings))`; where it is the nearest, of half of one more.
#[derive(Debug, Clone, PartialEq)]
pub struct Floor {
    /// Number of values.
    pub len: u32,
    /// Whether it is of `−x`.
    pub negated: bool,
    /// How often it is halved before.
    pub halvings: u8,
    /// Whether it is the nearest whole number and not the one below.
    pub nearest: bool,
    /// What follows.
    pub activation: Activation,
}

impl Floor {
    /// In floats. What the last bits of a quotient do not tell from a half is one, and goes to the even number, as in the reference;
    /// in integers a half goes up.
    fn whole(&self, value: f64) -> f64 {
        if self.nearest {
            ((value * TOLD_APART).round() / TOLD_APART).round_ties_even()
        } else {
            value.floor()
        }
    }

    /// Bits that are dropped of numbers in steps of `2^-exponent`; negative where the coefficient has them instead.
    fn dropped(&self, exponent: i16) -> i32 {
        i32::from(exponent) + i32::from(self.halvings)
    }
}

impl Form for Floor {
    fn evaluate(&self, x: &[&[f64]], see: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues> {
        let [x] = *x else {
            return Err(NoValues::Absent);
        };
        let sign = if self.negated { -1.0 } else { 1.0 };
        let factor = sign * power_of_two(-i32::from(self.halvings));
        let mut whole: Vec<f64> = x.iter().map(|v| self.whole(v * factor)).collect();
        see(&whole);
        whole.iter_mut().for_each(|v| *v = self.activation.of_float(*v));
        Ok(whole)
    }

    fn pull_back(&self, x: &[&[f64]], _: &[f64], _: &[f64]) -> Vec<Vec<f64>> {
        super::nothing(x)
    }

    fn scale(&self, inputs: &[TensorId], output: TensorId, scales: &mut Scales) -> u8 {
        let exponent = scales.tensors[inputs[0].0 as usize].exponent;
        let at = output.0 as usize;
        scales.ranges[at] = self.activation.range(scales.tensors[at].bits);
        // Where the shift is not what it has to be, quantising says so.
        self.dropped(exponent).clamp(0, scales.limits.max_shift.into()) as u8
    }

    fn quantise(&self, place: &Place<'_>, _: &mut TableList) -> Result<(Op, IntRange), QuantiseError> {
        let refused = || QuantiseError::Floor { node: place.node() };
        let output = place.scale(place.output)?;
        let dropped = self.dropped(place.scale(place.first_input()?)?.exponent);
        let greatest = i32::from(ProfileLimits::of(place.plan.profile).max_shift);
        let fits = (-MOST..=greatest).contains(&dropped) && i32::from(place.shift) == dropped.max(0);
        if !fits || output.exponent != 0 {
            return Err(refused());
        }
        let coefficient = 1i64 << dropped.min(0).unsigned_abs();
        let half = if self.nearest {
            0
        } else {
            (1i64 << place.shift) / 2
        };
        let map = LinearMap::Affine {
            outer: 1,
            channels: 1,
            inner: self.len,
            scale: vec![if self.negated { -coefficient } else { coefficient }].into(),
            bias: vec![-half].into(),
        };
        let requantise = Requantise {
            shift: place.shift,
            bits: output.bits,
            activation: self.activation,
        };
        let op = Op::Linear(graph::Linear { map, requantise });
        Ok((op, requantise.output_range()))
    }

    fn kept(&self) -> usize {
        2
    }

    fn multiplications(&self, output_len: usize) -> u64 {
        output_len as u64
    }

    fn scaling(&self) -> Option<(f64, f64)> {
        None
    }

    fn reads(&self, _: usize, _: Readers) -> Readers {
        Readers::Linear
    }

    fn reach(&self, _: &[Interval]) -> Option<Interval> {
        None
    }

    fn planned(&self) -> bool {
        true
    }

    fn price(&self) -> Option<f64> {
        None
    }

    fn requantises(&self) -> bool {
        false
    }

    fn exact(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the requantisation does, of every number of a small range.
    #[test]
    fn the_quotient_is_the_whole_part_of_every_number() {
        for (exponent, halvings) in [(0i16, 0u8), (3, 0), (2, 3), (0, 5), (-2, 1), (-2, 4)] {
            for (negated, nearest) in [(false, false), (true, false), (false, true), (true, true)] {
                let floor = Floor {
                    len: 1,
                    negated,
                    halvings,
                    nearest,
                    activation: Activation::Identity,
                };
                let dropped = floor.dropped(exponent);
                let shift = dropped.max(0) as u8;
                let coefficient = 1i64 << dropped.min(0).unsigned_abs();
                let sign = if negated { -1 } else { 1 };
                let requantise = Requantise {
                    shift,
                    bits: 16,
                    activation: Activation::Identity,
                };
                for v in -130i64..130 {
                    let half = if nearest { 0 } else { (1i64 << shift) / 2 };
                    let accumulator = sign * coefficient * v - half;
                    let x = v as f64 * power_of_two(-i32::from(exponent));
                    let Ok(made) = floor.evaluate(&[&[x]], &mut |_| ()) else {
                        panic!("no value");
                    };
                    let quotient = requantise.quotient(accumulator) as f64;
                    let value = x * f64::from(sign as i32) * power_of_two(-i32::from(halvings));
                    if nearest && (value - value.floor()) == 0.5 {
                        // Of two as near it is the greater, and in floats the even one.
                        assert_eq!(quotient, value.floor() + 1.0, "{floor:?} {x}");
                        assert_eq!(made[0], value.round_ties_even(), "{floor:?} {x}");
                    } else {
                        assert_eq!(quotient, made[0], "{floor:?} {x}");
                    }
                }
            }
        }
    }
}
