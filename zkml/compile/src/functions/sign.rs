//! Sign: −1, 0 or 1. It is that of the quantised x, which is 0 near 0.

use super::fixed::Value;
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Sign",
    read: |_| Ok(Function::new(&SIGN, &[])),
};

static SIGN: Rule = Rule {
    name: "sign/1",
    float: |x, _| if x == 0.0 { 0.0 } else { x.signum() },
    exact: |x, _| Value::new(x.v.signum(), 0),
    grows: false,
};
