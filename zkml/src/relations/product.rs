//! `Product`: as [`Requantised`](super::Relation::Requantised), where `acc` is a product of two tensors of the slice: element
//! by element, or of matrices, one for each place of a batch.
//!
//! *Bounds:* `|acc| < 2^62` over all factors in their ranges ([`Product::bound`]). *Fixes its output:* as there. Only the
//! sum-check backend proves it.

use super::Relation;
use super::check::{CheckError, Values};
use super::lower::{Lower, LowerError, Site};
use super::requantised::requantised;
use crate::graph::{self, Product, Requantise, TensorId};

impl Lower for graph::Multiply {
    fn lower(&self, site: &Site<'_>) -> Result<Relation, LowerError> {
        let [left, right] = *site.inputs() else {
            return Err(site.outside());
        };
        let ranges = [site.range(left)?, site.range(right)?];
        if self.product.bound(ranges).is_none() {
            return Err(site.overflow());
        }
        Ok(Relation::Product {
            factors: [left, right],
            ranges,
            product: self.product,
            requantise: self.requantise,
            output: site.output(),
        })
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
    values.expect(output, &made(values, factors, product, requantise, output)?)
}

/// What the requantisation gives for the product of the factors.
pub(super) fn made(
    values: &Values<'_>,
    factors: [TensorId; 2],
    product: Product,
    requantise: Requantise,
    output: TensorId,
) -> Result<Vec<Option<i64>>, CheckError> {
    let [left, right] = factors.map(|id| values.of(id));
    let accumulators = multiplied(product, left?, right?).ok_or(CheckError::Tensor(output))?;
    Ok(requantised(requantise, accumulators))
}

/// The accumulators of a product, written as its definition; `None` when a length does not fit.
fn multiplied(product: Product, left: &[i64], right: &[i64]) -> Option<Vec<i64>> {
    product.output_len(left.len(), right.len())?;
    Some(match product {
        Product::Elements => left.iter().zip(right).map(|(a, b)| a * b).collect(),
        Product::Matrix {
            rows,
            batch,
            inner,
            columns,
        } => {
            let [batch, n, m, rows] = [batch, inner, columns, rows].map(|d| d as usize);
            let entry = |b: usize, i: usize, j: usize| {
                let term = |k: usize| left[(b * rows + i) * n + k] * right[(b * n + k) * m + j];
                (0..n).map(term).sum::<i64>()
            };
            let mut made = Vec::with_capacity(batch * rows * m);
            for b in 0..batch {
                for i in 0..rows {
                    made.extend((0..m).map(|j| entry(b, i, j)));
                }
            }
            made
        }
    })
}
