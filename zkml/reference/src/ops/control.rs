//! Operators that choose which nodes are evaluated, and how often.
//!
//! Invariant: the nodes are evaluated where values are ([`evaluate`](crate::evaluate), [`repeat`](crate::repeat)); here is what
//! decides.

use std::sync::Arc;

use super::{Body, Call, Graphs, MANY, Made, Operation, Operator, Step, Tensor, op};
use crate::{
    Values,
    attribute::{Value, graph, int, ints},
    layout,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("If", 1, 1, none)
        .since(1)
        .attributes(&[graph("then_branch"), graph("else_branch")]),
    op("Loop", 2, MANY, none).since(1).attributes(&[graph("body")]),
    op("Scan", 1, MANY, none).since(8).attributes(&[
        graph("body"),
        int("num_scan_inputs"),
        ints("directions").before(9),
        ints("scan_input_axes").from(9),
        ints("scan_input_directions").from(9),
        ints("scan_output_axes").from(9),
        ints("scan_output_directions").from(9),
    ]),
];

/// A node that has graphs is evaluated by them.
fn none(_: &Call) -> Made {
    Err("it has no graphs".into())
}

/// The one value of a condition.
pub(crate) fn condition(value: &Tensor) -> Step<bool> {
    match value.values() {
        Values::Bool(values) => match values[..] {
            [one] => Ok(one),
            _ => Err(format!("its condition has {} values, not one", values.len())),
        },
        Values::Float(_) | Values::Int(_) => Err(format!("its condition is {}, not bool", value.element())),
    }
}

/// The branch that a node takes, if it is one that has branches.
pub(crate) fn branch<'a>(operation: &'a Operation, inputs: &[Option<Arc<Tensor>>]) -> Step<Option<&'a Body>> {
    let Some(Graphs::Branches { then, otherwise }) = operation.graphs.as_deref() else {
        return Ok(None);
    };
    let given = inputs.first().cloned().flatten();
    let given = given.ok_or("its condition is missing")?;
    match if condition(&given)? { then } else { otherwise } {
        Ok(body) => Ok(Some(body)),
        Err(reason) => Err(reason.clone()),
    }
}

/// How a `Scan` goes through what it reads and what it makes.
pub(crate) struct Scanned {
    /// How many of its inputs are states.
    pub states: usize,
    /// By scanned input: the axis, and whether it goes from the end.
    pub input_axes: Vec<(i64, bool)>,
    /// By output that is put together: the axis, and whether from the end.
    pub output_axes: Vec<(i64, bool)>,
}

/// What the attributes of a `Scan` with so many states and scanned inputs say; in opset 8 axes do not count the batch.
pub(crate) fn scanned(operation: &Operation, given: usize, made: usize) -> Step<Scanned> {
    let count = match operation.attributes.get("num_scan_inputs") {
        Some(Value::Int(count)) => usize::try_from(*count).ok(),
        _ => None,
    };
    let inputs = count
        .filter(|count| (1..=given).contains(count))
        .ok_or_else(|| format!("its num_scan_inputs is missing, or not from 1 to the {given} inputs"))?;
    let states = given - inputs;
    let outputs = made
        .checked_sub(states)
        .ok_or_else(|| format!("{made} outputs of {states} states"))?;
    let list = |name: &str, len: usize| match operation.attributes.get(name) {
        Some(Value::Ints(list)) if list.len() == len => Ok(list.clone()),
        Some(Value::Ints(list)) => Err(format!("its {name} has {} values, not {len}", list.len())),
        _ => Ok(vec![0; len]),
    };
    let directions = |name: &str, len: usize| -> Step<Vec<bool>> {
        let one = |direction: i64| match direction {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("its {name} has {other}, not 0 or 1")),
        };
        list(name, len)?.into_iter().map(one).collect()
    };
    let backward = if operation.opset < 9 {
        directions("directions", inputs)?
    } else {
        directions("scan_input_directions", inputs)?
    };
    let pairs = |axes: Vec<i64>, backward: Vec<bool>| axes.into_iter().zip(backward).collect();
    Ok(Scanned {
        states,
        input_axes: pairs(list("scan_input_axes", inputs)?, backward),
        output_axes: pairs(
            list("scan_output_axes", outputs)?,
            directions("scan_output_directions", outputs)?,
        ),
    })
}

impl Scanned {
    /// The axis of each scanned tensor, and how many steps there are.
    pub(crate) fn steps(&self, given: &[Arc<Tensor>]) -> Step<(Vec<usize>, usize)> {
        let mut axes = Vec::with_capacity(given.len());
        let mut steps: Option<usize> = None;
        for (tensor, (axis, _)) in given.iter().zip(&self.input_axes) {
            let axis = layout::axis(*axis, tensor.rank())?;
            let size = tensor.shape()[axis];
            if let Some(steps) = steps.filter(|steps| *steps != size) {
                return Err(format!("it scans {steps} and {size} elements together"));
            }
            steps = Some(size);
            axes.push(axis);
        }
        Ok((axes, steps.unwrap_or(0)))
    }
}
