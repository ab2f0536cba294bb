//! Tan: sine by cosine. At a pole there is no value, and the row is refused as one beyond the range, like all that are far out.

use super::fixed::{Value, sine};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Tan",
    read: |_| Ok(Function::new(&TAN, &[])),
};

static TAN: Rule = Rule {
    name: "tan/1",
    float: |x, _| x.tan(),
    exact: |x, _| {
        // Within the limits of an argument its magnitude is below 2^121.
        let magnitude = x.magnitude(1, 96).unwrap_or(0);
        let (sine, cosine) = (sine(magnitude, 0), sine(magnitude, 1));
        // Beyond 2^38 no row is the function's, and the numerator is below 2^100.
        if cosine.abs() < 1 << 22 {
            return Value::below();
        }
        let tangent = (sine.abs() << 60) / cosine.abs();
        Value::new(tangent, 60)
            .signed((sine < 0) != (cosine < 0))
            .signed(x.v < 0)
    },
    grows: true,
};
