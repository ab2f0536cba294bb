//! Asin: the angle whose sine is x. Beyond ±1 there is no value, and the row is refused as one beyond the range.

use super::fixed::{ONE, Value, angle};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Asin",
    read: |_| Ok(Function::new(&ASIN, &[])),
};

static ASIN: Rule = Rule {
    name: "asin/1",
    float: |x, _| x.asin(),
    exact: |x, _| {
        let sine = x.magnitude(1, 60).unwrap_or(ONE + 1);
        if sine > ONE {
            return Value::below();
        }
        let cosine = (ONE * ONE - sine * sine).isqrt();
        Value::new(angle(sine, cosine), 60).signed(x.v < 0)
    },
    grows: true,
};
