//! Values of several tensors and of constants, brought to new places.
//!
//! Invariant: exact in floats. Values of one tensor alone are moved by a wiring. Where constants or a second tensor join in, each
//! tensor is stretched to the result's length first (where a place is not its own it repeats the last one that was), then
//! multiplied by 1 at its own places and by 0 elsewhere; constants are the biases.

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, small, unsupported};
use super::greatest::MOST_NAME;
use super::wiring;
use crate::float::{FloatMap, FloatOp, Interval};
use crate::ops::Wiring;

/// Where a value of the result is from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source {
    /// The place in one of the operands.
    Of(usize, usize),
    /// Nowhere: it is a constant.
    Constant(f64),
}

/// Puts the values that `sources` names, one for each of the result's places, into a tensor of this shape.
pub(super) fn moved(
    draft: &mut Draft,
    name: &str,
    operands: &[TensorId],
    sources: &[Source],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let len = sources.len();
    let own = |k: usize| sources.iter().any(|s| matches!(s, Source::Of(of, _) if *of == k));
    let read: Vec<usize> = (0..operands.len()).filter(|&k| own(k)).collect();
    if len == 0 {
        return unsupported("a tensor without values");
    }
    if len != shape.iter().product::<usize>() || read.len().saturating_mul(len) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let (mut tensors, mut scale) = (Vec::new(), Vec::new());
    for k in read {
        let x = operands[k];
        let extent = draft.shape(x).iter().product::<usize>();
        // Places before the first of its own repeat that one.
        let first = sources.iter().find_map(|s| place_of(s, k)).unwrap_or(0);
        let (mut last, mut places) = (first, Vec::with_capacity(len));
        for source in sources {
            last = place_of(source, k).unwrap_or(last);
            if last >= extent {
                return unsupported("a place outside the tensor");
            }
            places.push(last as u32);
        }
        tensors.push(wiring::emit(draft, name, x, shape, places)?);
        scale.push(
            sources
                .iter()
                .map(|s| f64::from(u8::from(place_of(s, k).is_some())))
                .collect::<Vec<_>>(),
        );
    }
    let bias: Vec<f64> = sources
        .iter()
        .map(|s| match s {
            Source::Of(..) => 0.0,
            Source::Constant(c) => *c,
        })
        .collect();
    if let [only] = tensors[..]
        && sources.iter().all(|s| matches!(s, Source::Of(..)))
    {
        return Ok(only);
    }
    if tensors.is_empty() {
        let Some(&any) = draft.inputs.first() else {
            return unsupported("a constant in a model without inputs");
        };
        let repeated = FloatOp::Wiring(Wiring {
            source: Some(vec![0; len]),
        });
        tensors.push(draft.node(name, repeated, &[any], shape)?);
        scale.push(vec![0.0; len]);
    }
    let whole = whole_bound(draft, &tensors, &scale, &bias);
    scale.push(bias);
    let made = draft.linear(name, affine(scale)?, &tensors, shape)?;
    if let Some(bound) = whole {
        draft.whole_within(made, bound);
    }
    Ok(made)
}

/// What all values are between, as far as that is known, where all that is moved are whole numbers; a tensor of which nothing is
/// moved may be any.
fn whole_bound(
    draft: &Draft,
    tensors: &[TensorId],
    scale: &[Vec<f64>],
    constants: &[f64],
) -> Option<Option<Interval>> {
    let own = Interval::of(constants.iter().copied()).filter(|own| own.magnitude() <= MOST_NAME as u64)?;
    let mut all = Some(own);
    for (id, _) in tensors
        .iter()
        .zip(scale)
        .filter(|(_, s)| s.iter().any(|s| *s != 0.0))
    {
        if !draft.is_whole(*id) {
            return None;
        }
        all = all.zip(draft.numbers(*id)).map(|(all, own)| all.with(own));
    }
    Some(all)
}

/// `Σ scale · x + bias`, value by value, with as few coefficients as there can be. The last row is the bias.
pub(super) fn affine(mut rows: Vec<Vec<f64>>) -> Result<FloatMap, Refusal> {
    let [outer, channels, inner] = axes(&rows, rows.first().map_or(0, Vec::len));
    let channel = |row: &Vec<f64>| (0..channels).map(|c| row[c * inner]).collect::<Vec<f64>>();
    let bias = rows.pop().map(|row| channel(&row)).unwrap_or_default();
    let scale = rows.iter().flat_map(channel).collect();
    let [outer, channels, inner] = small([outer, channels, inner])?;
    Ok(FloatMap::Affine {
        outer,
        channels,
        inner,
        scale,
        bias,
    })
}

/// A constant as a tensor of the graph: 0 times an input's value, and the constant as bias.
pub(super) fn constant(
    draft: &mut Draft,
    name: &str,
    values: &[f64],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let sources: Vec<Source> = values.iter().map(|&v| Source::Constant(v)).collect();
    moved(draft, name, &[], &sources, shape)
}

fn place_of(source: &Source, operand: usize) -> Option<usize> {
    match source {
        Source::Of(of, place) if *of == operand => Some(*place),
        Source::Of(..) | Source::Constant(_) => None,
    }
}

/// `[outer, channels, inner]` with the fewest channels such that all rows depend on the channel alone.
fn axes(rows: &[Vec<f64>], len: usize) -> [usize; 3] {
    let same = |a: usize, b: usize| rows.iter().all(|row| row[a] == row[b]);
    // Runs of equal values begin at multiples of their lengths' common divisor.
    let inner = (1..len).filter(|&t| !same(t - 1, t)).fold(len, gcd);
    let channels = len / inner;
    let repeats = |period: &usize| {
        channels.is_multiple_of(*period) && (*period..channels).all(|c| same(c * inner, (c - period) * inner))
    };
    let period = divisors(channels).into_iter().find(repeats).unwrap_or(channels);
    [channels / period, period, inner]
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// In ascending order.
pub(super) fn divisors(n: usize) -> Vec<usize> {
    let small: Vec<usize> = (1..)
        .take_while(|d| d * d <= n)
        .filter(|&d| n.is_multiple_of(d))
        .collect();
    let large: Vec<usize> = small.iter().rev().map(|d| n / d).collect();
    small.into_iter().chain(large).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_channels_are_found() {
        let row = |text: &str| text.bytes().map(f64::from).collect::<Vec<_>>();
        assert_eq!(axes(&[row("aabbaabb")], 8), [2, 2, 2]);
        assert_eq!(axes(&[row("aaaa")], 4), [1, 1, 4]);
        assert_eq!(axes(&[row("aabb"), row("cccd")], 4), [1, 4, 1]);
        assert_eq!(axes(&[row("abcabc")], 6), [2, 3, 1]);
    }
}
