//! Requantised linear maps and products. The accumulator is not committed: it is a linear function of limbs, so its MLE at the point of the
//! lookup argument follows from the limbs' claims there.
//!
//! `acc + 2^(S−1) + 2^(bits−1+S) = q' · 2^S + remainder` with `q' = q + 2^(bits−1)` in `[0, 2^bits)` and `remainder` in `[0, 2^S)`,
//! both by limbs of exact width. The decomposition of a number below 2^(bits+S) ≤ 2^62 is unique, and `acc` is below 2^62 in
//! absolute value, so equality modulo p is equality of integers and `q` is the one that the relation defines.

use super::super::error::{Claim, Fault, VerifyError};
use super::super::field::{EF, power_of_two, signed};
use super::super::plan::{Limbs, Plan, Quotient, Requantised};
use super::super::prover::Proving;
use super::super::sums::{prove_sum, verify_weighted_sum};
use super::super::transcript::Label;
use super::super::verifier::Verifying;
use super::super::work::{ROUND, Work, claim, opening};
use super::form::bias_at;
use super::{arity, linear, product, size};
use crate::relations::Relation;

const ROUNDS: [Label; 2] = [Label::ProductRound, Label::ProductPoint];

pub(super) fn verify(
    state: &mut Verifying<'_>,
    step: &Requantised,
    relation: &Relation,
) -> Result<(), VerifyError> {
    let axes = state.plan().axes(step.output)?;
    let (shift, half) = (
        u32::from(step.requantise.shift),
        signed(1 << (step.requantise.bits - 1)),
    );
    // Where nothing is looked up there is no point yet. It is drawn here, after the commitment: an output whose accumulators
    // are wrong anywhere is wrong at it with probability ≥ 1 − arity/|EF|.
    let (point, values) = match step.group {
        Some(group) => {
            let opened = state.looked_up(group);
            (opened.point, opened.values)
        }
        None => (state.draw_point(axes.arity()), Vec::new()),
    };
    let ones = axes.all().indicator(&point);
    let quotient = match &step.quotient {
        Quotient::Limbs(limbs) => limbs.value(&values),
        // A public quotient, whose range the verifier has checked, is its own proof of range.
        Quotient::Public => state.claim(step.output, &point)? + ones * half,
        // (q', z) was looked up together: z is the rectified q.
        Quotient::Activation { column } => values[*column],
        Quotient::Signed { limbs, sign } => {
            verify_sign(state, step, limbs, *sign, &point, &values)?;
            limbs.value(&values)
        }
    };
    let rounding = if shift == 0 { 0 } else { 1 << (shift - 1) };
    let expressed = step.remainder.value(&values) + quotient * power_of_two(shift);
    let offset = half * power_of_two(shift) + signed(rounding);
    let accumulator = expressed - ones * offset;
    match (relation, &step.factors, step.forms.first()) {
        (Relation::Requantised { map, .. }, None, Some(form)) => {
            let target = accumulator - bias_at(map, &form.kind, axes, &point);
            linear::verify(state, step, map, &point, target)
        }
        (Relation::Product { .. }, Some(factors), _) => {
            product::verify(state, factors, step.output, &point, accumulator)
        }
        _ => Err(VerifyError::Fault(Fault::OtherStep(step.output))),
    }
}

pub(super) fn work(plan: &Plan, step: &Requantised, relation: &Relation) -> Work {
    let own = match &step.quotient {
        Quotient::Limbs(_) | Quotient::Activation { .. } => Work::default(),
        Quotient::Public => Work {
            verifier: claim(plan, step.output),
            ..Work::default()
        },
        Quotient::Signed { limbs, .. } => {
            let z = match plan.column_of(step.output) {
                Some(_) => 0,
                None => claim(plan, step.output),
            };
            let axes = plan.tensor(step.output).map(|t| &t.axes);
            let factors = axes.map_or(0, |axes| opening(axes, limbs.parts.len() + 1));
            Work {
                prover: 100 * size(plan, step.output),
                verifier: z + factors + ROUND * arity(plan, step.output),
                weights: 0,
            }
        }
    };
    let accumulator = match relation {
        Relation::Requantised { map, .. } => linear::work(plan, step, map),
        Relation::Product { product, .. } => product::work(plan, step, *product),
        // No step of theirs is a requantisation.
        Relation::Range { .. }
        | Relation::Maximum { .. }
        | Relation::Read { .. }
        | Relation::Permutation { .. }
        | Relation::Table { .. }
        | Relation::Wired { .. } => Work::default(),
    };
    [own, accumulator].into_iter().sum()
}

/// `z = sign · q` everywhere, where `sign` was looked up with the top limb of `q'`: 1 exactly if `q ≥ 0`.
fn verify_sign(
    state: &mut Verifying<'_>,
    step: &Requantised,
    limbs: &Limbs,
    sign: usize,
    point: &[EF],
    values: &[EF],
) -> Result<(), VerifyError> {
    let Some(group) = step.group else {
        return Err(VerifyError::Fault(Fault::OtherStep(step.output)));
    };
    // z at the point of the lookup argument: the column's claim, or the verifier's own.
    let z = match state.plan().column_of(step.output) {
        Some((_, column)) => values[column],
        None => state.claim(step.output, point)?,
    };
    // Σ_t eq(ρ, t) · sign(t) · q(t) = z(ρ): equality at a random ρ is equality everywhere.
    let (end, chosen) = verify_weighted_sum(&mut state.receiver, ROUNDS, z, point)?;
    let columns: Vec<_> = limbs.columns().chain([sign]).collect();
    let factors = state.open(group, &columns, &chosen)?;
    let half = signed(1 << (step.requantise.bits - 1));
    let (sign, parts) = factors
        .split_last()
        .ok_or(VerifyError::Fault(Fault::OtherStep(step.output)))?;
    if *sign * (limbs.value_of(parts) - half) == end {
        Ok(())
    } else {
        Err(Claim::Rectified.refuted(step.output))
    }
}

pub(super) fn prove(state: &mut Proving<'_>, step: &Requantised, relation: &Relation) {
    let point = match step.group {
        Some(group) => state.looked_up(group),
        None => {
            let arity = state.plan().axes(step.output).map_or(0, |a| a.arity());
            state.draw_point(arity)
        }
    };
    if let (Quotient::Signed { limbs, sign }, Some(group)) = (&step.quotient, step.group) {
        let lift = |column| {
            state
                .column(group, column)
                .iter()
                .map(|&v| EF::from(v))
                .collect::<Vec<_>>()
        };
        let mut quotient = state.combine(group, limbs);
        let half = signed(1 << (step.requantise.bits - 1));
        quotient.iter_mut().for_each(|q| *q -= half);
        let pairs = vec![[lift(*sign), quotient]];
        let chosen = prove_sum(&mut state.sender, ROUNDS, pairs, Some(&point));
        let columns: Vec<_> = limbs.columns().chain([*sign]).collect();
        state.open(group, &columns, Label::Factors, chosen);
    }
    match (relation, &step.factors) {
        (Relation::Requantised { map, .. }, None) => linear::prove(state, step, map, &point),
        (_, Some(factors)) => product::prove(state, factors, step.output, &point),
        _ => {}
    }
}
