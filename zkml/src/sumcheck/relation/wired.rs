//! Wirings: `z[t] = x[source[t]]`. The output is not committed: all claims on it are joined into one on the input.

use p3_field::PrimeCharacteristicRing;

use super::super::axes::Axes;
use super::super::error::{Claim, VerifyError};
use super::super::field::EF;
use super::super::plan::{Home, Plan};
use super::super::prover::Proving;
use super::super::sums::{prove_sum, verify_sum};
use super::super::transcript::Label;
use super::super::verifier::Verifying;
use super::super::work::{MULTIPLY, ROUND, Work, claim, reading, tables};
use super::form::lift;
use super::{arity, size, values};
use crate::graph::TensorId;
use crate::relations::Relation;

const ROUNDS: [Label; 2] = [Label::Round, Label::Point];

/// Where each output value comes from.
pub(super) enum Source<'a> {
    /// The same order, on the same axes.
    Same,
    Indices(&'a [u32]),
    /// Windows of one entry each.
    Windows(&'a [Vec<u32>]),
}

impl<'a> Source<'a> {
    pub(super) fn of(relation: &'a Relation) -> Self {
        match relation {
            Relation::Wired {
                source: Some(source), ..
            } => Self::Indices(source),
            Relation::Maximum { windows, .. } => Self::Windows(windows),
            _ => Self::Same,
        }
    }

    /// The index that output `t` reads.
    fn at(&self, t: usize) -> usize {
        match self {
            Self::Same => t,
            Self::Indices(source) => source[t] as usize,
            Self::Windows(windows) => windows[t][0] as usize,
        }
    }
}

pub(super) fn verify(
    state: &mut Verifying<'_>,
    input: TensorId,
    output: TensorId,
    source: &Source<'_>,
) -> Result<(), VerifyError> {
    let plan = state.plan();
    let (from, to) = (plan.axes(input)?, plan.axes(output)?);
    let mut claims = state.take_pending(output);
    if let Some(Home::Output(_)) = plan.tensor(output).map(|t| &t.home) {
        // A public output that nothing looks up: its MLE, computed by the verifier, is claimed at a point drawn now.
        let point = state.draw_point(to.arity());
        let value = state.claim(output, &point)?;
        claims.push((point, value));
    }
    let wrong = Claim::Wiring.refuted(output);
    let claims = match (claims.as_slice(), source) {
        ([], _) => return Ok(()),
        // The same places: the same MLE.
        ([(point, value)], Source::Same) => {
            let x = state.claim(input, point)?;
            return if x == *value { Ok(()) } else { Err(wrong) };
        }
        _ => claims,
    };
    // Σ_i γ^i · claim_i is Σ_s c(s)·x(s) with c(s) = Σ_i γ^i Σ_{t: source(t) = s} eq(p_i, t).
    let weights = state.receiver.transcript.combination(claims.len());
    let joined = claims
        .iter()
        .zip(&weights)
        .map(|((_, value), &w)| *value * w)
        .sum();
    let (end, chosen) = verify_sum(&mut state.receiver, ROUNDS, joined, from.arity())?;
    let x = state.claim(input, &chosen)?;
    let mut coefficient = EF::ZERO;
    if matches!(source, Source::Same) {
        // Both tensors have the same axes.
        for ((point, _), weight) in claims.iter().zip(weights) {
            coefficient += weight * from.all().agreement(point, &chosen);
        }
    } else {
        let eq = from.all().equality(&chosen, claims.len() * to.len());
        for ((point, _), weight) in claims.iter().zip(weights) {
            let mut sum = EF::ZERO;
            to.all()
                .equality(point, 0)
                .each(|t, e| sum += e * eq.at(source.at(t)));
            coefficient += weight * sum;
        }
    }
    if coefficient * x == end {
        Ok(())
    } else {
        Err(wrong)
    }
}

pub(super) fn work(plan: &Plan, input: TensorId, output: TensorId, same: bool) -> Work {
    let claims = plan.wired_claims(output);
    let (from, to) = (values(plan, input), values(plan, output));
    let own = match plan.tensor(output).map(|t| &t.home) {
        Some(Home::Output(_)) => claim(plan, output),
        _ => 0,
    };
    let verifier = match (claims, same) {
        (0, _) => 0,
        (1, true) => own + claim(plan, input),
        (_, true) => own + claim(plan, input) + (claims as u64 * 3 * MULTIPLY + ROUND) * arity(plan, input),
        (_, false) => {
            let each = tables(to) + 2 * MULTIPLY * to as u64;
            own + claim(plan, input)
                + ROUND * arity(plan, input)
                + claims as u64 * each
                + reading(claims.saturating_mul(to), from)
        }
    };
    Work {
        prover: 60 * size(plan, input) + 20 * size(plan, output),
        verifier,
        weights: 0,
    }
}

pub(super) fn prove(state: &mut Proving<'_>, input: TensorId, output: TensorId, source: &Source<'_>) {
    let plan = state.plan();
    let (Ok(from), Ok(to)) = (plan.axes(input), plan.axes(output)) else {
        return;
    };
    let mut points = state.take_pending(output);
    if let Some(Home::Output(_)) = plan.tensor(output).map(|t| &t.home) {
        let point = state.draw_point(to.arity());
        points.push(point);
    }
    match (points.as_slice(), source) {
        ([], _) => return,
        ([point], Source::Same) => return state.claim(input, point),
        _ => {}
    }
    let weights = state.sender.transcript.combination(points.len());
    let coefficients = coefficients(&points, &weights, source, from, to);
    let x = lift(from, state.values(input));
    let chosen = prove_sum(&mut state.sender, ROUNDS, vec![[coefficients, x]], None);
    state.claim(input, &chosen);
}

fn coefficients(points: &[Vec<EF>], weights: &[EF], source: &Source<'_>, from: &Axes, to: &Axes) -> Vec<EF> {
    let mut values = EF::zero_vec(from.len());
    for (point, &weight) in points.iter().zip(weights) {
        for (t, e) in to.all().eq(point).into_iter().enumerate() {
            values[source.at(t)] += e * weight;
        }
    }
    from.all().spread(&values)
}
