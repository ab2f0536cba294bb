//! How many scalars a proof has: a function of the plan, so that a proof can be split before anything of it is read.

use super::super::gkr;
use super::super::logup::Blocks;
use super::super::plan::{Home, Plan, Quotient, Step};
use crate::graph::TensorId;

/// Scalars of every proof of a plan.
pub(in super::super) fn scalars(plan: &Plan, blocks: &Blocks) -> usize {
    let columns: usize = plan.groups.iter().map(|g| g.columns).sum();
    let steps: usize = plan.steps.iter().map(|step| of_step(plan, step)).sum();
    let wired = |id: &TensorId| matches!(plan.tensor(*id), Some(t) if matches!(t.home, Home::Wired));
    let compared = plan.compared().iter().filter(|id| wired(id)).count();
    gkr::scalars(blocks.layers) + columns + compared + steps
}

fn of_step(plan: &Plan, step: &Step) -> usize {
    let arity = |id: TensorId| plan.tensor(id).map_or(0, |t| t.axes.arity());
    match step {
        Step::PublicRange | Step::Multiset(_) | Step::Table { .. } => 0,
        Step::InnerRange { tensor, .. } => of_claim(plan, *tensor),
        Step::Requantised(step) => {
            let product = match &step.quotient {
                Quotient::Signed { limbs, .. } => 2 * arity(step.output) + limbs.parts.len() + 1,
                _ => 0,
            };
            let shares = if step.forms.len() > 1 { step.forms.len() } else { 0 };
            let rounds = step.forms.iter().map(|form| {
                let rounds = plan.tensor(form.input).map_or(0, |t| form.kind.rounds(&t.axes));
                2 * rounds + of_claim(plan, form.input)
            });
            let factors = step.factors.as_ref().map_or(0, |f| {
                2 * f.rounds(plan) + f.tensors.map(|id| of_claim(plan, id)).iter().sum::<usize>()
            });
            product + shares + factors + rounds.sum::<usize>()
        }
        Step::Maximum(step) => {
            2 * arity(step.output) + step.factors().len() + 2 * arity(step.input) + of_claim(plan, step.input)
        }
        Step::Wired { input, output, same } => match (plan.wired_claims(*output), same) {
            (0, _) => 0,
            (1, true) => of_claim(plan, *input),
            _ => 2 * arity(*input) + of_claim(plan, *input),
        },
    }
}

fn of_claim(plan: &Plan, id: TensorId) -> usize {
    plan.tensor(id).map_or(0, |t| match &t.home {
        Home::Input(_) | Home::Output(_) => 0,
        Home::Column { .. } | Home::Wired => 1,
        Home::Limbs { limbs, .. } => limbs.parts.len(),
    })
}
