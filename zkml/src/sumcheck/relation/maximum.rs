//! Maxima of windows, as a tournament: `m_0 = x[w_0]`, `m_k = max(m_(k−1), x[w_k])`, `z` the last.
//!
//! Committed per output and pair: `above = m_k − m_(k−1)` and `below = m_k − x[w_k]` by limbs of exact width, hence not
//! negative, with `above · below = 0`, hence one of them 0: `m_k` is at least both and equals one. Values and differences are
//! below 2^33, so nothing wraps. A window shorter than the longest repeats its last entry, which changes no maximum.

use p3_field::PrimeCharacteristicRing;

use super::super::axes::Axes;
use super::super::error::{Claim, VerifyError};
use super::super::field::EF;
use super::super::plan::{Limbs, Maximum, Plan};
use super::super::prover::Proving;
use super::super::sums::{prove_sum, verify_sum, verify_weighted_sum};
use super::super::transcript::Label;
use super::super::verifier::Verifying;
use super::super::work::{MULTIPLY, ROUND, Work, claim, opening, reading, tables};
use super::form::lift;
use super::{arity, size, values};
use crate::relations::Relation;

const PRODUCTS: [Label; 2] = [Label::ProductRound, Label::ProductPoint];
const ROUNDS: [Label; 2] = [Label::Round, Label::Point];

pub(super) fn verify(
    state: &mut Verifying<'_>,
    step: &Maximum,
    windows: &[Vec<u32>],
) -> Result<(), VerifyError> {
    let plan = state.plan();
    let (from, to) = (plan.axes(step.input)?, plan.axes(step.output)?);
    let opened = state.looked_up(step.group);
    let (point, values) = (opened.point, opened.values);
    let z = match plan.column_of(step.output) {
        Some((_, column)) => values[column],
        None => state.claim(step.output, &point)?,
    };

    // Σ_t eq(ρ, t) · Σ_k γ^k · above_k(t) · below_k(t) = 0: each product is 0 everywhere.
    let gamma = state.receiver.draw(Label::Gamma);
    let (end, chosen) = verify_weighted_sum(&mut state.receiver, PRODUCTS, EF::ZERO, &point)?;
    let factors = state.open(step.group, &step.factors(), &chosen)?;
    let (above, below) = factors.split_at(factors.len() / 2);
    let mut products = EF::ZERO;
    for (k, weight) in gamma.powers().take(step.above.len()).enumerate() {
        let part = |side: &[Limbs], values: &[EF]| {
            let width = values.len() / side.len();
            side[k].value_of(&values[k * width..(k + 1) * width])
        };
        products += weight * part(&step.above, above) * part(&step.below, below);
    }
    if products != end {
        return Err(Claim::OneOfTwo.refuted(step.output));
    }

    // m_k = z − Σ_{i > k} above_i. So entry 0 of each window is m_0, and entry k is m_k − below_k: as many linear equations
    // at ρ as there are entries, joined by powers of a new γ.
    let gamma = state.receiver.draw(Label::Gamma);
    let mut m = z - step.above.iter().map(|a| a.value(&values)).sum::<EF>();
    let (mut claim, mut weight) = (m, EF::ONE);
    for (above, below) in step.above.iter().zip(&step.below) {
        m += above.value(&values);
        weight *= gamma;
        claim += weight * (m - below.value(&values));
    }
    let (end, chosen) = verify_sum(&mut state.receiver, ROUNDS, claim, from.arity())?;
    let x = state.claim(step.input, &chosen)?;
    // Which entries stand in which window is the verifier's own knowledge; an entry is never padding.
    let weights: Vec<EF> = gamma.powers().take(step.above.len() + 1).collect();
    // The last entry of a short window stands for all that follow.
    let mut last = weights.clone();
    for k in (1..last.len()).rev() {
        let tail = last[k];
        last[k - 1] += tail;
    }
    let entries = windows.iter().map(Vec::len).sum();
    let eq = from.all().equality(&chosen, entries);
    let mut coefficient = EF::ZERO;
    to.all().equality(&point, 0).each(|t, e| {
        if let Some((end, window)) = windows[t].split_last() {
            let entries = window.iter().zip(&weights).map(|(&s, &w)| w * eq.at(s as usize));
            coefficient += e * (entries.sum::<EF>() + last[window.len()] * eq.at(*end as usize));
        }
    });
    if coefficient * x == end {
        Ok(())
    } else {
        Err(Claim::Window.refuted(step.output))
    }
}

pub(super) fn work(plan: &Plan, step: &Maximum, relation: &Relation) -> Work {
    let entries: usize = match relation {
        Relation::Maximum { windows, .. } => windows.iter().map(Vec::len).sum(),
        // No step of theirs is a maximum.
        Relation::Range { .. }
        | Relation::Requantised { .. }
        | Relation::Product { .. }
        | Relation::Read { .. }
        | Relation::Permutation { .. }
        | Relation::Table { .. }
        | Relation::Wired { .. } => 0,
    };
    let (from, to) = (values(plan, step.input), values(plan, step.output));
    let z = match plan.column_of(step.output) {
        Some(_) => 0,
        None => claim(plan, step.output),
    };
    let factors = step.factors().len();
    let open = opening(&plan.groups[step.group].axes, factors) + 3 * MULTIPLY * factors as u64;
    let rounds = arity(plan, step.output) + arity(plan, step.input);
    Work {
        prover: 130 * step.above.len() as u64 * size(plan, step.output) + 100 * size(plan, step.input),
        verifier: z
            + open
            + ROUND * rounds
            + claim(plan, step.input)
            + reading(entries, from)
            + 2 * MULTIPLY * to as u64
            + tables(to),
        weights: 0,
    }
}

/// Entry `k` of a window; the last is repeated.
pub(in super::super) fn entry(window: &[u32], k: usize) -> usize {
    window[k.min(window.len() - 1)] as usize
}

pub(super) fn prove(state: &mut Proving<'_>, step: &Maximum, windows: &[Vec<u32>]) {
    let point = state.looked_up(step.group);
    let gamma = state.sender.draw(Label::Gamma);
    let pairs = step.above.iter().zip(&step.below).zip(gamma.powers());
    let pairs = pairs.map(|((above, below), weight)| {
        let mut above = state.combine(step.group, above);
        above.iter_mut().for_each(|a| *a *= weight);
        [above, state.combine(step.group, below)]
    });
    let pairs = pairs.collect();
    let chosen = prove_sum(&mut state.sender, PRODUCTS, pairs, Some(&point));
    state.open(step.group, &step.factors(), Label::Factors, chosen);

    let gamma = state.sender.draw(Label::Gamma);
    let plan = state.plan();
    let (Ok(from), Ok(to)) = (plan.axes(step.input), plan.axes(step.output)) else {
        return;
    };
    let weights: Vec<EF> = gamma.powers().take(step.above.len() + 1).collect();
    let coefficients = coefficients(windows, &weights, &to.all().eq(&point), from);
    let x = lift(from, state.values(step.input));
    let chosen = prove_sum(&mut state.sender, ROUNDS, vec![[coefficients, x]], None);
    state.claim(step.input, &chosen);
}

/// `Σ_k γ^k Σ_{t: entry k of window t is s} eq(ρ, t)`.
fn coefficients(windows: &[Vec<u32>], weights: &[EF], eq: &[EF], from: &Axes) -> Vec<EF> {
    let mut values = EF::zero_vec(from.len());
    for (window, &e) in windows.iter().zip(eq) {
        for (k, &w) in weights.iter().enumerate() {
            values[entry(window, k)] += e * w;
        }
    }
    from.all().spread(&values)
}

impl Maximum {
    /// Columns that the product sum-check ends in: every limb of every `above`, then of every `below`.
    pub(in super::super) fn factors(&self) -> Vec<usize> {
        self.above
            .iter()
            .chain(&self.below)
            .flat_map(Limbs::columns)
            .collect()
    }
}
