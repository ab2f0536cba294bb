//! HardSigmoid: `clamp(alpha · x + beta, 0, 1)`.

use super::fixed::{ONE, Value, at_60, parts};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "HardSigmoid",
    read: |attributes| {
        let parameters = [attributes.number("alpha", 0.2)?, attributes.number("beta", 0.5)?];
        Ok(Function::new(&HARD_SIGMOID, &parameters))
    },
};

pub(super) static HARD_SIGMOID: Rule = Rule {
    name: "hard_sigmoid/1",
    float: |x, p| {
        let [alpha, beta] = both(p);
        (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0)
    },
    exact: |x, p| {
        let [(m, k), (b, j)] = both(p).map(parts);
        let sum = at_60(x.v * m, k - x.exponent, MOST) + at_60(b, j, MOST);
        Value::new(sum.clamp(0, ONE), 60)
    },
    grows: false,
};

/// Beside what is larger than 2^60 nothing else makes the sum's part of 1.
const MOST: i128 = 1 << 120;

fn both(parameters: &[f32]) -> [f32; 2] {
    let at = |i: usize, default| parameters.get(i).copied().unwrap_or(default);
    [at(0, 0.2), at(1, 0.5)]
}
