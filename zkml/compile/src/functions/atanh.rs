//! Atanh: `(ln(1 + |x|) − ln(1 − |x|)) / 2`, with the sign of x. From ±1 on there is no value, and the row is refused as one
//! beyond the range.

use super::fixed::{ONE, Value, ln};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Atanh",
    read: |_| Ok(Function::new(&ATANH, &[])),
};

static ATANH: Rule = Rule {
    name: "atanh/1",
    float: |x, _| x.atanh(),
    exact: |x, _| {
        let magnitude = x.magnitude(1, 60).unwrap_or(ONE + 1);
        if magnitude >= ONE {
            // At 1 it is +∞.
            return Value::below().signed(magnitude == ONE && x.v > 0);
        }
        Value::new(ln(ONE + magnitude, 60) - ln(ONE - magnitude, 60), 61).signed(x.v < 0)
    },
    grows: true,
};
