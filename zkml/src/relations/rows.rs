//! `Rows`: `z[t·w + c] = E[i[t]·w + c]`: rows of a constant `E`, `w` values each, at indices that are an input of the slice and so
//! public; one below 0 counts from the end.
//!
//! *Bounds:* an index that names no row has no output. *Fixes its output:* whoever knows the indices reads it off. Only the
//! sum-check backend proves it.

use super::Relation;
use super::check::{CheckError, Values};
use super::lower::{Lower, LowerError, Site};
use crate::graph::{self, TensorId};

impl Lower for graph::Rows {
    fn lower(&self, site: &Site<'_>) -> Result<Relation, LowerError> {
        Ok(Relation::Rows {
            table: self.table.clone(),
            width: self.width,
            index: site.input(),
            output: site.output(),
        })
    }
}

/// Each row is the constant's at the index.
pub(super) fn check(
    values: &Values<'_>,
    table: &[i64],
    width: u32,
    index: TensorId,
    output: TensorId,
) -> Result<(), CheckError> {
    values.expect(output, &made(values, table, width, index)?)
}

/// The constant's row at each index. Written out, and not asked of the graph: evaluator and verifier are compared with it.
pub(super) fn made(
    values: &Values<'_>,
    table: &[i64],
    width: u32,
    index: TensorId,
) -> Result<Vec<Option<i64>>, CheckError> {
    let width = width as usize;
    let count = table.len().checked_div(width).unwrap_or(0) as i64;
    let mut made = Vec::new();
    for &i in values.of(index)? {
        // −1 names the last row, −count the first.
        let row = if i < 0 { count + i } else { i };
        let first = usize::try_from(row).ok().and_then(|row| row.checked_mul(width));
        let entries = first.and_then(|first| table.get(first..first.checked_add(width)?));
        let entries = entries.filter(|entries| !entries.is_empty());
        made.extend(
            entries
                .ok_or(CheckError::Tensor(index))?
                .iter()
                .copied()
                .map(Some),
        );
    }
    Ok(made)
}
