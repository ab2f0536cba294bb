//! Sqrt: `√x`. Below 0 there is no value, and the row is refused as one beyond the range.

use super::fixed::{Value, shifted};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Sqrt",
    read: |_| Ok(Function::new(&SQRT, &[])),
};

pub(super) static SQRT: Rule = Rule {
    name: "sqrt/1",
    float: |x, _| x.sqrt(),
    exact: |x, _| {
        if x.v < 0 {
            return Value::below();
        }
        // At 100 fraction bits below 2^125; its root is at 50.
        let square = shifted(x.v, 100 - x.exponent).unwrap_or(0);
        Value::new(square.isqrt(), 50)
    },
    grows: true,
};
