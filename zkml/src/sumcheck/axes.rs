//! How the values of a tensor lie on a boolean cube.
//!
//! A tensor's row-major values are viewed with some axes, each padded to a power of two on its own, so that a contraction
//! or a convolution over an axis is one over whole coordinates of a point. A tensor has at least [`MIN_ARITY`]
//! coordinates, because the commitment folds that many at once.
//!
//! Invariant: the values of a tensor occupy distinct places, and every other place is padding. Coefficients are 0 where they
//! meet padding, since the equality vectors here run over values only; where a sum-check does meet it, padding is proved to be
//! 0 (see [`super::relation`]).

use std::ops::Range;

use super::field::{EF, F, eq_table_below, indicator};
use p3_field::PrimeCharacteristicRing;

/// Least number of coordinates of a tensor.
pub(super) const MIN_ARITY: usize = 4;

/// Coordinates of the inner of two tables that a long axis is evaluated with.
const LOW_COORDINATES: usize = 9;

/// One axis: `len` entries on `2^log` places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) len: usize,
    pub(super) log: usize,
}

/// The axes of a tensor, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axes(Vec<Axis>);

/// What a suffix of axes spans: coordinates of a point and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a>(&'a [Axis]);

impl Axes {
    /// Axes of a tensor of `len` values, cut where a suffix of axes spans one of `cuts` values. Cuts ascend, each divides
    /// the next, the last divides `len`.
    pub(super) fn new(len: usize, cuts: &[usize]) -> Self {
        let mut axes = Vec::new();
        let mut inner = 1;
        for &cut in cuts.iter().chain([&len]) {
            if cut > inner {
                let extent = cut / inner;
                axes.push(Axis {
                    len: extent,
                    log: log2_ceil(extent),
                });
                inner = cut;
            }
        }
        let arity: usize = axes.iter().map(|a| a.log).sum();
        if arity < MIN_ARITY {
            axes.push(Axis {
                len: 1,
                log: MIN_ARITY - arity,
            });
        }
        axes.reverse();
        Self(axes)
    }

    /// Number of coordinates.
    pub(super) fn arity(&self) -> usize {
        self.part(0..self.0.len()).arity()
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.part(0..self.0.len()).len()
    }

    /// Number of axes.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// All axes.
    pub(super) fn all(&self) -> Part<'_> {
        Part(&self.0)
    }

    /// Some of the axes.
    pub(super) fn part(&self, range: Range<usize>) -> Part<'_> {
        Part(&self.0[range])
    }

    /// The first axis from which on `values` values are spanned, if axes are cut there.
    pub(super) fn cut(&self, values: usize) -> Option<usize> {
        let mut inner = 1;
        let mut found = (values == 1).then_some(self.0.len());
        for (i, axis) in self.0.iter().enumerate().rev() {
            inner *= axis.len;
            if inner == values {
                found = Some(i);
            }
        }
        found
    }

    /// The coordinates of a point that belong to axes before, in and after a range.
    pub(super) fn split<'p>(&self, point: &'p [EF], range: Range<usize>) -> [&'p [EF]; 3] {
        let before = self.part(0..range.start).arity();
        let within = self.part(range).arity();
        let (head, tail) = point.split_at(before);
        let (middle, tail) = tail.split_at(within);
        [head, middle, tail]
    }

    /// Values on the cube, 0 on padding.
    pub(super) fn scatter(&self, values: &[i64]) -> Vec<F> {
        let mut cube = F::zero_vec(1 << self.arity());
        self.scatter_with(values, super::field::signed, &mut cube);
        cube
    }

    /// Writes each value's image to its place.
    pub(super) fn scatter_with<T: Copy, U>(&self, values: &[T], image: impl Fn(T) -> U, cube: &mut [U]) {
        let run = self.0.last().map_or(1, |a| a.len);
        for (at, row) in self.runs().zip(values.chunks(run)) {
            for (place, &value) in cube[at..].iter_mut().zip(row) {
                *place = image(value);
            }
        }
    }

    /// The place of each run of values of the last axis.
    fn runs(&self) -> impl Iterator<Item = usize> + '_ {
        let (outer, log) = match self.0.split_last() {
            Some((last, outer)) => (outer, last.log),
            None => (&self.0[..], 0),
        };
        let count: usize = outer.iter().map(|a| a.len).product();
        (0..count).map(move |mut row| {
            let (mut place, mut shift) = (0, log);
            for axis in outer.iter().rev() {
                place |= (row % axis.len) << shift;
                row /= axis.len;
                shift += axis.log;
            }
            place
        })
    }
}

impl Part<'_> {
    /// The same axes on their own, without the coordinates that a whole tensor has at least.
    pub(super) fn to_axes(self) -> Axes {
        Axes(self.0.to_vec())
    }

    pub(super) fn arity(self) -> usize {
        self.0.iter().map(|a| a.log).sum()
    }

    /// Coefficients on the cube, 0 on padding.
    pub(super) fn spread(self, values: &[EF]) -> Vec<EF> {
        let mut cube = EF::zero_vec(1 << self.arity());
        self.to_axes().scatter_with(values, |v| v, &mut cube);
        cube
    }

    pub(super) fn len(self) -> usize {
        self.0.iter().map(|a| a.len).product()
    }

    /// `eq(point, place of i)` for each value `i`.
    pub(super) fn eq(self, point: &[EF]) -> Vec<EF> {
        let mut vector = vec![EF::ONE];
        let mut at = 0;
        for axis in self.0 {
            let table = eq_table_below(&point[at..at + axis.log], axis.len);
            at += axis.log;
            vector = if vector.len() == 1 && vector[0] == EF::ONE {
                table
            } else {
                vector
                    .iter()
                    .flat_map(|&v| table.iter().map(move |&t| v * t))
                    .collect()
            };
        }
        vector
    }

    /// `Σ_i eq(point, place of i)`: 1 on values, 0 on padding, extended.
    pub(super) fn indicator(self, point: &[EF]) -> EF {
        let mut at = 0;
        self.0
            .iter()
            .map(|axis| {
                at += axis.log;
                indicator(&point[at - axis.log..at], axis.len)
            })
            .product()
    }

    /// The MLE of values, 0 on padding, at a point.
    pub(super) fn evaluate(self, point: &[EF], values: &[i64]) -> EF {
        let Some((last, outer)) = self.0.split_last() else {
            return values
                .first()
                .map_or(EF::ZERO, |&v| EF::from(super::field::signed(v)));
        };
        let (head, tail) = point.split_at(point.len() - last.log);
        // A long axis is cut once more, so that two short tables do for its equality vector.
        let low = last.log.min(LOW_COORDINATES);
        let (middle, tail) = tail.split_at(last.log - low);
        let row = eq_table_below(tail, last.len.min(1 << low));
        let rows = eq_table_below(middle, last.len.div_ceil(1 << low));
        let mut sum = EF::ZERO;
        for (weight, values) in Part(outer).eq(head).into_iter().zip(values.chunks(last.len)) {
            let parts = rows.iter().zip(values.chunks(1 << low));
            sum += weight
                * parts
                    .map(|(&e, v)| e * super::field::dot_integers(&row, v))
                    .sum::<EF>();
        }
        sum
    }
}

/// Least `log` with `2^log ≥ n`.
pub(super) fn log2_ceil(n: usize) -> usize {
    n.max(1).next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::super::field::{dot_base, eq_table, signed};
    use super::*;

    #[test]
    fn every_value_has_its_own_place_and_padding_is_zero() {
        for (len, cuts) in [
            (1, vec![]),
            (12, vec![4]),
            (30, vec![3, 15]),
            (5, vec![]),
            (64, vec![8, 32]),
            (7, vec![7]),
            (3000, vec![1500]),
        ] {
            let axes = Axes::new(len, &cuts);
            assert_eq!(axes.len(), len);
            assert!(axes.arity() >= MIN_ARITY);
            let values: Vec<i64> = (1..=len as i64).map(|v| 3 - 2 * v).collect();
            let cube = axes.scatter(&values);
            assert_eq!(cube.iter().filter(|v| **v != F::ZERO).count(), len);
            let point: Vec<EF> = (0..axes.arity())
                .map(|i| EF::from(F::from_usize(i * 77 + 5)))
                .collect();
            let expected = dot_base(&eq_table(&point), &cube);
            assert_eq!(axes.all().evaluate(&point, &values), expected);
            let sparse: EF = axes
                .all()
                .eq(&point)
                .iter()
                .zip(&values)
                .map(|(&e, &v)| e * signed(v))
                .sum();
            assert_eq!(sparse, expected);
            let ones = axes.all().evaluate(&point, &vec![1; len]);
            assert_eq!(axes.all().indicator(&point), ones);
        }
    }

    #[test]
    fn cuts_are_found_where_axes_are_cut() {
        let axes = Axes::new(60, &[4, 20]);
        assert_eq!(
            [axes.cut(1), axes.cut(4), axes.cut(20), axes.cut(60)],
            [Some(3), Some(2), Some(1), Some(0)]
        );
        assert_eq!(axes.cut(5), None);
    }
}
