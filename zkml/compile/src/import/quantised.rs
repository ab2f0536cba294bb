//! Quantised operators: numbers of 8 bits by scales that the file states, and products and convolutions of such numbers.
//!
//! Invariant: whole numbers are exact, and none is beyond what is said of it: a sum that would be has no proof. What is rounded is a
//! quotient, to its tensor's steps before it is to whole numbers, of two the even one, as ONNX does.

use zkml::graph::{Activation, TensorId};

use super::binary::combination;
use super::draft::{Constant, Draft, Refusal, small, unsupported};
use super::dynamic::{capped, everywhere, nearest, rectified};
use super::function::function;
use super::maps::{each, flat};
use super::moved::{self, Source};
use super::recipe::{Call, Recipe, axis};
use super::whole_sums::numbers;
use super::{deconv, product};
use crate::float::{FloatMap, Interval};
use crate::functions;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("ConvInteger", conv_integer),
    Recipe::new("MatMulInteger", matmul_integer),
    Recipe::new("QLinearConv", qlinear_conv),
    Recipe::new("QLinearMatMul", qlinear_matmul),
    Recipe::new("QuantizeLinear", quantise),
];

/// Sums that could go beyond are held within these, which is all that their bits hold, and leaves room for a bias.
const HELD: Interval = Interval::new(-(1 << 21), (1 << 21) - 1);
/// The same of quotients by a stated scale.
const QUOTIENTS: Interval = Interval::new(-(1 << 15), (1 << 15) - 1);

/// Whole numbers, each plus one of the shifts, held between the two ends: what is beyond is the end.
fn saturated(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    shifts: Vec<f64>,
    ends: Interval,
) -> Result<TensorId, Refusal> {
    let (Some(of), Some(by)) = (numbers(draft, x)?, Interval::of(shifts.iter().copied())) else {
        return unsupported("zero points that are not whole");
    };
    let (least, span) = (ends.least(), ends.most() - ends.least());
    let len = shifts.len();
    let from = shifts.into_iter().map(|s| s - least as f64).collect();
    let above = rectified(draft, name, moved::affine(vec![vec![1.0; len], from])?, x)?;
    let reach = of.plus(by).minus(Interval::new(least, least)).rectified();
    draft.whole(above, reach);
    capped(draft, name, above, span, ends.most())
}

/// A constant's value for each place of a tensor: one for all, one along an axis, or one for each block.
fn parameters(call: &Call<'_>, at: usize, shape: &[usize]) -> Result<Vec<f64>, Refusal> {
    let len = shape.iter().product::<usize>();
    if !call.has(at) {
        return Ok(vec![0.0; len]);
    }
    let Constant { shape: own, values } = call.constant(at)?;
    if let [one] = values[..] {
        return Ok(vec![one; len]);
    }
    let along = axis(call.int("axis", 1)?, shape.len())?;
    let block = usize::try_from(call.int("block_size", 0)?).unwrap_or(0);
    let mut blocks = shape.to_vec();
    blocks[along] = blocks[along].div_ceil(block.max(1));
    let of_axis = own == [shape[along]];
    if !of_axis && (block == 0 || own != blocks) {
        return unsupported(format!(
            "its input {at} of shape {own:?} for a tensor of shape {shape:?}"
        ));
    }
    let (_, places) = each(shape.to_vec(), |place| {
        if of_axis {
            return Ok(Source::Of(0, place[along]));
        }
        let mut place = place.to_vec();
        place[along] /= block;
        Ok(Source::Of(0, flat(&blocks, &place)))
    })?;
    let value = |place: &Source| match place {
        Source::Of(_, at) => values.get(*at).copied(),
        Source::Constant(c) => Some(*c),
    };
    let values: Option<Vec<f64>> = places.iter().map(value).collect();
    values.map_or_else(|| unsupported("a constant with too few values"), Ok)
}

/// By a stated scale: the nearest whole number, of two the even one, plus the zero point, and no further than the type goes.
fn quantise(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let shape = draft.shape(x);
    let Some(ends) = call.held(0) else {
        return unsupported("numbers of a type that is neither uint8 nor int8");
    };
    // In which floats it divides: 0 is those of its input.
    let precision = call.int("precision", 0)?;
    if ![0, 1, 11].contains(&precision) {
        return unsupported(format!(
            "its `precision` {precision}: float and double are supported"
        ));
    }
    let scales = parameters(call, 1, &shape)?;
    if scales.contains(&0.0) {
        return Err(Refusal::NonFinite);
    }
    let inverses = scales.iter().map(|s| 1.0 / s).collect();
    let zeros = parameters(call, 2, &shape)?;
    let map = moved::affine(vec![inverses, vec![0.0; zeros.len()]])?;
    let steps = draft.linear(call.name, map, &[x], &shape)?;
    rounded(draft, call.name, steps, zeros, ends)
}

/// Quotients as whole numbers of a type.
fn rounded(
    draft: &mut Draft,
    name: &str,
    steps: TensorId,
    zeros: Vec<f64>,
    ends: Interval,
) -> Result<TensorId, Refusal> {
    let Some(round) = functions::named("Round") else {
        return unsupported("there is no Round");
    };
    let even = function(draft, name, steps, round)?;
    let whole = nearest(draft, name, even, Activation::Identity, QUOTIENTS)?;
    saturated(draft, name, whole, zeros, ends)
}

/// Computed numbers back: less their zero point, times their scale.
pub(super) fn dequantise(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let shape = draft.shape(x);
    if !call.is_computed(1) && !call.is_computed(2) {
        let (scales, zeros) = (parameters(call, 1, &shape)?, parameters(call, 2, &shape)?);
        let shifts = scales.iter().zip(&zeros).map(|(s, z)| -s * z).collect();
        return draft.linear(call.name, moved::affine(vec![scales, shifts])?, &[x], &shape);
    }
    let centred = if call.has(2) && call.is_computed(2) {
        centred_by(draft, call.name, x, call.computed(2)?)?
    } else {
        let zeros = parameters(call, 2, &shape)?;
        less(draft, call.name, x, &zeros)?
    };
    if call.is_computed(1) {
        let scale = everywhere(draft, call.name, call.computed(1)?, &shape)?;
        return product::elements(draft, call.name, [centred, scale], &shape);
    }
    let scales = parameters(call, 1, &shape)?;
    let none = vec![0.0; scales.len()];
    draft.linear(call.name, moved::affine(vec![scales, none])?, &[centred], &shape)
}

/// Whole numbers less constant ones.
fn less(draft: &mut Draft, name: &str, x: TensorId, zeros: &[f64]) -> Result<TensorId, Refusal> {
    if zeros.iter().all(|z| *z == 0.0) {
        return Ok(x);
    }
    let (Some(of), Some(by)) = (numbers(draft, x)?, Interval::of(zeros.iter().copied())) else {
        return unsupported("numbers that are not known to be of 8 bits, or zero points that are not whole");
    };
    let shape = draft.shape(x);
    let shifts = zeros.iter().map(|z| -z).collect();
    let map = moved::affine(vec![vec![1.0; zeros.len()], shifts])?;
    let made = draft.linear(name, map, &[x], &shape)?;
    draft.whole(made, of.minus(by));
    Ok(made)
}

/// Whole numbers less a computed one.
fn centred_by(draft: &mut Draft, name: &str, x: TensorId, zero: TensorId) -> Result<TensorId, Refusal> {
    let (Some(of), Some(by)) = (numbers(draft, x)?, numbers(draft, zero)?) else {
        return unsupported("numbers or a zero point that are not known to be of 8 bits");
    };
    let shape = draft.shape(x);
    let zero = everywhere(draft, name, zero, &shape)?;
    let map = combination(shape.iter().product(), vec![1.0, -1.0])?;
    let made = draft.linear(name, map, &[x, zero], &shape)?;
    draft.whole(made, of.minus(by));
    Ok(made)
}

/// An input's numbers less their zero point, another input: one for all, or one for each index of an axis.
fn centred(
    draft: &mut Draft,
    call: &Call<'_>,
    (at, zero): (usize, usize),
    along: usize,
) -> Result<TensorId, Refusal> {
    let x = call.computed(at)?;
    if numbers(draft, x)?.is_none() {
        return unsupported(format!(
            "its input {at} of numbers that are not known to be of 8 bits"
        ));
    }
    if !call.has(zero) {
        return Ok(x);
    }
    if call.is_computed(zero) {
        let zero = call.computed(zero)?;
        return centred_by(draft, call.name, x, zero);
    }
    let shape = draft.shape(x);
    let zeros = along_axis(&shape, along, &call.constant(zero)?.values)?;
    less(draft, call.name, x, &zeros)
}

/// One value for all places, or one for each index of an axis.
fn along_axis(shape: &[usize], along: usize, values: &[f64]) -> Result<Vec<f64>, Refusal> {
    let len = shape.iter().product::<usize>();
    if let [one] = values {
        return Ok(vec![*one; len]);
    }
    if shape.get(along) != Some(&values.len()) {
        return unsupported("zero points or scales of another number than their axis");
    }
    let behind: usize = shape[along + 1..].iter().product();
    Ok((0..len).map(|i| values[i / behind % values.len()]).collect())
}

/// Constant numbers less their zero points.
fn weights(call: &Call<'_>, (at, zero): (usize, usize), along: usize) -> Result<Constant, Refusal> {
    let mut w = call.constant(at)?;
    if call.has(zero) {
        let zeros = along_axis(&w.shape, along, &call.constant(zero)?.values)?;
        w.values.iter_mut().zip(zeros).for_each(|(w, z)| *w -= z);
    }
    Ok(w)
}

/// What sums of products with rows of whole weights are between, where each number has so much at most.
fn sums<'w>(rows: impl Iterator<Item = (&'w [f64], f64)>, of: Interval) -> Interval {
    let most = of.magnitude() as f64;
    let sum = |(row, bias): (&[f64], f64)| bias.abs() + most * row.iter().map(|w| w.abs()).sum::<f64>();
    let greatest = rows.map(sum).fold(0.0, f64::max);
    if greatest <= HELD.most() as f64 {
        // Whole, and below 2^21.
        Interval::from(greatest as u32)
    } else {
        HELD
    }
}

/// Rows of whole numbers times a constant matrix.
fn multiplied(draft: &mut Draft, call: &Call<'_>, x: TensorId, w: &Constant) -> Result<TensorId, Refusal> {
    let &[inner, columns] = &w.shape[..] else {
        return unsupported(format!(
            "a matrix of shape {:?}: one of two dimensions is supported",
            w.shape
        ));
    };
    if draft.shape(x).last() != Some(&inner) {
        return unsupported("matrices that do not fit");
    }
    let Some(of) = numbers(draft, x)? else {
        return unsupported("numbers that are not known to be of 8 bits");
    };
    let turned: Vec<f64> = (0..columns)
        .flat_map(|o| (0..inner).map(move |i| i * columns + o))
        .map(|at| w.values[at])
        .collect();
    let bound = sums(turned.chunks(inner).map(|row| (row, 0.0)), of);
    let [inputs, outputs] = small([inner, columns])?;
    let map = FloatMap::Dense {
        inputs,
        outputs,
        weight: turned,
        bias: vec![0.0; columns],
    };
    let made = draft.linear(call.name, map, &[x], call.shape)?;
    draft.whole(made, bound);
    Ok(made)
}

fn rank(draft: &Draft, call: &Call<'_>, at: usize) -> Result<usize, Refusal> {
    Ok(call.shape_of(draft, at)?.len())
}

fn matmul_integer(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let row = rank(draft, call, 0)?.saturating_sub(2);
    let column = rank(draft, call, 1)?.saturating_sub(1);
    let w = weights(call, (1, 3), column)?;
    let x = centred(draft, call, (0, 2), row)?;
    multiplied(draft, call, x, &w)
}

fn qlinear_matmul(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let row = rank(draft, call, 0)?.saturating_sub(2);
    let column = rank(draft, call, 3)?.saturating_sub(1);
    let w = weights(call, (3, 5), column)?;
    let x = centred(draft, call, (0, 2), row)?;
    let sums = multiplied(draft, call, x, &w)?;
    let [a, b, y] = [one(call, 1)?, one(call, 4)?, one(call, 6)?];
    let len = call.shape.iter().product();
    requantised(draft, call, sums, vec![a * b / y; len])
}

/// A scale, of which there is one.
fn one(call: &Call<'_>, at: usize) -> Result<f64, Refusal> {
    match call.constant(at)?.values[..] {
        [one] => Ok(one),
        _ => unsupported(format!("its input {at} of more than one value")),
    }
}

/// Sums times factors as whole numbers of the output's type, about its zero point.
fn requantised(
    draft: &mut Draft,
    call: &Call<'_>,
    sums: TensorId,
    factors: Vec<f64>,
) -> Result<TensorId, Refusal> {
    let Some(ends) = call.held(0) else {
        return unsupported("numbers of a type that is neither uint8 nor int8");
    };
    let zero = one(call, 7)?;
    let len = factors.len();
    let map = moved::affine(vec![factors, vec![0.0; len]])?;
    let shape = draft.shape(sums);
    let steps = draft.linear(call.name, map, &[sums], &shape)?;
    rounded(draft, call.name, steps, vec![zero; len], ends)
}

/// A convolution of whole numbers, with a whole bias for each map.
fn convolved(
    draft: &mut Draft,
    call: &Call<'_>,
    x: TensorId,
    w: Constant,
    bias: Vec<f64>,
) -> Result<TensorId, Refusal> {
    let Some(of) = numbers(draft, x)? else {
        return unsupported("numbers that are not known to be of 8 bits");
    };
    let of_map = w.shape.iter().skip(1).product::<usize>();
    if of_map == 0 || Interval::of(bias.iter().copied()).is_none() {
        return unsupported("weights of no values, or a bias that is not whole");
    }
    let rows = w.values.chunks(of_map).zip(bias.iter().copied());
    let bound = sums(rows, of);
    let made = deconv::convolution(draft, call, x, w, bias)?;
    draft.whole_from(made, Some(bound));
    Ok(made)
}

fn maps(w: &Constant) -> usize {
    w.shape.first().copied().unwrap_or(0)
}

fn conv_integer(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let w = weights(call, (1, 3), 0)?;
    let x = centred(draft, call, (0, 2), 1)?;
    let bias = vec![0.0; maps(&w)];
    convolved(draft, call, x, w, bias)
}

fn qlinear_conv(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let w = weights(call, (3, 5), 0)?;
    let x = centred(draft, call, (0, 2), 1)?;
    let bias = if call.has(8) {
        call.constant(8)?.values
    } else {
        vec![0.0; maps(&w)]
    };
    let sums = convolved(draft, call, x, w, bias)?;
    let (from, to) = (one(call, 1)?, one(call, 6)?);
    let scales = along_axis(call.shape, 1, &call.constant(4)?.values)?;
    let factors = scales.iter().map(|s| from * s / to).collect();
    requantised(draft, call, sums, factors)
}
