//! ThresholdedRelu: `x` above alpha, else 0.

use super::fixed::{Value, above};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "ThresholdedRelu",
    read: |attributes| {
        Ok(Function::new(
            &THRESHOLDED_RELU,
            &[attributes.number("alpha", 1.0)?],
        ))
    },
};

static THRESHOLDED_RELU: Rule = Rule {
    name: "thresholded_relu/1",
    float: |x, p| if x > f64::from(alpha(p)) { x } else { 0.0 },
    exact: |x, p| Value::new(if above(x, alpha(p)) { x.v } else { 0 }, x.exponent),
    grows: false,
};

fn alpha(parameters: &[f32]) -> f32 {
    parameters.first().copied().unwrap_or(1.0)
}
