//! The exact range of an inner tensor: `v − lo` is a sum of limbs, each looked up in the table of its exact width.
//!
//! The sum of limbs of exact widths runs over `[0, 2^bits)` and nothing else, so `v` lies in `[lo, lo + 2^bits)`. That the
//! sum is `v − lo` at the random point of the lookup argument means that it is so everywhere.

use super::super::error::{Claim, VerifyError};
use super::super::plan::{Limbs, Plan};
use super::super::prover::Proving;
use super::super::verifier::Verifying;
use super::super::work::{Work, claim};
use crate::graph::TensorId;

pub(super) fn verify(
    state: &mut Verifying<'_>,
    tensor: TensorId,
    group: usize,
    limbs: &Limbs,
    lo: i64,
) -> Result<(), VerifyError> {
    let opened = state.looked_up(group);
    let claim = state.claim(tensor, &opened.point)?;
    let ones = state.plan().groups[group].axes.all().indicator(&opened.point);
    if limbs.value(&opened.values) + ones * super::super::field::signed(lo) == claim {
        Ok(())
    } else {
        Err(Claim::Range.refuted(tensor))
    }
}

pub(super) fn work(plan: &Plan, tensor: TensorId) -> Work {
    Work {
        verifier: claim(plan, tensor),
        ..Work::default()
    }
}

pub(super) fn prove(state: &mut Proving<'_>, tensor: TensorId, group: usize) {
    let point = state.looked_up(group);
    state.claim(tensor, &point);
}
