//! Which place of a list a whole number names: a row of 0 with a 1 at the place, and what stands there.
//!
//! Invariant: exact, in floats and in integers. Places are counted from the end where they are below 0; a number that names no place
//! has a row of 0, which is what OneHot says of it, and by a number that may name none only a table is read (`table`), which has no
//! proof for it.

use zkml::graph::TensorId;

use super::binary::combination;
use super::compare::{YES_OR_NO, step, whole};
use super::draft::{Draft, Refusal, small, unsupported};
use super::greatest::{MOST_ENTRIES, MOST_NAME};
use super::maps::flat;
use super::product::{self, Factor};
use super::recipe::{Call, Recipe, axis};
use super::{table, wiring};
use crate::float::{FloatMap, Interval};

pub(super) const RECIPES: &[Recipe] = &[Recipe::new("OneHot", one_hot)];
/// Of whole numbers alone.
pub(super) const OF_WHOLE: &[Recipe] = &[
    Recipe::new("Gather", gather),
    Recipe::new("GatherElements", table::elements),
];

/// Whether a number is each of `count` ones from `least` on: `[numbers, count]` of 1 and 0.
fn is_each(
    draft: &mut Draft,
    name: &str,
    numbers: TensorId,
    least: i64,
    count: usize,
) -> Result<TensorId, Refusal> {
    let rows = draft.shape(numbers).iter().product::<usize>();
    let steps = count + 1;
    if rows.saturating_mul(steps) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let spread = (0..rows)
        .flat_map(|at| std::iter::repeat_n(at as u32, steps))
        .collect();
    let spread = wiring::emit(draft, name, numbers, &[rows, steps], spread)?;
    let [outer, channels] = small([rows, steps])?;
    let map = FloatMap::Affine {
        outer,
        channels,
        inner: 1,
        scale: vec![1.0; steps],
        // 1 where the number is above the one below.
        bias: (0..steps as i64).map(|at| -(least + at - 1) as f64).collect(),
    };
    let from = step(draft, name, map, &[spread], &[rows, steps])?;
    let part = |first: usize| {
        let row = move |r: usize| (0..count).map(move |at| (r * steps + first + at) as u32);
        (0..rows).flat_map(row).collect()
    };
    let at = wiring::emit(draft, name, from, &[rows, count], part(0))?;
    let behind = wiring::emit(draft, name, from, &[rows, count], part(1))?;
    let map = combination(rows * count, vec![1.0, -1.0])?;
    whole(draft, name, map, &[at, behind], &[rows, count], YES_OR_NO)
}

/// Which of `count` places each number names.
pub(super) fn named(
    draft: &mut Draft,
    name: &str,
    numbers: TensorId,
    count: usize,
) -> Result<TensorId, Refusal> {
    let own = is_each(draft, name, numbers, 0, count)?;
    if draft.numbers(numbers).is_some_and(|of| of.least() >= 0) {
        return Ok(own);
    }
    let from_end = is_each(draft, name, numbers, -(count as i64), count)?;
    let shape = draft.shape(own);
    let map = combination(shape.iter().product(), vec![1.0, 1.0])?;
    whole(draft, name, map, &[own, from_end], &shape, YES_OR_NO)
}

/// The whole numbers of an input, and their shape.
fn numbers(draft: &Draft, call: &Call<'_>, at: usize) -> Result<(TensorId, Vec<usize>), Refusal> {
    let id = call.computed(at)?;
    if !draft.is_whole(id) {
        return unsupported("computed places that are not known to be whole");
    }
    Ok((id, draft.shape(id)))
}

/// Constant rows at computed places.
fn gather(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (places, shape) = numbers(draft, call, 1)?;
    if call.is_computed(0) {
        return gather_computed(draft, call, places);
    }
    let list = call.constant(0)?;
    let along = axis(call.int("axis", 0)?, list.shape.len())?;
    let count = list.shape[along];
    let there = Interval::new(0, (count as i64 - 1).max(0));
    let reaches = draft.numbers(places).is_some_and(|of| there.has(of));
    if count == 0 || !reaches || count > MOST_ENTRIES {
        return table::gather(draft, call);
    }
    let before: usize = list.shape[..along].iter().product();
    let behind: usize = list.shape[along + 1..].iter().product();
    let rows: usize = shape.iter().product();
    let is = named(draft, call.name, places, count)?;
    let [inputs, outputs] = small([count, before * behind])?;
    let sizes = [before, count, behind];
    let columns = (0..before * behind).map(|column| (column / behind.max(1), column % behind.max(1)));
    let entries = columns.flat_map(|(b, i)| (0..count).map(move |at| flat(&sizes, &[b, at, i])));
    let weight: Option<Vec<f64>> = entries.map(|at| list.values.get(at).copied()).collect();
    let Some(weight) = weight else {
        return unsupported("a constant with too few values");
    };
    let map = FloatMap::Dense {
        inputs,
        outputs,
        weight,
        bias: vec![0.0; before * behind],
    };
    let made = [rows, before * behind];
    let most = list.values.iter().fold(0f64, |m, v| m.max(v.abs()));
    let y = if list.values.iter().all(|v| v.fract() == 0.0) && most <= MOST_NAME {
        whole(draft, call.name, map, &[is], &made, most as u32)?
    } else {
        // Whichever rows calibration sees.
        let y = draft.linear(call.name, map, &[is], &made)?;
        if most < MOST_NAME {
            draft.bound(y, most.ceil() as u32);
        }
        y
    };
    let y = wiring::reshape(draft, call.name, y, &[rows, before, behind])?;
    let y = wiring::permute(draft, call.name, y, &[1, 0, 2])?;
    let y = wiring::reshape(draft, call.name, y, call.shape)?;
    Ok(y)
}

/// Computed rows at computed places: a 1 at each named place, times the rows. A place outside of them has no proof.
fn gather_computed(draft: &mut Draft, call: &Call<'_>, places: TensorId) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let list = draft.shape(x);
    let along = axis(call.int("axis", 0)?, list.len())?;
    let is = table::named_within(draft, call.name, places, list[along])?;
    let before: usize = list[..along].iter().product();
    let behind: usize = list[along + 1..].iter().product();
    let rows = draft.shape(is)[0];
    let x_rows = wiring::reshape(draft, call.name, x, &[before, list[along], behind])?;
    let left = Factor {
        axes: &['n', 'c'],
        tensor: is,
    };
    let right = Factor {
        axes: &['b', 'c', 'i'],
        tensor: x_rows,
    };
    let y = product::einsum(
        draft,
        call.name,
        &left,
        &right,
        &['b', 'n', 'i'],
        &[before, rows, behind],
    )?;
    if draft.is_whole(x) {
        let of = draft.numbers(x).map(|of| of.with(Interval::new(0, 0)));
        draft.whole_from(y, of);
    }
    wiring::reshape(draft, call.name, y, call.shape)
}

fn one_hot(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (places, shape) = numbers(draft, call, 0)?;
    let (depth, values) = (call.constant(1)?.values, call.constant(2)?.values);
    let (&[depth], &[off, on]) = (&depth[..], &values[..]) else {
        return unsupported("a depth that is not one number, or values that are not two");
    };
    // A depth in floats loses its fraction.
    let depth = depth.trunc();
    if !(1.0..=MOST_ENTRIES as f64).contains(&depth) {
        return unsupported(format!("a depth of {depth}: 1 to {MOST_ENTRIES} are supported"));
    }
    let count = depth as usize;
    let along = axis(call.int("axis", -1)?, shape.len() + 1)?;
    let rows: usize = shape.iter().product();
    let mut y = named(draft, call.name, places, count)?;
    if (off, on) != (0.0, 1.0) {
        let map = super::binary::line(rows * count, vec![on - off], off)?;
        let most = off.abs().max(on.abs());
        y = if off.fract() == 0.0 && on.fract() == 0.0 && most <= MOST_NAME {
            whole(draft, call.name, map, &[y], &[rows, count], most as u32)?
        } else {
            draft.linear(call.name, map, &[y], &[rows, count])?
        };
    }
    let (before, behind): (usize, usize) = (shape[..along].iter().product(), shape[along..].iter().product());
    let y = wiring::reshape(draft, call.name, y, &[before, behind, count])?;
    let y = wiring::permute(draft, call.name, y, &[0, 2, 1])?;
    wiring::reshape(draft, call.name, y, call.shape)
}
