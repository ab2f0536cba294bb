//! `Permutation`: `z` has the values of `x`, each as often, in any order.
//!
//! It alone does **not** fix its output: whoever uses it adds what fixes the order, as ascending order is fixed by differences
//! that are not negative. An honest prover's `z` ascends. Only the sum-check backend proves it.

use super::check::{CheckError, Values, expect};
use crate::graph::TensorId;

/// Both have the same values when they are sorted.
pub(super) fn check(values: &Values<'_>, input: TensorId, output: TensorId) -> Result<(), CheckError> {
    compare(values, input, output, values.of(output)?)
}

/// These values of the output are the input's when both are sorted.
pub(super) fn compare(
    values: &Values<'_>,
    input: TensorId,
    output: TensorId,
    made: &[i64],
) -> Result<(), CheckError> {
    let ascending = |values: &[i64]| {
        let mut values = values.to_vec();
        values.sort_unstable();
        values
    };
    let expected: Vec<_> = ascending(values.of(input)?).into_iter().map(Some).collect();
    expect(output, &ascending(made), &expected)
}
