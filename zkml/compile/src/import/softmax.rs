//! Softmax and its kin along an axis, as rows of one length.
//!
//! Invariant: exact in floats, but for weights that are 0 (`held`). With `m` the greatest of a row, `d = x − m` is never above
//! 0, in integers as in floats; the weights `e^d` are 1 at most and their sum `s` is between 1 and their number, whatever the inputs
//! are. So weights, sum, inverse and result have bounds that no input leaves, and `d` is held from a depth on: no input is
//! refused for its scores. A place that is masked, by a constant or by a condition that the inputs decide, is held there too. A
//! logarithm shows `d` itself, which is calibrated and not held; the weights of its sum are those of a `d` of 1 where masked.

use zkml::graph::TensorId;

use super::binary::{combination, line, scaled};
use super::draft::{Draft, Refusal, small};
use super::function::function;
use super::greatest::{repeated, row_maximum};
use super::held::deepest;
use super::kept::Choice;
use super::mask::Masked;
use super::recipe::{Call, Recipe, axis};
use super::{held, kept, moved, product, wiring};
use crate::float::{FloatMap, FloatOp, Hold};
use crate::functions::Function;
use crate::ops::Max;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("LogSoftmax", log_softmax),
    Recipe::new("Softmax", softmax),
];

/// Up to so many places sums and results have the bounds that hold for all inputs. With more of them a bound leaves too few
/// steps to what the model makes of its inputs, and the samples say what that is.
const FEW: usize = 64;

/// Where the rows of a tensor lie: `[before, n, behind]`.
struct Split {
    before: usize,
    n: usize,
    behind: usize,
}

impl Split {
    fn new(draft: &Draft, call: &Call<'_>, x: TensorId) -> Result<Self, Refusal> {
        let shape = draft.shape(x);
        // Until opset 12 the tensor is a matrix, split at the axis.
        let matrix = call.opset < 13;
        let given = call.int("axis", if matrix { 1 } else { -1 })?;
        if matrix && given == shape.len() as i64 {
            return Ok(Self {
                before: shape.iter().product(),
                n: 1,
                behind: 1,
            });
        }
        let at = axis(given, shape.len())?;
        let (before, along): (usize, usize) = (shape[..at].iter().product(), shape[at]);
        let behind: usize = shape[at + 1..].iter().product();
        Ok(if matrix {
            Self {
                before,
                n: along * behind,
                behind: 1,
            }
        } else {
            Self {
                before,
                n: along,
                behind,
            }
        })
    }

    fn rows(&self) -> [usize; 2] {
        [self.before * self.behind, self.n]
    }

    /// Row by row.
    fn split(&self, draft: &mut Draft, name: &str, x: TensorId) -> Result<TensorId, Refusal> {
        let x = wiring::reshape(draft, name, x, &[self.before, self.n, self.behind])?;
        let x = wiring::permute(draft, name, x, &[0, 2, 1])?;
        wiring::reshape(draft, name, x, &self.rows())
    }

    /// The same of a list.
    fn split_list(&self, list: &[bool]) -> Vec<bool> {
        let of_row = |r: usize| {
            let start = r / self.behind * self.n * self.behind + r % self.behind;
            (0..self.n).map(move |i| start + i * self.behind)
        };
        let places = (0..self.before * self.behind).flat_map(of_row);
        places.map(|i| list.get(i).copied().unwrap_or(true)).collect()
    }

    /// Back to the tensor's order.
    fn join(&self, draft: &mut Draft, name: &str, y: TensorId, shape: &[usize]) -> Result<TensorId, Refusal> {
        let y = wiring::reshape(draft, name, y, &[self.before, self.behind, self.n])?;
        let y = wiring::permute(draft, name, y, &[0, 2, 1])?;
        wiring::reshape(draft, name, y, shape)
    }
}

fn softmax(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let split = Split::new(draft, call, x)?;
    let (masked, choice) = match kept::of(draft, call.name, x)? {
        Some(kept) => {
            let x = Masked::all(draft, kept.x);
            let tensor = |draft: &mut Draft, id| split.split(draft, call.name, id);
            let kept = kept.placed(draft, tensor, |list| split.split_list(list))?;
            (x, Some(kept.choice(draft, call.name, split.rows())?))
        }
        None => (Masked::of(draft, call.name, x)?, None),
    };
    let rows = Masked {
        x: split.split(draft, call.name, masked.x)?,
        counts: split.split_list(&masked.counts),
        ..masked
    };
    let y = of_rows_kept(draft, call.name, &rows, choice.as_ref(), split.rows())?;
    joined(draft, call, &split, y)
}

/// The result is at most 1 as long as its rows are.
fn joined(draft: &mut Draft, call: &Call<'_>, split: &Split, y: TensorId) -> Result<TensorId, Refusal> {
    let bound = draft.bound_of(y);
    let y = split.join(draft, call.name, y, call.shape)?;
    if let Some(bound) = bound {
        draft.bound(y, bound);
    }
    Ok(y)
}

/// The softmax of each of `rows` rows of `n` values.
pub(super) fn of_rows(
    draft: &mut Draft,
    name: &str,
    x: &Masked,
    sizes: [usize; 2],
) -> Result<TensorId, Refusal> {
    of_rows_kept(draft, name, x, None, sizes)
}

/// The same of the places that are chosen, if some are.
pub(super) fn of_rows_kept(
    draft: &mut Draft,
    name: &str,
    x: &Masked,
    choice: Option<&Choice>,
    [rows, n]: [usize; 2],
) -> Result<TensorId, Refusal> {
    let shape = [rows, n];
    let above = match choice {
        Some(choice) => below_greatest_chosen(draft, name, x, choice, shape)?,
        None => below_greatest(draft, name, x, shape, true)?,
    };
    let weights = function(draft, name, above, Function::exp_from(deepest(n)))?;
    let sums = summed(draft, name, weights, shape)?;
    let few = n <= FEW;
    let inverse = if few {
        Function::reciprocal_from_one()
    } else {
        Function::reciprocal()
    };
    let inverse = function(draft, name, sums, inverse)?;
    let inverse = wiring::broadcast(draft, name, inverse, &shape)?;
    let y = product::elements(draft, name, [weights, inverse], &shape)?;
    if few {
        draft.bound(y, 1);
    }
    Ok(y)
}

/// The sum of each row's weights.
fn summed(
    draft: &mut Draft,
    name: &str,
    weights: TensorId,
    [rows, n]: [usize; 2],
) -> Result<TensorId, Refusal> {
    let [inputs] = small([n])?;
    let map = FloatMap::Dense {
        inputs,
        outputs: 1,
        weight: vec![1.0; n],
        bias: vec![0.0],
    };
    let sums = draft.linear(name, map, &[weights], &[rows, 1])?;
    if n <= FEW {
        draft.bound(sums, inputs);
    }
    Ok(sums)
}

/// `x` less the greatest of its row, of those that count, times its factor; 1 where a place is masked. Held, it is that plus
/// its depth, and 0 where that is below or the place is masked.
fn below_greatest(
    draft: &mut Draft,
    name: &str,
    x: &Masked,
    [rows, n]: [usize; 2],
    held: bool,
) -> Result<TensorId, Refusal> {
    x.check_rows(n)?;
    let counts = |t: &usize| x.counts.get(*t).copied().unwrap_or(true);
    let window = |r: usize| (r * n..(r + 1) * n).filter(counts).map(|t| t as u32).collect();
    let windows = (0..rows).map(window).collect();
    let greatest = draft.node(name, FloatOp::Max(Max { windows }), &[x.x], &[rows, 1])?;
    let greatest = wiring::broadcast(draft, name, greatest, &[rows, n])?;
    let (shift, masked) = if held {
        (f64::from(deepest(n)), 0.0)
    } else {
        (0.0, 1.0)
    };
    let map = if x.all_count() {
        line(rows * n, vec![x.factor, -x.factor], shift)?
    } else {
        let each = |factor: f64| {
            (0..rows * n)
                .map(|t| if counts(&t) { factor } else { 0.0 })
                .collect()
        };
        let added = (0..rows * n)
            .map(|t| if counts(&t) { shift } else { masked })
            .collect();
        moved::affine(vec![each(x.factor), each(-x.factor), added])?
    };
    let (inputs, shape) = ([x.x, greatest], [rows, n]);
    if held {
        held::from_below(draft, name, map, &inputs, &shape, deepest(n))
    } else {
        draft.linear(name, map, &inputs, &shape)
    }
}

/// The same, held, of the places that are chosen. With `z = x − min`, which is not below 0, `m` is the greatest `keeps · z` and `d` is
/// `keeps · (z − m)`: what is not kept reaches neither, however great it is. A row of which nothing is kept has the same number
/// everywhere, so that all of `d` is 0.
fn below_greatest_chosen(
    draft: &mut Draft,
    name: &str,
    x: &Masked,
    choice: &Choice,
    [rows, n]: [usize; 2],
) -> Result<TensorId, Refusal> {
    let (shape, len, keeps) = ([rows, n], rows * n, choice.keeps);
    let greatest = |draft: &mut Draft, of: TensorId| {
        let greatest = row_maximum(draft, name, of, shape)?;
        repeated(draft, name, greatest, shape)
    };
    let negative = scaled(draft, name, x.x, -1.0)?;
    let below = greatest(draft, negative)?;
    let z = draft.linear(name, combination(len, vec![1.0, 1.0])?, &[x.x, below], &shape)?;
    let kept = product::elements(draft, name, [keeps, z], &shape)?;
    draft.hold(z, Hold::All);
    let m = greatest(draft, kept)?;
    let difference = draft.linear(name, combination(len, vec![1.0, -1.0])?, &[z, m], &shape)?;
    draft.hold(difference, Hold::All);
    let mut d = product::elements(draft, name, [keeps, difference], &shape)?;
    if let Some(differ) = choice.differ {
        draft.hold(d, Hold::All);
        d = product::elements(draft, name, [differ, d], &shape)?;
    }
    let most = deepest(n);
    let depth = f64::from(most);
    match choice.any {
        Some(any) => {
            let map = line(len, vec![x.factor, depth, -depth], depth)?;
            held::from_below(draft, name, map, &[d, keeps, any], &shape, most)
        }
        None => {
            let map = combination(len, vec![x.factor, depth])?;
            held::from_below(draft, name, map, &[d, keeps], &shape, most)
        }
    }
}

/// `d − log s`.
fn log_softmax(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let split = Split::new(draft, call, x)?;
    let shape = split.rows();
    let all = Masked::all(draft, x);
    let x = Masked {
        x: split.split(draft, call.name, all.x)?,
        ..all
    };
    let d = below_greatest(draft, call.name, &x, shape, false)?;
    let weights = function(draft, call.name, d, Function::exp_of_negatives())?;
    let sums = summed(draft, call.name, weights, shape)?;
    let log = function(draft, call.name, sums, Function::log_from_one())?;
    let log = wiring::broadcast(draft, call.name, log, &shape)?;
    let map = combination(shape[0] * shape[1], vec![1.0, -1.0])?;
    let y = draft.linear(call.name, map, &[d, log], &shape)?;
    split.join(draft, call.name, y, call.shape)
}
