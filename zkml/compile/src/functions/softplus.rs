//! Softplus: `ln(1 + e^x)`, which is `max(x, 0) + ln(1 + e^-|x|)`.

use super::fixed::{ONE, Value, exp_of_minus, ln};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Softplus",
    read: |_| Ok(Function::new(&SOFTPLUS, &[])),
};

static SOFTPLUS: Rule = Rule {
    name: "softplus/1",
    float: |x, _| x.max(0.0) + (-x.abs()).exp().ln_1p(),
    exact: |x, _| {
        let over = ln(ONE + exp_of_minus(x.magnitude(1, 100)), 60);
        // Below 2^84 within the limits of an argument.
        let straight = if x.v > 0 {
            x.magnitude(1, 60).unwrap_or(0)
        } else {
            0
        };
        Value::new(straight + over, 60)
    },
    grows: false,
};
