//! Gather and GatherElements of a table that is a constant, at computed places: embeddings.
//!
//! Rows of a long table at places that are an input stand in the graph as such: whoever verifies knows the places.
//!
//! Invariant: a place outside the table has no proof. Where places are computed, two requantisations, none of which a value within the table reaches the end
//! of, refuse what is above its last row and what is below its first; both are read behind, so that neither is taken out, nor
//! becomes one with another node.

use std::collections::HashSet;

use zkml::graph::{Activation, TensorId};

use super::binary::{combination, line};
use super::compare::{step, whole};
use super::draft::{Draft, Refusal, small, unsupported};
use super::greatest::{MOST_ENTRIES, MOST_NAME, rows};
use super::maps::{each, flat};
use super::moved::{self, Source};
use super::places::named;
use super::product::{self, Factor};
use super::recipe::{Call, axis};
use super::wiring;
use crate::float::{FloatMap, FloatOp, Interval};
use crate::ops::{Floor, Rows};

/// Most rows of a table that is read by two parts of a place, which have a thousand numbers each.
const MOST_ROWS: usize = 1 << 20;

/// What stands along an axis of a table at places that may be outside of it.
pub(super) fn gather(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (table, places) = (call.constant(0)?, call.computed(1)?);
    let along = axis(call.int("axis", 0)?, table.shape.len())?;
    let count = table.shape[along];
    if !draft.is_whole(places) {
        return unsupported("computed places that are no whole numbers");
    }
    if !(1..=MOST_ROWS).contains(&count) {
        return unsupported(format!(
            "computed places in a table of {count} rows: 1 to {MOST_ROWS} are supported"
        ));
    }
    let before: usize = table.shape[..along].iter().product();
    let behind: usize = table.shape[along + 1..].iter().product();
    let width = before * behind;
    let row = |at: usize| (0..width).map(move |i| ((i / behind) * count + at) * behind + i % behind);
    let values: Option<Vec<f64>> = (0..count)
        .flat_map(row)
        .map(|at| table.values.get(at).copied())
        .collect();
    let Some(values) = values else {
        return unsupported("a constant with too few values");
    };
    let [bound] = small([count])?;
    draft.within_table(places, bound);
    let all = draft.shape(places).iter().product::<usize>();
    if count > MOST_ENTRIES + 1
        && let Some(given) = draft.given(places)
    {
        let whole = Interval::of(values.iter().copied());
        let op = FloatOp::Rows(Rows { table: values, width });
        let y = draft.node(call.name, op, &[given], &[all, before, behind])?;
        if let Some(of) = whole {
            draft.whole(y, of);
        }
        let y = wiring::permute(draft, call.name, y, &[1, 0, 2])?;
        return wiring::reshape(draft, call.name, y, call.shape);
    }
    let places = within(draft, call.name, places, bound)?;
    let y = if count <= MOST_ENTRIES + 1 {
        rows(draft, call.name, &values, width, places, &[all, width])?
    } else {
        far_rows(draft, call.name, &values, width, places)?
    };
    let y = wiring::reshape(draft, call.name, y, &[all, before, behind])?;
    let y = wiring::permute(draft, call.name, y, &[1, 0, 2])?;
    wiring::reshape(draft, call.name, y, call.shape)
}

/// Each place names one along an axis of the constant, at its own coordinates along the others.
pub(super) fn elements(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.is_computed(0) {
        return elements_of_computed(draft, call);
    }
    let (table, places) = (call.constant(0)?, call.computed(1)?);
    let (rank, shape) = (table.shape.len(), draft.shape(places));
    let along = axis(call.int("axis", 0)?, rank)?;
    let count = table.shape[along];
    if !draft.is_whole(places) {
        return unsupported("computed places that are no whole numbers");
    }
    if shape.len() != rank || (0..rank).any(|d| d != along && shape[d] > table.shape[d]) {
        return unsupported("indices that reach beyond the data");
    }
    if !(1..=MOST_ROWS).contains(&count) {
        return unsupported(format!(
            "computed places along an axis of {count}: 1 to {MOST_ROWS} are supported"
        ));
    }
    let all: usize = shape.iter().product();
    // By place of the result, the list that it names an entry of.
    let mut lists = Vec::with_capacity(all);
    each(shape.clone(), |at| {
        let mut own = at.to_vec();
        own[along] = 0;
        lists.push(flat(&table.shape, &own));
        Ok(Source::Constant(0.0))
    })?;
    let behind: usize = table.shape[along + 1..].iter().product();
    let entry = |list: usize, at: usize| table.values.get(list + at * behind).copied().unwrap_or(0.0);
    let [bound] = small([count])?;
    draft.within_table(places, bound);
    let places = within(draft, call.name, places, bound)?;
    let first = lists.first().copied().unwrap_or(0);
    let alike = |list: &usize| (0..count).all(|at| entry(*list, at) == entry(first, at));
    let distinct: HashSet<usize> = lists.iter().copied().collect();
    if distinct.iter().all(alike) {
        let values: Vec<f64> = (0..count).map(|at| entry(first, at)).collect();
        let y = if count <= MOST_ENTRIES + 1 {
            rows(draft, call.name, &values, 1, places, &[all, 1])?
        } else {
            far_rows(draft, call.name, &values, 1, places)?
        };
        return wiring::reshape(draft, call.name, y, call.shape);
    }
    if count > MOST_ENTRIES || all.saturating_mul(count) > super::MAX_TENSOR_LEN {
        return unsupported(format!(
            "computed places along an axis of {count} whose lists differ: 1 to {MOST_ENTRIES} are supported"
        ));
    }
    // A 1 at the named place of each list, times the list, added up.
    let is = named(draft, call.name, places, count)?;
    let values: Vec<f64> = lists
        .iter()
        .flat_map(|list| (0..count).map(move |at| entry(*list, at)))
        .collect();
    let most = values.iter().fold(0f64, |m, v| m.max(v.abs())).ceil();
    let whole_ones = Interval::of(values.iter().copied()).filter(|of| of.magnitude() <= MOST_NAME as u64);
    let of_each = whole_ones.map(|of| of.with(Interval::new(0, 0)));
    let len = values.len();
    let map = moved::affine(vec![values, vec![0.0; len]])?;
    let chosen = draft.linear(call.name, map, &[is], &[all, count])?;
    let [inputs] = small([count])?;
    let map = FloatMap::Dense {
        inputs,
        outputs: 1,
        weight: vec![1.0; count],
        bias: vec![0.0],
    };
    let made = draft.linear(call.name, map, &[chosen], &[all, 1])?;
    if of_each.is_some() {
        draft.whole_within(chosen, of_each);
        draft.whole_within(made, of_each);
    } else if most < MOST_NAME {
        // Whichever entries calibration sees.
        draft.bound(chosen, most as u32);
        draft.bound(made, most as u32);
    }
    wiring::reshape(draft, call.name, made, call.shape)
}

/// Which of `count` places each number names, `[numbers, count]`; a number that names none has no proof.
pub(super) fn named_within(
    draft: &mut Draft,
    name: &str,
    places: TensorId,
    count: usize,
) -> Result<TensorId, Refusal> {
    if !(1..=MOST_ENTRIES).contains(&count) {
        return unsupported(format!(
            "computed places of {count} computed ones: 1 to {MOST_ENTRIES} are supported"
        ));
    }
    let there = Interval::new(0, count as i64 - 1);
    let places = if draft.numbers(places).is_some_and(|of| there.has(of)) {
        places
    } else {
        let [bound] = small([count])?;
        draft.within_table(places, bound);
        within(draft, name, places, bound)?
    };
    named(draft, name, places, count)
}

/// Each place names one along an axis of a computed tensor, at its own coordinates along the others.
fn elements_of_computed(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (x, places) = (call.computed(0)?, call.computed(1)?);
    let (list, shape) = (draft.shape(x), draft.shape(places));
    let along = axis(call.int("axis", 0)?, list.len())?;
    if !draft.is_whole(places) {
        return unsupported("computed places that are no whole numbers");
    }
    if shape.len() != list.len() || (0..list.len()).any(|d| d != along && shape[d] > list[d]) {
        return unsupported("indices that reach beyond the data");
    }
    let count = list[along];
    let is = named_within(draft, call.name, places, count)?;
    let all = draft.shape(is)[0];
    let behind: usize = list[along + 1..].iter().product();
    let mut sources = Vec::with_capacity(all * count);
    each(shape, |at| {
        let mut own = at.to_vec();
        own[along] = 0;
        let first = flat(&list, &own);
        sources.extend((0..count).map(|at| Source::Of(0, first + at * behind)));
        Ok(Source::Constant(0.0))
    })?;
    let lists = moved::moved(draft, call.name, &[x], &sources, &[all, count])?;
    let factor = |tensor| Factor {
        axes: &['n', 'c'],
        tensor,
    };
    let y = product::einsum(draft, call.name, &factor(is), &factor(lists), &['n'], &[all])?;
    if draft.is_whole(x) {
        let of = draft.numbers(x).map(|of| of.with(Interval::new(0, 0)));
        draft.whole_from(y, of);
    }
    wiring::reshape(draft, call.name, y, call.shape)
}

/// The places counted from the table's beginning; those that it does not have are refused.
fn within(draft: &mut Draft, name: &str, places: TensorId, rows: u32) -> Result<TensorId, Refusal> {
    let shape = draft.shape(places);
    let len = shape.iter().product::<usize>();
    let below = step(draft, name, line(len, vec![-1.0], 0.0)?, &[places], &shape)?;
    let map = combination(len, vec![1.0, f64::from(rows)])?;
    let counted = whole(draft, name, map, &[places, below], &shape, rows)?;
    // A tensor of whole numbers up to `rows` ends before `end`, and begins at its negative.
    let end = 2 << rows.ilog2();
    let mut held = |added: f64| {
        let map = line(len, vec![1.0], added)?;
        whole(draft, name, map, &[counted], &shape, end - 1)
    };
    // `end - rows` more than the last row is the last number; `end` less than the first row is the first.
    let (above, before) = (f64::from(end - rows), -f64::from(end));
    let [not_above, not_before] = [held(above)?, held(before)?];
    let map = FloatMap::Affine {
        outer: 1,
        channels: 1,
        inner: len as u32,
        scale: vec![1.0, 1.0, -1.0],
        bias: vec![-above - before],
    };
    whole(draft, name, map, &[not_above, not_before, counted], &shape, rows)
}

/// Rows of a long table at places that it has: a place is that of a block of rows, and that of a row in its block. All rows of the
/// block are taken, and one of them chosen.
fn far_rows(
    draft: &mut Draft,
    name: &str,
    table: &[f64],
    width: usize,
    places: TensorId,
) -> Result<TensorId, Refusal> {
    let count = table.len() / width.max(1);
    let all = draft.shape(places).iter().product::<usize>();
    // About as many blocks as rows in one.
    let halvings = count.ilog2().div_ceil(2) as u8;
    let block = 1usize << halvings;
    let blocks = count.div_ceil(block);
    let columns = block.saturating_mul(width);
    if all.saturating_mul(columns) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let [len, inputs, outputs] = small([all, blocks, columns])?;
    let shape = draft.shape(places);
    let floor = Floor {
        len,
        negated: false,
        halvings,
        nearest: false,
        activation: Activation::Identity,
    };
    let high = draft.node(name, FloatOp::Floor(floor), &[places], &shape)?;
    draft.whole(high, Interval::new(0, blocks as i64 - 1));
    let map = combination(all, vec![1.0, -(block as f64)])?;
    let low = whole(
        draft,
        name,
        map,
        &[places, high],
        &shape,
        Interval::new(0, block as i64 - 1),
    )?;
    let of_block = named(draft, name, high, blocks)?;
    // [columns, blocks], rows that the last block does not have being 0.
    let entry = |column: usize, at: usize| table.get(at * columns + column).copied().unwrap_or(0.0);
    let map = FloatMap::Dense {
        inputs,
        outputs,
        weight: (0..columns)
            .flat_map(|column| (0..blocks).map(move |at| (column, at)))
            .map(|(column, at)| entry(column, at))
            .collect(),
        bias: vec![0.0; columns],
    };
    let most = table.iter().fold(0f64, |m, v| m.max(v.abs())).ceil();
    let whole_ones = Interval::of(table.iter().copied()).filter(|of| of.magnitude() <= MOST_NAME as u64);
    let bound = whole_ones.map(|of| of.with(Interval::new(0, 0)));
    let block_rows = draft.linear(name, map, &[of_block], &[all, columns])?;
    if bound.is_some() {
        draft.whole_within(block_rows, bound);
    } else if most < MOST_NAME {
        // Whichever rows calibration sees.
        draft.bound(block_rows, most as u32);
    }
    let block_rows = wiring::reshape(draft, name, block_rows, &[all, block, width])?;
    let in_block = named(draft, name, low, block)?;
    let left = Factor {
        axes: &['n', 'b'],
        tensor: in_block,
    };
    let right = Factor {
        axes: &['n', 'b', 'w'],
        tensor: block_rows,
    };
    let made = product::einsum(draft, name, &left, &right, &['n', 'w'], &[all, width])?;
    if bound.is_some() {
        draft.whole_from(made, bound);
    }
    Ok(made)
}
