//! A linear map, then an activation.

use zkml::graph::bound::LIMIT;
use zkml::graph::scale::power_of_two;
use zkml::graph::{
    self, Activation, GraphError, IntRange, LinearMap, Op, ProfileLimits, Requantise, TensorId, TensorScale,
};

use super::scales::exponent_below;
use super::transposed::transposed;
use super::{Form, NoValues, Place, QuantiseError, Readers, Scales, TableList};
use crate::functions::COARSEST;
use crate::hold::Hold;
use crate::interval::Interval;

/// A linear map with float coefficients; the geometry is the integer graph's.
pub type FloatMap = LinearMap<Vec<f64>>;

/// The greatest absolute coefficient of a linear map. Biases are at the accumulator's scale and may be larger.
const MAX_COEFFICIENT: i64 = 1 << 31;

/// Bits of the widest limb.
const LIMB: u8 = 16;

/// A weight keeps so many bits, sign included: fewer cost as much accuracy as activations of two bits less.
pub(crate) const FEWEST_WEIGHT_BITS: u8 = 14;

/// So many bits of an output hold what the last bits of its inputs come to.
const SOME: i32 = 6;

/// A linear map, then an activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// The coefficients.
    pub map: FloatMap,
    /// What follows.
    pub activation: Activation,
}

impl Form for Linear {
    fn evaluate(&self, x: &[&[f64]], see: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues> {
        let lengths: Vec<_> = x.iter().map(|x| x.len()).collect();
        self.map.output_len(&lengths).map_err(NoValues::Geometry)?;
        let mut acc = self.map.accumulate(x);
        see(&acc);
        acc.iter_mut().for_each(|v| *v = self.activation.of_float(*v));
        Ok(acc)
    }

    fn pull_back(&self, x: &[&[f64]], made: &[f64], of: &[f64]) -> Vec<Vec<f64>> {
        match self.activation {
            Activation::Identity => transposed(&self.map, x, of),
            Activation::Relu => {
                let passed = |(&made, &change): (&f64, &f64)| if made > 0.0 { change } else { 0.0 };
                let of: Vec<f64> = made.iter().zip(of).map(passed).collect();
                transposed(&self.map, x, &of)
            }
        }
    }

    fn scale(&self, inputs: &[TensorId], output: TensorId, scales: &mut Scales) -> u8 {
        let at = output.0 as usize;
        // Nothing is to be rounded: it refuses what has one bit too many.
        if scales.is_guarded(inputs[0]) {
            scales.tensors[at].exponent = scales.tensors[inputs[0].0 as usize].exponent;
            return 0;
        }
        if let [read] = *inputs
            && scales.hold(output).follows(scales.hold(read))
        {
            return self.follow(read, output, scales);
        }
        scales.ranges[at] = self.activation.range(scales.tensors[at].bits);
        let made = i32::from(scales.tensors[at].exponent);
        let width = self.width(inputs, scales);
        // greatest · 2^(made + shift − read) just below 2^width.
        let of_input = |(k, weights): (usize, &[f64]), width: i32| {
            let greatest = weights.iter().fold(0f64, |m, w| m.max(w.abs()));
            let read = i32::from(scales.tensors[inputs.get(k)?.0 as usize].exponent);
            (greatest > 0.0).then(|| exponent_below(greatest, width) - made + read)
        };
        let of_inputs = || self.map.weight().chunks(self.per_input().max(1)).enumerate();
        let wanted = of_inputs().filter_map(|input| of_input(input, width)).max();
        // Of a tensor in greater steps than another the coefficients are greater.
        let widest = MAX_COEFFICIENT.ilog2() as i32;
        let most = of_inputs().filter_map(|input| of_input(input, widest)).min();
        // In steps so fine that coefficients are beyond their limit it is what is left of far greater tensors, such as the 0 that
        // a rounding missed: it gets room for some of their steps.
        let room = (i32::from(scales.tensors[at].bits) - SOME).max(0);
        let finest = of_inputs().filter_map(|input| of_input(input, room)).min();
        let coarser = match finest {
            Some(finest) if most.is_some_and(|most| most < 0) && !scales.is_whole(output) => {
                finest.clamp(i32::from(scales.limits.min_exponent) - made, 0)
            }
            _ => 0,
        };
        scales.tensors[at].exponent += coarser as i16;
        let shift = wanted.unwrap_or(0).min(most.unwrap_or(0)) - coarser;
        let shift = shift.clamp(0, scales.limits.max_shift.into()) as u8;
        let shift = if scales.short_shifts {
            self.shortened(shift, inputs, output, scales)
        } else {
            shift
        };
        self.make_room(inputs, output, shift, scales);
        shift
    }

    fn quantise(&self, place: &Place<'_>, _: &mut TableList) -> Result<(Op, IntRange), QuantiseError> {
        let inputs = place.inputs.iter().map(|&id| place.scale(id));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let output = place.scale(place.output)?;
        let accumulator = i32::from(output.exponent) + i32::from(place.shift);
        // Per tensor read: rounding errors and coefficients, added up.
        let mut sums = vec![(0f64, 0f64); inputs.len()];
        let absent = || GraphError::Node {
            node: place.node(),
            reason: "coefficients and inputs differ in number",
        };
        let map = self.map.try_map(
            |k, &w| {
                let exponent = accumulator - i32::from(inputs.get(k).ok_or_else(absent)?.exponent);
                let (rounded, scaled) = round(place, w, exponent, MAX_COEFFICIENT)?;
                let sum = sums.get_mut(k).ok_or_else(absent)?;
                *sum = (sum.0 + (scaled - rounded as f64).abs(), sum.1 + scaled.abs());
                Ok::<_, QuantiseError>(rounded)
            },
            |_, &b| match (place.end)()? {
                Some(end) => beyond(place, end),
                None => Ok(round(place, b, accumulator, LIMIT)?.0),
            },
        )?;
        self.check_steps(place, &inputs)?;
        let resolution = ProfileLimits::of(place.plan.profile).resolution;
        let floor = power_of_two(-i32::from(resolution));
        if sums.iter().any(|(error, total)| *error > total * floor) {
            return Err(QuantiseError::Resolution {
                node: place.node(),
                resolution,
            });
        }
        let requantise = Requantise {
            shift: place.shift,
            bits: output.bits,
            activation: self.activation,
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
        match (&self.map, self.activation) {
            (FloatMap::Affine { scale, bias, .. }, Activation::Identity) => {
                Some((one_value(scale)?, one_value(bias)?))
            }
            (FloatMap::Dense { .. } | FloatMap::Conv2d { .. }, _)
            | (FloatMap::Affine { .. }, Activation::Relu) => None,
        }
    }

    fn reads(&self, tensors: usize, made: Readers) -> Readers {
        // It refuses by its own width what is beyond, at the same scale.
        if self.is_guard() {
            return made.min(Readers::Any);
        }
        reads_scaled(tensors)
    }

    fn reach(&self, read: &[Interval]) -> Option<Interval> {
        let of = mapped(&self.map, read)?;
        Some(match self.activation {
            Activation::Identity => of,
            Activation::Relu => of.rectified(),
        })
    }

    fn planned(&self) -> bool {
        true
    }

    fn price(&self) -> Option<f64> {
        // Rectified, a sign and the value beside the limbs.
        Some(match self.activation {
            Activation::Identity => 1.0,
            Activation::Relu => 2.0,
        })
    }

    fn requantises(&self) -> bool {
        true
    }

    fn exact(&self) -> bool {
        false
    }
}

impl Linear {
    /// The same values, each held by a requantisation of its own.
    pub(super) fn guard(len: usize) -> Self {
        Self {
            map: FloatMap::Affine {
                outer: 1,
                channels: 1,
                // A tensor's length fits.
                inner: len as u32,
                scale: vec![1.0],
                bias: vec![0.0],
            },
            activation: Activation::Identity,
        }
    }

    /// Whether it is one.
    pub(super) fn is_guard(&self) -> bool {
        let Self { map, activation } = self;
        let affine = matches!(map, FloatMap::Affine { .. });
        affine && map.weight() == [1.0] && map.bias() == [0.0] && *activation == Activation::Identity
    }

    /// Of differences on the way to a weight, that they are no coarser than a weight's argument may be, however fine its own steps are.
    fn check_steps(&self, place: &Place<'_>, inputs: &[TensorScale]) -> Result<(), QuantiseError> {
        let (Hold::Edge(_), Some(read)) = (place.hold, inputs.first()) else {
            return Ok(());
        };
        let greatest = self.map.weight().chunks(self.per_input().max(1)).next();
        let greatest = greatest.map_or(0.0, |w| w.iter().fold(0f64, |m, w| m.max(w.abs())));
        // The greatest exponent of which a step is no less.
        let exponent = i32::from(read.exponent) + exponent_below(greatest.max(f64::MIN_POSITIVE), 0).min(0);
        if greatest <= power_of_two(i32::from(read.exponent) - i32::from(COARSEST)) {
            return Ok(());
        }
        Err(QuantiseError::Coarse {
            node: place.node(),
            exponent: exponent.clamp(i16::MIN.into(), i16::MAX.into()) as i16,
            least: COARSEST,
        })
    }

    /// In the steps of what it reads, on the way to a clamp: nothing is rounded.
    fn follow(&self, read: TensorId, output: TensorId, scales: &mut Scales) -> u8 {
        let at = output.0 as usize;
        scales.tensors[at].exponent = scales.tensors[read.0 as usize].exponent;
        if scales.hold(output) == Hold::Clamped && self.activation == Activation::Relu {
            // It reads a rectified value of so many bits.
            scales.tensors[at].bits += 1;
        }
        scales.ranges[at] = self.activation.range(scales.tensors[at].bits);
        self.make_room(&[read], output, 0, scales);
        0
    }

    /// Gives the output room for all that the map makes, where it is to have that.
    fn make_room(&self, inputs: &[TensorId], output: TensorId, shift: u8, scales: &mut Scales) {
        if !scales.hold(output).has_room() {
            return;
        }
        let spans: Vec<f64> = inputs.iter().map(|id| scales.span(*id)).collect();
        let channels = self.map.bias().len();
        let affine = matches!(self.map, FloatMap::Affine { .. });
        let each = self.map.weight().len().checked_div(channels).unwrap_or(0);
        let channel = |c: usize| {
            let weight = |i: usize| {
                // Affine coefficients are [inputs, channels], all others [channels, …] of one input.
                let (at, k) = if affine {
                    (i * channels + c, i)
                } else {
                    (c * each + i, 0)
                };
                self.map.weight()[at].abs() * spans.get(k).copied().unwrap_or(0.0)
            };
            self.map.bias()[c].abs() + (0..each).map(weight).sum::<f64>()
        };
        let span = (0..channels).map(channel).fold(0.0, f64::max);
        scales.make_room(output, span, shift, self.activation);
    }

    /// Width that the greatest coefficient is given, without its sign. Channels that are scaled one by one may be of unlike sizes:
    /// as far as the profile has bits for it, the least coefficient of them has the profile's width too.
    fn width(&self, inputs: &[TensorId], scales: &Scales) -> i32 {
        let least = i32::from(scales.limits.weight_bits) - 1;
        let FloatMap::Affine { scale, .. } = &self.map else {
            return least;
        };
        let sizes = scale.iter().map(|w| w.abs()).filter(|w| *w > 0.0);
        let (smallest, greatest) = sizes.fold((f64::MAX, 0f64), |(a, b), w| (a.min(w), b.max(w)));
        let spread = (greatest / smallest).log2().ceil().max(0.0) as i32;
        let bits = |id: &TensorId| i32::from(scales.tensors[id.0 as usize].bits);
        let read = inputs.iter().map(bits).max().unwrap_or(0);
        // A product, and a constant of its size, stay below the accumulator's limit.
        let room = (LIMIT.ilog2() as i32 - 2 - read).min(i32::from(scales.limits.channel_bits) - 1);
        (least + spread).min(room).max(least)
    }

    /// A shift whose remainder costs less. What [`LIMB`] bits do not hold is cut into two limbs, so that the last bits of weights are
    /// left out where that helps; and what is 0 in every coefficient and bias makes no difference: without these bits the accumulators
    /// are those of before, divided by a power of two that divides all of them, and round to the same values.
    fn shortened(&self, shift: u8, inputs: &[TensorId], output: TensorId, scales: &Scales) -> u8 {
        let spare = scales.limits.weight_bits.saturating_sub(FEWEST_WEIGHT_BITS);
        let fits = shift > LIMB && shift <= LIMB + spare;
        let shift = if fits { LIMB } else { shift };
        let accumulator = i32::from(scales.tensors[output.0 as usize].exponent) + i32::from(shift);
        let zeros = |value: f64, exponent: i32| {
            let rounded = (value * power_of_two(exponent)).round();
            // Of 0 as many as there are; a number beyond 64 bits is refused when it is quantised.
            (rounded as i64).trailing_zeros()
        };
        let mut common = u32::from(shift);
        for (weights, id) in self.map.weight().chunks(self.per_input().max(1)).zip(inputs) {
            let exponent = accumulator - i32::from(scales.tensors[id.0 as usize].exponent);
            for w in weights {
                common = common.min(zeros(*w, exponent));
                if common == 0 {
                    return shift;
                }
            }
        }
        let biases = self.map.bias().iter();
        common = biases.fold(common, |common, b| common.min(zeros(*b, accumulator)));
        shift - common as u8
    }

    /// Coefficients for each tensor read.
    fn per_input(&self) -> usize {
        match &self.map {
            FloatMap::Affine { bias, .. } => bias.len(),
            FloatMap::Dense { weight, .. } | FloatMap::Conv2d { weight, .. } => weight.len(),
        }
    }
}

/// Who reads tensors that coefficients bring to one scale: beside another in greater steps those of a tensor would be too small.
pub(super) const fn reads_scaled(tensors: usize) -> Readers {
    if tensors > 1 {
        Readers::Any
    } else {
        Readers::Linear
    }
}

/// What all values are.
fn one_value(values: &[f64]) -> Option<f64> {
    let (first, rest) = values.split_first()?;
    rest.iter().all(|v| v == first).then_some(*first)
}

/// What is taken off an accumulator so that its quotient is what is beyond an end.
fn beyond(place: &Place<'_>, end: i64) -> Result<i64, QuantiseError> {
    let bias = 1i64
        .checked_shl(place.shift.into())
        .and_then(|one| end.checked_mul(one));
    match bias.filter(|bias| *bias <= LIMIT) {
        Some(bias) => Ok(-bias),
        None => Err(QuantiseError::Coefficient {
            node: place.node(),
            value: end as f64,
        }),
    }
}

/// `(round(value · 2^exponent), value · 2^exponent)`.
fn round(place: &Place<'_>, value: f64, exponent: i32, max: i64) -> Result<(i64, f64), QuantiseError> {
    let scaled = value * power_of_two(exponent);
    let rounded = scaled.round();
    if rounded.is_nan() || rounded.abs() > max as f64 {
        return Err(QuantiseError::Coefficient {
            node: place.node(),
            value: scaled,
        });
    }
    Ok((rounded as i64, scaled))
}

/// All that a map of whole coefficients makes, over its channels.
fn mapped(map: &FloatMap, read: &[Interval]) -> Option<Interval> {
    let channels = map.bias().len();
    let each = map.weight().len().checked_div(channels)?;
    let affine = matches!(map, FloatMap::Affine { .. });
    let one = |value: f64| Interval::of([value]);
    let channel = |c: usize| {
        let mut sum = one(*map.bias().get(c)?)?;
        for i in 0..each {
            // As in a step: affine coefficients are [inputs, channels], all others [channels, …] of one input.
            let (at, k) = if affine {
                (i * channels + c, i)
            } else {
                (c * each + i, 0)
            };
            let factor = one(*map.weight().get(at)?)?;
            sum = sum.plus(read.get(k)?.times(factor));
        }
        Some(sum)
    };
    let mut all = channel(0)?;
    for c in 1..channels {
        all = all.with(channel(c)?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_makes_no_more_than_its_channels_do() {
        let map = FloatMap::Affine {
            outer: 1,
            channels: 2,
            inner: 1,
            scale: vec![1.0, -2.0, 3.0, 0.0],
            bias: vec![5.0, -1.0],
        };
        let read = [Interval::new(-1, 2), Interval::new(0, 4)];
        // 5 + x + 3y, and −1 − 2x.
        assert_eq!(mapped(&map, &read), Some(Interval::new(-5, 19)));
        let dense = FloatMap::Dense {
            inputs: 3,
            outputs: 1,
            weight: vec![1.0, 1.0, -1.0],
            bias: vec![0.0],
        };
        assert_eq!(mapped(&dense, &read[1..]), Some(Interval::new(-4, 8)));
        let halves = FloatMap::Affine {
            outer: 1,
            channels: 1,
            inner: 1,
            scale: vec![0.5],
            bias: vec![0.0],
        };
        assert_eq!(mapped(&halves, &read[..1]), None);
    }
}
