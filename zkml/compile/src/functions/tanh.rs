//! Tanh: `(1 − u) / (1 + u)` of `u = e^-2|x|`, with the sign of x.

use super::fixed::{ONE, Value, exp_of_minus};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Tanh",
    read: |_| Ok(Function::new(&TANH, &[])),
};

pub(super) static TANH: Rule = Rule {
    name: "tanh/1",
    float: |x, _| x.tanh(),
    exact: |x, _| {
        let u = exp_of_minus(x.magnitude(2, 100));
        Value::new((ONE - u) * ONE / (ONE + u), 60).signed(x.v < 0)
    },
    grows: false,
};
