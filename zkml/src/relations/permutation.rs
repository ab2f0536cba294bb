//! `Permutation`: `z` has the values of `x`, each as often, in any order.
//!
//! It alone does **not** fix its output: whoever uses it adds what fixes the order, as ascending order is fixed by differences
//! that are not negative. An honest prover's `z` ascends. Only the sum-check backend proves it.

use super::check::{CheckError, Values, expect};
use crate::graph::TensorId;

/// Both have the same values when they are sorted.
pub(super) fn check(values: &Values<'_>, input: TensorId, output: TensorId) -> Result<(), CheckError> {
    let ascending = |id: TensorId| {
        let mut values = values.of(id)?.to_vec();
        values.sort_unstable();
        Ok(values)
    };
    let expected: Vec<_> = ascending(input)?.into_iter().map(Some).collect();
    expect(output, &ascending(output)?, &expected)
}
