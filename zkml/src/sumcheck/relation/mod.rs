//! The relations, each as a reduction: claims on what it makes become claims on what it reads.
//!
//! A proof walks them last first, so when a relation's turn comes every claim on its output has been made. A claim on a tensor
//! is settled where the tensor lives ([`Home`](super::plan::Home)): by the verifier itself for a public one, by the opening
//! for a committed column, by the opening of its limbs for a quotient, later in the walk for a wiring.
//!
//! **Padding is 0, and proved to be.** Public tensors are padded by the verifier. A quotient's limbs at a padded place express an
//! accumulator that is 0 there (no bias, and inputs whose padding is 0), as integers below 2^62, so every limb is 0, and so are
//! the row's rectified value and sign. A maximum's pairs start from 0 and have `above = below` and `above · below = 0` there. A
//! wiring's output is summed over values alone. A product of zeros is 0.
//! A permutation's, a read's and a table's are compared with 0 ([`multiset`](super::multiset)). Only matrix products, batches and
//! those three rely on it.
//!
//! Each file holds both sides of its relation; the verifier's calls nothing of the prover's.

mod conv;
pub(super) mod count;
mod dense;
pub(super) mod form;
mod general;
mod linear;
pub(super) mod maximum;
pub(super) mod product;
mod range;
mod requantised;
mod scale;
pub(super) mod table;
mod wired;

use super::error::{Fault, VerifyError};
use super::plan::{Plan, Step};
use super::prover::Proving;
use super::verifier::Verifying;
use super::work::Work;
use crate::graph::TensorId;
use crate::relations::Relation;

/// What one relation takes. No relation is without: what is not counted here is not bounded.
pub(super) fn work(plan: &Plan, step: &Step, relation: &Relation) -> Work {
    match step {
        Step::PublicRange => Work::default(),
        Step::InnerRange { tensor, .. } => range::work(plan, *tensor),
        Step::Requantised(step) => requantised::work(plan, step, relation),
        Step::Maximum(step) => maximum::work(plan, step, relation),
        Step::Multiset(multiset) => Work {
            // What the lookup argument compares is counted with it.
            prover: multiset.tensors().into_iter().map(|id| 60 * size(plan, id)).sum(),
            ..Work::default()
        },
        Step::Table { index, output, .. } => table::work(plan, *index, *output),
        Step::Wired { input, output, same } => wired::work(plan, *input, *output, *same),
    }
}

/// Places of a tensor, padding included.
fn size(plan: &Plan, id: TensorId) -> u64 {
    plan.tensor(id).map_or(0, |t| 1 << t.axes.arity())
}

/// Values of a tensor.
fn values(plan: &Plan, id: TensorId) -> usize {
    plan.tensor(id).map_or(0, |t| t.axes.len())
}

/// Rounds of a sum-check over a whole tensor.
fn arity(plan: &Plan, id: TensorId) -> u64 {
    plan.tensor(id).map_or(0, |t| t.axes.arity() as u64)
}

/// Checks one relation.
pub(super) fn verify(state: &mut Verifying<'_>, step: &Step, relation: &Relation) -> Result<(), VerifyError> {
    match (step, relation) {
        (Step::PublicRange | Step::Multiset(_) | Step::Table { .. }, _) => Ok(()),
        (
            Step::InnerRange {
                tensor,
                group,
                limbs,
                lo,
            },
            _,
        ) => range::verify(state, *tensor, *group, limbs, *lo),
        (Step::Requantised(step), _) => requantised::verify(state, step, relation),
        (Step::Maximum(step), Relation::Maximum { windows, .. }) => maximum::verify(state, step, windows),
        (Step::Wired { input, output, .. }, _) => {
            wired::verify(state, *input, *output, &wired::Source::of(relation))
        }
        (Step::Maximum(step), _) => Err(VerifyError::Fault(Fault::OtherStep(step.output))),
    }
}

/// Says what the verifier needs for one relation.
pub(super) fn prove(state: &mut Proving<'_>, step: &Step, relation: &Relation) {
    match (step, relation) {
        (Step::InnerRange { tensor, group, .. }, _) => range::prove(state, *tensor, *group),
        (Step::Requantised(step), _) => requantised::prove(state, step, relation),
        (Step::Maximum(step), Relation::Maximum { windows, .. }) => maximum::prove(state, step, windows),
        (Step::Wired { input, output, .. }, _) => {
            wired::prove(state, *input, *output, &wired::Source::of(relation));
        }
        (Step::PublicRange | Step::Multiset(_) | Step::Table { .. } | Step::Maximum(_), _) => {}
    }
}
