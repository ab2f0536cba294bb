//! Acosh: `ln(x + √(x² − 1))`. Below 1 there is no value, and the row is refused as one beyond the range.

use super::fixed::{Value, finest, ln};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Acosh",
    read: |_| Ok(Function::new(&ACOSH, &[])),
};

static ACOSH: Rule = Rule {
    name: "acosh/1",
    float: |x, _| x.acosh(),
    exact: |x, _| {
        let (cosine, f) = finest(x);
        let one = 1 << f;
        if x.v < 0 || cosine < one {
            return Value::below();
        }
        let sine = (cosine * cosine - one * one).isqrt();
        Value::new(ln(cosine + sine, f), 60)
    },
    grows: true,
};
