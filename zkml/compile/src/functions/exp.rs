//! Exp: `e^x`.

use super::fixed::{ONE, Value, exp, shifted};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Exp",
    read: |_| Ok(Function::new(&EXP, &[])),
};

pub(super) static EXP: Rule = Rule {
    name: "exp/1",
    float: |x, _| x.exp(),
    exact: |x, _| {
        // Within the limits of an argument its magnitude is below 2^126.
        let magnitude = x.magnitude(1, 100).unwrap_or(0);
        let (m, k) = exp(if x.v < 0 { -magnitude } else { magnitude });
        Value::new(m, 60 - k)
    },
    grows: true,
};

/// `e^x` of what is not above 0, and 0 of all else: a weight among those of the greatest, and that of a place which is masked.
pub(super) static OF_NEGATIVES: Rule = Rule {
    name: "exp_of_negatives/1",
    float: |x, _| if x > 0.0 { 0.0 } else { x.exp() },
    exact: |x, _| {
        if x.v > 0 {
            return Value::new(0, 0);
        }
        (EXP.exact)(x, &[])
    },
    grows: false,
};

/// `e^(x − c)` of an `x` that is from 0 to `c`, the parameter, a whole number: 0 at 0, and 1 beyond `c`.
pub(super) static FROM: Rule = Rule {
    name: "exp_from/1",
    float: |x, p| {
        if x <= 0.0 {
            0.0
        } else {
            (x - f64::from(p[0])).min(0.0).exp()
        }
    },
    exact: |x, p| {
        if x.v <= 0 {
            return Value::new(0, 0);
        }
        // Within the limits of an argument and of `c` both are below 2^126.
        let end = shifted(p[0] as i128, 100).unwrap_or(0);
        match x.magnitude(1, 100) {
            Some(x) if x < end => {
                let (m, k) = exp(x - end);
                Value::new(m, 60 - k)
            }
            Some(_) | None => Value::new(ONE, 60),
        }
    },
    grows: false,
};
