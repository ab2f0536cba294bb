//! Cosh: `(e^x + e^-x) / 2`.

use super::fixed::hyperbolic;
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Cosh",
    read: |_| Ok(Function::new(&COSH, &[])),
};

static COSH: Rule = Rule {
    name: "cosh/1",
    float: |x, _| x.cosh(),
    exact: |x, _| hyperbolic(x, 1),
    grows: true,
};
