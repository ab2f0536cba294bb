//! Abs: `|x|`.

use super::fixed::Value;
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Abs",
    read: |_| Ok(Function::new(&ABS, &[])),
};

pub(super) static ABS: Rule = Rule {
    name: "abs/1",
    float: |x, _| x.abs(),
    exact: |x, _| Value::new(x.v.abs(), x.exponent),
    grows: false,
};
