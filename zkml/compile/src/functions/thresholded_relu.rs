//! ThresholdedRelu: `x` above alpha, else 0.

use super::fixed::{Value, parts, shifted};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "ThresholdedRelu",
    read: |attributes| Ok(Function::new(&THRESHOLDED_RELU, &[attributes.number("alpha", 1.0)?])),
};

static THRESHOLDED_RELU: Rule = Rule {
    name: "thresholded_relu/1",
    float: |x, p| if x > f64::from(alpha(p)) { x } else { 0.0 },
    exact: |x, p| {
        // The float exactly: `v · 2^-exponent > m · 2^k`, both brought to whole numbers.
        let (m, k) = parts(alpha(p));
        let by = k + x.exponent;
        let at = |n: i128, by: i32| shifted(n.abs(), by).map_or(i128::MAX, |v| v) * n.signum();
        let above = if by >= 0 { x.v > at(m, by) } else { at(x.v, -by) > m };
        Value::new(if above { x.v } else { 0 }, x.exponent)
    },
    grows: false,
};

fn alpha(parameters: &[f32]) -> f32 {
    parameters.first().copied().unwrap_or(1.0)
}
