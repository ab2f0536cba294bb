//! The verifier's walk: from the lookup argument through the relations, last first, to claims on committed columns.
//!
//! It is written once: [`verify`](super::verifier::verify) walks on a proof, a plan walks on nothing to count what a proof has. So
//! a count is never another program's, and what is received depends on the plan alone.

use std::collections::BTreeMap;

use super::channel::Channel;
use super::commitment::Opened;
use super::disclosed::Derived;
use super::error::{Refutation, VerifyError};
use super::field::EF;
use super::fingerprint::Fingerprint;
use super::gkr;
use super::logup;
use super::plan::Plan;
use super::relation::Argue;
use super::verifying::Verifying;
use crate::relations::SliceRelations;

/// Walks over a plan with public values, inputs first. What remains of the channel, and what every group must open to.
///
/// # Errors
/// The first check that fails.
pub(super) fn walk<'a, C: Channel>(
    plan: &'a Plan,
    relations: &SliceRelations,
    channel: C,
    public: [&'a [&'a [i64]]; 2],
    derived: &'a Derived,
) -> Result<(C, Vec<Vec<Opened>>), VerifyError> {
    let layout = &plan.layout;
    let mut state = if layout.disclosed {
        Verifying::new(layout, channel, public, derived)
    } else {
        looked_up(plan, channel, public, derived)?
    };
    // Outputs first: each relation turns claims on what it makes into claims on what it reads.
    for (step, relation) in plan.steps.iter().zip(&relations.relations).rev() {
        step.verify(relation, &mut state)?;
    }
    state.finish()
}

/// The lookup argument.
fn looked_up<'a, C: Channel>(
    plan: &'a Plan,
    mut channel: C,
    public: [&'a [&'a [i64]]; 2],
    derived: &'a Derived,
) -> Result<Verifying<'a, C>, VerifyError> {
    let layout = &plan.layout;
    // Every looked-up cell is a row of its table …
    let fingerprint = Fingerprint::draw(&mut channel);
    let leaves = gkr::verify(&mut channel, plan.blocks.layers)?;
    // … provided that the columns have these values at its point, which the opening will show.
    let mut state = Verifying::new(layout, channel, public, derived);
    state.receive_columns(&leaves.point)?;
    let compared = layout.compared().into_iter();
    let tensors = compared
        .map(|id| Ok((id, state.compared(id, &leaves.point)?)))
        .collect::<Result<BTreeMap<_, _>, VerifyError>>()?;
    state.channel.check(Refutation::Leaves, || {
        logup::holds(
            layout,
            &plan.blocks,
            fingerprint,
            &leaves,
            &state.columns(),
            &tensors,
            |index, axes, point: &[EF]| state.output(index, axes, point),
        )
    })?;
    Ok(state)
}
