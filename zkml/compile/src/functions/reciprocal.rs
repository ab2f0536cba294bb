//! Reciprocal: `1 / x`. At 0 there is no value, and the row is refused as one beyond the range.

use super::fixed::Value;
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Reciprocal",
    read: |_| Ok(Function::new(&RECIPROCAL, &[])),
};

pub(super) static RECIPROCAL: Rule = Rule {
    name: "reciprocal/1",
    float: |x, _| 1.0 / x,
    exact: |x, _| match x.v.abs() {
        0 => Value::below(),
        // At most 2^16, so that 2^74 steps are left.
        v => Value::new((1 << 90) / v, 90 - x.exponent).signed(x.v < 0),
    },
    grows: true,
};
