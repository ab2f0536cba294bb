//! Explicit tables of the lookup argument: rows that stand in the key, with everything that reads them.
//!
//! Nothing of a row is the prover's: its MLE is computed from the verifier's own table. Only the multiplicities are committed.

use serde::Serialize;
use zkinfer_crds::Digest;

use super::axes::Axes;
use super::error::{LayoutError, ProveError};
use super::field::{EF, index_at, signed};
use super::work::evaluation;
use crate::graph::{TableRef, TensorId};

/// A table with everything that reads it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Explicit {
    digest: Digest,
    /// Bound by the digest.
    #[serde(skip)]
    table: TableRef,
    /// Of the rows.
    pub(super) axes: Axes,
    /// The group whose one column holds the multiplicities; it has the axes of the rows.
    pub(super) counts: usize,
    /// `(x, z)`, of equal axes.
    pub(super) reads: Vec<[TensorId; 2]>,
}

impl Explicit {
    /// A table that nothing reads yet.
    ///
    /// # Errors
    /// Rows that are no table's, or more than one column, for which a node has no second output yet.
    pub(super) fn new(table: &TableRef, index: TensorId, counts: usize) -> Result<Self, LayoutError> {
        table.check().map_err(|source| LayoutError::Table {
            tensor: index.0,
            source,
        })?;
        if table.columns.len() != 1 {
            return Err(LayoutError::Unsupported { tensor: index.0 });
        }
        Ok(Self {
            digest: table.digest(),
            table: table.clone(),
            axes: Axes::new(table.rows(), &[]),
            counts,
            reads: Vec::new(),
        })
    }

    /// Whether it is this table.
    pub(super) fn is(&self, table: &TableRef) -> bool {
        self.digest == table.digest()
    }

    /// Reads them all: the entries, while each row that is read is counted.
    ///
    /// # Errors
    /// An index that is none of the table's.
    pub(super) fn fill(
        &self,
        index: TensorId,
        values: &[i64],
        counts: &mut [u64],
    ) -> Result<Vec<i64>, ProveError> {
        let entries = self.entries();
        let read = |(at, &value): (usize, &i64)| {
            let row = self.table.row(value).ok_or(ProveError::Index {
                tensor: index.0,
                index: at,
            })?;
            counts[row] += 1;
            Ok(entries[row])
        };
        values.iter().enumerate().map(read).collect()
    }

    fn entries(&self) -> &[i64] {
        self.table.columns.first().map(|c| &**c).unwrap_or_default()
    }

    /// Index and entry of each row.
    pub(super) fn rows(&self) -> [Vec<i64>; 2] {
        let last = self.table.first + self.table.rows() as i64;
        [(self.table.first..last).collect(), self.entries().to_vec()]
    }

    /// The MLEs of index and entry over the rows, 0 beyond them. Nothing of it is the prover's.
    pub(super) fn at(&self, point: &[EF]) -> [EF; 2] {
        let rows = self.axes.all();
        let position = if self.is_full() {
            index_at(point)
        } else {
            let positions: Vec<i64> = (0..self.axes.len() as i64).collect();
            rows.evaluate(point, &positions)
        };
        let index = rows.indicator(point) * signed(self.table.first) + position;
        [index, rows.evaluate(point, self.entries())]
    }

    /// Steps of a verifier for [`Explicit::at`].
    pub(super) fn work(&self) -> u64 {
        let passes = if self.is_full() { 1 } else { 2 };
        passes * evaluation(self.axes.len())
    }

    /// No row is beyond the end.
    fn is_full(&self) -> bool {
        self.axes.len() == 1 << self.axes.arity()
    }
}
