//! Explicit tables: `z = T[x]` by rows that stand in the key.
//!
//! A read whose rows are the verifier's own ([`multiset`](crate::sumcheck::multiset)): each place adds `1/(x_t, z_t)`, each row takes
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

use serde::{Serialize, Serializer};

use super::{Argue, Lay, Written, size};
use crate::graph::{TableRef, TensorId};
use crate::relations::Relation;
use crate::sumcheck::channel::Channel;
use crate::sumcheck::columns::{Columns, Values, values_of};
use crate::sumcheck::error::{LayoutError, ProveError, VerifyError};
use crate::sumcheck::explicit::Explicit;
use crate::sumcheck::layout::Layout;
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::shapes::{Classes, Lengths};
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::Work;

/// Entries of a table by indices.
#[derive(Debug, Serialize)]
pub(in crate::sumcheck) struct Stated<'a> {
    #[serde(serialize_with = "digest")]
    pub(super) table: &'a TableRef,
    pub(super) index: TensorId,
    pub(super) outputs: &'a [TensorId],
}

fn digest<S: Serializer>(table: &&TableRef, serializer: S) -> Result<S::Ok, S::Error> {
    table.digest().serialize(serializer)
}

/// One read of a table.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) struct Placed {
    /// Among the explicit ones.
    table: usize,
    index: TensorId,
    output: TensorId,
}

impl<'a> Stated<'a> {
    pub(super) const fn of(table: &'a TableRef, index: &TensorId, outputs: &'a [TensorId]) -> Self {
        Self {
            table,
            index: *index,
            outputs,
        }
    }
}

impl Lay for Stated<'_> {
    /// Each of several outputs has the index's length; the plan refuses what it does not prove.
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
        match self.outputs {
            [output] => Ok(Some((*output, lens.of(self.index)?))),
            _ => Err(LayoutError::Unsupported { tensor: self.index.0 }),
        }
    }

    fn join(&self, classes: &mut Classes) {
        self.outputs.iter().for_each(|o| classes.join(self.index, *o));
    }

    fn cut(&self, _: &mut Classes) {}

    fn keep(&self, _: &mut Classes) {}

    fn place(&self, placer: &mut Placer<'_>) -> Result<super::Placed, LayoutError> {
        let (table, index) = (self.table, self.index);
        let &[output] = self.outputs else {
            return Err(LayoutError::Unsupported { tensor: index.0 });
        };
        let place = match placer.layout.explicit.iter().position(|t| t.is(table)) {
            Some(place) => place,
            None => {
                let explicit = Explicit::new(table, index, placer.layout.groups.len())?;
                let counts = placer.open_group(&explicit.axes);
                placer.column(counts);
                placer.layout.explicit.push(explicit);
                placer.layout.explicit.len() - 1
            }
        };
        // A wider index would have values without an output; a narrower one is another function's.
        if table.index_range() != Some(placer.get(index)?.range) {
            return Err(LayoutError::Range { tensor: index.0 });
        }
        let range = table
            .column_range(0)
            .ok_or(LayoutError::Entries { tensor: index.0 })?;
        placer.make_unbounded(output, range)?;
        placer.layout.explicit[place].reads.push([index, output]);
        Ok(super::Placed::Table(Placed {
            table: place,
            index,
            output,
        }))
    }
}

impl Written for Placed {
    const TAG: Option<&'static str> = Some("Table");
}

impl Argue for Placed {
    fn fill(
        &self,
        _: &Relation,
        columns: &mut Columns<'_>,
        values: &Values,
    ) -> Result<Option<(TensorId, Vec<i64>)>, ProveError> {
        let explicit = &columns.layout.explicit[self.table];
        let read = values_of(values, self.index);
        let made = explicit.fill(self.index, read, &mut columns.reads[self.table])?;
        columns.put_output(self.output, &made);
        Ok(Some((self.output, made)))
    }

    fn prove<V: Voice>(&self, _: &Relation, _: &mut Proving<'_, V>) {}

    /// The lookup argument has shown it.
    fn verify<C: Channel>(&self, _: &Relation, _: &mut Verifying<'_, C>) -> Result<(), VerifyError> {
        Ok(())
    }

    /// What the lookup argument compares, and the rows, are counted with it.
    fn work(&self, _: &Relation, layout: &Layout) -> Work {
        Work {
            prover: 60 * (size(layout, self.index) + size(layout, self.output)),
            ..Work::default()
        }
    }
}
