//! Values moved.

use zkml::graph::{self, IntRange, Op, TensorId};

use super::{Form, NoValues, Place, QuantiseError, Readers, Scales, TableList};
use crate::interval::Interval;

/// `z[t] = x[source[t]]`; `None` keeps the order.
#[derive(Debug, Clone, PartialEq)]
pub struct Wiring {
    /// Index into the flattened input per output value.
    pub source: Option<Vec<u32>>,
}

impl Form for Wiring {
    fn evaluate(&self, x: &[&[f64]], _: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues> {
        let Some(source) = &self.source else {
            return Ok(x[0].to_vec());
        };
        let made: Option<_> = source.iter().map(|&i| x[0].get(i as usize).copied()).collect();
        made.ok_or(NoValues::Absent)
    }

    fn pull_back(&self, x: &[&[f64]], _: &[f64], of: &[f64]) -> Vec<Vec<f64>> {
        let Some(source) = &self.source else {
            return vec![of.to_vec()];
        };
        let mut read = super::nothing(x);
        for (&i, &change) in source.iter().zip(of) {
            read[0][i as usize] += change;
        }
        read
    }

    fn scale(&self, inputs: &[TensorId], output: TensorId, scales: &mut Scales) -> u8 {
        scales.inherit(inputs[0], output);
        0
    }

    fn quantise(&self, place: &Place<'_>, _: &mut TableList) -> Result<(Op, IntRange), QuantiseError> {
        let source = self.source.as_ref().map(|s| s.iter().copied().collect());
        Ok((Op::Wiring(graph::Wiring { source }), place.inherited()?))
    }

    fn kept(&self) -> usize {
        self.source.as_ref().map_or(0, Vec::len)
    }

    fn multiplications(&self, _: usize) -> u64 {
        0
    }

    fn scaling(&self) -> Option<(f64, f64)> {
        self.source.is_none().then_some((1.0, 0.0))
    }

    fn reads(&self, _: usize, made: Readers) -> Readers {
        made
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
