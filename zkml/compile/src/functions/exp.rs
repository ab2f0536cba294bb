//! Exp: `e^x`.

use super::fixed::{Value, exp};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Exp",
    read: |_| Ok(Function::new(&EXP, &[])),
};

pub(super) static EXP: Rule = Rule {
    name: "exp/1",
    float: |x, _| x.exp(),
    exact: |x, _| {
        // Within the limits of an argument its magnitude is below 2^126.
        let magnitude = x.magnitude(1, 100).unwrap_or(0);
        let (m, k) = exp(if x.v < 0 { -magnitude } else { magnitude });
        Value::new(m, 60 - k)
    },
    grows: true,
};
