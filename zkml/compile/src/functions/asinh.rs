//! Asinh: `ln(|x| + √(x² + 1))`, with the sign of x.

use super::fixed::{Value, finest, ln};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Asinh",
    read: |_| Ok(Function::new(&ASINH, &[])),
};

static ASINH: Rule = Rule {
    name: "asinh/1",
    float: |x, _| x.asinh(),
    exact: |x, _| {
        let (sine, f) = finest(x);
        let one: i128 = 1 << f;
        let cosine = (sine * sine + one * one).isqrt();
        Value::new(ln(sine + cosine, f), 60).signed(x.v < 0)
    },
    grows: false,
};
