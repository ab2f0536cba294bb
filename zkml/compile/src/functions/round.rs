//! Round: the nearest whole number, of two the even one. It is that of the quantised x: at a jump a neighbouring one.

use super::fixed::{Argument, Value, floor};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Round",
    read: |_| Ok(Function::new(&ROUND, &[])),
};

static ROUND: Rule = Rule {
    name: "round/1",
    float: |x, _| x.round_ties_even(),
    exact: |x, _| {
        // ⌊x + 1/2⌋, and one less where that rounded half way up from an even one.
        if x.exponent <= 0 {
            return floor(x);
        }
        let half = 1 << (x.exponent - 1);
        let up = floor(Argument { v: x.v + half, ..x });
        let tie = (x.v + half).rem_euclid(2 * half) == 0;
        Value::new(up.numerator - i128::from(tie && up.numerator % 2 != 0), 0)
    },
    grows: false,
};
