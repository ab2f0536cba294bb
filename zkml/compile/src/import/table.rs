//! Gather of a table that is a constant, at computed places: embeddings.
//!
//! Invariant: a place outside the table has no proof. Two requantisations, none of which a value within the table reaches the end
//! of, refuse what is above its last row and what is below its first; both are read behind, so that neither is taken out, nor
//! becomes one with another node.

use zkml::graph::TensorId;

use super::binary::{combination, line};
use super::compare::{step, whole};
use super::draft::{Draft, Refusal, small, unsupported};
use super::greatest::{MOST_ENTRIES, rows};
use super::recipe::{Call, axis};
use crate::float::FloatMap;

/// Rows of a table at places that may be outside of it.
pub(super) fn gather(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (table, places) = (call.constant(0)?, call.computed(1)?);
    let along = axis(call.int("axis", 0)?, table.shape.len())?;
    let count = table.shape[along];
    if along != 0 {
        return unsupported("computed places along another axis than the table's first");
    }
    if !draft.is_whole(places) {
        return unsupported("computed places that are no whole numbers");
    }
    if !(2..=MOST_ENTRIES + 1).contains(&count) {
        return unsupported(format!(
            "computed places in a table of {count} rows: 2 to {} are supported",
            MOST_ENTRIES + 1
        ));
    }
    let [bound] = small([count])?;
    draft.within_table(places, bound);
    let places = within(draft, call.name, places, bound)?;
    rows(
        draft,
        call.name,
        &table.values,
        table.values.len() / count,
        places,
        call.shape,
    )
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
