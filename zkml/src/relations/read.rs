//! `Read`: `z[t] = x[i[t]]`, where the indices `i` are a tensor of the slice, each inside `x`.
//!
//! *Bounds:* an index outside the input has no output. *Fixes its output:* `x` is a function of the index. Only the sum-check
//! backend proves it.

use super::check::{CheckError, Values};
use crate::graph::TensorId;

/// Each value is the input's at the index.
pub(super) fn check(
    values: &Values<'_>,
    input: TensorId,
    index: TensorId,
    output: TensorId,
) -> Result<(), CheckError> {
    values.expect(output, &made(values, input, index)?)
}

/// The input's value at each index.
pub(super) fn made(
    values: &Values<'_>,
    input: TensorId,
    index: TensorId,
) -> Result<Vec<Option<i64>>, CheckError> {
    let x = values.of(input)?;
    let read = |&i: &i64| usize::try_from(i).ok().and_then(|i| x.get(i).copied());
    Ok(values.of(index)?.iter().map(read).collect())
}
