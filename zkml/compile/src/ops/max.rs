//! The maximum of windows.

use zkml::graph::{self, IntRange, Op, TensorId};

use super::{Form, NoValues, Place, QuantiseError, Readers, Scales, TableList};
use crate::interval::Interval;

/// `z[t] = max over windows[t] of x`.
#[derive(Debug, Clone, PartialEq)]
pub struct Max {
    /// Indices into the flattened input per output value, sorted and without repeats; never empty.
    pub windows: Vec<Vec<u32>>,
}

impl Form for Max {
    fn evaluate(&self, x: &[&[f64]], _: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues> {
        let value = |&i: &u32| x[0].get(i as usize).copied();
        let greatest = |w: &Vec<u32>| w.iter().map(value).reduce(|a, b| Some(a?.max(b?))).flatten();
        let made: Option<_> = self.windows.iter().map(greatest).collect();
        made.ok_or(NoValues::Absent)
    }

    /// It is that of the greatest, the first of several.
    fn pull_back(&self, x: &[&[f64]], made: &[f64], of: &[f64]) -> Vec<Vec<f64>> {
        let mut read = super::nothing(x);
        for ((window, greatest), &change) in self.windows.iter().zip(made).zip(of) {
            if let Some(&at) = window.iter().find(|&&i| x[0][i as usize] == *greatest) {
                read[0][at as usize] += change;
            }
        }
        read
    }

    fn scale(&self, inputs: &[TensorId], output: TensorId, scales: &mut Scales) -> u8 {
        scales.inherit(inputs[0], output);
        0
    }

    fn quantise(&self, place: &Place<'_>, _: &mut TableList) -> Result<(Op, IntRange), QuantiseError> {
        let windows = self.windows.iter().collect();
        Ok((Op::Max(graph::Max { windows }), place.inherited()?))
    }

    /// A list by itself is as much as six indices.
    fn kept(&self) -> usize {
        self.windows.iter().map(|w| w.len() + 6).sum()
    }

    fn multiplications(&self, _: usize) -> u64 {
        0
    }

    fn scaling(&self) -> Option<(f64, f64)> {
        None
    }

    fn reads(&self, _: usize, made: Readers) -> Readers {
        made.min(Readers::Any)
    }

    fn reach(&self, read: &[Interval]) -> Option<Interval> {
        read.first().copied()
    }

    fn planned(&self) -> bool {
        false
    }

    fn price(&self) -> Option<f64> {
        None
    }

    fn requantises(&self) -> bool {
        false
    }

    fn exact(&self) -> bool {
        true
    }
}
