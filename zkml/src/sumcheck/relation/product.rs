//! Products of two tensors of the slice, both committed or public before any challenge.
//!
//! Elements: `acc(ρ) = Σ_t eq(ρ, t) · left(t) · right(t)`. Matrices: `acc(ρ_i, ρ_j) = Σ_k left(ρ_i, k) · right(k, ρ_j)`. A sum-check ends
//! in one value of either factor, both of them claims on tensors whose ranges are proved, so no product wraps.
//!
//! The sum over `k` meets the factors' padding. It adds nothing, because padding is proved to be 0 (see [`super`]).

use p3_field::PrimeCharacteristicRing;
use serde::Serialize;

use super::super::axes::Axes;
use super::super::error::{Claim, VerifyError};
use super::super::field::{EF, combine_rows, dot_integers};
use super::super::plan::{Plan, Requantised};
use super::super::prover::Proving;
use super::super::sums::{prove_sum, verify_sum, verify_weighted_sum};
use super::super::transcript::Label;
use super::super::verifier::Verifying;
use super::super::work::{ROUND, Work, claim};
use super::form::lift;
use super::size;
use crate::graph::TensorId;
use crate::relations::Product;

const WEIGHTED: [Label; 2] = [Label::ProductRound, Label::ProductPoint];
const ROUNDS: [Label; 2] = [Label::Round, Label::Point];

/// The factors of a product and where their axes are cut.
#[derive(Debug, Clone, Serialize)]
pub(in super::super) struct Factors {
    pub(in super::super) tensors: [TensorId; 2],
    shape: Shape,
}

#[derive(Debug, Clone, Serialize)]
enum Shape {
    /// Equal axes.
    Elements,
    /// First axis of the inner dimension in `left`, of the columns in `right` and in the output. Before them may stand the axis
    /// that only gives a small tensor its least number of coordinates: `skip` of each, in coordinates.
    Matrix { split: [usize; 3], skip: [usize; 3] },
}

/// The axis of one value that a small tensor begins with.
fn filler(axes: &Axes) -> usize {
    usize::from(axes.count() > 0 && axes.part(0..1).len() == 1)
}

impl Factors {
    /// `axes` of left, right and output; `None` when they do not fit.
    pub(in super::super) fn new(tensors: [TensorId; 2], product: Product, axes: [&Axes; 3]) -> Option<Self> {
        let [left, right, to] = axes;
        let shape = match product {
            Product::Elements => (left == to && right == to).then_some(Shape::Elements)?,
            Product::Matrix { inner, columns, .. } => {
                let cut = |axes: &Axes, at: u32| Some(axes.cut(at as usize)?.max(filler(axes)));
                let split = [cut(left, inner)?, cut(right, columns)?, cut(to, columns)?];
                let skip = axes.map(|a| a.part(0..filler(a)).arity());
                let rows = left.part(filler(left)..split[0]) == to.part(filler(to)..split[2]);
                let middle = left.part(split[0]..left.count()) == right.part(filler(right)..split[1]);
                let last = right.part(split[1]..right.count()) == to.part(split[2]..to.count());
                (rows && middle && last).then_some(Shape::Matrix { split, skip })?
            }
        };
        Some(Self { tensors, shape })
    }

    /// Rounds of the sum-check.
    pub(in super::super) fn rounds(&self, plan: &Plan) -> usize {
        let axes = |id| plan.tensor(id).map(|t| &t.axes);
        match &self.shape {
            Shape::Elements => axes(self.tensors[0]).map_or(0, Axes::arity),
            Shape::Matrix { split, .. } => {
                axes(self.tensors[0]).map_or(0, |a| a.part(split[0]..a.count()).arity())
            }
        }
    }
}

/// The output's point, cut into the coordinates of its filler, its rows and its columns.
fn cut<'p>(to: &Axes, split: usize, skip: usize, point: &'p [EF]) -> [&'p [EF]; 3] {
    let rows = to.part(0..split).arity();
    [&point[..skip], &point[skip..rows], &point[rows..]]
}

/// Where the factors are claimed: the filler's coordinates select its one value.
fn points(skip: [usize; 3], rows: &[EF], columns: &[EF], chosen: &[EF]) -> [Vec<EF>; 2] {
    let zeros = |n| EF::zero_vec(n);
    [
        [&zeros(skip[0]), rows, chosen].concat(),
        [&zeros(skip[1]), chosen, columns].concat(),
    ]
}

pub(super) fn verify(
    state: &mut Verifying<'_>,
    factors: &Factors,
    output: TensorId,
    point: &[EF],
    accumulator: EF,
) -> Result<(), VerifyError> {
    let [left, right] = factors.tensors;
    let wrong = Claim::Product.refuted(output);
    match &factors.shape {
        Shape::Elements => {
            let (end, chosen) = verify_weighted_sum(&mut state.receiver, WEIGHTED, accumulator, point)?;
            let product = state.claim(left, &chosen)? * state.claim(right, &chosen)?;
            if product == end { Ok(()) } else { Err(wrong) }
        }
        Shape::Matrix { split, skip } => {
            let plan = state.plan();
            let to = plan.axes(output)?;
            let [head, rows, columns] = cut(to, split[2], skip[2], point);
            let rounds = factors.rounds(plan);
            let (end, chosen) = verify_sum(&mut state.receiver, ROUNDS, accumulator, rounds)?;
            let [l, r] = points(*skip, rows, columns, &chosen);
            let product = state.claim(left, &l)? * state.claim(right, &r)?;
            // The output's filler: its values stand where those coordinates are 0.
            let filled: EF = head.iter().map(|&p| EF::ONE - p).product();
            if filled * product == end {
                Ok(())
            } else {
                Err(wrong)
            }
        }
    }
}

pub(super) fn work(plan: &Plan, step: &Requantised, product: Product) -> Work {
    let terms = match product {
        Product::Elements => 1,
        Product::Matrix { inner, .. } => u64::from(inner),
    };
    let rounds = step.factors.as_ref().map_or(0, |f| f.rounds(plan) as u64);
    Work {
        prover: 100 * step.factors().map(|id| size(plan, id)).sum::<u64>() + terms * size(plan, step.output),
        verifier: ROUND * rounds + step.factors().map(|id| claim(plan, id)).sum::<u64>(),
        weights: 0,
    }
}

pub(super) fn prove(state: &mut Proving<'_>, factors: &Factors, output: TensorId, point: &[EF]) {
    let [left, right] = factors.tensors;
    let plan = state.plan();
    let axes = [left, right, output].map(|id| plan.axes(id));
    let [Ok(from), Ok(other), Ok(to)] = axes else {
        return;
    };
    let (x, y) = (state.values(left), state.values(right));
    match &factors.shape {
        Shape::Elements => {
            let pairs = vec![[lift(from, x), lift(other, y)]];
            let chosen = prove_sum(&mut state.sender, WEIGHTED, pairs, Some(point));
            state.claim(left, &chosen);
            state.claim(right, &chosen);
        }
        Shape::Matrix { split, skip } => {
            let [head, rows, columns] = cut(to, split[2], skip[2], point);
            let inner = from.part(split[0]..from.count());
            let weights = to.part(filler(to)..split[2]).eq(rows);
            let last = to.part(split[2]..to.count()).eq(columns);
            let filled: EF = head.iter().map(|&p| EF::ONE - p).product();
            let mut a = combine_rows(&weights, x, inner.len());
            a.iter_mut().for_each(|a| *a *= filled);
            let b: Vec<EF> = y.chunks(last.len()).map(|row| dot_integers(&last, row)).collect();
            let pairs = vec![[inner.spread(&a), inner.spread(&b)]];
            let chosen = prove_sum(&mut state.sender, ROUNDS, pairs, None);
            let [l, r] = points(*skip, rows, columns, &chosen);
            state.claim(left, &l);
            state.claim(right, &r);
        }
    }
}
