//! What proving and verifying a slice takes: counted from its plan, by relation, before any value.
//!
//! Invariant: the time of a verification is bounded by [`MAX_STEPS`], whatever a model says: every loop of the verifier runs as
//! often as a number of the plan says, and each is counted where it stands, by its relation's own `work`. A step is a
//! nanosecond on one core of the reference machine in the build that runs everywhere. `bars --worst` searches for the key that
//! takes longest.

use super::error::LayoutError;
use super::layout::{Home, Layout, Second};
use super::logup::{Blocks, Content};
use super::plan::Plan;
use super::relation::Argue;
use super::work::{MULTIPLY, ROUND, Work, evaluation, opening};
use super::{commitment, multiset};
use crate::graph::TensorId;
use crate::relations::SliceRelations;

/// Most steps of one verification. Nothing else bounds what costs a prover no cell.
pub(super) const MAX_STEPS: u64 = 45_000_000;

/// One value of a public tensor: its range, its bytes, their hash.
const PUBLIC: u64 = 5;

/// The work of a whole slice beyond what its commitment and its lookups take of a prover.
///
/// # Errors
/// More steps than a verifier should make.
pub(super) fn check(plan: &Plan, relations: &SliceRelations) -> Result<Work, LayoutError> {
    let own = Work {
        prover: openings(&plan.layout),
        verifier: common(&plan.layout, &plan.blocks),
        weights: 0,
    };
    let steps = plan.steps.iter().zip(&relations.relations);
    let parts = steps.map(|(step, relation)| step.work(relation, &plan.layout));
    let work: Work = parts.chain([own]).sum();
    if work.verifier > MAX_STEPS {
        return Err(LayoutError::Large {
            what: "steps of a verifier",
            got: work.verifier,
            limit: MAX_STEPS,
        });
    }
    Ok(work)
}

/// Steps for the value of a tensor at the lookup argument's point: its own columns are open there.
fn comparison(layout: &Layout, id: TensorId) -> u64 {
    layout.tensor(id).map_or(0, |t| match &t.home {
        Home::Input(_) | Home::Output(_) => evaluation(t.axes.len()),
        Home::Column { .. } | Home::Limbs { .. } | Home::Wired | Home::Derived => 0,
    })
}

/// Nanoseconds of a prover for the points at which its columns are opened.
fn openings(layout: &Layout) -> u64 {
    let group = |g: &super::layout::Group| {
        let columns: usize = g.openings.iter().map(Vec::len).sum();
        12 * ((columns as u64) << g.axes.arity())
    };
    layout.groups.iter().map(group).sum()
}

/// Steps of a verifier that belong to no relation: public values, the lookup argument, the commitment's opening.
fn common(layout: &Layout, blocks: &Blocks) -> u64 {
    let public = layout.tensors.values().map(|t| match t.home {
        Home::Input(_) | Home::Output(_) => t.axes.len() as u64 * PUBLIC,
        Home::Column { .. } | Home::Limbs { .. } | Home::Wired | Home::Derived => 0,
    });
    if layout.disclosed {
        return public.sum();
    }
    let block = |block: &super::logup::Block| {
        let content = match block.content {
            Content::Cells { group, lookup } => match lookup.second {
                Second::Zero | Second::Column(_) => 0,
                Second::Output(_) => evaluation(layout.groups[group].axes.len()),
            },
            Content::Rows { .. } => 0,
            Content::Entries { side, .. } => multiset::work(layout, side),
        };
        content + (2 * blocks.layers as u64 + 10) * MULTIPLY
    };
    let layers = (blocks.layers * (blocks.layers + 3)) as u64 * ROUND;
    let groups = layout.groups.iter().map(|g| opening(&g.axes, g.columns));
    let compared = layout.compared().into_iter().map(|id| comparison(layout, id));
    let blocks: u64 = blocks.blocks.iter().map(block).sum();
    public.chain(groups).chain(compared).sum::<u64>()
        + layers
        + blocks
        + commitment::steps(commitment::stack(layout.cells()))
}
