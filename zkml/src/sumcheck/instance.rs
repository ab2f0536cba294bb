//! The public values of a slice: exact counts, lengths and ranges, checked before anything else.

use zkinfer_crds::Digest;

use super::error::InstanceError;
use super::transcript::{Label, Transcript};
use crate::relations::SliceTensor;

/// Checks the number of tensors, their lengths, and that every value lies in its range.
///
/// This is the range check of public tensors: the argument itself never looks them up.
///
/// # Errors
/// The first that does not fit.
pub(super) fn check_values(
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

/// Absorbs all that is public: the statement first, then the key (relations, weights, tables, parameters), then every value.
pub(super) fn absorb(
    transcript: &mut Transcript,
    statement: &Digest,
    key: &Digest,
    inputs: &[&[i64]],
    outputs: &[&[i64]],
) {
    transcript.digest(Label::Statement, statement);
    transcript.digest(Label::Key, key);
    for values in inputs.iter().chain(outputs) {
        transcript.values(Label::Public, values);
    }
}
