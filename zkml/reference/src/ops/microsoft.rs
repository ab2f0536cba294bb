//! Operators of the domain com.microsoft, as quantised files have them.
//!
//! Invariant: as ONNX Runtime computes them, whose they are. Where rows of a batch may share a range or not, by how many threads it
//! has, a batch is refused.

use std::sync::Arc;

use super::{Call, Made, Operator, Step, Tensor, op, quantize::there_and_back, recurrent};
use crate::{
    ElementType, Values,
    attribute::{Declared, float, floats, int, text, texts},
};

/// The domain.
pub(crate) const DOMAIN: &str = "com.microsoft";

pub(super) const OPERATORS: &[Operator] =
    &[op("DynamicQuantizeLSTM", 12, 12, lstm).since(1).attributes(LSTM)];
/// What an LSTM declares, but for its layout.
const LSTM: &[Declared] = &[
    floats("activation_alpha"),
    floats("activation_beta"),
    texts("activations"),
    float("clip"),
    text("direction"),
    int("hidden_size"),
    int("input_forget"),
];

/// Inputs that an LSTM has too.
const OF_LSTM: usize = 8;

/// An LSTM whose weights are in steps of 8 bits, and what they are multiplied by in the 255 steps of its own range: the input, and
/// the state at each step.
fn lstm(call: &Call) -> Made {
    let x = call.input(0)?;
    if x.rank() != 3 || x.shape()[1] != 1 {
        return Err(format!(
            "an input of shape {:?}: whether rows of a batch share one range is left open",
            x.shape()
        ));
    }
    call.touch(3 * x.len())?;
    let mut read = x.floats()?.to_vec();
    there_and_back(&mut read);
    let mut inputs = call.inputs[..OF_LSTM].to_vec();
    inputs[0] = Some(Arc::new(Tensor::make(
        x.element(),
        x.shape().to_vec(),
        Values::Float(read),
    )?));
    inputs[1] = Some(Arc::new(weights(call, 1, 8)?));
    inputs[2] = Some(Arc::new(weights(call, 2, 10)?));
    let plain = Call {
        inputs: &inputs,
        ..*call
    };
    recurrent::lstm_reading(&plain, Some(there_and_back))
}

/// `[directions, inputs, rows]` of whole numbers as `[directions, rows, inputs]` of floats: less the zero point, times the scale, one
/// of each for a direction or for each of its rows.
fn weights(call: &Call, at: usize, scale: usize) -> Step<Tensor> {
    let (w, scales, zeros) = (call.input(at)?, call.input(scale)?, call.input(scale + 1)?);
    let &[directions, inputs, rows] = w.shape() else {
        return Err(format!("weights of shape {:?}", w.shape()));
    };
    w.ints()?;
    call.room(w.shape())?;
    let fits = |of: &Tensor| of.shape() == [directions] || of.shape() == [directions, rows];
    if !fits(scales) || !fits(zeros) {
        return Err(format!(
            "scales of shape {:?} and zero points of shape {:?} for weights of shape {:?}",
            scales.shape(),
            zeros.shape(),
            w.shape()
        ));
    }
    let of =
        |list: &Tensor, d: usize, row: usize| list.number(if list.rank() == 1 { d } else { d * rows + row });
    let mut made = Vec::with_capacity(w.len());
    for d in 0..directions {
        for row in 0..rows {
            let (scale, zero) = (of(scales, d, row), of(zeros, d, row));
            made.extend((0..inputs).map(|i| (w.number((d * inputs + i) * rows + row) - zero) * scale));
        }
    }
    Tensor::make(
        ElementType::Float64,
        vec![directions, rows, inputs],
        Values::Float(made),
    )
}
