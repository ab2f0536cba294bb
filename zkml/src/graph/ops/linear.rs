//! A linear map with constant coefficients, then a requantisation.

use serde::{Deserialize, Serialize};

use super::{Misfit, Operator, OutOfRange, Site};
use crate::graph::bound::accumulator_bound;
use crate::graph::linear::LinearMap;
use crate::graph::requantise::Requantise;
use crate::graph::table::TableRef;

/// See [`LinearMap`] and [`Requantise`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// The coefficients.
    pub map: LinearMap,
    /// From accumulator to output.
    pub requantise: Requantise,
}

impl Linear {
    pub(crate) const fn claimed(&self) -> &Self {
        self
    }
}

impl Operator for Linear {
    fn name(&self) -> &'static str {
        match self.map {
            LinearMap::Dense { .. } => "Dense",
            LinearMap::Conv2d { .. } => "Conv2d",
            LinearMap::Affine { .. } => "Affine",
        }
    }

    fn check(&self, site: &Site<'_>) -> Result<(), Misfit> {
        let lengths: Vec<_> = site.inputs.iter().map(|t| t.len()).collect();
        let fits = self.map.output_len(&lengths).map_err(Misfit::Geometry)?;
        if fits != site.output.len() {
            return Err(Misfit::Reason("the output's length is not the map's"));
        }
        site.check_requantise(self.requantise)?;
        let ranges: Vec<_> = site.inputs.iter().map(|t| t.range).collect();
        match accumulator_bound(&self.map, &ranges) {
            Some(_) => Ok(()),
            None => Err(Misfit::Overflow),
        }
    }

    fn evaluate(&self, x: &[&[i64]], _: &[TableRef]) -> Result<Vec<i64>, OutOfRange> {
        OutOfRange::requantised(self.requantise, self.map.accumulate(x))
    }

    fn kept(&self) -> usize {
        self.map.weight().len() + self.map.bias().len()
    }

    fn multiplications(&self, output_len: usize) -> u64 {
        self.map.multiplications(output_len)
    }

    fn weights(&self) -> usize {
        self.map.weight().len()
    }

    fn table(&self) -> Option<u32> {
        None
    }

    fn moves(&self) -> bool {
        false
    }
}
