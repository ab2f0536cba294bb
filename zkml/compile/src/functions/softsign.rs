//! Softsign: `x / (1 + |x|)`.

use super::fixed::{ONE_44, Value};
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Softsign",
    read: |_| Ok(Function::new(&SOFTSIGN, &[])),
};

static SOFTSIGN: Rule = Rule {
    name: "softsign/1",
    float: |x, _| x / (1.0 + x.abs()),
    exact: |x, _| {
        // Below 2^68 within the limits of an argument.
        let a = x.magnitude(1, 44).unwrap_or(ONE_44 << 24);
        Value::new((a << 44) / (ONE_44 + a), 44).signed(x.v < 0)
    },
    grows: false,
};
