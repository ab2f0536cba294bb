//! Rows of a constant at indices that are public: `z[t·w + c] = E[i[t]·w + c]`.
//!
//! **Why it suffices.** The indices are the statement's and the constant is the key's, so a verifier reads the rows off itself.
//! A public output is compared with them, value by value; every claim on one that is not public with their MLE, at the claim's own
//! point. Nothing is committed, and nothing of a prover's is believed. An index that names no row is refused.

use serde::Serialize;

use super::{Argue, Lay, Written, digest, size, values};
use crate::graph::{Shared, TensorId, range_of_constant, rows_at};
use crate::relations::Relation;
use crate::sumcheck::channel::Channel;
use crate::sumcheck::columns::{Columns, Values, values_of};
use crate::sumcheck::error::{Claim, Fault, LayoutError, ProveError, VerifyError};
use crate::sumcheck::layout::{Home, Layout};
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::shapes::{Classes, Lengths};
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::{VALUE, Work, evaluation};

/// Rows of a constant.
#[derive(Debug, Serialize)]
pub(in crate::sumcheck) struct Stated<'a> {
    #[serde(serialize_with = "digest::integers")]
    table: &'a [i64],
    width: u32,
    index: TensorId,
    output: TensorId,
}

/// What it reads and makes.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) struct Placed {
    index: TensorId,
    output: TensorId,
}

impl<'a> Stated<'a> {
    pub(super) fn of(table: &'a Shared<i64>, width: &u32, index: &TensorId, output: &TensorId) -> Self {
        Self {
            table,
            width: *width,
            index: *index,
            output: *output,
        }
    }
}

impl Lay for Stated<'_> {
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
        let width = self.width as usize;
        let output = self.output.0;
        if width == 0 || self.table.is_empty() || !self.table.len().is_multiple_of(width) {
            return Err(LayoutError::Index { output });
        }
        let len = lens.of(self.index)?.checked_mul(width);
        Ok(Some((self.output, len.ok_or(LayoutError::Index { output })?)))
    }

    fn join(&self, _: &mut Classes) {}

    fn cut(&self, _: &mut Classes) {}

    fn keep(&self, _: &mut Classes) {}

    fn place(&self, placer: &mut Placer<'_>) -> Result<super::Placed, LayoutError> {
        let tensor = self.index.0;
        let Home::Input(_) = placer.get(self.index)?.home else {
            return Err(LayoutError::NotGiven { tensor });
        };
        let range = range_of_constant(self.table).ok_or(LayoutError::Entries { tensor })?;
        placer.make(self.output, range, Home::Wired)?;
        Ok(super::Placed::Rows(Placed {
            index: self.index,
            output: self.output,
        }))
    }
}

impl Written for Placed {
    const TAG: Option<&'static str> = Some("Rows");
}

/// The constant and a row's values.
fn constant(relation: &Relation, output: TensorId) -> Result<(&[i64], u32), Fault> {
    match relation {
        Relation::Rows { table, width, .. } => Ok((table, *width)),
        _ => Err(Fault::OtherStep(output)),
    }
}

impl Argue for Placed {
    fn fill(
        &self,
        relation: &Relation,
        _: &mut Columns<'_>,
        values: &Values,
    ) -> Result<Option<(TensorId, Vec<i64>)>, ProveError> {
        let (table, width) = constant(relation, self.output)?;
        let made =
            rows_at(table, width, values_of(values, self.index)).map_err(|index| ProveError::Index {
                tensor: self.index.0,
                index,
            })?;
        Ok(Some((self.output, made)))
    }

    /// The verifier knows it all.
    fn prove<V: Voice>(&self, _: &Relation, state: &mut Proving<'_, V>) {
        state.take_pending(self.output);
    }

    fn verify<C: Channel>(
        &self,
        relation: &Relation,
        state: &mut Verifying<'_, C>,
    ) -> Result<(), VerifyError> {
        let (table, width) = constant(relation, self.output)?;
        let wrong = Claim::Rows.refuted(self.output);
        let tensor = state.layout().tensor(self.output);
        let tensor = tensor.ok_or(Fault::NoTensor(self.output))?;
        let claims = state.take_pending(self.output);
        let (indices, made) = (state.given(self.index)?, state.made(self.output));
        let public = matches!(tensor.home, Home::Output(_));
        state.channel.check(wrong, || {
            let Some(Ok(rows)) = indices.map(|indices| rows_at(table, width, indices)) else {
                return false;
            };
            let claimed = |(point, value): &(Vec<_>, _)| tensor.axes.all().evaluate(point, &rows) == *value;
            public == made.is_some() && made.is_none_or(|made| made == rows) && claims.iter().all(claimed)
        })
    }

    fn work(&self, _: &Relation, layout: &Layout) -> Work {
        let len = values(layout, self.output);
        let claims = layout.tensor(self.output).map_or(0, |t| match t.home {
            Home::Output(_) => 0,
            Home::Input(_) | Home::Column { .. } | Home::Limbs { .. } | Home::Wired | Home::Derived => {
                t.claims
            }
        });
        Work {
            prover: 20 * size(layout, self.output),
            verifier: VALUE * len as u64 + claims as u64 * evaluation(len),
            weights: 0,
        }
    }
}
