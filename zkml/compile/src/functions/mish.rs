//! Mish: `x · tanh(ln(1 + e^x))`, which is `x · ((1 + e^x)² − 1) / ((1 + e^x)² + 1)`.

use super::fixed::{ONE, Value, exp_of_minus};
use super::swish::gated;
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Mish",
    read: |_| Ok(Function::new(&MISH, &[])),
};

static MISH: Rule = Rule {
    name: "mish/1",
    float: |x, _| {
        let u = (-x.abs()).exp();
        if x < 0.0 {
            x * u * (2.0 + u) / (2.0 + u * (2.0 + u))
        } else {
            x * (1.0 + 2.0 * u) / (1.0 + 2.0 * u * (1.0 + u))
        }
    },
    exact: |x, _| -> Value {
        // With u = e^-|x|, both parts divided by e^2x above 0: no number of 2^63 or more.
        let u = exp_of_minus(x.magnitude(1, 100));
        let square = (u * u) >> 60;
        let (top, bottom) = if x.v < 0 {
            (2 * u + square, 2 * ONE + 2 * u + square)
        } else {
            (ONE + 2 * u, ONE + 2 * u + 2 * square)
        };
        gated(x, (top << 60) / bottom)
    },
    grows: false,
};
