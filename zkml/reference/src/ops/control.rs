//! Operators that choose which nodes are evaluated.
//!
//! Invariant: the nodes are evaluated where values are ([`evaluate`](crate::evaluate)); here is what decides.

use std::sync::Arc;

use super::{Body, Call, Made, Operation, Operator, Step, Tensor, op};
use crate::{Values, attribute::graph};

pub(super) const OPERATORS: &[Operator] = &[op("If", 1, 1, none)
    .since(1)
    .attributes(&[graph("then_branch"), graph("else_branch")])];

/// A node that has branches is evaluated by [`branch`].
fn none(_: &Call) -> Made {
    Err("it has no branches".into())
}

/// The branch that a node takes, if it is one that has branches.
pub(crate) fn branch<'a>(operation: &'a Operation, inputs: &[Option<Arc<Tensor>>]) -> Step<Option<&'a Body>> {
    let Some(branches) = &operation.branches else {
        return Ok(None);
    };
    let condition = inputs.first().cloned().flatten();
    let condition = condition.ok_or("its condition is missing")?;
    let taken = match condition.values() {
        Values::Bool(values) => match values[..] {
            [true] => &branches.then,
            [false] => &branches.otherwise,
            _ => return Err(format!("its condition has {} values, not one", values.len())),
        },
        Values::Float(_) | Values::Int(_) => {
            return Err(format!("its condition is {}, not bool", condition.element()));
        }
    };
    match taken {
        Ok(body) => Ok(Some(body)),
        Err(reason) => Err(reason.clone()),
    }
}
