//! Operators that are a line or two of others.
//!
//! Invariant: exact in floats. `min(x) = −max(−x)`; `prelu(x) = relu(x) − slope · relu(−x)`.

use zkml::graph::{Activation, TensorId};

use super::binary::{combination, scaled};
use super::draft::{Draft, Refusal, unsupported};
use super::maps::{broadcast, each, repeated};
use super::moved::Source;
use super::recipe::{Call, Recipe, axis};
use super::{moved, wiring};
use crate::float::{FloatMap, FloatOp};
use crate::ops::{Linear, Max};

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("Mean", mean),
    Recipe::new("PRelu", prelu),
    Recipe::new("ReduceMin", reduce_min),
];

/// Computed operands at the result's shape, and the sum of the constants among them, one for each value.
fn mean(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let len = call.shape.iter().product::<usize>();
    let (mut tensors, mut bias) = (Vec::new(), vec![0.0; len]);
    let share = 1.0 / call.len() as f64;
    for at in 0..call.len() {
        let from = call.shape_of(draft, at)?;
        let (_, sources) = each(call.shape.to_vec(), |place| {
            Ok(Source::Of(0, repeated(&from, place)))
        })?;
        if call.is_computed(at) {
            tensors.push(moved::moved(
                draft,
                call.name,
                &[call.computed(at)?],
                &sources,
                call.shape,
            )?);
            continue;
        }
        let constant = call.constant(at)?.values;
        for (sum, source) in bias.iter_mut().zip(sources) {
            if let Source::Of(_, place) = source {
                *sum += share * constant.get(place).copied().unwrap_or(0.0);
            }
        }
    }
    let y = draft.linear(
        call.name,
        combination(len, vec![share; tensors.len()])?,
        &tensors,
        call.shape,
    )?;
    if bias.iter().all(|b| *b == 0.0) {
        return Ok(y);
    }
    affine(draft, call, &[y], vec![vec![1.0; len]], bias)
}

/// `Σ scale · x + bias`, value by value.
fn affine(
    draft: &mut Draft,
    call: &Call<'_>,
    tensors: &[TensorId],
    scale: Vec<Vec<f64>>,
    bias: Vec<f64>,
) -> Result<TensorId, Refusal> {
    let mut rows = scale;
    rows.push(bias);
    let map: FloatMap = moved::affine(rows)?;
    draft.linear(call.name, map, tensors, call.shape)
}

fn prelu(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (x, slope) = (call.computed(0)?, call.constant(1)?);
    if broadcast(&[draft.shape(x), slope.shape.clone()])? != draft.shape(x) {
        return unsupported("a slope of more values than the tensor");
    }
    let len = call.shape.iter().product::<usize>();
    let relu = |draft: &mut Draft, sign: f64| {
        let map = combination(len, vec![sign])?;
        draft.node(
            call.name,
            FloatOp::Linear(Linear {
                map,
                activation: Activation::Relu,
            }),
            &[x],
            call.shape,
        )
    };
    let (above, below) = (relu(draft, 1.0)?, relu(draft, -1.0)?);
    let (_, sources) = each(call.shape.to_vec(), |at| {
        Ok(Source::Of(0, repeated(&slope.shape, at)))
    })?;
    let slopes = sources.iter().map(|s| match s {
        Source::Of(_, place) => slope.values.get(*place).map_or(0.0, |s| -s),
        Source::Constant(_) => 0.0,
    });
    let slopes = slopes.collect();
    affine(
        draft,
        call,
        &[above, below],
        vec![vec![1.0; len], slopes],
        vec![0.0; len],
    )
}

fn reduce_min(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let from = draft.shape(x);
    // Attributes before opset 18, an input since.
    let given = match call.ints("axes")? {
        Some(axes) => Some(axes),
        None => call.integers(1)?,
    };
    let given = given.unwrap_or_default();
    if given.is_empty() && call.int("noop_with_empty_axes", 0)? != 0 {
        return Ok(x);
    }
    let mut gone = given
        .iter()
        .map(|&a| axis(a, from.len()))
        .collect::<Result<Vec<_>, _>>()?;
    if gone.is_empty() {
        gone = (0..from.len()).collect();
    }
    let (gone, kept): (Vec<usize>, Vec<usize>) = (0..from.len()).partition(|d| gone.contains(d));
    let count: usize = gone.iter().map(|&d| from[d]).product();
    let order: Vec<usize> = kept.into_iter().chain(gone).collect();
    let negative = scaled(draft, call.name, x, -1.0)?;
    let x = wiring::permute(draft, call.name, negative, &order)?;
    let results = call.shape.iter().product::<usize>();
    let window = |t: usize| (t * count..(t + 1) * count).map(|i| i as u32).collect();
    let windows = (0..results).map(window).collect();
    let y = draft.node(call.name, FloatOp::Max(Max { windows }), &[x], call.shape)?;
    scaled(draft, call.name, y, -1.0)
}
