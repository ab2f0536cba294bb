//! Rows of a constant at given places: embeddings.

use serde::{Deserialize, Serialize};

use super::{Misfit, Operator, OutOfRange, Site};
use crate::graph::shared::Shared;
use crate::graph::table::TableRef;
use crate::graph::tensor::IntRange;

/// `z[t·width + c] = table[i[t]·width + c]`; an index below 0 counts from the end. The output's range is the least that holds every
/// entry; what names no row has no output. The indices are an input of the slice: only so can it be proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// The constant, row by row.
    pub table: Shared<i64>,
    /// Values of a row.
    pub width: u32,
}

/// The rows that indices name, one after the other.
///
/// # Errors
/// The place of the first index that names none.
pub(crate) fn rows_at(table: &[i64], width: u32, indices: &[i64]) -> Result<Vec<i64>, usize> {
    let width = width as usize;
    let count = table.len().checked_div(width).unwrap_or(0) as i64;
    let mut rows = Vec::with_capacity(indices.len().saturating_mul(width));
    for (at, &i) in indices.iter().enumerate() {
        let row = if i < 0 { i.checked_add(count) } else { Some(i) };
        let first = row
            .filter(|row| (0..count).contains(row))
            .map(|row| row as usize * width)
            .ok_or(at)?;
        rows.extend_from_slice(&table[first..first + width]);
    }
    Ok(rows)
}

/// The least range, with a sign, that holds entries between these.
#[must_use]
pub fn range_of_rows(least: i64, greatest: i64) -> Option<IntRange> {
    (2..=IntRange::MAX_BITS)
        .map(IntRange::signed)
        .find(|range| range.contains(least) && range.contains(greatest))
}

/// That of all entries of a constant.
pub(crate) fn range_of_constant(table: &[i64]) -> Option<IntRange> {
    range_of_rows(*table.iter().min()?, *table.iter().max()?)
}

impl Rows {
    pub(crate) const fn claimed(&self) -> &Self {
        self
    }

    fn count(&self) -> usize {
        self.table.len().checked_div(self.width as usize).unwrap_or(0)
    }
}

impl Operator for Rows {
    fn name(&self) -> &'static str {
        "Rows"
    }

    fn check(&self, site: &Site<'_>) -> Result<(), Misfit> {
        let (index, output) = (site.one_input()?, site.output);
        let width = self.width as usize;
        if self.count() == 0 || self.count() * width != self.table.len() {
            return Err(Misfit::Reason("the constant has no whole rows"));
        }
        if index.exponent != 0 {
            return Err(Misfit::Reason("the indices are no whole numbers"));
        }
        if index.len().checked_mul(width) != Some(output.len()) {
            return Err(Misfit::Reason("the output is not a row for each index"));
        }
        if range_of_constant(&self.table) == Some(output.range) {
            Ok(())
        } else {
            Err(Misfit::Reason(
                "the output's range is not the least that holds the constant's entries",
            ))
        }
    }

    fn evaluate(&self, x: &[&[i64]], _: &[TableRef]) -> Result<Vec<i64>, OutOfRange> {
        let count = self.count() as i64;
        rows_at(&self.table, self.width, x[0]).map_err(|at| OutOfRange {
            value: x[0][at],
            lo: -count,
            hi: count - 1,
        })
    }

    fn kept(&self) -> usize {
        self.table.len()
    }

    fn multiplications(&self, _: usize) -> u64 {
        0
    }

    /// A verifier evaluates the rows that are named, as many as the output has values.
    fn weights(&self) -> usize {
        0
    }

    fn table(&self) -> Option<u32> {
        None
    }

    /// Rows of a constant, too: a verifier reads them off itself.
    fn moves(&self) -> bool {
        true
    }
}
