//! Log: the natural logarithm. At 0 and below there is no value, and the row is refused as one beyond the range.

use super::fixed::{Value, ln};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Log",
    read: |_| Ok(Function::new(&LOG, &[])),
};

pub(super) static LOG: Rule = Rule {
    name: "log/1",
    float: |x, _| x.ln(),
    exact: |x, _| {
        if x.v <= 0 {
            return Value::below();
        }
        Value::new(ln(x.v, x.exponent), 60)
    },
    grows: true,
};
