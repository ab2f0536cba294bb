//! Whether a linear map with whole coefficients is above 0: 1 or 0.
//!
//! Invariant: nothing is rounded but the constant, and that as inputs are, so that a value which is equal to a threshold stays on
//! the side of the threshold. In integers it is one requantisation: with `2^shift` more than the accumulators span,
//! `floor((acc − 1 + 2^shift) / 2^shift)` is 1 where `acc >= 1` and 0 elsewhere, and never anything else.

use zkml::graph::scale::power_of_two;
use zkml::graph::{self, Activation, IntRange, LinearMap, Op, Requantise, TensorId, TensorScale};

use super::linear::{FloatMap, reads_scaled};
use super::{Form, NoValues, Place, QuantiseError, Readers, Scales, TableList};
use crate::interval::Interval;

/// Whole coefficients and the numbers of values that they span stay below this.
const MOST: i64 = 1 << 40;
/// The greatest whole coefficient: a rank's may be as many as there are thresholds.
const MOST_COEFFICIENT: f64 = (1 << 20) as f64;
/// Of the output: 1 and 0, held by a quotient of two bits.
const MADE: TensorScale = TensorScale { exponent: 0, bits: 2 };

/// 1 where a linear map of whole coefficients is above 0, else 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The coefficients; constants need not be whole.
    pub map: FloatMap,
    /// By channel, whether it is 1 of a value that is missing; where nobody says so none is taken. No tensor holds such a value: it
    /// is how the input that is compared gets its ranks.
    pub missing: Option<Vec<bool>>,
}

impl Form for Step {
    fn evaluate(&self, x: &[&[f64]], _: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues> {
        let lengths: Vec<_> = x.iter().map(|x| x.len()).collect();
        self.map.output_len(&lengths).map_err(NoValues::Geometry)?;
        let mut made = self.map.accumulate(x);
        made.iter_mut().for_each(|v| *v = f64::from(u8::from(*v > 0.0)));
        Ok(made)
    }

    fn pull_back(&self, x: &[&[f64]], _: &[f64], _: &[f64]) -> Vec<Vec<f64>> {
        super::nothing(x)
    }

    fn scale(&self, inputs: &[TensorId], output: TensorId, scales: &mut Scales) -> u8 {
        let ranges: Vec<_> = inputs.iter().map(|id| scales.ranges[id.0 as usize]).collect();
        let at = output.0 as usize;
        (scales.tensors[at], scales.ranges[at]) = (MADE, IntRange::signed(MADE.bits));
        // Where there is none, quantising says so.
        self.spans(&ranges).map_or(0, |spans| shift(&spans))
    }

    fn quantise(&self, place: &Place<'_>, _: &mut TableList) -> Result<(Op, IntRange), QuantiseError> {
        let refused = || QuantiseError::Step { node: place.node() };
        let exponent = place.scale(place.first_input()?)?.exponent;
        let mut ranges = Vec::with_capacity(place.inputs.len());
        for id in place.inputs {
            if place.scale(*id)?.exponent != exponent {
                return Err(refused());
            }
            ranges.push(place.info(*id)?.range);
        }
        let spans = self.spans(&ranges).ok_or_else(refused)?;
        if place.scale(place.output)? != MADE || place.shift != shift(&spans) {
            return Err(refused());
        }
        let factor = power_of_two(exponent.into());
        let half = (1i64 << place.shift) / 2;
        let map: LinearMap = self.map.try_map(
            |_, &w| Ok::<_, QuantiseError>(w as i64),
            |c, &b| {
                let &(lo, hi) = spans.get(c).ok_or_else(refused)?;
                // Beyond what the values reach, any threshold is as good as the next.
                let nearest = (b * factor).round().clamp(-hi as f64, (1 - lo) as f64) as i64;
                Ok(nearest + half - 1)
            },
        )?;
        let requantise = Requantise {
            shift: place.shift,
            bits: MADE.bits,
            activation: Activation::Identity,
        };
        let op = Op::Linear(graph::Linear { map, requantise });
        Ok((op, requantise.output_range()))
    }

    fn kept(&self) -> usize {
        self.map.weight().len() + self.map.bias().len()
    }

    fn multiplications(&self, output_len: usize) -> u64 {
        self.map.multiplications(output_len)
    }

    fn scaling(&self) -> Option<(f64, f64)> {
        None
    }

    fn reads(&self, tensors: usize, _: Readers) -> Readers {
        reads_scaled(tensors)
    }

    /// A model says itself that a comparison is 1 or 0.
    fn reach(&self, _: &[Interval]) -> Option<Interval> {
        None
    }

    fn planned(&self) -> bool {
        false
    }

    fn price(&self) -> Option<f64> {
        None
    }

    fn requantises(&self) -> bool {
        false
    }

    fn exact(&self) -> bool {
        true
    }
}

impl Step {
    /// Of values none of which is missing.
    pub(crate) const fn new(map: FloatMap) -> Self {
        Self { map, missing: None }
    }

    /// The same answers of whole numbers, as constants that are whole: `n + b > 0` is `n + ⌈b⌉ > 0`.
    pub(crate) fn of_whole(&mut self) {
        let (FloatMap::Dense { bias, .. } | FloatMap::Conv2d { bias, .. } | FloatMap::Affine { bias, .. }) =
            &mut self.map;
        bias.iter_mut().for_each(|b| *b = b.ceil());
    }

    /// By channel, the least and the greatest that the map without its constant can be; `None` where a coefficient is not whole,
    /// or the span too wide.
    fn spans(&self, ranges: &[IntRange]) -> Option<Vec<(i64, i64)>> {
        let (weight, channels) = (self.map.weight(), self.map.bias().len());
        let affine = matches!(self.map, FloatMap::Affine { .. });
        let each = weight.len().checked_div(channels)?;
        let channel = |c: usize| {
            let (mut lo, mut hi) = (0i64, 0i64);
            for i in 0..each {
                let (at, k) = if affine {
                    (i * channels + c, i)
                } else {
                    (c * each + i, 0)
                };
                let (w, range) = (*weight.get(at)?, ranges.get(k)?);
                if w.fract() != 0.0 || w.abs() > MOST_COEFFICIENT {
                    return None;
                }
                // Ranges have 32 bits at most, so that no product overflows; sums are held below 2^40.
                let ends = [w as i64 * range.lo(), w as i64 * range.hi()];
                (lo, hi) = (lo + ends[0].min(ends[1]), hi + ends[0].max(ends[1]));
                if hi - lo >= MOST / 2 {
                    return None;
                }
            }
            Some((lo, hi))
        };
        (0..channels).map(channel).collect()
    }
}

/// The least that no accumulator spans more than.
fn shift(spans: &[(i64, i64)]) -> u8 {
    let widest = spans.iter().map(|(lo, hi)| hi - lo).fold(1, i64::max);
    // Below 2^39.
    (widest.ilog2() + 1) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(scale: &[f64], bias: f64) -> FloatMap {
        FloatMap::Affine {
            outer: 1,
            channels: 1,
            inner: 1,
            scale: scale.to_vec(),
            bias: vec![bias],
        }
    }

    #[test]
    fn the_shift_covers_every_accumulator() {
        let map = step(&[1.0, -1.0], 0.0);
        let ranges = [IntRange::signed(3), IntRange::unsigned(2)];
        let spans = Step::new(map).spans(&ranges).unwrap();
        assert_eq!(spans, [(-4 - 3, 3)]);
        assert_eq!(shift(&spans), 4);
        assert_eq!(shift(&[(0, 15)]), 4);
        assert_eq!(shift(&[(0, 16)]), 5);
    }

    #[test]
    fn coefficients_that_are_not_whole_have_no_step() {
        for (scale, range) in [(0.5, 8), (2_097_152.0, 8), (f64::NAN, 8), (255.0, 32)] {
            let map = step(&[scale], 0.0);
            let spans = Step::new(map).spans(&[IntRange::signed(range)]);
            assert_eq!(spans, None, "{scale}");
        }
    }
}
