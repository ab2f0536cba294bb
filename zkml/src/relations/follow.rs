//! From a relation to the tensor that it makes, by the definitions that the checkers here check by: for whoever follows a slice
//! with nothing but its values.
//!
//! Invariant: what is returned passes the relation's checker, and nothing else does where the relation fixes its output.

use std::collections::BTreeMap;

use super::check::{CheckError, Values};
use super::{Relation, maximum, permutation, product, range, read, requantised, rows, table, wired};
use crate::graph::{LinearMap, Product, Requantise, TensorId};

/// What a relation leaves to be named: numbers that its inputs do not give in about as many steps as there are values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// The accumulators of a map or of a product that adds up over an axis.
    Accumulators(Requantise),
    /// The values themselves, which the relation alone does not fix.
    Values,
}

/// What follows from a relation: the tensor that it makes; a value is `None` where the relation has none.
pub(crate) type Made = Option<(TensorId, Vec<Option<i64>>)>;

impl Relation {
    /// What has to be named of it before it can be followed.
    pub(crate) fn named(&self) -> Option<Named> {
        match self {
            Self::Requantised { map, requantise, .. } => match map {
                LinearMap::Dense { .. } | LinearMap::Conv2d { .. } => Some(Named::Accumulators(*requantise)),
                LinearMap::Affine { .. } => None,
            },
            Self::Product {
                product, requantise, ..
            } => match product {
                Product::Matrix { .. } => Some(Named::Accumulators(*requantise)),
                Product::Elements => None,
            },
            Self::Permutation { .. } => Some(Named::Values),
            Self::Range { .. }
            | Self::Maximum { .. }
            | Self::Read { .. }
            | Self::Rows { .. }
            | Self::Table { .. }
            | Self::Wired { .. } => None,
        }
    }

    /// The tensor that it makes of those that are known, and of what is named of it. Named accumulators are taken for what they
    /// are said to be: that they are the map's, or the product's, is shown elsewhere.
    ///
    /// # Errors
    /// A tensor that is absent, a value outside its range, or named values that are no permutation.
    pub(crate) fn follow(
        &self,
        values: &BTreeMap<TensorId, Vec<i64>>,
        named: Option<&[i64]>,
    ) -> Result<Made, CheckError> {
        let known = Values(values);
        let of = |output: &TensorId| named.ok_or(CheckError::Tensor(*output)).map(<[i64]>::to_vec);
        let made = match self {
            Self::Range { tensor, range } => {
                range::check(&known, *tensor, *range)?;
                return Ok(None);
            }
            Self::Requantised {
                map: LinearMap::Dense { .. } | LinearMap::Conv2d { .. },
                requantise,
                output,
                ..
            }
            | Self::Product {
                product: Product::Matrix { .. },
                requantise,
                output,
                ..
            } => (*output, requantised::requantised(*requantise, of(output)?)),
            Self::Requantised {
                inputs,
                map,
                requantise,
                output,
                ..
            } => (
                *output,
                requantised::made(&known, inputs, map, *requantise, *output)?,
            ),
            Self::Product {
                factors,
                product,
                requantise,
                output,
                ..
            } => (
                *output,
                product::made(&known, *factors, *product, *requantise, *output)?,
            ),
            Self::Maximum {
                input,
                windows,
                output,
                ..
            } => (*output, maximum::made(&known, *input, windows)?),
            Self::Read { input, index, output } => (*output, read::made(&known, *input, *index)?),
            Self::Rows {
                table,
                width,
                index,
                output,
            } => (*output, rows::made(&known, table, *width, *index)?),
            Self::Permutation { input, output } => {
                let values = of(output)?;
                permutation::compare(&known, *input, *output, &values)?;
                (*output, values.into_iter().map(Some).collect())
            }
            Self::Table {
                table,
                index,
                outputs,
            } => match outputs.as_slice() {
                [output] => (*output, table::made(&known, table, *index, 0)?),
                // A node has one output; no graph has another table's.
                _ => return Err(CheckError::Tensor(*index)),
            },
            Self::Wired {
                input,
                source,
                output,
            } => (*output, wired::made(&known, *input, source.as_deref())?),
        };
        Ok(Some(made))
    }
}
