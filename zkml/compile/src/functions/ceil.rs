//! Ceil: the least whole number that is no less than x. It is that of the quantised x: at a jump a neighbouring one.

use super::fixed::{Argument, floor};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Ceil",
    read: |_| Ok(Function::new(&CEIL, &[])),
};

static CEIL: Rule = Rule {
    name: "ceil/1",
    float: |x, _| x.ceil(),
    exact: |x, _| {
        let down = floor(Argument { v: -x.v, ..x });
        down.signed(true)
    },
    grows: false,
};
