//! Comparisons, and what is made of yes and no: 1 and 0.
//!
//! Invariant: exact in floats. In integers one of whole numbers is exact too, and so is one of an input with a constant where nothing
//! but such comparisons reads the input (`ranked`); any other is as exact as what it compares is rounded, one of two computed
//! tensors as their difference is. An answer that turns out otherwise than the float model's is refused.

use zkml::graph::TensorId;

use super::binary::{PerChannel, aligned, combination, line};
use super::draft::{Draft, Refusal, unsupported};
use super::greatest::MOST_NAME;
use super::mask::FAR;
use super::recipe::{Call, Recipe};
use super::{moved, product, wiring};
use crate::float::{FloatMap, FloatOp, Interval};
use crate::ops::Step;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("And", and).whole(),
    Recipe::new("Equal", equal).whole(),
    Recipe::new("Greater", |draft, call| above(draft, call, 1.0)).whole(),
    Recipe::new("GreaterOrEqual", |draft, call| not_above(draft, call, -1.0)).whole(),
    Recipe::new("Less", |draft, call| above(draft, call, -1.0)).whole(),
    Recipe::new("LessOrEqual", |draft, call| not_above(draft, call, 1.0)).whole(),
    Recipe::new("Not", not).whole(),
    Recipe::new("Or", or).whole(),
    Recipe::new("Where", choose).only(|node, constant| node.input.first().is_some_and(|c| !constant(c))),
    Recipe::new("Xor", xor).whole(),
];

/// 1 and 0.
pub(super) const YES_OR_NO: Interval = Interval::new(0, 1);

/// 1 where a map is above 0.
pub(super) fn step(
    draft: &mut Draft,
    name: &str,
    map: FloatMap,
    read: &[TensorId],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    decided(draft, name, Step::new(map), read, shape)
}

/// The same, and what it is where the value that is compared is missing.
fn step_or(
    draft: &mut Draft,
    name: &str,
    (map, missing): (FloatMap, bool),
    read: &[TensorId],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let missing = Some(vec![missing; map.bias().len()]);
    decided(draft, name, Step { map, missing }, read, shape)
}

fn decided(
    draft: &mut Draft,
    name: &str,
    step: Step,
    read: &[TensorId],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let made = draft.node(name, FloatOp::Step(step), read, shape)?;
    draft.whole(made, YES_OR_NO);
    Ok(made)
}

/// A map of whole numbers to whole numbers within a bound.
pub(super) fn whole(
    draft: &mut Draft,
    name: &str,
    map: FloatMap,
    read: &[TensorId],
    shape: &[usize],
    bound: impl Into<Interval>,
) -> Result<TensorId, Refusal> {
    let made = draft.linear(name, map, read, shape)?;
    draft.whole(made, bound);
    Ok(made)
}

/// What is compared: a computed tensor with another or with a constant, at the result's shape.
enum Sides {
    /// The two.
    Both([TensorId; 2]),
    /// The computed one, and whether it is the second.
    One(TensorId, PerChannel, bool),
}

fn sides(draft: &mut Draft, call: &Call<'_>) -> Result<Sides, Refusal> {
    let computed = |draft: &mut Draft, at: usize| {
        let x = aligned(draft, call.name, call.computed(at)?, call.shape.len())?;
        wiring::broadcast(draft, call.name, x, call.shape)
    };
    if call.is_computed(0) && call.is_computed(1) {
        return Ok(Sides::Both([computed(draft, 0)?, computed(draft, 1)?]));
    }
    let second = call.is_computed(1);
    let constant = PerChannel::new(&call.constant(usize::from(!second))?, call.shape)?;
    Ok(Sides::One(
        computed(draft, usize::from(second))?,
        constant,
        second,
    ))
}

fn len(call: &Call<'_>) -> usize {
    call.shape.iter().product()
}

/// Whether `sign · (first − second)` is above 0; of a missing value it is not.
fn above(draft: &mut Draft, call: &Call<'_>, sign: f64) -> Result<TensorId, Refusal> {
    let sides = sides(draft, call)?;
    above_of(draft, call, &sides, (sign, false))
}

fn above_of(
    draft: &mut Draft,
    call: &Call<'_>,
    sides: &Sides,
    (sign, missing): (f64, bool),
) -> Result<TensorId, Refusal> {
    match sides {
        Sides::One(x, constant, second) => {
            let sign = if *second { -sign } else { sign };
            // What is above a number is above the whole number below it, if it is whole itself; held in steps of 1, it has no
            // other threshold.
            let whole = draft.is_whole(*x);
            let least = |c: f64| match (whole, sign > 0.0) {
                (false, _) => c,
                (true, true) => c.floor(),
                (true, false) => c.ceil(),
            };
            let map = constant.map(|_| sign, |c| -sign * least(c))?;
            step_or(draft, call.name, (map, missing), &[*x], call.shape)
        }
        Sides::Both(both) if both.iter().all(|&id| draft.is_whole(id)) => {
            let map = combination(len(call), vec![sign, -sign])?;
            step(draft, call.name, map, both, call.shape)
        }
        Sides::Both(both) => {
            // Two tensors have two scales: their difference has one.
            let map = combination(len(call), vec![sign, -sign])?;
            let difference = draft.linear(call.name, map, both, call.shape)?;
            step(
                draft,
                call.name,
                combination(len(call), vec![1.0])?,
                &[difference],
                call.shape,
            )
        }
    }
}

/// `constant + Σ scale · x` of yes and no, which is yes or no.
fn of_steps(
    draft: &mut Draft,
    call: &Call<'_>,
    steps: &[TensorId],
    scale: Vec<f64>,
    constant: f64,
) -> Result<TensorId, Refusal> {
    let map = line(len(call), scale, constant)?;
    whole(draft, call.name, map, steps, call.shape, YES_OR_NO)
}

/// Whether it is not; of a missing value neither is so.
fn not_above(draft: &mut Draft, call: &Call<'_>, sign: f64) -> Result<TensorId, Refusal> {
    let sides = sides(draft, call)?;
    let made = above_of(draft, call, &sides, (sign, true))?;
    of_steps(draft, call, &[made], vec![-1.0], 1.0)
}

fn equal(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let sides = sides(draft, call)?;
    // A missing value is equal to none, so that one of them has to hold.
    let (more, less) = (
        above_of(draft, call, &sides, (1.0, true))?,
        above_of(draft, call, &sides, (-1.0, false))?,
    );
    of_steps(draft, call, &[more, less], vec![-1.0, -1.0], 1.0)
}

/// 1 where a value is not 0, as one that is missing is not.
pub(super) fn is_not_zero(draft: &mut Draft, name: &str, x: TensorId) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let len = shape.iter().product();
    let (up, down) = (combination(len, vec![1.0])?, combination(len, vec![-1.0])?);
    let more = step_or(draft, name, (up, true), &[x], &shape)?;
    let less = step_or(draft, name, (down, false), &[x], &shape)?;
    whole(
        draft,
        name,
        combination(len, vec![1.0, 1.0])?,
        &[more, less],
        &shape,
        YES_OR_NO,
    )
}

fn not(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    of_steps(draft, call, &[x], vec![-1.0], 1.0)
}

/// `x + y > least` of two computed ones; of one and a constant `c` the line `scale(c)·x + bias(c)`.
fn logic(
    draft: &mut Draft,
    call: &Call<'_>,
    least: f64,
    [scale, bias]: [fn(f64) -> f64; 2],
) -> Result<TensorId, Refusal> {
    match sides(draft, call)? {
        Sides::One(x, constant, _) => {
            let map = constant.map(scale, bias)?;
            whole(draft, call.name, map, &[x], call.shape, YES_OR_NO)
        }
        Sides::Both(both) => {
            let map = line(len(call), vec![1.0, 1.0], -least)?;
            step(draft, call.name, map, &both, call.shape)
        }
    }
}

fn and(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    logic(draft, call, 1.0, [|c| c, |_| 0.0])
}

fn or(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    logic(draft, call, 0.0, [|c| 1.0 - c, |c| c])
}

fn xor(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    match sides(draft, call)? {
        Sides::One(x, constant, _) => {
            let map = constant.map(|c| 1.0 - 2.0 * c, |c| c)?;
            whole(draft, call.name, map, &[x], call.shape, YES_OR_NO)
        }
        both @ Sides::Both(_) => {
            let (more, less) = (
                above_of(draft, call, &both, (1.0, false))?,
                above_of(draft, call, &both, (-1.0, false))?,
            );
            of_steps(draft, call, &[more, less], vec![1.0, 1.0], 0.0)
        }
    }
}

/// The one number that an operand is, where it takes places out of a softmax, wherever it is chosen.
fn far(call: &Call<'_>, at: usize) -> Result<Option<f64>, Refusal> {
    if call.is_computed(at) {
        return Ok(None);
    }
    let values = call.constant(at)?.values;
    let first = values.first().copied().filter(|v| *v <= FAR);
    Ok(first.filter(|first| values.iter().all(|v| v == first)))
}

/// Of an operand of whole numbers, computed or constant: what they are between, where that is known.
fn whole_bound(draft: &Draft, call: &Call<'_>, at: usize) -> Result<Option<Option<Interval>>, Refusal> {
    if call.is_computed(at) {
        let id = call.computed(at)?;
        return Ok(draft.is_whole(id).then(|| draft.numbers(id)));
    }
    let values = Interval::of(call.constant(at)?.values);
    Ok(values.filter(|of| of.magnitude() <= MOST_NAME as u64).map(Some))
}

/// The same of whole numbers, which stay whole.
fn chosen_whole(
    draft: &mut Draft,
    call: &Call<'_>,
    condition: TensorId,
    sides: [(TensorId, Option<Interval>); 2],
) -> Result<TensorId, Refusal> {
    let [(x, a), (y, b)] = sides;
    let both = a.zip(b);
    let far = both.filter(|(a, b)| a.minus(*b).magnitude() > MOST_NAME as u64);
    if let Some((a, b)) = far {
        return unsupported(format!(
            "whole numbers up to {} and {} to choose from: up to 2^22 together are supported",
            a.magnitude(),
            b.magnitude()
        ));
    }
    draft.whole_within(x, a);
    draft.whole_within(y, b);
    let apart = both.map(|(a, b)| a.minus(b));
    let map = combination(len(call), vec![1.0, -1.0])?;
    let difference = draft.linear(call.name, map, &[x, y], call.shape)?;
    draft.whole_within(difference, apart);
    let chosen = product::elements(draft, call.name, [condition, difference], call.shape)?;
    draft.whole_within(chosen, apart.map(|apart| apart.with(Interval::new(0, 0))));
    let map = combination(len(call), vec![1.0, 1.0])?;
    let made = draft.linear(call.name, map, &[y, chosen], call.shape)?;
    draft.whole_within(made, both.map(|(a, b)| a.with(b)));
    Ok(made)
}

/// `y + c · (x − y)` for a computed condition `c`.
fn choose(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let at_shape = |draft: &mut Draft, at: usize| {
        let x = if call.is_computed(at) {
            call.computed(at)?
        } else {
            let constant = call.constant(at)?;
            moved::constant(draft, call.name, &constant.values, &constant.shape)?
        };
        let x = aligned(draft, call.name, x, call.shape.len())?;
        wiring::broadcast(draft, call.name, x, call.shape)
    };
    if call.is_computed(1) || call.is_computed(2) {
        let [condition, x, y] = [at_shape(draft, 0)?, at_shape(draft, 1)?, at_shape(draft, 2)?];
        let made = match [whole_bound(draft, call, 1)?, whole_bound(draft, call, 2)?] {
            [Some(a), Some(b)] => chosen_whole(draft, call, condition, [(x, a), (y, b)])?,
            _ => {
                let map = combination(len(call), vec![1.0, -1.0])?;
                let difference = draft.linear(call.name, map, &[x, y], call.shape)?;
                let chosen = product::elements(draft, call.name, [condition, difference], call.shape)?;
                let map = combination(len(call), vec![1.0, 1.0])?;
                draft.linear(call.name, map, &[y, chosen], call.shape)?
            }
        };
        if let Some(far) = far(call, 2)? {
            draft.masks(made, x, condition, far);
        } else if let Some(far) = far(call, 1)? {
            let other = of_steps(draft, call, &[condition], vec![-1.0], 1.0)?;
            draft.masks(made, y, other, far);
        }
        return Ok(made);
    }
    if !call.is_computed(0) {
        return unsupported("a condition that is a constant");
    }
    let condition = at_shape(draft, 0)?;
    let values = |at: usize| -> Result<Vec<f64>, Refusal> {
        let constant = call.constant(at)?;
        super::maps::each(call.shape.to_vec(), |place| {
            Ok(moved::Source::Of(
                0,
                super::maps::repeated(&constant.shape, place),
            ))
        })
        .map(|(_, sources)| {
            let value = |source: &moved::Source| match source {
                moved::Source::Of(_, place) => constant.values.get(*place).copied().unwrap_or(0.0),
                moved::Source::Constant(c) => *c,
            };
            sources.iter().map(value).collect()
        })
    };
    let (x, y) = (values(1)?, values(2)?);
    let all = Interval::of(x.iter().chain(&y).copied());
    let all = all.filter(|all| all.magnitude() <= MOST_NAME as u64);
    let scale = x.iter().zip(&y).map(|(x, y)| x - y).collect();
    let map = moved::affine(vec![scale, y])?;
    if let Some(all) = all {
        return whole(draft, call.name, map, &[condition], call.shape, all);
    }
    draft.linear(call.name, map, &[condition], call.shape)
}
