//! How a linear map reads one of its inputs: the coefficients that a claim on the output turns into.
//!
//! A claim on the accumulators at `ρ` says `Σ_t eq(ρ, t) · acc_t = …`, and `acc_t` is linear in the input, so it is a claim
//! on `Σ_s c(s) · x_s`. A sum-check reduces that to one value of `x` at a point `r`, and one of `c`, which the verifier
//! computes itself from the weights: never from anything that the prover sent.
//!
//! | form | sum-check over | cost of `c(r)` |
//! |---|---|---|
//! | [`Kind::Contract`]: dense rows, batch kept in place | the contracted axis | one pass over the weights |
//! | [`Kind::Scale`]: one factor per channel | the channel axis | one pass over the channels |
//! | [`Kind::Convolve`] | the whole image | weights, plus taps × positions, or their rows and columns where axes allow it |
//! | [`Kind::General`]: any map, no axes needed | the whole input | one term per multiplication |

use p3_field::PrimeCharacteristicRing;
use serde::Serialize;

use super::{conv, dense, general, scale};
use crate::graph::{LinearMap, TensorId};
use crate::sumcheck::axes::Axes;
use crate::sumcheck::channel::Sender;
use crate::sumcheck::error::LayoutError;
use crate::sumcheck::field::{EF, signed};
use crate::sumcheck::shapes::Classes;
use crate::sumcheck::sums::prove_sum;
use crate::sumcheck::transcript::{Label, Recorder};
use crate::sumcheck::work::{MULTIPLY, evaluation, tables};

/// How one input is read.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) struct Form {
    pub(in crate::sumcheck) input: TensorId,
    pub(super) kind: Kind,
}

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub(super) enum Kind {
    /// Axes `[outer][inputs]` and `[outer][outputs]`; `split` is where the contracted axes begin, on either side.
    Contract {
        split: [usize; 2],
    },
    /// Equal axes `[outer][channels][inner]`; the channel axes.
    Scale {
        channels: std::ops::Range<usize>,
    },
    /// Axes `[channels][positions]` on either side, cut at `split`.
    Convolve {
        split: [usize; 2],
    },
    General,
}

impl Kind {
    /// Coordinates of the input's point that a sum-check chooses; the others are coordinates of the output's point.
    pub(super) fn rounds(&self, from: &Axes) -> usize {
        match self {
            Self::Contract { split } => from.part(split[0]..from.count()).arity(),
            Self::Scale { channels } => from.part(channels.clone()).arity(),
            Self::Convolve { .. } | Self::General => from.arity(),
        }
    }
}

/// The most multiplications that a map without fitting axes may have: the verifier makes one step for each.
const MAX_GENERAL: u64 = 1 << 20;

impl Form {
    /// The form in which a validated map reads an input.
    ///
    /// # Errors
    /// Axes that do not fit and too many multiplications for the general form.
    pub(super) fn new(map: &LinearMap, input: TensorId, from: &Axes, to: &Axes) -> Result<Self, LayoutError> {
        let kind = match map {
            LinearMap::Dense { inputs, outputs, .. } => {
                dense::fit(*inputs as usize, *outputs as usize, from, to)
            }
            LinearMap::Affine { channels, inner, .. } => {
                scale::fit(*channels as usize, *inner as usize, from, to)
            }
            LinearMap::Conv2d {
                input: [_, h, w],
                output: [_, oh, ow],
                ..
            } => conv::fit(*h as usize * *w as usize, *oh as usize * *ow as usize, from, to),
        };
        let products = map.multiplications(to.len());
        match kind {
            Some(kind) => Ok(Self { input, kind }),
            None if products <= MAX_GENERAL => Ok(Self {
                input,
                kind: Kind::General,
            }),
            None => Err(LayoutError::Large {
                what: "multiplications of a map whose axes do not fit",
                got: products,
                limit: MAX_GENERAL,
            }),
        }
    }
}

/// Where a map wants the axes of what it reads first, and of what it makes, to be cut.
pub(super) fn cut(map: &LinearMap, input: Option<TensorId>, output: TensorId, classes: &mut Classes) {
    match (map, input) {
        (LinearMap::Dense { inputs, outputs, .. }, Some(input)) => {
            dense::cut(classes, [input, output], [*inputs as usize, *outputs as usize]);
        }
        (
            LinearMap::Conv2d {
                input: [_, h, w],
                output: [_, oh, ow],
                ..
            },
            Some(input),
        ) => conv::cut(classes, [(input, *h, *w), (output, *oh, *ow)]),
        (LinearMap::Affine { channels, inner, .. }, _) => scale::cut(classes, output, *channels, *inner),
        (LinearMap::Dense { .. } | LinearMap::Conv2d { .. }, None) => {}
    }
}

/// Gives what a map keeps in place the same cuts on both sides.
pub(super) fn keep(map: &LinearMap, input: Option<TensorId>, output: TensorId, classes: &mut Classes) {
    match (map, input) {
        (LinearMap::Dense { inputs, outputs, .. }, Some(input)) => {
            dense::keep(classes, [input, output], [*inputs as usize, *outputs as usize]);
        }
        (LinearMap::Dense { .. }, None) | (LinearMap::Conv2d { .. } | LinearMap::Affine { .. }, _) => {}
    }
}

/// A linear map between two tensors.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) map: &'a LinearMap,
    /// Which of the map's inputs is read.
    pub(super) index: usize,
    pub(super) kind: &'a Kind,
    pub(super) from: &'a Axes,
    pub(super) to: &'a Axes,
}

impl Reading<'_> {
    /// The input's point, from the output's point and that of the sum-check.
    pub(super) fn input_point(&self, output_point: &[EF], chosen: &[EF]) -> Vec<EF> {
        match self.kind {
            Kind::Contract { split } => {
                let outer = self.to.part(0..split[1]).arity();
                [&output_point[..outer], chosen].concat()
            }
            Kind::Scale { channels } => {
                let [outer, _, inner] = self.to.split(output_point, channels.clone());
                [outer, chosen, inner].concat()
            }
            Kind::Convolve { .. } | Kind::General => chosen.to_vec(),
        }
    }

    /// `c` at the point of the sum-check: the verifier's own evaluation of the coefficients.
    pub(super) fn coefficient_at(&self, output_point: &[EF], chosen: &[EF]) -> EF {
        match self.kind {
            Kind::Contract { split } => dense::coefficient_at(self, *split, output_point, chosen),
            Kind::Scale { channels } => scale::coefficient_at(self, channels, output_point, chosen),
            Kind::Convolve { split } => conv::coefficient_at(self, *split, output_point, chosen),
            Kind::General => general::coefficient_at(self, output_point, chosen),
        }
    }

    /// Steps of a verifier for [`Reading::coefficient_at`].
    pub(super) fn steps(&self) -> u64 {
        match self.kind {
            Kind::Contract { .. } => evaluation(self.map.weight().len()),
            Kind::Scale { .. } => 5 * MULTIPLY * self.map.bias().len() as u64,
            Kind::Convolve { split } => conv::steps(self, *split),
            Kind::General => {
                let products = self.map.multiplications(self.to.len());
                4 * MULTIPLY * products + tables(self.from.len()) + tables(self.to.len())
            }
        }
    }

    /// The prover's factors: coefficients and values over the coordinates of the sum-check. None of a convolution, whose
    /// rounds need none ([`Reading::prove`]).
    pub(super) fn factors(&self, output_point: &[EF], x: &[i64]) -> Option<[Vec<EF>; 2]> {
        Some(match self.kind {
            Kind::Contract { split } => dense::factors(self, *split, output_point, x),
            Kind::Scale { channels } => scale::factors(self, channels, output_point, x),
            Kind::Convolve { .. } => return None,
            Kind::General => [general::coefficients(self, output_point), lift(self.from, x)],
        })
    }

    /// The prover's rounds: the point that they choose.
    pub(super) fn prove<R: Recorder>(
        &self,
        sender: &mut Sender<R>,
        rounds: [Label; 2],
        factors: Option<[Vec<EF>; 2]>,
        (output_point, x): (&[EF], &[i64]),
    ) -> Vec<EF> {
        match (self.kind, factors) {
            (Kind::Convolve { split }, None) => conv::prove(sender, rounds, (self, *split), output_point, x),
            (_, factors) => prove_sum(sender, rounds, factors.into_iter().collect(), None),
        }
    }
}

/// The MLE of the biases over all outputs at a point: what of an accumulator does not depend on the inputs.
pub(super) fn bias_at(map: &LinearMap, kind: &Kind, to: &Axes, point: &[EF]) -> EF {
    let weighted = |part: std::ops::Range<usize>, point: &[EF]| to.part(part).evaluate(point, map.bias());
    match kind {
        Kind::Contract { split } => {
            let outer = to.part(0..split[1]);
            let (head, tail) = point.split_at(outer.arity());
            outer.indicator(head) * weighted(split[1]..to.count(), tail)
        }
        Kind::Scale { channels } => {
            let [head, middle, tail] = to.split(point, channels.clone());
            let (outer, inner) = (to.part(0..channels.start), to.part(channels.end..to.count()));
            outer.indicator(head) * weighted(channels.clone(), middle) * inner.indicator(tail)
        }
        Kind::Convolve { split } => {
            let outer = to.part(0..split[1]);
            let (head, tail) = point.split_at(outer.arity());
            weighted(0..split[1], head) * to.part(split[1]..to.count()).indicator(tail)
        }
        Kind::General => {
            let mut sum = EF::ZERO;
            to.all().equality(point, 0).each(|t, e| {
                sum += e * signed(map.bias()[map.channel_of(t)]);
            });
            sum
        }
    }
}

/// Steps of a verifier for [`bias_at`].
pub(super) fn bias_steps(map: &LinearMap, kind: &Kind, to: &Axes) -> u64 {
    match kind {
        Kind::Contract { .. } | Kind::Scale { .. } | Kind::Convolve { .. } => evaluation(map.bias().len()),
        Kind::General => 2 * MULTIPLY * to.len() as u64 + tables(to.len()),
    }
}

/// A tensor's values on its cube, as extension elements.
pub(super) fn lift(axes: &Axes, values: &[i64]) -> Vec<EF> {
    let mut cube = EF::zero_vec(1 << axes.arity());
    axes.scatter_with(values, |v| EF::from(signed(v)), &mut cube);
    cube
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sumcheck::field::{F, dot, eq_table};
    use crate::sumcheck::transcript::{Silent, Transcript};

    fn random_map(map: &LinearMap) -> LinearMap {
        let mut seed = 1i64;
        let mut next = || {
            seed = (seed * 1_103_515_245 + 12_345) % (1 << 31);
            Ok::<_, ()>(seed % 41 - 20)
        };
        map.try_map(|_, _| Ok(0), |_, _| Ok(0))
            .and_then(|m| m.try_map(|_, _: &i64| next(), |_, _| Ok(0)))
            .and_then(|m| m.try_map(|_, w| Ok(*w), |i, _| Ok(i as i64 * 3 - 4)))
            .unwrap()
    }

    fn convolution(input: [u32; 3], output: [u32; 3], numbers: [[u32; 2]; 4], groups: u32) -> LinearMap {
        let [kernel, stride, dilation, pad] = numbers;
        LinearMap::Conv2d {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
            groups,
            weight: vec![0; (output[0] * input[0] / groups * kernel[0] * kernel[1]) as usize].into(),
            bias: vec![0; output[0] as usize].into(),
        }
    }

    fn maps() -> Vec<(LinearMap, usize, Vec<usize>, Vec<usize>)> {
        let dense = LinearMap::Dense {
            inputs: 6,
            outputs: 5,
            weight: vec![0; 30].into(),
            bias: vec![0; 5].into(),
        };
        let affine = LinearMap::Affine {
            outer: 2,
            channels: 3,
            inner: 5,
            scale: vec![0; 6].into(),
            bias: vec![0; 3].into(),
        };
        let plain = convolution([2, 5, 4], [3, 3, 4], [[3, 3], [2, 1], [1, 1], [1, 1]], 1);
        let grouped = convolution([4, 6, 6], [6, 4, 5], [[2, 3], [1, 1], [3, 2], [1, 1]], 2);
        vec![
            (dense.clone(), 6, vec![], vec![]),
            (dense, 18, vec![6], vec![5]),
            (affine, 30, vec![5, 15], vec![5, 15]),
            (plain, 40, vec![20], vec![12]),
            (grouped, 144, vec![36], vec![20]),
        ]
    }

    /// What every form makes of a claim is what the map's definition makes of it.
    #[test]
    fn every_form_is_the_map_at_a_point() {
        for (map, len, from_cuts, to_cuts) in maps() {
            let map = random_map(&map);
            let inputs = if matches!(map, LinearMap::Affine { .. }) {
                2
            } else {
                1
            };
            let x: Vec<Vec<i64>> = (0..inputs)
                .map(|k| (0..len as i64).map(|i| (i * i + 7 * k) % 23 - 9).collect())
                .collect();
            let views: Vec<&[i64]> = x.iter().map(Vec::as_slice).collect();
            let accumulators = map.accumulate(&views);
            // In doubles, and where they would not be exact.
            for bound in [1 << 40, i64::MAX] {
                assert_eq!(map.accumulate_within(&views, bound), accumulators);
            }
            let (from, to) = (
                Axes::new(len, &from_cuts),
                Axes::new(accumulators.len(), &to_cuts),
            );
            let point: Vec<EF> = (0..to.arity())
                .map(|i| EF::from(F::from_usize(i * 991 + 17)))
                .collect();
            let fitting = Form::new(&map, TensorId(0), &from, &to).unwrap().kind;
            assert!(!matches!(fitting, Kind::General));
            for kind in [&fitting, &Kind::General] {
                let mut sum = bias_at(&map, kind, &to, &point);
                for (index, x) in x.iter().enumerate() {
                    let reading = Reading {
                        map: &map,
                        index,
                        kind,
                        from: &from,
                        to: &to,
                    };
                    let [c, values] = match kind {
                        Kind::Convolve { split } => {
                            [conv::coefficients(&reading, *split, &point), lift(&from, x)]
                        }
                        _ => reading.factors(&point, x).unwrap(),
                    };
                    // Rounds and point are those of both factors written out.
                    let said = |factors| {
                        let mut sender = Sender::new(Transcript::new(Silent));
                        let rounds = [Label::Round, Label::Point];
                        let chosen = match factors {
                            Some(written) => prove_sum(&mut sender, rounds, vec![written], None),
                            None => {
                                reading.prove(&mut sender, rounds, reading.factors(&point, x), (&point, x))
                            }
                        };
                        (sender.scalars, chosen)
                    };
                    assert_eq!(said(None), said(Some([c.clone(), values.clone()])));
                    let rounds = kind.rounds(&from);
                    assert_eq!((c.len(), values.len()), (1 << rounds, 1 << rounds));
                    sum += dot(&c, &values);
                    let chosen: Vec<EF> = (0..rounds)
                        .map(|i| EF::from(F::from_usize(i * 313 + 5)))
                        .collect();
                    let eq = eq_table(&chosen);
                    assert_eq!(reading.coefficient_at(&point, &chosen), dot(&eq, &c));
                    let at = reading.input_point(&point, &chosen);
                    assert_eq!(from.all().evaluate(&at, x), dot(&eq, &values));
                }
                assert_eq!(sum, to.all().evaluate(&point, &accumulators));
            }
        }
    }
}
