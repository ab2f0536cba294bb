//! What proving and verifying a slice takes: counted from its plan, by relation, before any value.
//!
//! Invariant: the time of a verification is bounded by [`MAX_STEPS`], whatever a model says: every loop of the verifier runs as
//! often as a number of the plan says, and each is counted where it stands, by its relation's own `work`. A step is a
//! nanosecond on one core of the reference machine in the build that runs everywhere. `bars --worst` searches for the key that
//! takes longest.

use super::axes::{Axes, WHOLE_ENTRIES};
use super::error::LayoutError;
use super::logup::{Blocks, Content};
use super::plan::{Home, Plan, Second};
use super::{commitment, multiset, relation};
use crate::graph::TensorId;
use crate::relations::SliceRelations;

/// Most steps of one verification. Nothing else bounds what costs a prover no cell.
pub(super) const MAX_STEPS: u64 = 45_000_000;

/// One multiplication of extension elements, with the reads of its factors.
pub(super) const MULTIPLY: u64 = 14;
/// One round of a sum-check.
pub(super) const ROUND: u64 = 1_000;
/// One value of a public tensor: its range, its bytes, their hash.
const PUBLIC: u64 = 5;
/// A constant or public value in the MLE of a tensor.
pub(super) const VALUE: u64 = 5;
/// Entries of an equality vector that are in its tables, at most, beside one in five hundred.
const TABLE: u64 = 1 << 10;

/// What one relation takes, or a whole slice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Nanoseconds of a prover for values, sum-checks and the claims that these make.
    pub(super) prover: u64,
    /// Steps of a verifier.
    pub(super) verifier: u64,
    /// Constant coefficients, all of which a verifier reads.
    pub(super) weights: u64,
}

impl std::iter::Sum for Work {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |a, b| Self {
            prover: a.prover.saturating_add(b.prover),
            verifier: a.verifier.saturating_add(b.verifier),
            weights: a.weights.saturating_add(b.weights),
        })
    }
}

/// Steps for the tables of an equality vector over so many values.
pub(super) fn tables(values: usize) -> u64 {
    let values = values as u64;
    (values.min(TABLE) + values / (TABLE / 2)) * MULTIPLY
}

/// Steps for reading so many single entries of an equality vector over so many values. Many are read of one table, few of two.
pub(super) fn reading(entries: usize, values: usize) -> u64 {
    3 * MULTIPLY * entries as u64
        + tables(values).max(MULTIPLY * values.min(entries).min(WHOLE_ENTRIES) as u64)
}

/// Steps for the MLE of so many constants or public values at a point.
pub(super) fn evaluation(values: usize) -> u64 {
    2_000 + values as u64 * VALUE + tables(values)
}

/// Steps for one claim on a tensor: of a wiring's none, because they are counted there.
pub(super) fn claim(plan: &Plan, id: TensorId) -> u64 {
    plan.tensor(id).map_or(0, |t| match &t.home {
        Home::Input(_) | Home::Output(_) => evaluation(t.axes.len()),
        Home::Column { .. } => opening(&t.axes, 1),
        Home::Limbs { limbs, .. } => opening(&t.axes, limbs.parts.len()),
        Home::Wired => 0,
    })
}

/// Steps for the value of a tensor at the lookup argument's point: its own columns are open there.
fn comparison(plan: &Plan, id: TensorId) -> u64 {
    plan.tensor(id).map_or(0, |t| match &t.home {
        Home::Input(_) | Home::Output(_) => evaluation(t.axes.len()),
        Home::Column { .. } | Home::Limbs { .. } | Home::Wired => 0,
    })
}

/// Steps for opening some columns of a group at one more point: most are the library's own, for the transcript of an opening.
pub(super) fn opening(axes: &Axes, columns: usize) -> u64 {
    50_000 + axes.arity() as u64 * 100 + columns as u64 * 900
}

/// The work of a whole slice beyond what its commitment and its lookups take of a prover.
///
/// # Errors
/// More steps than a verifier should make.
pub(super) fn check(plan: &Plan, blocks: &Blocks, relations: &SliceRelations) -> Result<Work, LayoutError> {
    let own = Work {
        prover: openings(plan),
        verifier: common(plan, blocks),
        weights: 0,
    };
    let steps = plan.steps.iter().zip(&relations.relations);
    let parts = steps.map(|(step, relation)| relation::work(plan, step, relation));
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

/// Nanoseconds of a prover for the points at which its columns are opened.
fn openings(plan: &Plan) -> u64 {
    let group = |g: &super::plan::Group| {
        let columns: usize = g.openings.iter().map(Vec::len).sum();
        12 * ((columns as u64) << g.axes.arity())
    };
    plan.groups.iter().map(group).sum()
}

/// Steps of a verifier that belong to no relation: public values, the lookup argument, the commitment's opening.
fn common(plan: &Plan, blocks: &Blocks) -> u64 {
    let public = plan.tensors.values().map(|t| match t.home {
        Home::Input(_) | Home::Output(_) => t.axes.len() as u64 * PUBLIC,
        Home::Column { .. } | Home::Limbs { .. } | Home::Wired => 0,
    });
    let block = |block: &super::logup::Block| {
        let content = match block.content {
            Content::Cells { group, lookup } => match lookup.second {
                Second::Zero | Second::Column(_) => 0,
                Second::Output(_) => evaluation(plan.groups[group].axes.len()),
            },
            Content::Rows { .. } => 0,
            Content::Entries { side, .. } => multiset::work(plan, side),
        };
        content + (2 * blocks.layers as u64 + 10) * MULTIPLY
    };
    let layers = (blocks.layers * (blocks.layers + 3)) as u64 * ROUND;
    let groups = plan.groups.iter().map(|g| opening(&g.axes, g.columns));
    let compared = plan.compared().into_iter().map(|id| comparison(plan, id));
    let blocks: u64 = blocks.blocks.iter().map(block).sum();
    public.chain(groups).chain(compared).sum::<u64>()
        + layers
        + blocks
        + commitment::steps(commitment::stack(plan.cells()))
}
