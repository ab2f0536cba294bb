//! The public tensors of a slice, and what makes values theirs: exact counts, lengths and ranges. Provers and verifiers of
//! every backend ask this before anything else.

use super::SliceTensor;

/// The public tensors of a slice: all that a verifier sees of it beside keys and statement.
#[derive(Debug, Clone, Copy)]
pub struct Boundary<'a> {
    /// See [`SliceRelations::inputs`](super::SliceRelations::inputs).
    pub inputs: &'a [SliceTensor],
    /// See [`SliceRelations::outputs`](super::SliceRelations::outputs).
    pub outputs: &'a [SliceTensor],
}

/// Why public values do not form an instance of a slice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstanceError {
    /// The number of tensors is not the slice's.
    #[error("the slice has {expected} {side} tensors, got {got}")]
    Count {
        /// `input` or `output`.
        side: &'static str,
        /// The slice's number.
        expected: usize,
        /// The given number.
        got: usize,
    },
    /// A tensor has the wrong number of values.
    #[error("tensor {tensor} has {expected} values, got {got}")]
    Length {
        /// The tensor's id.
        tensor: u32,
        /// The slice's length.
        expected: usize,
        /// The given length.
        got: usize,
    },
    /// A value lies outside its tensor's range.
    #[error("tensor {tensor}: value {value} at {index} is out of range")]
    Range {
        /// The tensor's id.
        tensor: u32,
        /// Flat index.
        index: usize,
        /// The value.
        value: i64,
    },
}

/// Checks the number of tensors, their lengths, and that every value lies in its range. For a backend that never looks public
/// tensors up this is their whole range check.
///
/// # Errors
/// The first that does not fit.
pub(crate) fn check_values(
    side: &'static str,
    tensors: &[SliceTensor],
    values: &[&[i64]],
) -> Result<(), InstanceError> {
    if tensors.len() != values.len() {
        return Err(InstanceError::Count {
            side,
            expected: tensors.len(),
            got: values.len(),
        });
    }
    for (tensor, values) in tensors.iter().zip(values) {
        let id = tensor.id.0;
        if tensor.len != values.len() {
            return Err(InstanceError::Length {
                tensor: id,
                expected: tensor.len,
                got: values.len(),
            });
        }
        if let Some((index, &value)) = values
            .iter()
            .enumerate()
            .find(|(_, v)| !tensor.range.contains(**v))
        {
            return Err(InstanceError::Range {
                tensor: id,
                index,
                value,
            });
        }
    }
    Ok(())
}
