//! How far whole numbers go that the model does not bound: inputs as far as calibration's, and what is made of them as far as
//! that lets it.
//!
//! Invariant: no answer hangs on it but whether there is one. A tensor is held in the range that is chosen here, and a value beyond
//! is refused where it is made.

use zkml::graph::{Product, TensorId};

use crate::float::{FloatGraph, FloatNode, FloatOp, Interval};
use crate::ops::{FloatMap, whole_scale};

/// By tensor of whole numbers, those that it has room for. `seen` are the greatest absolute values over the samples; a range of
/// more bits than `most_bits` is as far as these go.
pub(crate) fn of(graph: &FloatGraph, seen: &[f64], most_bits: u8) -> Vec<Option<Interval>> {
    let mut reaches: Vec<Option<Interval>> = vec![None; graph.tensors.len()];
    // Below 2^31, or of more bits than any profile has. What an input has room for is a power of two.
    let calibrated = |at: usize| {
        let seen = seen.get(at).map_or(0, |seen| *seen as u32);
        let half = 1i64 << (Interval::from(seen).bits() - 1);
        Interval::new(-half, half - 1)
    };
    for id in &graph.inputs {
        let at = id.0 as usize;
        let tensor = graph.tensors.get(at).filter(|tensor| tensor.whole);
        if let Some(tensor) = tensor {
            reaches[at] = Some(tensor.bound.unwrap_or_else(|| calibrated(at)));
        }
    }
    for node in &graph.nodes {
        let at = node.output.0 as usize;
        let Some(tensor) = graph.tensors.get(at).filter(|tensor| tensor.whole) else {
            continue;
        };
        let fits = |reach: &Interval| whole_scale(*reach).bits <= most_bits;
        let derived = || made(node, &reaches).filter(fits);
        reaches[at] = Some(tensor.bound.or_else(derived).unwrap_or_else(|| calibrated(at)));
    }
    reaches
}

/// Whether some whole number is made of numbers that are not: a step of these decides it, however small it is.
pub(crate) fn decides(graph: &FloatGraph) -> bool {
    let whole = |id: &TensorId| {
        graph
            .tensors
            .get(id.0 as usize)
            .is_some_and(|tensor| tensor.whole)
    };
    graph
        .nodes
        .iter()
        .any(|node| whole(&node.output) && !node.inputs.iter().all(whole))
}

/// What a node makes of numbers that go so far; none where its own are not whole, or nothing is known of them.
fn made(node: &FloatNode, reaches: &[Option<Interval>]) -> Option<Interval> {
    let read = node.inputs.iter().map(|id| *reaches.get(id.0 as usize)?);
    let read: Vec<Interval> = read.collect::<Option<_>>()?;
    match &node.op {
        FloatOp::Wiring(_) | FloatOp::Max(_) => read.first().copied(),
        FloatOp::Linear(linear) => {
            let of = mapped(&linear.map, &read)?;
            let rectified = linear.activation == zkml::graph::Activation::Relu;
            Some(if rectified { of.rectified() } else { of })
        }
        FloatOp::Product(multiply) => {
            let terms = match multiply.product {
                Product::Elements => 1,
                Product::Matrix { inner, .. } => i64::from(inner),
            };
            let [left, right] = read[..] else { return None };
            Some(left.times(right).times(Interval::new(terms, terms)))
        }
        FloatOp::Rows(rows) => rows.numbers(),
        FloatOp::Table(_) | FloatOp::Step(_) | FloatOp::Floor(_) => None,
    }
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
