//! Products of two tensors of the slice, both committed or public before any challenge.
//!
//! Elements: `acc(ρ) = Σ_t eq(ρ, t) · left(t) · right(t)`. Matrices: `acc(ρ_i, ρ_j) = Σ_k left(ρ_i, k) · right(k, ρ_j)`. A sum-check ends
//! in one value of either factor, both of them claims on tensors whose ranges are proved, so no product wraps.
//!
//! The sum over `k` meets the factors' padding. It adds nothing, because padding is proved to be 0 (see [`super`]).

use p3_field::PrimeCharacteristicRing;
use serde::Serialize;

use super::form::lift;
use super::{Lay, claim, requantised, size};
use crate::graph::{IntRange, Requantise, TensorId};
use crate::relations::Product;
use crate::sumcheck::axes::Axes;
use crate::sumcheck::channel::Channel;
use crate::sumcheck::error::{Claim, LayoutError, VerifyError};
use crate::sumcheck::field::{EF, combine_rows, dot_integers};
use crate::sumcheck::layout::Layout;
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::shapes::{Classes, Lengths};
use crate::sumcheck::sums::{prove_sum, verify_sum, verify_weighted_sum};
use crate::sumcheck::transcript::Label;
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::{ROUND, Work};

const WEIGHTED: [Label; 2] = [Label::ProductRound, Label::ProductPoint];
const ROUNDS: [Label; 2] = [Label::Round, Label::Point];

/// The requantised product of two tensors.
#[derive(Debug, Serialize)]
pub(in crate::sumcheck) struct Stated {
    pub(super) factors: [TensorId; 2],
    pub(super) ranges: [IntRange; 2],
    pub(super) product: Product,
    pub(super) requantise: Requantise,
    pub(super) output: TensorId,
}

impl Lay for Stated {
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
        let [left, right] = self.factors;
        let made = self.product.output_len(lens.of(left)?, lens.of(right)?);
        let unfit = LayoutError::Factors {
            output: self.output.0,
        };
        Ok(Some((self.output, made.ok_or(unfit)?)))
    }

    fn join(&self, classes: &mut Classes) {
        match self.product {
            Product::Elements => self.factors.iter().for_each(|f| classes.join(*f, self.output)),
            Product::Matrix { .. } => {}
        }
    }

    fn cut(&self, classes: &mut Classes) {
        match self.product {
            Product::Elements => {}
            Product::Matrix { inner, columns, .. } => {
                let [left, right] = self.factors;
                for (id, at) in [(left, inner), (right, columns), (self.output, columns)] {
                    classes.cut(id, at as usize);
                }
            }
        }
    }

    fn keep(&self, _: &mut Classes) {}

    fn place(&self, placer: &mut Placer<'_>) -> Result<super::Placed, LayoutError> {
        let (factors, output) = (self.factors, self.output);
        placer.check_ranges(&factors, &self.ranges)?;
        let bound = self.product.bound(self.ranges);
        let mut step = requantised::place(placer, bound, self.requantise, output)?;
        let axes = [factors[0], factors[1], output].map(|id| placer.get(id).map(|t| &t.axes));
        let [left, right, to] = axes;
        step.factors = Factors::new(factors, self.product, [left?, right?, to?]);
        match step.factors {
            Some(_) => Ok(super::Placed::Requantised(step)),
            None => Err(LayoutError::Factors { output: output.0 }),
        }
    }
}

/// The accumulators.
pub(super) fn multiply(product: Product, left: &[i64], right: &[i64]) -> Vec<i64> {
    match product {
        Product::Elements => left.iter().zip(right).map(|(a, b)| a * b).collect(),
        Product::Matrix { inner, columns, .. } => {
            let mut made = Vec::new();
            for row in left.chunks(inner as usize) {
                let mut sums = vec![0; columns as usize];
                for (a, values) in row.iter().zip(right.chunks(columns as usize)) {
                    for (sum, b) in sums.iter_mut().zip(values) {
                        *sum += a * b;
                    }
                }
                made.extend(sums);
            }
            made
        }
    }
}

/// The factors of a product and where their axes are cut.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) struct Factors {
    pub(super) tensors: [TensorId; 2],
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
    pub(super) fn new(tensors: [TensorId; 2], product: Product, axes: [&Axes; 3]) -> Option<Self> {
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
    pub(super) fn rounds(&self, layout: &Layout) -> usize {
        let axes = |id| layout.tensor(id).map(|t| &t.axes);
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

pub(super) fn verify<C: Channel>(
    state: &mut Verifying<'_, C>,
    factors: &Factors,
    output: TensorId,
    point: &[EF],
    accumulator: EF,
) -> Result<(), VerifyError> {
    let [left, right] = factors.tensors;
    let wrong = Claim::Product.refuted(output);
    match &factors.shape {
        Shape::Elements => {
            let (end, chosen) = verify_weighted_sum(&mut state.channel, WEIGHTED, accumulator, point)?;
            let product = state.claim(left, &chosen)? * state.claim(right, &chosen)?;
            state.channel.check(wrong, || product == end)
        }
        Shape::Matrix { split, skip } => {
            let layout = state.layout();
            let to = layout.axes(output)?;
            let [head, rows, columns] = cut(to, split[2], skip[2], point);
            let rounds = factors.rounds(layout);
            let (end, chosen) = verify_sum(&mut state.channel, ROUNDS, accumulator, rounds)?;
            let [l, r] = points(*skip, rows, columns, &chosen);
            let product = state.claim(left, &l)? * state.claim(right, &r)?;
            // The output's filler: its values stand where those coordinates are 0.
            state.channel.check(wrong, || {
                let filled: EF = head.iter().map(|&p| EF::ONE - p).product();
                filled * product == end
            })
        }
    }
}

pub(super) fn work(layout: &Layout, step: &requantised::Placed, product: Product) -> Work {
    let terms = match product {
        Product::Elements => 1,
        Product::Matrix { inner, .. } => u64::from(inner),
    };
    let rounds = step.factors.as_ref().map_or(0, |f| f.rounds(layout) as u64);
    Work {
        prover: 100 * step.factors().map(|id| size(layout, id)).sum::<u64>()
            + terms * size(layout, step.output),
        verifier: ROUND * rounds + step.factors().map(|id| claim(layout, id)).sum::<u64>(),
        weights: 0,
    }
}

pub(super) fn prove<V: Voice>(state: &mut Proving<'_, V>, factors: &Factors, output: TensorId, point: &[EF]) {
    let [left, right] = factors.tensors;
    let layout = state.layout();
    let axes = [left, right, output].map(|id| layout.axes(id));
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
