//! A linear map of one or several inputs: the claim on its accumulators is split among the inputs, and each share becomes a
//! claim on that input.

use super::super::error::{Claim, VerifyError};
use super::super::field::EF;
use super::super::plan::{Plan, Requantised};
use super::super::prover::Proving;
use super::super::sums::{prove_sum, verify_sum};
use super::super::transcript::Label;
use super::super::verifier::Verifying;
use super::super::work::{ROUND, Work, claim};
use super::form::{Reading, bias_steps};
use super::{size, values};
use crate::graph::LinearMap;

const ROUNDS: [Label; 2] = [Label::Round, Label::Point];

/// `target` is what the accumulators without their biases are said to be at `point`.
pub(super) fn verify(
    state: &mut Verifying<'_>,
    step: &Requantised,
    map: &LinearMap,
    point: &[EF],
    target: EF,
) -> Result<(), VerifyError> {
    // Σ shares = target: the map is the sum of what each input contributes. A single share is the target itself.
    let shares = if step.forms.len() == 1 {
        vec![target]
    } else {
        let shares = state.receiver.receive(Label::Contributions, step.forms.len())?;
        if shares.iter().copied().sum::<EF>() != target {
            return Err(Claim::Shares.refuted(step.output));
        }
        shares
    };
    let plan = state.plan();
    for (index, (form, share)) in step.forms.iter().zip(shares).enumerate() {
        let (from, to) = (plan.axes(form.input)?, plan.axes(step.output)?);
        let reading = Reading {
            map,
            index,
            kind: &form.kind,
            from,
            to,
        };
        // The share is Σ_s c(s)·x(s); its sum-check ends in c(r)·x(r) …
        let (end, chosen) = verify_sum(&mut state.receiver, ROUNDS, share, form.kind.rounds(from))?;
        let x = state.claim(form.input, &reading.input_point(point, &chosen))?;
        // … of which c(r) is the verifier's own: no weight comes from the proof.
        if reading.coefficient_at(point, &chosen) * x != end {
            return Err(Claim::Map.refuted(step.output));
        }
    }
    Ok(())
}

pub(super) fn work(plan: &Plan, step: &Requantised, map: &LinearMap) -> Work {
    let output = values(plan, step.output);
    let mut work = Work {
        prover: map.multiplications(output) + 5 * map.weight().len() as u64,
        verifier: 0,
        weights: map.weight().len() as u64,
    };
    for (index, form) in step.forms.iter().enumerate() {
        let (Ok(from), Ok(to)) = (plan.axes(form.input), plan.axes(step.output)) else {
            continue;
        };
        let reading = Reading {
            map,
            index,
            kind: &form.kind,
            from,
            to,
        };
        work.prover += 40 * size(plan, form.input);
        work.verifier += ROUND * form.kind.rounds(from) as u64 + claim(plan, form.input) + reading.steps();
        if index == 0 {
            work.verifier += bias_steps(map, &form.kind, to);
        }
    }
    work
}

pub(super) fn prove(state: &mut Proving<'_>, step: &Requantised, map: &LinearMap, point: &[EF]) {
    let plan = state.plan();
    let factors: Vec<_> = step
        .forms
        .iter()
        .enumerate()
        .filter_map(|(index, form)| {
            let (from, to) = (plan.axes(form.input).ok()?, plan.axes(step.output).ok()?);
            let reading = Reading {
                map,
                index,
                kind: &form.kind,
                from,
                to,
            };
            Some((form, reading, reading.factors(point, state.values(form.input))))
        })
        .collect();
    if factors.len() > 1 {
        let shares: Vec<EF> = factors
            .iter()
            .map(|(_, _, (c, x))| super::super::field::dot(c, x))
            .collect();
        state.sender.send(Label::Contributions, &shares);
    }
    for (form, reading, (c, x)) in factors {
        let chosen = prove_sum(&mut state.sender, ROUNDS, vec![[c, x]], None);
        state.claim(form.input, &reading.input_point(point, &chosen));
    }
}
