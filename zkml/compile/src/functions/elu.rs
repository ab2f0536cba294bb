//! Elu: `x`, or `alpha · (e^x − 1)` below 0.

use super::fixed::{ONE, Value, exp_of_minus, parts};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Elu",
    read: |attributes| Ok(Function::new(&ELU, &[attributes.number("alpha", 1.0)?])),
};

pub(super) static ELU: Rule = Rule {
    name: "elu/1",
    float: |x, p| {
        if x < 0.0 {
            f64::from(alpha(p)) * x.exp_m1()
        } else {
            x
        }
    },
    exact: |x, p| {
        if x.v >= 0 {
            return Value::new(x.v, x.exponent);
        }
        // The factor is the float exactly.
        let (m, k) = parts(alpha(p));
        Value::new(m * (exp_of_minus(x.magnitude(1, 100)) - ONE), 60 - k)
    },
    grows: false,
};

fn alpha(parameters: &[f32]) -> f32 {
    parameters.first().copied().unwrap_or(1.0)
}
