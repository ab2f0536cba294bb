//! Explicit tables: `z = T[x]` by rows that stand in the key.
//!
//! A read whose rows are the verifier's own ([`multiset`](super::super::multiset)): each place adds `1/(x_t, z_t)`, each row takes
//! `m_j/(first + j, T_j)` away, with `m` committed before α and β. All reads of one table share its rows, its tag and one column
//! of multiplicities.
//!
//! **Why it suffices.** If the sum is 0, a value's read has the fingerprint of a row under the table's tag: no other source has
//! that tag, and rows beyond the end and padded reads have the next one. So `x_t` is some `first + j` modulo p and `z_t` is
//! `T_j`: the range of `x` and the value of `z` in one. Indices and entries are below 2^48 in absolute value, so equality modulo
//! p of integers is equality, and a `z` that nothing else bounds is the entry from then on. Keys are distinct, so a multiplicity
//! can be believed of no second row; there are fewer reads than p, so none wraps. At padding `(x, z)` is `(0, 0)`, although the
//! row of 0 need not be.
//!
//! The relation is satisfiable only by indices of the table, and the plan asks that the index's range, which its own maker
//! proves, be exactly those: so a table is never what refuses an input.

use serde::Serialize;
use zkinfer_crds::Digest;

use super::super::axes::Axes;
use super::super::error::{LayoutError, ProveError};
use super::super::field::{EF, index_at, signed};
use super::super::place::Builder;
use super::super::plan::{Plan, Step};
use super::super::shapes::Shapes;
use super::super::work::{Work, evaluation};
use super::size;
use crate::graph::{TableRef, TensorId};

/// A table with everything that reads it.
#[derive(Debug, Clone, Serialize)]
pub(in super::super) struct Explicit {
    digest: Digest,
    /// Bound by the digest.
    #[serde(skip)]
    table: TableRef,
    /// Of the rows.
    pub(in super::super) axes: Axes,
    /// The group whose one column holds the multiplicities; it has the axes of the rows.
    pub(in super::super) counts: usize,
    /// `(x, z)`, of equal axes.
    pub(in super::super) reads: Vec<[TensorId; 2]>,
}

impl Explicit {
    /// A table that nothing reads yet.
    ///
    /// # Errors
    /// Rows that are no table's, or more than one column, for which a node has no second output yet.
    fn new(table: &TableRef, index: TensorId, counts: usize) -> Result<Self, LayoutError> {
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
    fn is(&self, table: &TableRef) -> bool {
        self.digest == table.digest()
    }

    /// Reads them all: the entries, while each row that is read is counted.
    ///
    /// # Errors
    /// An index that is none of the table's.
    pub(in super::super) fn fill(
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
    pub(in super::super) fn rows(&self) -> [Vec<i64>; 2] {
        let last = self.table.first + self.table.rows() as i64;
        [(self.table.first..last).collect(), self.entries().to_vec()]
    }

    /// The MLEs of index and entry over the rows, 0 beyond them. Nothing of it is the prover's.
    pub(in super::super) fn at(&self, point: &[EF]) -> [EF; 2] {
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
    pub(in super::super) fn work(&self) -> u64 {
        let passes = if self.is_full() { 1 } else { 2 };
        passes * evaluation(self.axes.len())
    }

    /// No row is beyond the end.
    fn is_full(&self) -> bool {
        self.axes.len() == 1 << self.axes.arity()
    }
}

/// One read of a table.
///
/// # Errors
/// What is no table, or an index of another range.
pub(in super::super) fn place(
    builder: &mut Builder,
    shapes: &Shapes,
    table: &TableRef,
    index: TensorId,
    outputs: &[TensorId],
) -> Result<Step, LayoutError> {
    let &[output] = outputs else {
        return Err(LayoutError::Unsupported { tensor: index.0 });
    };
    let place = match builder.plan.explicit.iter().position(|t| t.is(table)) {
        Some(place) => place,
        None => {
            let explicit = Explicit::new(table, index, builder.plan.groups.len())?;
            let counts = builder.open_group(&explicit.axes);
            builder.column(counts);
            builder.plan.explicit.push(explicit);
            builder.plan.explicit.len() - 1
        }
    };
    // A wider index would have values without an output; a narrower one is another function's.
    if table.index_range() != Some(builder.get(index)?.range) {
        return Err(LayoutError::Range { tensor: index.0 });
    }
    let range = table
        .column_range(0)
        .ok_or(LayoutError::Entries { tensor: index.0 })?;
    builder.make_unbounded(shapes, output, range)?;
    builder.plan.explicit[place].reads.push([index, output]);
    Ok(Step::Table {
        table: place,
        index,
        output,
    })
}

/// What the lookup argument compares, and the rows, are counted with it.
pub(super) fn work(plan: &Plan, index: TensorId, output: TensorId) -> Work {
    Work {
        prover: 60 * (size(plan, index) + size(plan, output)),
        ..Work::default()
    }
}
