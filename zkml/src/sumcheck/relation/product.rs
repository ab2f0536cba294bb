//! Products of two tensors of the slice, both committed or public before any challenge.
//!
//! Elements: `acc(ρ) = Σ_t eq(ρ, t) · left(t) · right(t)`. Matrices: `acc(ρ_b, ρ_i, ρ_j) = Σ_{b, k} eq(ρ_b, b) · left(b, ρ_i, k) ·
//! right(b, k, ρ_j)`. A sum-check ends in one value of either factor, both of them claims on tensors whose ranges are proved, so no
//! product wraps.
//!
//! The sum over `b` and `k` meets the factors' padding. It adds nothing, because padding is proved to be 0 (see [`super`]). For
//! the same reason the right side is 0 where the output is padded, in whichever of its axes.
//!
//! The weight of `k` is 1. An equality factor at the point ½ is 2^-1 everywhere, so that one weighted sum-check is over both: at
//! `(ρ_b, ½, …, ½)`, of the claim times 2^-|k|.

use std::ops::Range;

use p3_field::PrimeCharacteristicRing;
use serde::Serialize;

use super::form::lift;
pub(in crate::sumcheck) use super::requantised::Placed;
use super::{Lay, claim, requantised, size};
use crate::graph::{IntRange, Product, Requantise, TensorId};
use crate::sumcheck::axes::Axes;
use crate::sumcheck::channel::Channel;
use crate::sumcheck::error::{Claim, LayoutError, VerifyError};
use crate::sumcheck::field::{EF, combine_rows, dot_integers};
use crate::sumcheck::layout::Layout;
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::shapes::{Classes, Lengths};
use crate::sumcheck::sums::{prove_sum, verify_weighted_sum};
use crate::sumcheck::transcript::Label;
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::{ROUND, Work};

const ROUNDS: [Label; 2] = [Label::ProductRound, Label::ProductPoint];

/// The requantised product of two tensors.
#[derive(Debug, Serialize)]
pub(in crate::sumcheck) struct Stated<'a> {
    factors: &'a [TensorId; 2],
    ranges: &'a [IntRange; 2],
    product: &'a Product,
    requantise: &'a Requantise,
    output: &'a TensorId,
}

impl<'a> Stated<'a> {
    pub(super) const fn of(
        factors: &'a [TensorId; 2],
        ranges: &'a [IntRange; 2],
        product: &'a Product,
        requantise: &'a Requantise,
        output: &'a TensorId,
    ) -> Self {
        Self {
            factors,
            ranges,
            product,
            requantise,
            output,
        }
    }
}

impl Lay for Stated<'_> {
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
        let [left, right] = *self.factors;
        let made = self.product.output_len(lens.of(left)?, lens.of(right)?);
        let unfit = LayoutError::Factors {
            output: self.output.0,
        };
        Ok(Some((*self.output, made.ok_or(unfit)?)))
    }

    fn join(&self, classes: &mut Classes) {
        match *self.product {
            Product::Elements => self.factors.iter().for_each(|f| classes.join(*f, *self.output)),
            Product::Matrix { .. } => {}
        }
    }

    fn cut(&self, classes: &mut Classes) {
        match *self.product {
            Product::Elements => {}
            Product::Matrix {
                rows, inner, columns, ..
            } => {
                let [left, right] = *self.factors;
                let [rows, inner, columns] = [rows, inner, columns].map(|d| d as usize);
                // Lengths fit, so these products are not above them.
                for (id, of) in [
                    (left, [inner, rows]),
                    (right, [columns, inner]),
                    (*self.output, [columns, rows]),
                ] {
                    classes.cut(id, of[0]);
                    classes.cut(id, of[0] * of[1]);
                }
            }
        }
    }

    fn keep(&self, classes: &mut Classes) {
        let Product::Matrix {
            rows, inner, columns, ..
        } = *self.product
        else {
            return;
        };
        let ([left, right], made) = (*self.factors, *self.output);
        let [rows, inner, columns] = [rows, inner, columns].map(|d| d as usize);
        // Where an axis of two tensors lies in either: how many values are behind it, and with it.
        let shared = [
            [(left, inner, inner * rows), (made, columns, columns * rows)],
            [(left, 1, inner), (right, columns, columns * inner)],
            [(right, 1, columns), (made, 1, columns)],
            [
                (left, inner * rows, usize::MAX),
                (right, columns * inner, usize::MAX),
            ],
            [
                (right, columns * inner, usize::MAX),
                (made, columns * rows, usize::MAX),
            ],
            [
                (left, inner * rows, usize::MAX),
                (made, columns * rows, usize::MAX),
            ],
        ];
        for [a, b] in shared {
            for ((from, behind, with), (to, other, _)) in [(a, b), (b, a)] {
                let inside = |c: &usize| *c > behind && *c < with && c.is_multiple_of(behind);
                let cuts: Vec<usize> = classes.cuts(from).iter().copied().filter(inside).collect();
                cuts.into_iter().for_each(|c| classes.cut(to, c / behind * other));
            }
        }
    }

    fn place(&self, placer: &mut Placer<'_>) -> Result<super::Placed, LayoutError> {
        let (factors, output) = (*self.factors, *self.output);
        placer.check_ranges(&factors, self.ranges)?;
        let bound = self.product.bound(*self.ranges);
        let mut step = requantised::place(placer, bound, *self.requantise, output)?;
        let axes = [factors[0], factors[1], output].map(|id| placer.get(id).map(|t| &t.axes));
        let [left, right, to] = axes;
        step.factors = Factors::new(factors, *self.product, [left?, right?, to?]);
        match step.factors {
            Some(_) => Ok(super::Placed::Product(step)),
            None => Err(LayoutError::Factors { output: output.0 }),
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
    /// Where the axes of left, right and output are cut.
    Matrix([Cuts; 3]),
}

/// The axes of a batch of matrices. Before them may stand the axis that only gives a small tensor its least number of coordinates.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cuts {
    /// First axes of the batch, of the rows and of the columns.
    first: [usize; 3],
    count: usize,
}

impl Cuts {
    /// Of matrices of so many values and columns; `None` where the axes are not cut there.
    fn new(axes: &Axes, matrix: usize, columns: usize) -> Option<Self> {
        let batch = filler(axes);
        let cut = |at| Some(axes.cut(at)?.max(batch));
        let first = [batch, cut(matrix)?, cut(columns)?];
        Some(Self {
            first,
            count: axes.count(),
        })
    }

    fn batch(self) -> Range<usize> {
        self.first[0]..self.first[1]
    }

    fn rows(self) -> Range<usize> {
        self.first[1]..self.first[2]
    }

    fn columns(self) -> Range<usize> {
        self.first[2]..self.count
    }

    /// A point, cut into the coordinates of the filler, the batch, the rows and the columns.
    fn split<'p>(self, axes: &Axes, point: &'p [EF]) -> [&'p [EF]; 4] {
        let (head, rest) = point.split_at(axes.part(0..self.first[0]).arity());
        let (batch, rest) = rest.split_at(axes.part(self.batch()).arity());
        let (rows, columns) = rest.split_at(axes.part(self.rows()).arity());
        [head, batch, rows, columns]
    }
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
            Product::Matrix {
                rows, inner, columns, ..
            } => {
                let [rows, inner, columns] = [rows, inner, columns].map(|d| d as usize);
                let l = Cuts::new(left, inner * rows, inner)?;
                let r = Cuts::new(right, columns * inner, columns)?;
                let t = Cuts::new(to, columns * rows, columns)?;
                let batch = left.part(l.batch()) == right.part(r.batch())
                    && left.part(l.batch()) == to.part(t.batch());
                let outer = left.part(l.rows()) == to.part(t.rows())
                    && right.part(r.columns()) == to.part(t.columns());
                let middle = left.part(l.columns()) == right.part(r.rows());
                (batch && outer && middle).then_some(Shape::Matrix([l, r, t]))?
            }
        };
        Some(Self { tensors, shape })
    }

    /// Rounds of the sum-check.
    pub(super) fn rounds(&self, layout: &Layout) -> usize {
        let axes = |id| layout.tensor(id).map(|t| &t.axes);
        match &self.shape {
            Shape::Elements => axes(self.tensors[0]).map_or(0, Axes::arity),
            Shape::Matrix([left, ..]) => axes(self.tensors[0]).map_or(0, |a| {
                a.part(left.batch()).arity() + a.part(left.columns()).arity()
            }),
        }
    }
}

/// The point of a product of matrices' sum-check, and by how much its claim is greater than that on the accumulators: `filled`
/// says where the output's filler has its values, and `k` has so many coordinates.
struct Weighted {
    rho: Vec<EF>,
    filled: EF,
    share: EF,
}

impl Weighted {
    fn new(head: &[EF], batch: &[EF], inner: usize) -> Self {
        let half = EF::ONE.halve();
        Self {
            rho: [batch, &vec![half; inner]].concat(),
            filled: head.iter().map(|&p| EF::ONE - p).product(),
            share: half.exp_u64(inner as u64),
        }
    }
}

/// Where the factors are claimed: the filler's coordinates select its one value.
fn points(factors: [(&Axes, Cuts); 2], rows: &[EF], columns: &[EF], chosen: &[EF]) -> [Vec<EF>; 2] {
    let [(left, l), (right, r)] = factors;
    let filler = |axes: &Axes, cuts: Cuts| EF::zero_vec(axes.part(0..cuts.first[0]).arity());
    let (batch, inner) = chosen.split_at(left.part(l.batch()).arity());
    [
        [&filler(left, l), batch, rows, inner].concat(),
        [&filler(right, r), batch, inner, columns].concat(),
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
            let (end, chosen) = verify_weighted_sum(&mut state.channel, ROUNDS, accumulator, point)?;
            let product = state.claim(left, &chosen)? * state.claim(right, &chosen)?;
            state.channel.check(wrong, || product == end)
        }
        Shape::Matrix([l, r, t]) => {
            let layout = state.layout();
            let [from, other, to] = [layout.axes(left)?, layout.axes(right)?, layout.axes(output)?];
            let [head, batch, rows, columns] = t.split(to, point);
            let weighted = Weighted::new(head, batch, from.part(l.columns()).arity());
            let claim = accumulator * weighted.share;
            let (end, chosen) = verify_weighted_sum(&mut state.channel, ROUNDS, claim, &weighted.rho)?;
            let [at_left, at_right] = points([(from, *l), (other, *r)], rows, columns, &chosen);
            let product = state.claim(left, &at_left)? * state.claim(right, &at_right)?;
            // The output's filler: its values stand where those coordinates are 0.
            state.channel.check(wrong, || weighted.filled * product == end)
        }
    }
}

pub(super) fn work(layout: &Layout, step: &requantised::Placed, product: Product) -> Work {
    let rounds = step.factors.as_ref().map_or(0, |f| f.rounds(layout) as u64);
    Work {
        prover: 100 * step.factors().map(|id| size(layout, id)).sum::<u64>()
            + u64::from(product.terms()) * size(layout, step.output),
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
            let chosen = prove_sum(&mut state.sender, ROUNDS, pairs, Some(point));
            state.claim(left, &chosen);
            state.claim(right, &chosen);
        }
        Shape::Matrix([l, r, t]) => {
            let [head, batch, rows, columns] = t.split(to, point);
            let inner = from.part(l.columns());
            let weighted = Weighted::new(head, batch, inner.arity());
            // Both folded to `[batch, inner]`.
            let (eq_rows, eq_columns) = (to.part(t.rows()).eq(rows), to.part(t.columns()).eq(columns));
            let matrices = x.chunks(eq_rows.len() * inner.len());
            let mut a: Vec<EF> = matrices
                .flat_map(|matrix| combine_rows(&eq_rows, matrix, inner.len()))
                .collect();
            a.iter_mut().for_each(|a| *a *= weighted.filled);
            let lines = y.chunks(eq_columns.len());
            let b: Vec<EF> = lines.map(|line| dot_integers(&eq_columns, line)).collect();
            let axes = from.part(l.batch()).joined(inner);
            let pairs = vec![[axes.all().spread(&a), axes.all().spread(&b)]];
            let chosen = prove_sum(&mut state.sender, ROUNDS, pairs, Some(&weighted.rho));
            let [at_left, at_right] = points([(from, *l), (other, *r)], rows, columns, &chosen);
            state.claim(left, &at_left);
            state.claim(right, &at_right);
        }
    }
}
