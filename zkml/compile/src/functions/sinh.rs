//! Sinh: `(e^|x| − e^-|x|) / 2`, with the sign of x.

use super::fixed::hyperbolic;
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Sinh",
    read: |_| Ok(Function::new(&SINH, &[])),
};

static SINH: Rule = Rule {
    name: "sinh/1",
    float: |x, _| x.sinh(),
    exact: |x, _| hyperbolic(x, -1).signed(x.v < 0),
    grows: true,
};
