//! Operators that are a line or two of others.
//!
//! Invariant: exact in floats. `prelu(x) = relu(x) − slope · relu(−x)`.

use zkml::graph::TensorId;

use super::binary::combination;
use super::draft::{Draft, Refusal, unsupported};
use super::dynamic::rectified;
use super::maps::{broadcast, each, repeated};
use super::moved;
use super::moved::Source;
use super::product;
use super::recipe::{Call, Recipe};
use crate::float::FloatMap;

pub(super) const RECIPES: &[Recipe] = &[Recipe::new("Mean", mean), Recipe::new("PRelu", prelu)];

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
    let x = call.computed(0)?;
    if call.is_computed(1) {
        return by_computed_slope(draft, call, x);
    }
    let slope = call.constant(1)?;
    if broadcast(&[draft.shape(x), slope.shape.clone()])? != draft.shape(x) {
        return unsupported("a slope of more values than the tensor");
    }
    let len = call.shape.iter().product::<usize>();
    let (above, below) = both_sides(draft, call, x)?;
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

/// What is above 0 of a tensor, and what is above 0 of its opposite.
fn both_sides(draft: &mut Draft, call: &Call<'_>, x: TensorId) -> Result<(TensorId, TensorId), Refusal> {
    let len = call.shape.iter().product::<usize>();
    let above = rectified(draft, call.name, combination(len, vec![1.0])?, x)?;
    let below = rectified(draft, call.name, combination(len, vec![-1.0])?, x)?;
    Ok((above, below))
}

fn by_computed_slope(draft: &mut Draft, call: &Call<'_>, x: TensorId) -> Result<TensorId, Refusal> {
    let slope = call.computed(1)?;
    let from = draft.shape(slope);
    if broadcast(&[draft.shape(x), from.clone()])? != draft.shape(x) {
        return unsupported("a slope of more values than the tensor");
    }
    let (_, sources) = each(call.shape.to_vec(), |at| Ok(Source::Of(0, repeated(&from, at))))?;
    let slope = moved::moved(draft, call.name, &[slope], &sources, call.shape)?;
    let (above, below) = both_sides(draft, call, x)?;
    let bent = product::elements(draft, call.name, [slope, below], call.shape)?;
    let map = combination(call.shape.iter().product(), vec![1.0, -1.0])?;
    draft.linear(call.name, map, &[above, bent], call.shape)
}
