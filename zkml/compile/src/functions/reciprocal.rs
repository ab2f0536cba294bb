//! Reciprocal: `1 / x`. At 0 there is no value, and the row is refused as one beyond the range.

use super::fixed::{Value, below_one};
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

/// Of sums that are 1 at least: 1 below.
pub(super) static FROM_ONE: Rule = Rule {
    name: "reciprocal_from_one/1",
    float: |x, _| 1.0 / x.max(1.0),
    exact: |x, _| {
        if below_one(x) {
            return Value::new(1, 0);
        }
        (RECIPROCAL.exact)(x, &[])
    },
    grows: false,
};
