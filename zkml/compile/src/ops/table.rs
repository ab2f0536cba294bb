//! A function of one value: rows of a table in the integer graph.

use zkml::graph::{self, IntRange, Op, TensorId, TensorScale};

use super::scales::exponent_of_rows;
use super::{Form, NoValues, Place, QuantiseError, Readers, Scales, TableList};
use crate::functions::{self, Function};
use crate::interval::Interval;

/// As a share of a value, and at least, how far a slope looks to either side: below what an index of 16 bits tells apart.
const NEAR: f64 = 1.0 / 65_536.0;
const NEAREST: f64 = 1.0 / 16_777_216.0;

/// `z[t] = f(x[t])`.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// f.
    pub function: Function,
}

impl Form for Lookup {
    fn evaluate(&self, x: &[&[f64]], _: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues> {
        Ok(x[0].iter().map(|&v| self.function.of(v)).collect())
    }

    /// By the slope between two values near by: of a function that has none there, as beyond where it is defined, nothing.
    fn pull_back(&self, x: &[&[f64]], _: &[f64], of: &[f64]) -> Vec<Vec<f64>> {
        let slope = |v: f64| {
            let near = (v.abs() * NEAR).max(NEAREST);
            let [below, at, above] = [v - near, v, v + near].map(|v| self.function.of(v));
            let (left, right) = ((at - below) / near, (above - at) / near);
            // Beside a jump, as of a masked place's weight, the slope is that of the side without it.
            let flatter = if left.abs() < right.abs() { left } else { right };
            let jumps = (left - right).abs() > 0.5 * left.abs().max(right.abs());
            let slope = if jumps { flatter } else { (left + right) / 2.0 };
            if slope.is_finite() { slope } else { 0.0 }
        };
        vec![
            x[0].iter()
                .zip(of)
                .map(|(&v, change)| slope(v) * change)
                .collect(),
        ]
    }

    fn scale(&self, inputs: &[TensorId], output: TensorId, scales: &mut Scales) -> u8 {
        let (input, at) = (inputs[0].0 as usize, output.0 as usize);
        let (index, e_in) = (scales.ranges[input], scales.tensors[input].exponent);
        let width = scales.tensors[at].bits;
        let whole = scales.is_whole(output);
        if self.function.grows() {
            scales.guard(output);
        } else if !whole {
            // The whole range of the index has room: no row ends at the clamp.
            let reach = self.function.reach(index, e_in);
            scales.tensors[at].exponent = exponent_of_rows(reach, width);
            scales.spans(output, reach);
        }
        let TensorScale { bits, exponent } = &mut scales.tensors[at];
        // A scale below the least would lose the greatest values: quantising says that there is no table. One above the
        // greatest loses bits of small values, of which the profile's floor has to be left.
        let (wanted, finest) = (*exponent, *functions::EXPONENTS_OUT.end());
        *exponent = wanted.min(finest);
        let left = i32::from(width) - 1 - i32::from(wanted - *exponent);
        if !whole && left < i32::from(scales.limits.resolution) {
            scales.too_small = true;
        }
        if let Ok(rows) = scales.made.rows(&self.function, index, e_in, (*exponent, *bits)) {
            scales.ranges[at] = rows.range;
        }
        0
    }

    /// A row that ends at the clamp is another function than the model's: it is in a table only where the one node that reads
    /// it has fewer bits at the same scale, so that it refuses that row.
    fn quantise(&self, place: &Place<'_>, tables: &mut TableList) -> Result<(Op, IntRange), QuantiseError> {
        place.no_shift()?;
        let (index, output) = (place.info(place.first_input()?)?, place.scale(place.output)?);
        if let Some(least) = self.function.least_exponent()
            && index.exponent < least
        {
            return Err(QuantiseError::Coarse {
                node: place.node(),
                exponent: index.exponent,
                least,
            });
        }
        let rows = tables
            .rows(&self.function, index, output)
            .map_err(|source| QuantiseError::Function {
                node: place.node(),
                source,
            })?;
        if rows.clamped && !(place.refused)()? {
            return Err(QuantiseError::Clamped { node: place.node() });
        }
        let table = tables.place(rows.table);
        Ok((Op::Table(graph::Lookup { table }), rows.range))
    }

    fn kept(&self) -> usize {
        0
    }

    fn multiplications(&self, _: usize) -> u64 {
        0
    }

    fn scaling(&self) -> Option<(f64, f64)> {
        None
    }

    fn reads(&self, _: usize, _: Readers) -> Readers {
        Readers::Table
    }

    fn reach(&self, _: &[Interval]) -> Option<Interval> {
        None
    }

    fn planned(&self) -> bool {
        false
    }

    fn price(&self) -> Option<f64> {
        Some(1.0)
    }

    fn requantises(&self) -> bool {
        false
    }

    fn exact(&self) -> bool {
        false
    }
}
