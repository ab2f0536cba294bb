//! `Range`: every value of the tensor lies in its exact range.
//!
//! Claimed for each input of a slice, and first: inner tensors get their range from the relation that makes them. *Bounds:* a
//! range holds a power of two of values, at most 2^32 ([`IntRange`]). It has no output.

use super::check::{CheckError, Values};
use crate::graph::{IntRange, TensorId};

/// `lo <= x[t] <= hi`.
pub(super) fn check(values: &Values<'_>, tensor: TensorId, range: IntRange) -> Result<(), CheckError> {
    let outside = |(_, v): &(usize, &i64)| !range.contains(**v);
    match values.of(tensor)?.iter().enumerate().find(outside) {
        None => Ok(()),
        Some((index, &value)) => Err(CheckError::Range { tensor, index, value }),
    }
}
