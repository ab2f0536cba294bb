//! HardSigmoid: `clamp(alpha · x + beta, 0, 1)`.

use super::fixed::{ONE, Value, parts, shifted};
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
        let sum = at_60(x.v * m, k - x.exponent) + at_60(b, j);
        Value::new(sum.clamp(0, ONE), 60)
    },
    grows: false,
};

/// `m · 2^k` at 60 fraction bits. What is larger than 2^60 is that: beside it nothing else makes the sum's part of 1.
fn at_60(m: i128, k: i32) -> i128 {
    let most = 1 << 120;
    let magnitude = shifted(m.abs(), 60 + k).map_or(most, |v| v.min(most));
    if m < 0 { -magnitude } else { magnitude }
}

fn both(parameters: &[f32]) -> [f32; 2] {
    let at = |i: usize, default| parameters.get(i).copied().unwrap_or(default);
    [at(0, 0.2), at(1, 0.5)]
}
