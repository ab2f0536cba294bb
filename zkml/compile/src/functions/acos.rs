//! Acos: the angle whose cosine is x. Beyond ±1 there is no value, and the row is refused as one beyond the range.

use super::fixed::{HALF_PI_60, ONE, Value, angle};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Acos",
    read: |_| Ok(Function::new(&ACOS, &[])),
};

static ACOS: Rule = Rule {
    name: "acos/1",
    float: |x, _| x.acos(),
    exact: |x, _| {
        let cosine = x.magnitude(1, 60).unwrap_or(ONE + 1);
        if cosine > ONE {
            return Value::below();
        }
        let angle = angle((ONE * ONE - cosine * cosine).isqrt(), cosine);
        Value::new(if x.v < 0 { 2 * HALF_PI_60 - angle } else { angle }, 60)
    },
    grows: true,
};
