//! Cos: the cosine, which is the sine a quarter of a turn on.

use super::fixed::{Value, sine};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Cos",
    read: |_| Ok(Function::new(&COS, &[])),
};

static COS: Rule = Rule {
    name: "cos/1",
    float: |x, _| x.cos(),
    // Within the limits of an argument its magnitude is below 2^121.
    exact: |x, _| Value::new(sine(x.magnitude(1, 96).unwrap_or(0), 1), 60),
    grows: false,
};
