//! What the checkers share: the values of a slice's tensors, and what to say of one that is not as claimed.

use std::collections::BTreeMap;

use crate::graph::TensorId;

/// Which claim does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A tensor that a relation names was not given, or has the wrong length.
    #[error("tensor {0:?} is absent or has the wrong length")]
    Tensor(TensorId),
    /// A value lies outside its exact range.
    #[error("tensor {tensor:?}: value {value} at {index} is out of range")]
    Range {
        /// The tensor.
        tensor: TensorId,
        /// Flat index of the value.
        index: usize,
        /// The value.
        value: i64,
    },
    /// The output is not what the relation gives for its inputs.
    #[error("tensor {tensor:?}: value {got} at {index}, the relation gives {expected:?}")]
    Output {
        /// The relation's output tensor.
        tensor: TensorId,
        /// Flat index of the value.
        index: usize,
        /// The claimed value.
        got: i64,
        /// What the relation gives; `None` when it gives nothing (the quotient is out of its range).
        expected: Option<i64>,
    },
}

/// The values of a slice's tensors.
pub(super) struct Values<'v>(pub &'v BTreeMap<TensorId, Vec<i64>>);

impl<'v> Values<'v> {
    /// A tensor's values.
    pub(super) fn of(&self, id: TensorId) -> Result<&'v [i64], CheckError> {
        let values = self.0.get(&id).map(Vec::as_slice);
        values.ok_or(CheckError::Tensor(id))
    }

    /// A tensor's values are these.
    pub(super) fn expect(&self, tensor: TensorId, expected: &[Option<i64>]) -> Result<(), CheckError> {
        expect(tensor, self.of(tensor)?, expected)
    }
}

/// The values of `tensor`, or what is made of them, are these.
pub(super) fn expect(tensor: TensorId, got: &[i64], expected: &[Option<i64>]) -> Result<(), CheckError> {
    if got.len() != expected.len() {
        return Err(CheckError::Tensor(tensor));
    }
    match got.iter().zip(expected).position(|(g, e)| Some(*g) != *e) {
        None => Ok(()),
        Some(index) => Err(CheckError::Output {
            tensor,
            index,
            got: got[index],
            expected: expected[index],
        }),
    }
}
