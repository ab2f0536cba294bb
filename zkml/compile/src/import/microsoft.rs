//! Operators of the domain com.microsoft, as quantised files have them.
//!
//! Invariant: as ONNX Runtime computes them, whose they are. Weights are their numbers less the zero points, times the scales; what
//! they are multiplied by are values in the 255 steps of their own range, of the input once and of a state at each step.

use std::sync::Arc;

use tract_onnx::prelude::Tensor;
use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, Value, unsupported};
use super::recipe::{Call, Recipe};
use super::{dynamic, recurrent};

/// The domain.
pub(super) const DOMAIN: &str = "com.microsoft";

pub(super) const RECIPES: &[Recipe] = &[Recipe::several("DynamicQuantizeLSTM", lstm)];

/// Inputs that an LSTM has too.
const OF_LSTM: usize = 8;

fn lstm(draft: &mut Draft, call: &Call<'_>) -> Result<Vec<Option<TensorId>>, Refusal> {
    let weights = [(1, 8), (2, 10)].map(|(at, scale)| weights(call, at, scale));
    let [own, of_state] = weights;
    let (own, of_state) = (own?, of_state?);
    let operands = (0..OF_LSTM).map(|at| match at {
        1 => Some(&own),
        2 => Some(&of_state),
        _ => call.operand(at),
    });
    let plain = call.of_inputs(operands.collect());
    recurrent::lstm_reading(draft, &plain, dynamic::in_steps)
}

/// Weights of each direction as an LSTM has them: `[directions, inputs, gates]` turned, less their zero point, times their scale,
/// of both of which there is one for each direction or for each of its gates' rows.
fn weights(call: &Call<'_>, at: usize, scale: usize) -> Result<Value, Refusal> {
    let (w, scales) = (call.constant(at)?, call.constant(scale)?.values);
    let zeros = call.constant(scale + 1)?.values;
    let &[directions, inputs, rows] = &w.shape[..] else {
        return unsupported(format!("its input {at} of shape {:?}", w.shape));
    };
    let fits = |of: &[f64]| of.len() == directions || of.len() == directions * rows;
    if !fits(&scales) || !fits(&zeros) || directions == 0 {
        return unsupported(
            "scales or zero points that are neither one for each direction nor one for each row",
        );
    }
    let of = |list: &[f64], d: usize, row: usize| {
        if list.len() == directions {
            list[d]
        } else {
            list[d * rows + row]
        }
    };
    let mut values = Vec::with_capacity(w.values.len());
    for d in 0..directions {
        for row in 0..rows {
            let (scale, zero) = (of(&scales, d, row), of(&zeros, d, row));
            let column = (0..inputs).map(|i| (w.values[(d * inputs + i) * rows + row] - zero) * scale);
            values.extend(column);
        }
    }
    match Tensor::from_shape(&[directions, rows, inputs], &values) {
        Ok(tensor) => Ok(Value::Constant(Arc::new(tensor))),
        Err(_) => unsupported("weights of another number than their shape says"),
    }
}
