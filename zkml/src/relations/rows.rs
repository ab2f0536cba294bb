//! `Rows`: `z[t·w + c] = E[i[t]·w + c]`: rows of a constant `E`, `w` values each, at indices that are an input of the slice and so
//! public; one below 0 counts from the end.
//!
//! *Bounds:* an index that names no row has no output. *Fixes its output:* whoever knows the indices reads it off. Only the
//! sum-check backend proves it.

use super::check::{CheckError, Values};
use crate::graph::{TensorId, rows_at};

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

/// The constant's row at each index.
pub(super) fn made(
    values: &Values<'_>,
    table: &[i64],
    width: u32,
    index: TensorId,
) -> Result<Vec<Option<i64>>, CheckError> {
    let rows = rows_at(table, width, values.of(index)?).map_err(|_| CheckError::Tensor(index))?;
    Ok(rows.into_iter().map(Some).collect())
}
