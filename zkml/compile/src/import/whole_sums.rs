//! Sums, products, choices and rows of whole numbers that depend on the inputs, and casts to them.
//!
//! Invariant: exact, in floats and in integers. Of every result it is known between which numbers it is, whatever the inputs are,
//! and none of them is beyond [`MOST_NAME`]; or it is held as far as calibration's go, by a requantisation of its own that refuses
//! what is beyond. So none wraps at the width of its type, and each is held in steps of 1.

use zkml::graph::{Activation, TensorId};

use super::binary::{PerChannel, aligned, combination};
use super::draft::{Draft, Refusal, small, unsupported};
use super::greatest::MOST_NAME;
use super::maps::{each, flat};
use super::moved::Source;
use super::recipe::{Call, Recipe, axis, wired};
use super::{product, wiring};
use crate::float::{FloatMap, FloatOp, Interval};
use crate::ops::Floor;

/// Of whole numbers alone.
pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("Add", |draft, call| sum(draft, call, 1.0)),
    Recipe::new("Concat", concat),
    Recipe::new("CumSum", super::along::cumulate_whole),
    Recipe::new("Mul", times),
    Recipe::new("Neg", neg),
    Recipe::new("Sub", |draft, call| sum(draft, call, -1.0)),
];

/// A bound that is not too large.
pub(super) fn small_enough(bound: Interval) -> Result<Interval, Refusal> {
    if bound.magnitude() <= MOST_NAME as u64 {
        Ok(bound)
    } else {
        unsupported(format!(
            "whole numbers up to {}: up to 2^22 are supported",
            bound.magnitude()
        ))
    }
}

/// What an operand's numbers are between, where that is known.
pub(super) fn numbers(draft: &Draft, id: TensorId) -> Result<Option<Interval>, Refusal> {
    if draft.is_whole(id) {
        Ok(draft.numbers(id))
    } else {
        unsupported("computed numbers that are not known to be whole")
    }
}

/// A map of whole numbers, which makes those of the bound.
pub(super) fn made(
    draft: &mut Draft,
    call: &Call<'_>,
    map: FloatMap,
    read: &[TensorId],
    bound: Option<Interval>,
) -> Result<TensorId, Refusal> {
    let bound = bound.map(small_enough).transpose()?;
    let made = draft.linear(call.name, map, read, call.shape)?;
    draft.whole_within(made, bound);
    Ok(made)
}

fn at_shape(draft: &mut Draft, call: &Call<'_>, at: usize) -> Result<TensorId, Refusal> {
    let x = aligned(draft, call.name, call.computed(at)?, call.shape.len())?;
    wiring::broadcast(draft, call.name, x, call.shape)
}

/// A constant at the result's shape, and what its numbers are between.
fn constant(call: &Call<'_>, at: usize) -> Result<(PerChannel, Interval), Refusal> {
    let constant = call.constant(at)?;
    match Interval::of(constant.values.iter().copied()) {
        Some(of) => Ok((PerChannel::new(&constant, call.shape)?, of)),
        None => unsupported(format!(
            "its input {at} has numbers that are not whole, or beyond 2^53"
        )),
    }
}

/// `first + sign · second`.
fn sum(draft: &mut Draft, call: &Call<'_>, sign: f64) -> Result<TensorId, Refusal> {
    let signed = |of: Interval| if sign < 0.0 { of.negated() } else { of };
    if call.is_computed(0) && call.is_computed(1) {
        let both = [at_shape(draft, call, 0)?, at_shape(draft, call, 1)?];
        let bounds = [numbers(draft, both[0])?, numbers(draft, both[1])?];
        let bound = bounds[0].zip(bounds[1]).map(|(a, b)| a.plus(signed(b)));
        let map = combination(call.shape.iter().product(), vec![1.0, sign])?;
        return made(draft, call, map, &both, bound);
    }
    let second = call.is_computed(1);
    let x = at_shape(draft, call, usize::from(second))?;
    let (constant, of) = constant(call, usize::from(!second))?;
    let known = numbers(draft, x)?;
    let (map, bound) = if second {
        let bound = known.map(|x| of.plus(signed(x)));
        (constant.map(|_| sign, |c| c)?, bound)
    } else {
        let bound = known.map(|x| x.plus(signed(of)));
        (constant.map(|_| 1.0, |c| sign * c)?, bound)
    };
    made(draft, call, map, &[x], bound)
}

fn times(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.is_computed(0) && call.is_computed(1) {
        let both = [at_shape(draft, call, 0)?, at_shape(draft, call, 1)?];
        let bounds = [numbers(draft, both[0])?, numbers(draft, both[1])?];
        let bound = bounds[0].zip(bounds[1]).map(|(a, b)| a.times(b));
        let bound = bound.map(small_enough).transpose()?;
        let made = product::elements(draft, call.name, both, call.shape)?;
        draft.whole_within(made, bound);
        return Ok(made);
    }
    let second = call.is_computed(1);
    let x = at_shape(draft, call, usize::from(second))?;
    let (constant, of) = constant(call, usize::from(!second))?;
    let bound = numbers(draft, x)?.map(|x| x.times(of));
    made(draft, call, constant.map(|c| c, |_| 0.0)?, &[x], bound)
}

fn neg(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let bound = numbers(draft, x)?.map(Interval::negated);
    let map = combination(call.shape.iter().product(), vec![-1.0])?;
    made(draft, call, map, &[x], bound)
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
    numbers(draft, made)?;
    Ok(made)
}

/// Computed numbers without what is behind the point, which is what a cast to int32 or int64 makes of them: the whole part of
/// those above 0, less that of the opposite of those below.
pub(super) fn truncated(draft: &mut Draft, name: &str, x: TensorId) -> Result<TensorId, Refusal> {
    if draft.is_whole(x) {
        // Of those that are held none has more than 31 bits and a sign: none is changed.
        return Ok(x);
    }
    let shape = draft.shape(x);
    let [len] = small([shape.iter().product()])?;
    // What is below 0 has a whole part, too, before it is taken away: both have the same bound.
    let bound = draft.bound_of(x).map(|bound| bound.with(bound.negated()));
    let bound = bound.filter(|bound| bound.magnitude() <= MOST_NAME as u64);
    let mut part = |negated: bool| {
        let floor = Floor {
            len,
            negated,
            halvings: 0,
            nearest: false,
            activation: Activation::Relu,
        };
        let made = draft.node(name, FloatOp::Floor(floor), &[x], &shape)?;
        draft.whole_within(made, bound);
        Ok(made)
    };
    let parts = [part(false)?, part(true)?];
    let map = combination(shape.iter().product(), vec![1.0, -1.0])?;
    let made = draft.linear(name, map, &parts, &shape)?;
    draft.whole_within(made, bound);
    Ok(made)
}
