//! Sums, products, choices and rows of whole numbers that depend on the inputs.
//!
//! Invariant: exact, in floats and in integers: no result is beyond [`MOST_NAME`], whatever the inputs are, so that none wraps at
//! the width of its type, and each is held in steps of 1.

use zkml::graph::TensorId;

use super::binary::{PerChannel, aligned, combination, scaled};
use super::compare::whole;
use super::draft::{Draft, Refusal, unsupported};
use super::greatest::MOST_NAME;
use super::maps::{each, flat};
use super::moved::Source;
use super::recipe::{Call, Recipe, axis, wired};
use super::{product, wiring};

/// Of whole numbers alone.
pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("Add", |draft, call| sum(draft, call, 1.0)),
    Recipe::new("Concat", concat),
    Recipe::new("Mul", times),
    Recipe::new("Neg", neg),
    Recipe::new("Sub", |draft, call| sum(draft, call, -1.0)),
];

/// A bound that is not too large.
fn small_enough(bound: f64) -> Result<u32, Refusal> {
    if bound <= MOST_NAME {
        Ok(bound as u32)
    } else {
        unsupported(format!("whole numbers up to {bound}: up to 2^22 are supported"))
    }
}

fn bound_of(draft: &Draft, id: TensorId) -> Result<f64, Refusal> {
    match (draft.is_whole(id), draft.bound_of(id)) {
        (true, Some(bound)) => Ok(bound.into()),
        (true, None) => unsupported("whole numbers of which nothing in the model says how far they go"),
        (false, _) => unsupported("computed numbers that are not known to be whole"),
    }
}

fn at_shape(draft: &mut Draft, call: &Call<'_>, at: usize) -> Result<TensorId, Refusal> {
    let x = aligned(draft, call.name, call.computed(at)?, call.shape.len())?;
    wiring::broadcast(draft, call.name, x, call.shape)
}

/// A constant at the result's shape, and the greatest of it.
fn constant(call: &Call<'_>, at: usize) -> Result<(PerChannel, f64), Refusal> {
    let constant = call.constant(at)?;
    let most = constant.values.iter().fold(0f64, |m, v| m.max(v.abs()));
    Ok((PerChannel::new(&constant, call.shape)?, most))
}

/// `first + sign · second`.
fn sum(draft: &mut Draft, call: &Call<'_>, sign: f64) -> Result<TensorId, Refusal> {
    if call.is_computed(0) && call.is_computed(1) {
        let both = [at_shape(draft, call, 0)?, at_shape(draft, call, 1)?];
        let bound = small_enough(bound_of(draft, both[0])? + bound_of(draft, both[1])?)?;
        let map = combination(call.shape.iter().product(), vec![1.0, sign])?;
        return whole(draft, call.name, map, &both, call.shape, bound);
    }
    let second = call.is_computed(1);
    let x = at_shape(draft, call, usize::from(second))?;
    let (constant, most) = constant(call, usize::from(!second))?;
    let bound = small_enough(bound_of(draft, x)? + most)?;
    let map = if second {
        constant.map(|_| sign, |c| c)?
    } else {
        constant.map(|_| 1.0, |c| sign * c)?
    };
    whole(draft, call.name, map, &[x], call.shape, bound)
}

fn times(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.is_computed(0) && call.is_computed(1) {
        let both = [at_shape(draft, call, 0)?, at_shape(draft, call, 1)?];
        let bound = small_enough(bound_of(draft, both[0])? * bound_of(draft, both[1])?)?;
        let made = product::elements(draft, call.name, both, call.shape)?;
        draft.whole(made, bound);
        return Ok(made);
    }
    let second = call.is_computed(1);
    let x = at_shape(draft, call, usize::from(second))?;
    let (constant, most) = constant(call, usize::from(!second))?;
    let bound = small_enough(bound_of(draft, x)? * most)?;
    whole(
        draft,
        call.name,
        constant.map(|c| c, |_| 0.0)?,
        &[x],
        call.shape,
        bound,
    )
}

fn neg(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let bound = small_enough(bound_of(draft, x)?)?;
    let made = scaled(draft, call.name, x, -1.0)?;
    draft.whole(made, bound);
    Ok(made)
}

fn concat(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let along = axis(call.int("axis", 0)?, call.shape.len())?;
    let shapes = (0..call.len())
        .map(|at| call.shape_of(draft, at))
        .collect::<Result<Vec<_>, _>>()?;
    if shapes.iter().any(|shape| shape.len() != call.shape.len()) {
        return unsupported("a concatenation of tensors that do not fit");
    }
    let (_, sources) = each(call.shape.to_vec(), |place| {
        let mut own = place.to_vec();
        for (at, shape) in shapes.iter().enumerate() {
            if own[along] < shape[along] {
                return Ok(Source::Of(at, flat(shape, &own)));
            }
            own[along] -= shape[along];
        }
        unsupported("a concatenation of tensors that do not fit")
    })?;
    let made = wired(draft, call, sources, call.shape)?;
    bound_of(draft, made)?;
    Ok(made)
}
