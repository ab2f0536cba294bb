//! Celu: `x`, or `alpha · (e^(x/alpha) − 1)` below 0.

use super::fixed::{ONE, Value, exp_of_minus, parts, shifted};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Celu",
    read: |attributes| match attributes.number("alpha", 1.0)? {
        alpha if alpha > 0.0 => Ok(Function::new(&CELU, &[alpha])),
        alpha => Err(format!(
            "its attribute `alpha` is {alpha}; only more than 0 is supported"
        )),
    },
};

static CELU: Rule = Rule {
    name: "celu/1",
    float: |x, p| {
        let alpha = f64::from(alpha(p));
        if x < 0.0 { alpha * (x / alpha).exp_m1() } else { x }
    },
    exact: |x, p| {
        if x.v >= 0 {
            return Value::new(x.v, x.exponent);
        }
        // The float exactly. What is too large to be divided is above 2^25: its exponential is 0.
        let (m, k) = parts(alpha(p));
        let magnitude = shifted(x.v.abs(), 76 - x.exponent - k).map(|v| (v / m.max(1)) << 24);
        Value::new(m * (exp_of_minus(magnitude) - ONE), 60 - k)
    },
    grows: false,
};

fn alpha(parameters: &[f32]) -> f32 {
    parameters.first().copied().unwrap_or(1.0)
}
