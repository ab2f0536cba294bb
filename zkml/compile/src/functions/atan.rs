//! Atan: the angle whose tangent is x.

use super::fixed::{Value, angle};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Atan",
    read: |_| Ok(Function::new(&ATAN, &[])),
};

static ATAN: Rule = Rule {
    name: "atan/1",
    float: |x, _| x.atan(),
    exact: |x, _| {
        // x is a whole number by a power of two, one of them 1.
        let (y, by) = (x.v.abs() << (-x.exponent).max(0), 1 << x.exponent.max(0));
        Value::new(angle(y, by), 60).signed(x.v < 0)
    },
    grows: false,
};
