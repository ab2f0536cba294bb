//! Erf: the error function.

use super::fixed::{Value, error_function};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Erf",
    read: |_| Ok(Function::new(&ERF, &[])),
};

pub(super) static ERF: Rule = Rule {
    name: "erf/1",
    float: |x, _| libm::erf(x),
    exact: |x, _| Value::new(error_function(x.magnitude(1, 44)), 44).signed(x.v < 0),
    grows: false,
};
