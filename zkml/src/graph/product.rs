//! Products of two tensors: what fits, how long results are, and the products themselves as plain loops.
//!
//! Invariant: after [`Product::output_len`] gave a length, no index that [`Product::accumulate`] forms is out of bounds, whatever
//! the numbers (they may come from an untrusted file); after [`Product::bound`] gave one, no partial sum overflows.

use std::ops::{AddAssign, Mul};

use serde::{Deserialize, Serialize};

use super::bound::LIMIT;
use super::tensor::IntRange;

/// How two tensors are multiplied. Shapes are views: only lengths must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Product {
    /// `acc[t] = left[t] · right[t]`. Broadcasting is a wiring before it.
    Elements,
    /// `acc[b, i, j] = Σ_k left[b, i, k] · right[b, k, j]`, row-major.
    Matrix {
        /// Rows of `left`.
        rows: u32,
        /// Number of matrices on either side.
        batch: u32,
        /// Columns of `left`, rows of `right`.
        inner: u32,
        /// Columns of `right`.
        columns: u32,
    },
}

impl Product {
    /// The length of the product of tensors of these lengths, when they fit.
    #[must_use]
    pub fn output_len(self, left: usize, right: usize) -> Option<usize> {
        match self {
            Self::Elements => (left == right).then_some(left),
            Self::Matrix {
                rows,
                batch,
                inner,
                columns,
            } => {
                let of = |dims: [u32; 3]| {
                    let dims = dims.into_iter().map(|d| d as usize);
                    dims.into_iter().try_fold(1usize, usize::checked_mul)
                };
                let fits = left > 0
                    && right > 0
                    && of([batch, rows, inner]) == Some(left)
                    && of([batch, inner, columns]) == Some(right);
                if fits { of([batch, rows, columns]) } else { None }
            }
        }
    }

    /// Number of products that are added up for one value.
    #[must_use]
    pub fn terms(self) -> u32 {
        match self {
            Self::Elements => 1,
            Self::Matrix { inner, .. } => inner,
        }
    }

    /// Greatest |accumulator| over all factors in their ranges; `None` when it could reach [`LIMIT`].
    #[must_use]
    pub fn bound(self, ranges: [IntRange; 2]) -> Option<i64> {
        let product = ranges[0].magnitude().checked_mul(ranges[1].magnitude())?;
        product
            .checked_mul(i64::from(self.terms()))
            .filter(|b| *b < LIMIT)
    }

    /// The accumulators of two flat tensors that fit. The order of additions is fixed, so that floats give one result.
    #[must_use]
    pub fn accumulate<T>(self, left: &[T], right: &[T]) -> Vec<T>
    where
        T: Copy + Default + AddAssign + Mul<Output = T>,
    {
        match self {
            Self::Elements => left.iter().zip(right).map(|(&a, &b)| a * b).collect(),
            Self::Matrix {
                rows,
                batch,
                inner,
                columns,
            } => {
                let [rows, batch, inner, columns] = [rows, batch, inner, columns].map(|d| d as usize);
                let mut made = vec![T::default(); batch * rows * columns];
                for (at, sums) in made.chunks_exact_mut(columns).enumerate() {
                    let row = &left[at * inner..(at + 1) * inner];
                    let matrix = &right[at / rows * inner * columns..(at / rows + 1) * inner * columns];
                    for (&a, values) in row.iter().zip(matrix.chunks_exact(columns)) {
                        for (sum, &b) in sums.iter_mut().zip(values) {
                            *sum += a * b;
                        }
                    }
                }
                made
            }
        }
    }
}
