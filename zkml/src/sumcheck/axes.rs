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

use serde::Serialize;

use super::field::{EF, F, agreement, eq_table_below, indicator};
use p3_field::PrimeCharacteristicRing;

/// Least number of coordinates of a tensor.
pub(super) const MIN_ARITY: usize = 4;

/// One axis: `len` entries on `2^log` places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Axis {
    pub(super) len: usize,
    pub(super) log: usize,
}

/// The axes of a tensor, outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
        self.equality(point, 0).dot(values)
    }

    /// [`Part::eq`] without a table of it all, for `reads` single values.
    pub(super) fn equality(self, point: &[EF], reads: usize) -> Equality {
        Equality::new(self.0, point, reads)
    }

    /// `Σ_i eq(a, place of i) · eq(b, place of i)` over values.
    pub(super) fn agreement(self, a: &[EF], b: &[EF]) -> EF {
        let mut at = 0;
        self.0
            .iter()
            .map(|axis| {
                let range = at..at + axis.log;
                at += axis.log;
                agreement(&a[range.clone()], &b[range], axis.len)
            })
            .product()
    }

    /// The axes of two tensors one after the other: those of a matrix, from those of its rows and columns.
    pub(super) fn joined(self, columns: Self) -> Axes {
        Axes([self.0, columns.0].concat())
    }

    /// The axes in two, the second spanning `values` values, where the places allow it: an axis is cut there, or may be
    /// because so many values are a power of two.
    pub(super) fn in_two(self, values: usize) -> Option<[Axes; 2]> {
        let mut inner = 1;
        for (i, axis) in self.0.iter().enumerate().rev() {
            let rest = values / inner;
            if rest * inner != values {
                return None;
            }
            if rest == 1 {
                return Some([self.0[..=i].to_vec(), self.0[i + 1..].to_vec()].map(Axes));
            }
            if rest < axis.len {
                let low = Axis {
                    len: rest,
                    log: log2_ceil(rest),
                };
                let fits = rest.is_power_of_two() && axis.len.is_multiple_of(rest);
                let high = Axis {
                    len: axis.len / rest,
                    log: axis.log.checked_sub(low.log)?,
                };
                let outer = [&self.0[..i], &[high]].concat();
                let inner = [&[low], &self.0[i + 1..]].concat();
                return fits.then_some([Axes(outer), Axes(inner)]);
            }
            inner *= axis.len;
        }
        (inner == values).then(|| [Axes(Vec::new()), Axes(self.0.to_vec())])
    }
}

/// Most entries of the inner table of an [`Equality`], and of the whole where many values of it are read.
const LOW_ENTRIES: usize = 1 << 10;
pub(super) const WHOLE_ENTRIES: usize = 1 << 16;

/// An equality vector as two short tables: value `i` has `high[…] · low[…]`. A vector of millions would have to be written
/// to memory and read again, for a hundred nanoseconds an entry.
pub(super) struct Equality {
    high: Vec<EF>,
    low: Vec<EF>,
    /// Values that the axis which is cut spans, and those of its lower part.
    span: usize,
    low_span: usize,
    /// Entries of `high` for each `span`.
    rows: usize,
}

impl Equality {
    fn new(axes: &[Axis], point: &[EF], reads: usize) -> Self {
        let len: usize = axes.iter().map(|a| a.len).product();
        let most = if len <= reads && len <= WHOLE_ENTRIES {
            WHOLE_ENTRIES
        } else {
            LOW_ENTRIES
        };
        // The innermost axes that fit, and of the next one as many coordinates as fit.
        let (mut inner, mut first) = (1, axes.len());
        while let Some(axis) = first.checked_sub(1).map(|i| axes[i])
            && inner * axis.len <= most
        {
            (inner, first) = (inner * axis.len, first - 1);
        }
        let (outer, cut) = match axes[..first].split_last() {
            Some((cut, outer)) => (outer, *cut),
            None => (&[][..], Axis { len: 1, log: 0 }),
        };
        let fits = |log: &usize| inner << log <= most;
        let low_log = (0..=cut.log).take_while(fits).last().unwrap_or(0);
        let (lower, upper) = (
            Axis {
                len: cut.len.min(1 << low_log),
                log: low_log,
            },
            Axis {
                len: cut.len.div_ceil(1 << low_log),
                log: cut.log - low_log,
            },
        );
        let (head, tail) = ([outer, &[upper]].concat(), [&[lower], &axes[first..]].concat());
        let (head_point, tail_point) = point.split_at(head.iter().map(|a| a.log).sum());
        Self {
            high: Part(&head).eq(head_point),
            low: Part(&tail).eq(tail_point),
            span: cut.len * inner,
            low_span: lower.len * inner,
            rows: upper.len,
        }
    }

    /// The entry of value `i`.
    pub(super) fn at(&self, i: usize) -> EF {
        // The outer table of a vector that fits one is of no coordinates: 1.
        if self.high.len() == 1 {
            return self.low[i];
        }
        // 32 bits are enough for a place in a tensor, and quicker to divide.
        let (i, span, low) = (i as u32, self.span as u32, self.low_span as u32);
        let (row, rest) = (i / span, i % span);
        self.high[row as usize * self.rows + (rest / low) as usize] * self.low[(rest % low) as usize]
    }

    /// Calls `visit` with every run of values that share an entry of the outer table: that entry, the first value, their
    /// number, which is at most that of the inner table.
    fn runs(&self, mut visit: impl FnMut(EF, usize, usize)) {
        let mut first = 0;
        for outer in self.high.chunks(self.rows) {
            let mut left = self.span;
            for &e in outer {
                let count = left.min(self.low_span);
                visit(e, first, count);
                (first, left) = (first + count, left - count);
            }
        }
    }

    /// Calls `visit(i, entry)` for every value in order.
    pub(super) fn each(&self, mut visit: impl FnMut(usize, EF)) {
        self.runs(|e, first, count| {
            for (i, &low) in self.low[..count].iter().enumerate() {
                visit(first + i, e * low);
            }
        });
    }

    /// `Σ_i entry_i · values_i`.
    pub(super) fn dot(&self, values: &[i64]) -> EF {
        let mut sum = EF::ZERO;
        self.runs(|e, first, count| {
            if let Some(values) = values.get(first..first + count) {
                sum += e * super::field::dot_integers(&self.low[..count], values);
            }
        });
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
            (70_000, vec![]),
            (90_000, vec![30, 9000]),
            (12_000, vec![3000]),
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
            let eq = axes.all().eq(&point);
            for reads in [0, len] {
                let equality = axes.all().equality(&point, reads);
                let singly: Vec<EF> = (0..len).map(|i| equality.at(i)).collect();
                assert_eq!(singly, eq);
                let mut each = Vec::new();
                equality.each(|i, e| each.push((i, e)));
                assert!(each.iter().map(|e| e.0).eq(0..len));
                assert!(each.iter().map(|e| &e.1).eq(&eq));
            }
            let other: Vec<EF> = point.iter().map(|&p| p * p + EF::TWO).collect();
            let both = super::super::field::dot(&eq, &axes.all().eq(&other));
            assert_eq!(axes.all().agreement(&point, &other), both);
            for values in 1..=len {
                if let Some(parts) = axes.all().in_two(values) {
                    assert_eq!(parts[1].len(), values);
                    let (head, tail) = point.split_at(parts[0].arity());
                    let columns = parts[1].all().eq(tail);
                    let rows = parts[0].all().eq(head).into_iter();
                    let product: Vec<EF> = rows.flat_map(|r| columns.iter().map(move |&c| r * c)).collect();
                    assert_eq!(product, eq);
                }
            }
        }
    }

    #[test]
    fn the_tables_of_a_long_equality_vector_are_short() {
        for cuts in [vec![], vec![1 << 11], vec![3 << 9], vec![8, 3 << 20]] {
            let axes = Axes::new(3 << 20, &cuts);
            let point = vec![EF::TWO; axes.arity()];
            let Equality { high, low, .. } = axes.all().equality(&point, 0);
            assert!(high.len() + low.len() < 1 << 13);
        }
    }

    #[test]
    fn axes_are_cut_in_two_where_places_allow_it() {
        let parts = |len, cuts: &[usize], at| {
            let parts = Axes::new(len, cuts).all().in_two(at)?;
            Some(parts.map(|a| a.len()))
        };
        assert_eq!(parts(784, &[28], 28), Some([28, 28]));
        assert_eq!(parts(784, &[], 28), None);
        assert_eq!(parts(96, &[], 32), Some([3, 32]));
        assert_eq!(parts(96, &[], 1), Some([96, 1]));
        assert_eq!(parts(96, &[], 96), Some([1, 96]));
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
