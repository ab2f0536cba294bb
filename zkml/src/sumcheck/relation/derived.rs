//! Relations of a slice whose accumulators stand in the proof, apart from maps with weights and products of matrices: a verifier
//! follows them itself ([`disclosed`](crate::sumcheck::disclosed)), so nothing is argued.

use serde::Serialize;

use super::{Argue, Lay, Stated, Written, values};
use crate::graph::{IntRange, TensorId, range_of_constant};
use crate::relations::Relation;
use crate::sumcheck::channel::Channel;
use crate::sumcheck::columns::{Columns, Values};
use crate::sumcheck::error::{Fault, LayoutError, ProveError, VerifyError};
use crate::sumcheck::layout::{Home, Layout};
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::Work;

/// Steps of a verifier for each number that a relation reads or makes: a look into a table that is not in the cache at most.
const FOLLOWED: u64 = 10;

/// What it makes, if it makes something.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) struct Placed {
    output: Option<TensorId>,
}

/// Places a relation of such a slice.
///
/// # Errors
/// As where its values are cut into limbs.
pub(in crate::sumcheck) fn place(
    relation: &Relation,
    stated: &Stated<'_>,
    placer: &mut Placer<'_>,
) -> Result<super::Placed, LayoutError> {
    let (output, range) = match relation {
        // Those whose accumulators are named are argued; the others of them are placed with the same checks.
        Relation::Requantised { .. } | Relation::Product { .. } => {
            let placed = stated.place(placer)?;
            return Ok(match relation.named() {
                Some(_) => placed,
                None => super::Placed::Derived(Placed {
                    output: relation.output(),
                }),
            });
        }
        Relation::Range { tensor, range } => {
            placer.get(*tensor)?;
            if !(1..=IntRange::MAX_BITS).contains(&range.bits) {
                return Err(LayoutError::Range { tensor: tensor.0 });
            }
            return Ok(super::Placed::Derived(Placed { output: None }));
        }
        Relation::Maximum {
            input, range, output, ..
        } => {
            if placer.get(*input)?.range != *range {
                return Err(LayoutError::Range { tensor: input.0 });
            }
            (*output, *range)
        }
        Relation::Read { input, index, output } => {
            placer.get(*index)?;
            (*output, placer.get(*input)?.range)
        }
        Relation::Rows {
            table, index, output, ..
        } => {
            let tensor = index.0;
            let Home::Input(_) = placer.get(*index)?.home else {
                return Err(LayoutError::NotGiven { tensor });
            };
            let range = range_of_constant(table).ok_or(LayoutError::Entries { tensor })?;
            (*output, range)
        }
        Relation::Permutation { input, output } | Relation::Wired { input, output, .. } => {
            (*output, placer.get(*input)?.range)
        }
        Relation::Table {
            table,
            index,
            outputs,
        } => {
            let tensor = index.0;
            let &[output] = outputs.as_slice() else {
                return Err(LayoutError::Unsupported { tensor });
            };
            let checked = table.check();
            checked.map_err(|source| LayoutError::Table { tensor, source })?;
            if table.columns.len() != 1 {
                return Err(LayoutError::Unsupported { tensor });
            }
            if table.index_range() != Some(placer.get(*index)?.range) {
                return Err(LayoutError::Range { tensor });
            }
            let range = table.column_range(0).ok_or(LayoutError::Entries { tensor })?;
            (output, range)
        }
    };
    placer.make(output, range, Home::Derived)?;
    Ok(super::Placed::Derived(Placed { output: Some(output) }))
}

impl Written for Placed {
    const TAG: Option<&'static str> = Some("Derived");
}

impl Argue for Placed {
    fn fill(
        &self,
        relation: &Relation,
        columns: &mut Columns<'_>,
        values: &Values,
    ) -> Result<Option<(TensorId, Vec<i64>)>, ProveError> {
        let sorted = match relation {
            Relation::Permutation { input, output } => {
                let mut sorted = values.get(input).cloned().unwrap_or_default();
                sorted.sort_unstable();
                columns.name(*output, &sorted);
                Some(sorted)
            }
            _ => None,
        };
        let fault = |_| Fault::OtherStep(self.output.unwrap_or(TensorId(u32::MAX)));
        if let Relation::Rows {
            table, width, index, ..
        } = relation
        {
            // It names the index that is none.
            let indices = values.get(index).map(Vec::as_slice).unwrap_or_default();
            crate::graph::rows_at(table, *width, indices).map_err(|at| ProveError::Index {
                tensor: index.0,
                index: at,
            })?;
        }
        let Some((output, made)) = relation.follow(values, sorted.as_deref()).map_err(fault)? else {
            return Ok(None);
        };
        let absent = |index| match relation {
            Relation::Read { index: from, .. } | Relation::Table { index: from, .. } => ProveError::Index {
                tensor: from.0,
                index,
            },
            _ => ProveError::OutOfRange {
                tensor: output.0,
                index,
            },
        };
        let each = made.into_iter().enumerate();
        let made = each.map(|(index, value)| value.ok_or_else(|| absent(index)));
        Ok(Some((output, made.collect::<Result<_, _>>()?)))
    }

    fn prove<V: Voice>(&self, _: &Relation, _: &mut Proving<'_, V>) {}

    /// It was followed before the walk: every claim on what it makes is computed from that.
    fn verify<C: Channel>(&self, _: &Relation, _: &mut Verifying<'_, C>) -> Result<(), VerifyError> {
        Ok(())
    }

    fn work(&self, relation: &Relation, layout: &Layout) -> Work {
        let numbers = numbers(relation, layout);
        Work {
            prover: FOLLOWED * numbers,
            verifier: FOLLOWED * numbers,
            weights: 0,
        }
    }
}

/// How many numbers a relation reads and makes.
fn numbers(relation: &Relation, layout: &Layout) -> u64 {
    let of = |id: &TensorId| values(layout, *id) as u64;
    match relation {
        Relation::Range { tensor, .. } => of(tensor),
        Relation::Requantised { inputs, output, .. } => inputs.iter().map(of).sum::<u64>() + of(output),
        Relation::Product { factors, output, .. } => factors.iter().map(of).sum::<u64>() + of(output),
        Relation::Maximum { windows, output, .. } => windows.entries().len() as u64 + of(output),
        Relation::Read { index, output, .. } | Relation::Rows { index, output, .. } => of(index) + of(output),
        // Both sides are sorted.
        Relation::Permutation { output, .. } => 2 * of(output) * u64::from(of(output).max(2).ilog2()),
        Relation::Table { index, .. } => 2 * of(index),
        Relation::Wired { output, .. } => 2 * of(output),
    }
}
