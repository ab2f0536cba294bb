//! A tensor in the 255 steps of its own range: DynamicQuantizeLinear, and what reads a tensor so.
//!
//! Invariant: of relations that there are, and nothing of it is advice. Whole numbers are within what is said of them; a quotient
//! is rounded to its tensor's steps before it is to whole ones, and where it lies half way between two of these its own decide. In
//! floats a half is what floats of 32 bits do not tell from one, as in the reference. A tensor of zeros is 0 in steps of 0.

use zkml::graph::{Activation, TensorId};

use super::binary::{combination, line, scaled};
use super::draft::{Draft, Refusal, small, unsupported};
use super::function::function;
use super::greatest::row_maximum;
use super::recipe::{Call, Recipe};
use super::{product, wiring};
use crate::float::{FloatMap, FloatOp, Interval};
use crate::functions::Function;
use crate::ops::{Floor, Linear};

pub(super) const RECIPES: &[Recipe] = &[Recipe::several("DynamicQuantizeLinear", dynamic)];

/// Steps of a range.
const STEPS: u32 = 255;

/// A node that drops what is below 0.
pub(super) fn rectified(
    draft: &mut Draft,
    name: &str,
    map: FloatMap,
    x: TensorId,
) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let activation = Activation::Relu;
    draft.node(name, FloatOp::Linear(Linear { map, activation }), &[x], &shape)
}

/// The whole number nearest to each value.
pub(super) fn nearest(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    activation: Activation,
    bound: Interval,
) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let [len] = small([shape.iter().product()])?;
    let floor = Floor {
        len,
        negated: false,
        halvings: 0,
        nearest: true,
        activation,
    };
    let made = draft.node(name, FloatOp::Floor(floor), &[x], &shape)?;
    draft.whole(made, bound);
    Ok(made)
}

/// One value at every place of a shape.
pub(super) fn everywhere(
    draft: &mut Draft,
    name: &str,
    one: TensorId,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    if draft.shape(one).iter().product::<usize>() != 1 {
        return unsupported("a computed scale or zero point of more than one value");
    }
    wiring::emit(draft, name, one, shape, vec![0; shape.iter().product()])
}

/// `most − max(span − x, 0)` of an `x` that is not below 0: from `most − span` to `most`.
pub(super) fn capped(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    span: i64,
    most: i64,
) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let len = shape.iter().product();
    let line = |constant: i64| line(len, vec![-1.0], constant as f64);
    let below = rectified(draft, name, line(span)?, x)?;
    draft.whole(below, Interval::new(0, span));
    let made = draft.linear(name, line(most)?, &[below], &shape)?;
    draft.whole(made, Interval::new(most - span, most));
    Ok(made)
}

/// A tensor in the steps of its own range, which has 0 in it.
struct Stepped {
    /// How large a step is: one value.
    scale: TensorId,
    /// What is left below 0 of the range: one value.
    below: TensorId,
    /// Steps of one value: none where there is no range.
    inverse: TensorId,
}

impl Stepped {
    fn new(draft: &mut Draft, name: &str, x: TensorId) -> Result<Self, Refusal> {
        let len = draft.shape(x).iter().product::<usize>();
        let row = wiring::reshape(draft, name, x, &[1, len])?;
        let mut end = |sign: f64| {
            let row = if sign < 0.0 {
                scaled(draft, name, row, sign)?
            } else {
                row
            };
            let end = if len == 1 {
                wiring::reshape(draft, name, row, &[1])?
            } else {
                row_maximum(draft, name, row, [1, len])?
            };
            rectified(draft, name, combination(1, vec![1.0])?, end)
        };
        let (above, below) = (end(1.0)?, end(-1.0)?);
        let step = 1.0 / f64::from(STEPS);
        let map = combination(1, vec![step, step])?;
        let scale = draft.linear(name, map, &[above, below], &[1])?;
        // 0 where the scale is.
        let inverse = function(draft, name, scale, Function::inverse_power(1.0, 1.0, 0.0))?;
        Ok(Self {
            scale,
            below,
            inverse,
        })
    }

    /// How many steps a tensor's values are, none of which is beyond the range.
    fn steps(&self, draft: &mut Draft, name: &str, x: TensorId) -> Result<TensorId, Refusal> {
        let shape = draft.shape(x);
        let inverse = everywhere(draft, name, self.inverse, &shape)?;
        let steps = product::elements(draft, name, [x, inverse], &shape)?;
        draft.bound(steps, STEPS);
        Ok(steps)
    }

    /// The same in whole steps. A value of the bound's bits may round to one more than it.
    fn whole(&self, draft: &mut Draft, name: &str, x: TensorId) -> Result<TensorId, Refusal> {
        let steps = self.steps(draft, name, x)?;
        nearest(draft, name, steps, Activation::Identity, Interval::new(-256, 256))
    }
}

/// A tensor's numbers from 0 to 255, how large their steps are, and which of them is 0.
struct Numbers {
    numbers: TensorId,
    scale: TensorId,
    zero: TensorId,
}

impl Numbers {
    fn of(draft: &mut Draft, name: &str, x: TensorId) -> Result<Self, Refusal> {
        let shape = draft.shape(x);
        let stepped = Stepped::new(draft, name, x)?;
        let below = stepped.steps(draft, name, stepped.below)?;
        let below = nearest(draft, name, below, Activation::Relu, Interval::new(0, 256))?;
        let most = i64::from(STEPS);
        let zero = capped(draft, name, below, most, most)?;
        let whole = stepped.whole(draft, name, x)?;
        let shift = everywhere(draft, name, zero, &shape)?;
        let map = combination(shape.iter().product(), vec![1.0, 1.0])?;
        let activation = Activation::Relu;
        let above = FloatOp::Linear(Linear { map, activation });
        let above = draft.node(name, above, &[whole, shift], &shape)?;
        draft.whole(above, Interval::new(0, 256 + most));
        Ok(Self {
            numbers: capped(draft, name, above, most, most)?,
            scale: stepped.scale,
            zero,
        })
    }
}

/// A tensor's values as the numbers say: quantised and back.
pub(super) fn in_steps(draft: &mut Draft, name: &str, x: TensorId) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let of = Numbers::of(draft, name, x)?;
    let zero = everywhere(draft, name, of.zero, &shape)?;
    let map = combination(shape.iter().product(), vec![1.0, -1.0])?;
    let centred = draft.linear(name, map, &[of.numbers, zero], &shape)?;
    let most = i64::from(STEPS);
    draft.whole(centred, Interval::new(-most, most));
    let scale = everywhere(draft, name, of.scale, &shape)?;
    product::elements(draft, name, [centred, scale], &shape)
}

/// Numbers from 0 to 255, the scale and the zero point.
fn dynamic(draft: &mut Draft, call: &Call<'_>) -> Result<Vec<Option<TensorId>>, Refusal> {
    let (x, name) = (call.computed(0)?, call.name);
    let of = Numbers::of(draft, name, x)?;
    let scale = wiring::reshape(draft, name, of.scale, &[])?;
    let zero = wiring::reshape(draft, name, of.zero, &[])?;
    Ok(vec![Some(of.numbers), Some(scale), Some(zero)])
}
