//! Swish: `x · sigmoid(alpha · x)`; with alpha = 1 also called SiLU.

use super::fixed::{Argument, Value, logistic, parts};
use super::{Function, Operator, Rule, sigmoid};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Swish",
    read: |attributes| Ok(Function::new(&SWISH, &[attributes.number("alpha", 1.0)?])),
};

pub(super) static SWISH: Rule = Rule {
    name: "swish/1",
    float: |x, p| x * sigmoid::of(f64::from(alpha(p)) * x),
    exact: |x, p| {
        let (m, k) = parts(alpha(p));
        let magnitude = x.magnitude(m.abs(), 100 + k);
        gated(x, logistic(magnitude, (x.v < 0) != (m < 0)))
    },
    grows: false,
};

fn alpha(parameters: &[f32]) -> f32 {
    parameters.first().copied().unwrap_or(1.0)
}

/// `x` times a part of 1 at 60 fraction bits.
pub(super) fn gated(x: Argument, part: i128) -> Value {
    Value::new(x.v * part, 60 + x.exponent)
}
