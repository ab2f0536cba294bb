//! Maxima of windows, as a tournament: `m_0 = x[w_0]`, `m_k = max(m_(k−1), x[w_k])`, `z` the last.
//!
//! Committed per output and pair: `above = m_k − m_(k−1)` and `below = m_k − x[w_k]` by limbs of exact width, hence not
//! negative, with `above · below = 0`, hence one of them 0: `m_k` is at least both and equals one. Values and differences are
//! below 2^33, so nothing wraps. A window shorter than the longest repeats its last entry, which changes no maximum.

use p3_field::PrimeCharacteristicRing;
use serde::Serialize;

use super::form::lift;
use super::{Argue, Lay, Written, arity, claim, digest, size, values, wired};
use crate::graph::{IntRange, TensorId, Windows};
use crate::relations::Relation;
use crate::sumcheck::axes::Axes;
use crate::sumcheck::channel::Channel;
use crate::sumcheck::columns::{Columns, Values, values_of};
use crate::sumcheck::error::{Claim, LayoutError, ProveError, VerifyError};
use crate::sumcheck::field::{EF, Ring};
use crate::sumcheck::layout::{Home, Layout, Limbs};
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::shapes::{Classes, Lengths};
use crate::sumcheck::sums::{prove_sum, verify_sum, verify_weighted_sum};
use crate::sumcheck::transcript::{Challenges, Label};
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::{MULTIPLY, ROUND, Work, opening, reading, tables};

const PRODUCTS: [Label; 2] = [Label::ProductRound, Label::ProductPoint];
const ROUNDS: [Label; 2] = [Label::Round, Label::Point];

/// Most pairs of a tournament: each is two limbed columns.
const MAX_ROUNDS: usize = 1 << 12;

/// The greatest value of each window.
#[derive(Debug, Serialize)]
pub(in crate::sumcheck) struct Stated<'a> {
    pub(super) input: TensorId,
    pub(super) range: IntRange,
    #[serde(serialize_with = "digest::windows")]
    pub(super) windows: &'a Windows,
    pub(super) output: TensorId,
}

/// A tournament: per pair the limbs of `m_k − m_(k−1)` and of `m_k − x`.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) struct Placed {
    pub(in crate::sumcheck) input: TensorId,
    pub(in crate::sumcheck) output: TensorId,
    pub(in crate::sumcheck) group: usize,
    pub(in crate::sumcheck) above: Vec<Limbs>,
    pub(in crate::sumcheck) below: Vec<Limbs>,
    /// They stand in the key already, with the relation.
    #[serde(skip)]
    windows: Windows,
}

impl<'a> Stated<'a> {
    pub(super) const fn of(
        input: &TensorId,
        range: &IntRange,
        windows: &'a Windows,
        output: &TensorId,
    ) -> Self {
        Self {
            input: *input,
            range: *range,
            windows,
            output: *output,
        }
    }
}

impl Lay for Stated<'_> {
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
        let n = lens.of(self.input)?;
        let inside = |w: &[u32]| !w.is_empty() && w.iter().all(|&i| (i as usize) < n);
        if self.windows.iter().all(inside) {
            Ok(Some((self.output, self.windows.len())))
        } else {
            Err(LayoutError::Index {
                output: self.output.0,
            })
        }
    }

    fn join(&self, _: &mut Classes) {}

    fn cut(&self, _: &mut Classes) {}

    fn keep(&self, _: &mut Classes) {}

    fn place(&self, placer: &mut Placer<'_>) -> Result<super::Placed, LayoutError> {
        let Self {
            input,
            range,
            windows,
            output,
        } = *self;
        if placer.get(input)?.range != range {
            return Err(LayoutError::Range { tensor: input.0 });
        }
        let rounds = windows
            .iter()
            .map(<[u32]>::len)
            .max()
            .unwrap_or(0)
            .saturating_sub(1);
        if rounds == 0 {
            // A window of one entry each: a wiring.
            placer.make(output, range, Home::Wired)?;
            return Ok(super::Placed::Wired(wired::Placed {
                input,
                output,
                same: false,
                source: Some(windows.entries().clone()),
            }));
        }
        if rounds > MAX_ROUNDS {
            return Err(LayoutError::Large {
                what: "entries in one window",
                got: rounds as u64 + 1,
                limit: MAX_ROUNDS as u64 + 1,
            });
        }
        let axes = placer.axes(output)?;
        let group = placer.open_group(&axes);
        let bits = u32::from(range.bits);
        let above = (0..rounds).map(|_| placer.limbs(group, bits)).collect();
        let below = (0..rounds).map(|_| placer.limbs(group, bits)).collect();
        let home = match placer.public(output) {
            Some(_) => Home::Wired,
            None => Home::Column {
                group,
                column: placer.column(group),
            },
        };
        placer.make(output, range, home)?;
        Ok(super::Placed::Maximum(Placed {
            input,
            output,
            group,
            above,
            below,
            windows: windows.clone(),
        }))
    }
}

impl Written for Placed {
    const TAG: Option<&'static str> = Some("Maximum");
}

impl Argue for Placed {
    fn fill(
        &self,
        _: &Relation,
        columns: &mut Columns<'_>,
        values: &Values,
    ) -> Result<Option<(TensorId, Vec<i64>)>, ProveError> {
        let windows = &self.windows;
        let x = values_of(values, self.input);
        let mut m: Vec<i64> = windows.iter().map(|w| x[entry(w, 0)]).collect();
        for (k, (above, below)) in self.above.iter().zip(&self.below).enumerate() {
            let (mut up, mut down) = (Vec::with_capacity(m.len()), Vec::with_capacity(m.len()));
            for (m, window) in m.iter_mut().zip(windows.iter()) {
                let x = x[entry(window, k + 1)];
                let next = x.max(*m);
                up.push((next - *m) as u64);
                down.push((next - x) as u64);
                *m = next;
            }
            columns.put_limbs(self.group, above, &up);
            columns.put_limbs(self.group, below, &down);
        }
        columns.put_output(self.output, &m);
        Ok(Some((self.output, m)))
    }

    fn prove<V: Voice>(&self, _: &Relation, state: &mut Proving<'_, V>) {
        let point = state.looked_up(self.group);
        let gamma = state.sender.draw(Label::Gamma);
        let pairs = self.above.iter().zip(&self.below).zip(gamma.powers());
        let pairs = pairs.map(|((above, below), weight)| {
            let mut above = state.combine(self.group, above);
            above.iter_mut().for_each(|a| *a *= weight);
            [above, state.combine(self.group, below)]
        });
        let pairs = pairs.collect();
        let chosen = prove_sum(&mut state.sender, PRODUCTS, pairs, Some(&point));
        state.open(self.group, &self.factors(), Label::Factors, chosen);

        let gamma = state.sender.draw(Label::Gamma);
        let layout = state.layout();
        let (Ok(from), Ok(to)) = (layout.axes(self.input), layout.axes(self.output)) else {
            return;
        };
        let weights: Vec<EF> = gamma.powers().take(self.above.len() + 1).collect();
        let coefficients = coefficients(&self.windows, &weights, &to.all().eq(&point), from);
        let x = lift(from, state.values(self.input));
        let chosen = prove_sum(&mut state.sender, ROUNDS, vec![[coefficients, x]], None);
        state.claim(self.input, &chosen);
    }

    fn verify<C: Channel>(&self, _: &Relation, state: &mut Verifying<'_, C>) -> Result<(), VerifyError> {
        let layout = state.layout();
        let (from, to) = (layout.axes(self.input)?, layout.axes(self.output)?);
        let opened = state.looked_up(self.group);
        let (point, values) = (opened.point, opened.values);
        let z = match layout.column_of(self.output) {
            Some((_, column)) => values[column],
            None => state.public(self.output, &point)?,
        };

        // Σ_t eq(ρ, t) · Σ_k γ^k · above_k(t) · below_k(t) = 0: each product is 0 everywhere.
        let gamma = state.channel.draw(Label::Gamma);
        let (end, chosen) = verify_weighted_sum(&mut state.channel, PRODUCTS, EF::ZERO, &point)?;
        let factors = state.open(self.group, &self.factors(), &chosen)?;
        state.channel.check(Claim::OneOfTwo.refuted(self.output), || {
            let products = self.products(&factors).zip(gamma.powers());
            products.map(|(product, weight)| weight * product).sum::<EF>() == end
        })?;

        // As many linear equations at ρ as there are entries, joined by powers of a new γ.
        let gamma = state.channel.draw(Label::Gamma);
        let claim = state.channel.compute(|| {
            let entries = self.entries(&values, z).into_iter().zip(gamma.powers());
            entries.map(|(entry, weight)| weight * entry).sum::<EF>()
        });
        let (end, chosen) = verify_sum(&mut state.channel, ROUNDS, claim, from.arity())?;
        let x = state.claim(self.input, &chosen)?;
        state.channel.check(Claim::Window.refuted(self.output), || {
            // Which entries stand in which window is the verifier's own knowledge; an entry is never padding.
            let weights: Vec<EF> = gamma.powers().take(self.above.len() + 1).collect();
            // The last entry of a short window stands for all that follow.
            let mut last = weights.clone();
            for k in (1..last.len()).rev() {
                let tail = last[k];
                last[k - 1] += tail;
            }
            let entries = self.windows.entries().len();
            let eq = from.all().equality(&chosen, entries);
            let mut coefficient = EF::ZERO;
            to.all().equality(&point, 0).each(|t, e| {
                if let Some((end, window)) = self.windows.get(t).and_then(<[u32]>::split_last) {
                    let entries = window.iter().zip(&weights).map(|(&s, &w)| w * eq.at(s as usize));
                    coefficient += e * (entries.sum::<EF>() + last[window.len()] * eq.at(*end as usize));
                }
            });
            coefficient * x == end
        })
    }

    fn work(&self, _: &Relation, layout: &Layout) -> Work {
        let entries = self.windows.entries().len();
        let (from, to) = (values(layout, self.input), values(layout, self.output));
        let z = match layout.column_of(self.output) {
            Some(_) => 0,
            None => claim(layout, self.output),
        };
        let factors = self.factors().len();
        let open = opening(&layout.groups[self.group].axes, factors) + 3 * MULTIPLY * factors as u64;
        let rounds = arity(layout, self.output) + arity(layout, self.input);
        Work {
            prover: 130 * self.above.len() as u64 * size(layout, self.output)
                + 100 * size(layout, self.input),
            verifier: z
                + open
                + ROUND * rounds
                + claim(layout, self.input)
                + reading(entries, from)
                + 2 * MULTIPLY * to as u64
                + tables(to),
            weights: 0,
        }
    }
}

/// Entry `k` of a window; the last is repeated.
fn entry(window: &[u32], k: usize) -> usize {
    window[k.min(window.len() - 1)] as usize
}

/// `Σ_k γ^k Σ_{t: entry k of window t is s} eq(ρ, t)`.
fn coefficients(windows: &Windows, weights: &[EF], eq: &[EF], from: &Axes) -> Vec<EF> {
    let mut values = EF::zero_vec(from.len());
    for (window, &e) in windows.iter().zip(eq) {
        for (k, &w) in weights.iter().enumerate() {
            values[entry(window, k)] += e * w;
        }
    }
    from.all().spread(&values)
}

/// What holds at each place, and so of MLEs at a point.
impl Placed {
    /// The entries of the window, from all columns of the group and the output's value: `m_k = z − Σ_{i > k} above_i`, so entry 0
    /// is `m_0`, and entry k is `m_k − below_k`.
    pub(in crate::sumcheck) fn entries<R: Ring>(&self, columns: &[R], z: R) -> Vec<R> {
        let mut m = z - self.above.iter().map(|a| a.value(columns)).sum::<R>();
        let mut entries = vec![m];
        for (above, below) in self.above.iter().zip(&self.below) {
            m = m + above.value(columns);
            entries.push(m - below.value(columns));
        }
        entries
    }

    /// `above_k · below_k`, each of which is 0, from the values of [`Self::factors`].
    pub(in crate::sumcheck) fn products<R: Ring>(&self, factors: &[R]) -> impl Iterator<Item = R> {
        let (above, below) = factors.split_at(factors.len() / 2);
        let part = |side: &[Limbs], k: usize, values: &[R]| {
            let width = values.len() / side.len();
            side[k].value_of(&values[k * width..(k + 1) * width])
        };
        (0..self.above.len()).map(move |k| part(&self.above, k, above) * part(&self.below, k, below))
    }

    /// Columns that the product sum-check ends in: every limb of every `above`, then of every `below`.
    pub(in crate::sumcheck) fn factors(&self) -> Vec<usize> {
        self.above
            .iter()
            .chain(&self.below)
            .flat_map(Limbs::columns)
            .collect()
    }
}
