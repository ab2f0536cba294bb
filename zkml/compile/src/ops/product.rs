//! A product of two computed tensors.

use zkml::graph::{self, Activation, IntRange, Op, Product, Requantise, TensorId};

use super::{Form, NoValues, Place, QuantiseError, Readers, Scales, TableList};
use crate::interval::Interval;

/// The product of two tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Multiply {
    /// How they are multiplied.
    pub product: Product,
}

impl Form for Multiply {
    fn evaluate(&self, x: &[&[f64]], _: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues> {
        let [left, right] = *x else {
            return Err(NoValues::Absent);
        };
        match self.product.output_len(left.len(), right.len()) {
            Some(_) => Ok(self.product.accumulate(left, right)),
            None => Err(NoValues::Absent),
        }
    }

    fn pull_back(&self, x: &[&[f64]], _: &[f64], of: &[f64]) -> Vec<Vec<f64>> {
        let [left, right] = *x else {
            return super::nothing(x);
        };
        let Product::Matrix {
            rows, inner, columns, ..
        } = self.product
        else {
            let by = |factor: &[f64]| of.iter().zip(factor).map(|(a, b)| a * b).collect();
            return vec![by(right), by(left)];
        };
        let [rows, inner, columns] = [rows, inner, columns].map(|d| d as usize);
        let (mut of_left, mut of_right) = (vec![0.0; left.len()], vec![0.0; right.len()]);
        for (at, changes) in of.chunks_exact(columns).enumerate() {
            for k in 0..inner {
                let (a, first) = (at * inner + k, (at / rows * inner + k) * columns);
                let row = first..first + columns;
                of_left[a] += changes
                    .iter()
                    .zip(&right[row.clone()])
                    .map(|(c, b)| c * b)
                    .sum::<f64>();
                for (sum, change) in of_right[row].iter_mut().zip(changes) {
                    *sum += left[a] * change;
                }
            }
        }
        vec![of_left, of_right]
    }

    /// Accumulators have the scales of both factors: nothing is chosen but how many bits are dropped. Where the values would need
    /// more bits than the accumulators have, their scale is the accumulators'.
    fn scale(&self, inputs: &[TensorId], output: TensorId, scales: &mut Scales) -> u8 {
        let exponent = |id: &TensorId| i32::from(scales.tensors[id.0 as usize].exponent);
        let accumulator: i32 = inputs.iter().map(exponent).sum();
        let made = exponent(&output);
        let shift = (accumulator - made).clamp(0, scales.limits.max_shift.into());
        if shift != accumulator - made {
            let (min, max) = (scales.limits.min_exponent, scales.limits.max_exponent);
            let exponent = (accumulator - shift).clamp(min.into(), max.into());
            // Between two numbers of 16 bits.
            scales.tensors[output.0 as usize].exponent = exponent as i16;
        }
        let factors = inputs.iter().map(|id| scales.span(*id)).product::<f64>();
        let span = factors * f64::from(self.product.terms());
        scales.make_room(output, span, shift as u8, Activation::Identity);
        shift as u8
    }

    fn quantise(&self, place: &Place<'_>, _: &mut TableList) -> Result<(Op, IntRange), QuantiseError> {
        let mut accumulator = 0;
        for id in place.inputs {
            accumulator += i32::from(place.scale(*id)?.exponent);
        }
        let output = place.scale(place.output)?;
        // A value is the product's and nothing else: no factor of two is put in.
        if accumulator != i32::from(output.exponent) + i32::from(place.shift) {
            return Err(QuantiseError::ProductScale {
                node: place.node(),
                accumulator,
                exponent: output.exponent,
                shift: place.shift,
            });
        }
        let requantise = Requantise {
            shift: place.shift,
            bits: output.bits,
            activation: Activation::Identity,
        };
        let op = graph::Multiply {
            product: self.product,
            requantise,
        };
        Ok((Op::Product(op), requantise.output_range()))
    }

    fn kept(&self) -> usize {
        0
    }

    fn multiplications(&self, output_len: usize) -> u64 {
        u64::from(self.product.terms()).saturating_mul(output_len as u64)
    }

    fn scaling(&self) -> Option<(f64, f64)> {
        None
    }

    fn reads(&self, _: usize, _: Readers) -> Readers {
        Readers::Any
    }

    fn reach(&self, read: &[Interval]) -> Option<Interval> {
        let [left, right] = *read else { return None };
        let terms = i64::from(self.product.terms());
        Some(left.times(right).times(Interval::new(terms, terms)))
    }

    fn planned(&self) -> bool {
        true
    }

    fn price(&self) -> Option<f64> {
        Some(1.0)
    }

    fn requantises(&self) -> bool {
        true
    }

    fn exact(&self) -> bool {
        false
    }
}
