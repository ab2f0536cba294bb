//! Sigmoid: `1 / (1 + e^-x)`.

use super::fixed::{Value, logistic};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Sigmoid",
    read: |_| Ok(Function::new(&SIGMOID, &[])),
};

pub(super) static SIGMOID: Rule = Rule {
    name: "sigmoid/1",
    float: |x, _| of(x),
    exact: |x, _| Value::new(logistic(x.magnitude(1, 100), x.v < 0), 60),
    grows: false,
};

/// Without overflow on either side.
pub(super) fn of(x: f64) -> f64 {
    let u = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + u) } else { u / (1.0 + u) }
}
