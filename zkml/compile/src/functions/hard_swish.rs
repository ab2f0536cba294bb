//! HardSwish: `x · clamp(x + 3, 0, 6) / 6`.

use super::fixed::Value;
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "HardSwish",
    read: |_| Ok(Function::new(&HARD_SWISH, &[])),
};

static HARD_SWISH: Rule = Rule {
    name: "hard_swish/1",
    float: |x, _| x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
    exact: |x, _| {
        // An exact fraction; a negative exponent makes a whole number of the argument.
        let (v, fraction) = (x.v << (-x.exponent).max(0), x.exponent.max(0));
        let part = (v + (3 << fraction)).clamp(0, 6 << fraction);
        Value {
            numerator: v * part,
            divisor: 6,
            fraction: 2 * fraction,
        }
    },
    grows: false,
};
