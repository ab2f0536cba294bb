//! Shrink: `x + bias` below −lambd, `x − bias` above lambd, else 0.

use super::fixed::{Argument, Value, above, at_60, parts};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Shrink",
    read: |attributes| {
        let parameters = [attributes.number("lambd", 0.5)?, attributes.number("bias", 0.0)?];
        Ok(Function::new(&SHRINK, &parameters))
    },
};

static SHRINK: Rule = Rule {
    name: "shrink/1",
    float: |x, p| {
        let [lambd, bias] = both(p).map(f64::from);
        if x < -lambd {
            x + bias
        } else if x > lambd {
            x - bias
        } else {
            0.0
        }
    },
    exact: |x, p| {
        let [lambd, bias] = both(p);
        // Below 2^84 within the limits of an argument; what is larger than 2^38 is beyond every row.
        let straight = at_60(x.v, -x.exponent, MOST);
        let (m, k) = parts(bias);
        let bias = at_60(m, k, MOST);
        if above(Argument { v: -x.v, ..x }, lambd) {
            Value::new(straight + bias, 60)
        } else if above(x, lambd) {
            Value::new(straight - bias, 60)
        } else {
            Value::new(0, 60)
        }
    },
    grows: false,
};

const MOST: i128 = 1 << 98;

fn both(parameters: &[f32]) -> [f32; 2] {
    let at = |i: usize, default| parameters.get(i).copied().unwrap_or(default);
    [at(0, 0.5), at(1, 0.0)]
}
