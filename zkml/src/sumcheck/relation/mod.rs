//! The relations, each as a reduction: claims on what it makes become claims on what it reads.
//!
//! A proof walks them last first, so when a relation's turn comes every claim on its output has been made. A claim on a tensor
//! is settled where the tensor lives ([`Home`](super::plan::Home)): by the verifier itself for a public one, by the opening
//! for a committed column, by the opening of its limbs for a quotient, later in the walk for a wiring.
//!
//! Each file holds both sides of its relation; the verifier's calls nothing of the prover's.

mod conv;
pub(super) mod count;
mod dense;
pub(super) mod form;
mod general;
mod linear;
mod maximum;
mod range;
mod requantised;
mod scale;
mod wired;

use super::error::VerifyError;
use super::plan::Step;
use super::prover::Proving;
use super::verifier::Verifying;
use crate::relations::Relation;

/// Checks one relation.
pub(super) fn verify(state: &mut Verifying<'_>, step: &Step, relation: &Relation) -> Result<(), VerifyError> {
    match (step, relation) {
        (Step::PublicRange, _) => Ok(()),
        (
            Step::InnerRange {
                tensor,
                group,
                limbs,
                lo,
            },
            _,
        ) => range::verify(state, *tensor, *group, limbs, *lo),
        (Step::Requantised(step), Relation::Requantised { map, .. }) => requantised::verify(state, step, map),
        (Step::Maximum(step), Relation::Maximum { windows, .. }) => maximum::verify(state, step, windows),
        (Step::Wired { input, output, .. }, _) => {
            wired::verify(state, *input, *output, &wired::Source::of(relation))
        }
        (Step::Requantised(_) | Step::Maximum(_), _) => Err(VerifyError::Invalid("no such relation")),
    }
}

/// Says what the verifier needs for one relation.
pub(super) fn prove(state: &mut Proving<'_>, step: &Step, relation: &Relation) {
    match (step, relation) {
        (Step::InnerRange { tensor, group, .. }, _) => range::prove(state, *tensor, *group),
        (Step::Requantised(step), Relation::Requantised { map, .. }) => requantised::prove(state, step, map),
        (Step::Maximum(step), Relation::Maximum { windows, .. }) => maximum::prove(state, step, windows),
        (Step::Wired { input, output, .. }, _) => {
            wired::prove(state, *input, *output, &wired::Source::of(relation));
        }
        (Step::PublicRange | Step::Requantised(_) | Step::Maximum(_), _) => {}
    }
}
