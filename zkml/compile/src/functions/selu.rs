//! Selu: `gamma · x`, or `gamma · alpha · (e^x − 1)` below 0.

use super::fixed::{ONE, Value, exp_of_minus, parts};
use super::{Function, Operator, Rule};

/// ONNX's, as floats of 32 bits.
const ALPHA: f32 = 1.673_263_2;
const GAMMA: f32 = 1.050_701;

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Selu",
    read: |attributes| {
        let parameters = [
            attributes.number("alpha", ALPHA)?,
            attributes.number("gamma", GAMMA)?,
        ];
        Ok(Function::new(&SELU, &parameters))
    },
};

static SELU: Rule = Rule {
    name: "selu/1",
    float: |x, p| {
        let [alpha, gamma] = both(p).map(f64::from);
        gamma * if x < 0.0 { alpha * x.exp_m1() } else { x }
    },
    exact: |x, p| {
        // The factors are the floats exactly.
        let [(m, k), (n, j)] = both(p).map(parts);
        if x.v >= 0 {
            return Value::new(n * x.v, x.exponent - j);
        }
        // At 50 fraction bits, so that with two factors of 24 there are 98.
        let curved = (exp_of_minus(x.magnitude(1, 100)) - ONE) >> 10;
        Value::new(m * n * curved, 50 - k - j)
    },
    grows: false,
};

fn both(parameters: &[f32]) -> [f32; 2] {
    let at = |i: usize, default| parameters.get(i).copied().unwrap_or(default);
    [at(0, ALPHA), at(1, GAMMA)]
}
