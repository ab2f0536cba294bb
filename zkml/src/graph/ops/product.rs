//! A product of two computed tensors, then a requantisation.

use serde::{Deserialize, Serialize};

use super::{Misfit, Operator, OutOfRange, Site};
use crate::graph::product::Product;
use crate::graph::requantise::Requantise;
use crate::graph::table::TableRef;

/// See [`Product`] and [`Requantise`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multiply {
    /// How the two are multiplied.
    pub product: Product,
    /// From accumulator to output.
    pub requantise: Requantise,
}

impl Multiply {
    pub(crate) const fn claimed(&self) -> &Self {
        self
    }
}

impl Operator for Multiply {
    fn name(&self) -> &'static str {
        match self.product {
            Product::Elements => "Product",
            Product::Matrix { .. } => "MatrixProduct",
        }
    }

    fn check(&self, site: &Site<'_>) -> Result<(), Misfit> {
        let [left, right] = site.inputs[..] else {
            return Err(Misfit::Reason("the operator reads exactly two tensors"));
        };
        if self.product.output_len(left.len(), right.len()) != Some(site.output.len()) {
            return Err(Misfit::Reason(
                "the lengths of factors and output are not the product's",
            ));
        }
        site.check_requantise(self.requantise)?;
        match self.product.bound([left.range, right.range]) {
            Some(_) => Ok(()),
            None => Err(Misfit::Overflow),
        }
    }

    fn evaluate(&self, x: &[&[i64]], _: &[TableRef]) -> Result<Vec<i64>, OutOfRange> {
        OutOfRange::requantised(self.requantise, self.product.accumulate(x[0], x[1]))
    }

    fn kept(&self) -> usize {
        0
    }

    fn multiplications(&self, output_len: usize) -> u64 {
        u64::from(self.product.terms()).saturating_mul(output_len as u64)
    }

    fn weights(&self) -> usize {
        0
    }

    fn table(&self) -> Option<u32> {
        None
    }

    fn moves(&self) -> bool {
        false
    }
}
