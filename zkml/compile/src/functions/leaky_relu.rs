//! LeakyRelu: `x`, or `alpha · x` below 0.

use super::fixed::{Value, parts};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "LeakyRelu",
    read: |attributes| Ok(Function::new(&LEAKY_RELU, &[attributes.number("alpha", 0.01)?])),
};

pub(super) static LEAKY_RELU: Rule = Rule {
    name: "leaky_relu/1",
    float: |x, p| if x < 0.0 { f64::from(alpha(p)) * x } else { x },
    exact: |x, p| {
        // The slope is the float exactly.
        let (m, k) = if x.v < 0 { parts(alpha(p)) } else { (1, 0) };
        Value::new(x.v * m, x.exponent - k)
    },
    grows: false,
};

fn alpha(parameters: &[f32]) -> f32 {
    parameters.first().copied().unwrap_or(0.01)
}
