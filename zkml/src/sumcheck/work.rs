//! What a verifier's loops take, each by its sizes, and what a relation's `work` is told in.
//!
//! A step is a nanosecond on one core of the reference machine in the build that runs everywhere.

use super::axes::{Axes, WHOLE_ENTRIES};

/// One multiplication of extension elements, with the reads of its factors.
pub(super) const MULTIPLY: u64 = 14;
/// One round of a sum-check.
pub(super) const ROUND: u64 = 1_000;
/// A constant or public value in the MLE of a tensor.
pub(super) const VALUE: u64 = 5;
/// Entries of an equality vector that are in its tables, at most, beside one in five hundred.
const TABLE: u64 = 1 << 10;

/// What one relation takes, or a whole slice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Nanoseconds of a prover for values, sum-checks and the claims that these make.
    pub(super) prover: u64,
    /// Steps of a verifier.
    pub(super) verifier: u64,
    /// Constant coefficients, all of which a verifier reads.
    pub(super) weights: u64,
}

impl Work {
    /// Of what nobody has counted: no slice with it is accepted.
    pub(super) const UNCOUNTED: Self = Self {
        prover: u64::MAX,
        verifier: u64::MAX,
        weights: 0,
    };
}

impl std::iter::Sum for Work {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |a, b| Self {
            prover: a.prover.saturating_add(b.prover),
            verifier: a.verifier.saturating_add(b.verifier),
            weights: a.weights.saturating_add(b.weights),
        })
    }
}

/// Steps for the tables of an equality vector over so many values.
pub(super) fn tables(values: usize) -> u64 {
    let values = values as u64;
    (values.min(TABLE) + values / (TABLE / 2)) * MULTIPLY
}

/// Steps for reading so many single entries of an equality vector over so many values. Many are read of one table, few of two.
pub(super) fn reading(entries: usize, values: usize) -> u64 {
    3 * MULTIPLY * entries as u64
        + tables(values).max(MULTIPLY * values.min(entries).min(WHOLE_ENTRIES) as u64)
}

/// Steps for the MLE of so many constants or public values at a point.
pub(super) fn evaluation(values: usize) -> u64 {
    2_000 + values as u64 * VALUE + tables(values)
}

/// Steps for opening some columns of a group at one more point: most are the library's own, for the transcript of an opening.
pub(super) fn opening(axes: &Axes, columns: usize) -> u64 {
    50_000 + axes.arity() as u64 * 100 + columns as u64 * 900
}
