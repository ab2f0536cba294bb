//! Sin: the sine.

use super::fixed::{Value, sine};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Sin",
    read: |_| Ok(Function::new(&SIN, &[])),
};

static SIN: Rule = Rule {
    name: "sin/1",
    float: |x, _| x.sin(),
    // Within the limits of an argument its magnitude is below 2^121.
    exact: |x, _| Value::new(sine(x.magnitude(1, 96).unwrap_or(0), 0), 60).signed(x.v < 0),
    grows: false,
};
