//! Wirings: `z[t] = x[source[t]]`. The output is not committed: all claims on it are joined into one on the input.

use p3_field::PrimeCharacteristicRing;
use serde::Serialize;

use super::form::lift;
use super::{Argue, Lay, Written, arity, claim, digest, size, values};
use crate::graph::{Shared, TensorId};
use crate::relations::Relation;
use crate::sumcheck::axes::Axes;
use crate::sumcheck::channel::Channel;
use crate::sumcheck::columns::{Columns, Values, values_of};
use crate::sumcheck::error::{Claim, LayoutError, ProveError, VerifyError};
use crate::sumcheck::field::EF;
use crate::sumcheck::layout::{Home, Layout};
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::shapes::{Classes, Lengths};
use crate::sumcheck::sums::{prove_sum, verify_sum};
use crate::sumcheck::transcript::{Challenges, Label};
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::{MULTIPLY, ROUND, Work, reading, tables};

const ROUNDS: [Label; 2] = [Label::Round, Label::Point];

/// Values that are moved.
#[derive(Debug, Serialize)]
pub(in crate::sumcheck) struct Stated<'a> {
    pub(super) input: TensorId,
    #[serde(serialize_with = "digest::indices")]
    pub(super) source: Option<&'a Shared<u32>>,
    pub(super) output: TensorId,
}

/// A wiring, or a maximum over windows of one entry each.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) struct Placed {
    pub(super) input: TensorId,
    pub(super) output: TensorId,
    /// The order is kept: both tensors have the same axes, so the same MLE.
    pub(super) same: bool,
    /// Else where each value comes from. It stands in the key already, with the relation.
    #[serde(skip)]
    pub(super) source: Option<Shared<u32>>,
}

/// Where each output value comes from.
enum Source<'a> {
    /// The same order, on the same axes.
    Same,
    Indices(&'a [u32]),
}

impl<'a> Source<'a> {
    fn of(placed: &'a Placed) -> Self {
        placed
            .source
            .as_ref()
            .map_or(Self::Same, |source| Self::Indices(source))
    }

    /// The index that output `t` reads.
    fn at(&self, t: usize) -> usize {
        match self {
            Self::Same => t,
            Self::Indices(source) => source[t] as usize,
        }
    }
}

impl<'a> Stated<'a> {
    pub(super) fn of(input: &TensorId, source: &'a Option<Shared<u32>>, output: &TensorId) -> Self {
        Self {
            input: *input,
            source: source.as_ref(),
            output: *output,
        }
    }
}

impl Lay for Stated<'_> {
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
        let n = lens.of(self.input)?;
        if self.source.is_some_and(|s| s.iter().any(|&i| i as usize >= n)) {
            return Err(LayoutError::Index {
                output: self.output.0,
            });
        }
        Ok(Some((self.output, self.source.map_or(n, |source| source.len()))))
    }

    fn join(&self, classes: &mut Classes) {
        if self.source.is_none() {
            classes.join(self.input, self.output);
        }
    }

    fn cut(&self, _: &mut Classes) {}

    fn keep(&self, _: &mut Classes) {}

    fn place(&self, placer: &mut Placer<'_>) -> Result<super::Placed, LayoutError> {
        let range = placer.get(self.input)?.range;
        placer.make(self.output, range, Home::Wired)?;
        Ok(super::Placed::Wired(Placed {
            input: self.input,
            output: self.output,
            same: self.source.is_none(),
            source: self.source.cloned(),
        }))
    }
}

impl Written for Placed {
    const TAG: Option<&'static str> = Some("Wired");
}

impl Argue for Placed {
    fn fill(
        &self,
        _: &Relation,
        _: &mut Columns<'_>,
        values: &Values,
    ) -> Result<Option<(TensorId, Vec<i64>)>, ProveError> {
        let x = values_of(values, self.input);
        let made = match Source::of(self) {
            Source::Same => x.to_vec(),
            Source::Indices(source) => source.iter().map(|&i| x[i as usize]).collect(),
        };
        Ok(Some((self.output, made)))
    }

    fn prove<V: Voice>(&self, _: &Relation, state: &mut Proving<'_, V>) {
        let (input, output, source) = (self.input, self.output, Source::of(self));
        let layout = state.layout();
        let (Ok(from), Ok(to)) = (layout.axes(input), layout.axes(output)) else {
            return;
        };
        let mut points = state.take_pending(output);
        if let Some(Home::Output(_)) = layout.tensor(output).map(|t| &t.home) {
            let point = state.draw_point(to.arity());
            points.push(point);
        }
        match (points.as_slice(), &source) {
            ([], _) => return,
            ([point], Source::Same) => return state.claim(input, point),
            _ => {}
        }
        let weights = state.sender.combination(points.len());
        let coefficients = coefficients(&points, &weights, &source, from, to);
        let x = lift(from, state.values(input));
        let chosen = prove_sum(&mut state.sender, ROUNDS, vec![[coefficients, x]], None);
        state.claim(input, &chosen);
    }

    fn verify<C: Channel>(&self, _: &Relation, state: &mut Verifying<'_, C>) -> Result<(), VerifyError> {
        let (input, output, source) = (self.input, self.output, Source::of(self));
        let layout = state.layout();
        let (from, to) = (layout.axes(input)?, layout.axes(output)?);
        let mut claims = state.take_pending(output);
        if let Some(Home::Output(_)) = layout.tensor(output).map(|t| &t.home) {
            // A public output that nothing looks up: its MLE, computed by the verifier, is claimed at a point drawn now.
            let point = state.draw_point(to.arity());
            let value = state.public(output, &point)?;
            claims.push((point, value));
        }
        let wrong = Claim::Wiring.refuted(output);
        let claims = match (claims.as_slice(), &source) {
            ([], _) => return Ok(()),
            // The same places: the same MLE.
            ([(point, value)], Source::Same) => {
                let x = state.claim(input, point)?;
                return state.channel.check(wrong, || x == *value);
            }
            _ => claims,
        };
        // Σ_i γ^i · claim_i is Σ_s c(s)·x(s) with c(s) = Σ_i γ^i Σ_{t: source(t) = s} eq(p_i, t).
        let weights = state.channel.combination(claims.len());
        let joined = claims
            .iter()
            .zip(&weights)
            .map(|((_, value), &w)| *value * w)
            .sum();
        let (end, chosen) = verify_sum(&mut state.channel, ROUNDS, joined, from.arity())?;
        let x = state.claim(input, &chosen)?;
        state.channel.check(wrong, || {
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
            coefficient * x == end
        })
    }

    fn work(&self, _: &Relation, layout: &Layout) -> Work {
        let (input, output, same) = (self.input, self.output, self.same);
        let claims = claims(layout, output);
        let (from, to) = (values(layout, input), values(layout, output));
        let own = match layout.tensor(output).map(|t| &t.home) {
            Some(Home::Output(_)) => claim(layout, output),
            _ => 0,
        };
        let verifier = match (claims, same) {
            (0, _) => 0,
            (1, true) => own + claim(layout, input),
            (_, true) => {
                own + claim(layout, input) + (claims as u64 * 3 * MULTIPLY + ROUND) * arity(layout, input)
            }
            (_, false) => {
                let each = tables(to) + 2 * MULTIPLY * to as u64;
                own + claim(layout, input)
                    + ROUND * arity(layout, input)
                    + claims as u64 * each
                    + reading(claims.saturating_mul(to), from)
            }
        };
        Work {
            prover: 60 * size(layout, input) + 20 * size(layout, output),
            verifier,
            weights: 0,
        }
    }
}

/// Claims on the output of a wiring that its turn settles: of a public one that at a point of the verifier's.
fn claims(layout: &Layout, output: TensorId) -> usize {
    layout.tensor(output).map_or(0, |t| match t.home {
        Home::Output(_) => 1,
        Home::Input(_) | Home::Column { .. } | Home::Limbs { .. } | Home::Wired | Home::Derived => t.claims,
    })
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
