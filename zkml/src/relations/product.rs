//! `Product`: as [`Requantised`](super::Relation::Requantised), where `acc` is a product of two tensors of the slice: element
//! by element, or of matrices.
//!
//! *Bounds:* `|acc| < 2^62` over all factors in their ranges ([`Product::bound`]). *Fixes its output:* as there. Only the
//! sum-check backend proves it.

use super::check::{CheckError, Values};
use super::requantised::requantised;
use crate::graph::bound::LIMIT;
use crate::graph::{IntRange, Requantise, TensorId};

/// How two tensors are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Product {
    /// `acc[t] = left[t] · right[t]`. Broadcasting is a wiring before it.
    Elements,
    /// `acc[i, j] = Σ_k left[i, k] · right[k, j]`, row-major.
    Matrix {
        /// Rows of `left`.
        rows: u32,
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
            Self::Matrix { rows, inner, columns } => {
                let [rows, inner, columns] = [rows, inner, columns].map(|d| d as usize);
                let fits = left > 0
                    && right > 0
                    && rows.checked_mul(inner) == Some(left)
                    && inner.checked_mul(columns) == Some(right);
                if fits { rows.checked_mul(columns) } else { None }
            }
        }
    }

    /// Greatest |accumulator|; `None` when it could reach [`LIMIT`].
    #[must_use]
    pub fn bound(self, ranges: [IntRange; 2]) -> Option<i64> {
        let terms = match self {
            Self::Elements => 1,
            Self::Matrix { inner, .. } => i64::from(inner),
        };
        let product = ranges[0].magnitude().checked_mul(ranges[1].magnitude())?;
        product.checked_mul(terms).filter(|b| *b < LIMIT)
    }
}

/// The output is what the requantisation gives for the product of the factors.
pub(super) fn check(
    values: &Values<'_>,
    factors: [TensorId; 2],
    product: Product,
    requantise: Requantise,
    output: TensorId,
) -> Result<(), CheckError> {
    let [left, right] = factors.map(|id| values.of(id));
    let accumulators = multiplied(product, left?, right?).ok_or(CheckError::Tensor(output))?;
    values.expect(output, &requantised(requantise, accumulators))
}

/// The accumulators of a product, written as its definition; `None` when a length does not fit.
fn multiplied(product: Product, left: &[i64], right: &[i64]) -> Option<Vec<i64>> {
    product.output_len(left.len(), right.len())?;
    Some(match product {
        Product::Elements => left.iter().zip(right).map(|(a, b)| a * b).collect(),
        Product::Matrix { rows, inner, columns } => {
            let (n, m) = (inner as usize, columns as usize);
            let entry = |i: usize, j: usize| (0..n).map(|k| left[i * n + k] * right[k * m + j]).sum();
            (0..rows as usize)
                .flat_map(|i| (0..m).map(move |j| (i, j)))
                .map(|(i, j)| entry(i, j))
                .collect()
        }
    })
}
