//! A linear map with constant coefficients, then a requantisation.

use serde::{Deserialize, Serialize};

use super::{Claims, Misfit, Operator, OutOfRange, Site};
use crate::graph::bound::accumulator_bound;
use crate::graph::linear::LinearMap;
use crate::graph::requantise::{MAX_SHIFT, Requantise};
use crate::graph::table::TableRef;
use crate::graph::tensor::IntRange;

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
    pub(super) fn claim<C: Claims>(&self, claims: &C) -> C::Claim {
        claims.requantised(&self.map, self.requantise)
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
        check_requantise(self.requantise).map_err(Misfit::Reason)?;
        if site.output.range != self.requantise.output_range() {
            return Err(Misfit::Reason("the output's range is not the requantisation's"));
        }
        let ranges: Vec<_> = site.inputs.iter().map(|t| t.range).collect();
        match accumulator_bound(&self.map, &ranges) {
            Some(_) => Ok(()),
            None => Err(Misfit::Overflow),
        }
    }

    fn evaluate(&self, x: &[&[i64]], _: &[TableRef]) -> Result<Vec<i64>, OutOfRange> {
        let requantise = self.requantise;
        let (quotients, least) = (IntRange::signed(requantise.bits), requantise.output_range().lo());
        let mut made = self.map.accumulate(x);
        for v in &mut made {
            let value = requantise.quotient(*v);
            if !quotients.contains(value) {
                let (lo, hi) = (quotients.lo(), quotients.hi());
                return Err(OutOfRange { value, lo, hi });
            }
            // The least output is 0 after ReLU and the least quotient otherwise.
            *v = value.max(least);
        }
        Ok(made)
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
}

fn check_requantise(requantise: Requantise) -> Result<(), &'static str> {
    let Requantise {
        shift,
        bits,
        activation: _,
    } = requantise;
    if !(2..=IntRange::MAX_BITS).contains(&bits) {
        return Err("the quotient is not 2..=32 bits wide");
    }
    if shift > MAX_SHIFT || bits + shift > 60 {
        return Err("the shift is above 40, or bits and shift together above 60");
    }
    Ok(())
}
