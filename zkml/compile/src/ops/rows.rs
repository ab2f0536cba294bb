//! Rows of a constant at given places: embeddings.

use zkml::graph::scale::power_of_two;
use zkml::graph::{self, IntRange, Op, TensorId, range_of_rows};

use super::scales::exponent_of_rows;
use super::{Form, NoValues, Place, QuantiseError, Readers, Scales, TableList};
use crate::interval::Interval;

/// `z[t·width + c] = table[i[t]·width + c]`; an index below 0 counts from the end.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// The constant, row by row.
    pub table: Vec<f64>,
    /// Values of a row.
    pub width: usize,
}

impl Rows {
    /// The least and the greatest entry.
    fn ends(&self) -> [f64; 2] {
        let ends = |[least, most]: [f64; 2], v: &f64| [least.min(*v), most.max(*v)];
        self.table.iter().fold([0.0; 2], ends)
    }

    fn range(&self, exponent: i16) -> Option<IntRange> {
        let [least, most] = self.ends().map(|v| (v * power_of_two(exponent.into())).round());
        // Of numbers beyond 64 bits there is no range either.
        range_of_rows(least as i64, most as i64)
    }
}

impl Form for Rows {
    fn evaluate(&self, x: &[&[f64]], _: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues> {
        let count = self.table.len().checked_div(self.width).unwrap_or(0);
        let mut made = Vec::with_capacity(x[0].len() * self.width);
        for &i in x[0] {
            let row = if i < 0.0 { i + count as f64 } else { i };
            if !(0.0..count as f64).contains(&row) {
                return Err(NoValues::Absent);
            }
            let first = row as usize * self.width;
            made.extend_from_slice(&self.table[first..first + self.width]);
        }
        Ok(made)
    }

    fn pull_back(&self, x: &[&[f64]], _: &[f64], _: &[f64]) -> Vec<Vec<f64>> {
        super::nothing(x)
    }

    /// Every entry has room, whichever rows calibration sees.
    fn scale(&self, _: &[TensorId], output: TensorId, scales: &mut Scales) -> u8 {
        let at = output.0 as usize;
        if !scales.is_whole(output) {
            let reach = self
                .ends()
                .into_iter()
                .fold(0.0, |most: f64, v| most.max(v.abs()));
            let (least, most) = (scales.limits.min_exponent, scales.limits.max_exponent);
            let exponent = exponent_of_rows(reach, scales.tensors[at].bits);
            scales.tensors[at].exponent = exponent.clamp(least, most);
        }
        if let Some(range) = self.range(scales.tensors[at].exponent) {
            scales.ranges[at] = range;
        }
        0
    }

    fn quantise(&self, place: &Place<'_>, _: &mut TableList) -> Result<(Op, IntRange), QuantiseError> {
        place.no_shift()?;
        let scale = place.scale(place.output)?;
        let factor = power_of_two(scale.exponent.into());
        let range = self
            .range(scale.exponent)
            .filter(|range| range.bits <= scale.bits);
        let range = range.ok_or_else(|| {
            let [least, most] = self.ends();
            QuantiseError::Coefficient {
                node: place.node(),
                value: factor * if most > -least { most } else { least },
            }
        })?;
        let width = u32::try_from(self.width).unwrap_or(0);
        let table = self.table.iter().map(|v| (v * factor).round() as i64).collect();
        Ok((Op::Rows(graph::Rows { table, width }), range))
    }

    fn kept(&self) -> usize {
        self.table.len()
    }

    fn multiplications(&self, _: usize) -> u64 {
        0
    }

    fn scaling(&self) -> Option<(f64, f64)> {
        None
    }

    fn reads(&self, _: usize, _: Readers) -> Readers {
        Readers::Linear
    }

    /// As far as its entries, whichever are read.
    fn reach(&self, _: &[Interval]) -> Option<Interval> {
        Interval::of(self.table.iter().copied())
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
