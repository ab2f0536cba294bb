//! The first values of rows in order: TopK; and questions of which every answer is no.
//!
//! Invariant: exact, in floats and in integers. A value's rank is how many of its row stand before it: those that are greater, and
//! those that are equal and have a lower place; so each rank stands once in a row.

use zkml::graph::TensorId;

use super::binary::combination;
use super::compare::{step, whole};
use super::draft::{Draft, Refusal, small, unsupported};
use super::moved::constant;
use super::places::named;
use super::product::{self, Factor};
use super::recipe::{Call, Recipe, axis};
use super::wiring;
use crate::float::{FloatMap, Interval};

pub(super) const RECIPES: &[Recipe] = &[
    // What is computed is a fraction of integers, and an input that is not finite is refused where this is asked of it: neither is
    // ever so.
    Recipe::new("IsInf", never),
    Recipe::new("IsNaN", never),
    Recipe::several("TopK", top),
];

/// Most values of a row: each is compared with each.
const MOST: usize = 128;

fn never(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    draft.finite.push(x);
    let len = call.shape.iter().product::<usize>();
    let made = constant(draft, call.name, &vec![0.0; len], call.shape)?;
    draft.whole(made, Interval::new(0, 0));
    Ok(made)
}

fn top(draft: &mut Draft, call: &Call<'_>) -> Result<Vec<Option<TensorId>>, Refusal> {
    let x = call.computed(0)?;
    let shape = draft.shape(x);
    let along = axis(call.int("axis", -1)?, shape.len())?;
    let k = match call.integers(1)?.as_deref() {
        Some(&[k]) => k,
        None => call.int("k", 0)?,
        Some(_) => return unsupported("its `K` is not one number"),
    };
    let n = shape[along];
    let first = usize::try_from(k).ok().filter(|k| (1..=n).contains(k));
    let Some(first) = first else {
        return unsupported(format!("the first {k} of {n} values"));
    };
    if n > MOST {
        return unsupported(format!("a row of {n} values: up to {MOST} are supported"));
    }
    let order: Vec<usize> = (0..shape.len()).filter(|&d| d != along).chain([along]).collect();
    let rows = shape.iter().product::<usize>() / n.max(1);
    let x = wiring::permute(draft, call.name, x, &order)?;
    let x = wiring::reshape(draft, call.name, x, &[rows, n])?;
    let rank = rank(draft, call, x, [rows, n])?;
    // [rows, n, first]: 1 where the value has the rank.
    let is = named(draft, call.name, rank, first)?;
    let is = wiring::reshape(draft, call.name, is, &[rows, n, first])?;
    let back = |draft: &mut Draft, y: TensorId| {
        let sizes: Vec<usize> = order
            .iter()
            .map(|&d| if d == along { first } else { shape[d] })
            .collect();
        let y = wiring::reshape(draft, call.name, y, &sizes)?;
        let place = |d: usize| order.iter().position(|&o| o == d).unwrap_or(d);
        let order: Vec<usize> = (0..shape.len()).map(place).collect();
        wiring::permute(draft, call.name, y, &order)
    };
    let asked = |at: usize| call.shapes.get(at).is_some_and(Option::is_some);
    let values = if asked(0) {
        let numbers = draft.is_whole(x).then(|| draft.numbers(x));
        let (left, right) = (
            Factor {
                axes: &['r', 'i'],
                tensor: x,
            },
            Factor {
                axes: &['r', 'i', 'k'],
                tensor: is,
            },
        );
        let made = product::einsum(draft, call.name, &left, &right, &['r', 'k'], &[rows, first])?;
        if let Some(bound) = numbers {
            draft.whole_from(made, bound.map(|of| of.with(Interval::new(0, 0))));
        }
        Some(back(draft, made)?)
    } else {
        None
    };
    let places = if asked(1) {
        let is = wiring::permute(draft, call.name, is, &[0, 2, 1])?;
        let [inputs] = small([n])?;
        let map = FloatMap::Dense {
            inputs,
            outputs: 1,
            weight: (0..n).map(|at| at as f64).collect(),
            bias: vec![0.0],
        };
        let bound = Interval::new(0, n as i64 - 1);
        let made = whole(draft, call.name, map, &[is], &[rows, first], bound)?;
        Some(back(draft, made)?)
    } else {
        None
    };
    Ok(vec![values, places])
}

/// How many values of a row stand before each: `[rows · n]`.
fn rank(draft: &mut Draft, call: &Call<'_>, x: TensorId, [rows, n]: [usize; 2]) -> Result<TensorId, Refusal> {
    let largest = call.int("largest", 1)? != 0;
    // Pairs of a later place and an earlier one; a row of one value is compared with itself.
    let mut pairs: Vec<(usize, usize)> = (1..n).flat_map(|j| (0..j).map(move |i| (j, i))).collect();
    if pairs.is_empty() {
        pairs.push((0, 0));
    }
    let sizes = [rows, pairs.len()];
    if rows.saturating_mul(pairs.len()) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let mut side = |of: fn(&(usize, usize)) -> usize| {
        let row = |r: usize| pairs.iter().map(move |pair| (r * n + of(pair)) as u32);
        wiring::emit(draft, call.name, x, &sizes, (0..rows).flat_map(row).collect())
    };
    let both = [side(|pair| pair.0)?, side(|pair| pair.1)?];
    let sign = if largest { 1.0 } else { -1.0 };
    // 1 where the later stands before the earlier.
    let map = combination(rows * pairs.len(), vec![sign, -sign])?;
    let before = step(draft, call.name, map, &both, &sizes)?;
    let mut weight = vec![0.0; n * pairs.len()];
    let mut bias = vec![0.0; n];
    for (at, &(later, earlier)) in pairs.iter().enumerate().filter(|(_, (j, i))| j != i) {
        weight[earlier * pairs.len() + at] = 1.0;
        // Behind the earlier, but where it stands before.
        weight[later * pairs.len() + at] = -1.0;
        bias[later] += 1.0;
    }
    let [inputs, outputs] = small([pairs.len(), n])?;
    let map = FloatMap::Dense {
        inputs,
        outputs,
        weight,
        bias,
    };
    let bound = Interval::new(0, n as i64 - 1);
    let made = whole(draft, call.name, map, &[before], &[rows, n], bound)?;
    wiring::reshape(draft, call.name, made, &[rows * n])
}
