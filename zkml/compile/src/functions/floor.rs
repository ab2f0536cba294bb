//! Floor: the greatest whole number that is no more than x. It is that of the quantised x: at a jump a neighbouring one.

use super::fixed::floor;
use super::{Function, Operator, Rule};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Floor",
    read: |_| Ok(Function::new(&FLOOR, &[])),
};

static FLOOR: Rule = Rule {
    name: "floor/1",
    float: |x, _| x.floor(),
    exact: |x, _| floor(x),
    grows: false,
};
