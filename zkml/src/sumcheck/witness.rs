//! The values of every tensor, and the cells of every committed column.
//!
//! The prover's own account: whatever it gets wrong, the verifier refuses.

use super::columns::{Columns, Values};
use super::error::ProveError;
use super::field::F;
use super::plan::Plan;
use super::relation::Argue;
use crate::relations::SliceRelations;

/// See the module.
pub(super) struct Witness {
    pub(super) values: Values,
    /// Per group its coordinates and its cells, a row per column. The last ones are the multiplicities.
    pub(super) groups: Vec<(usize, Vec<F>)>,
    /// What the proof names, where nothing is committed.
    pub(super) named: Values,
}

impl Witness {
    /// Computes every tensor from the slice's inputs.
    ///
    /// # Errors
    /// A quotient outside its range.
    pub(super) fn new(
        plan: &Plan,
        relations: &SliceRelations,
        inputs: &[&[i64]],
    ) -> Result<Self, ProveError> {
        let mut values = Values::new();
        for (tensor, input) in relations.inputs.iter().zip(inputs) {
            values.insert(tensor.id, input.to_vec());
        }
        let mut columns = Columns::new(&plan.layout);
        for (step, relation) in plan.steps.iter().zip(&relations.relations) {
            if let Some((output, made)) = step.fill(relation, &mut columns, &values)? {
                values.insert(output, made);
            }
        }
        let (groups, named) = columns.finish();
        Ok(Self {
            values,
            groups,
            named,
        })
    }
}
