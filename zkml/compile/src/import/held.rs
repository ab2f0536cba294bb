//! Numbers that are held between two ends, and room for what is on its way there.
//!
//! Invariant: no new claim. A clamp is two rectified requantisations and one more, whose values are within its ends; whatever stands
//! between it and the products and sums that make its numbers has room for all that these can be. So no input is refused for a
//! score or a carried state, however far beyond the samples it is. A softmax's weight is 0 where all such of a row together are
//! less than 2^-17 of its sum; a gate is that at the clamp's end: where that is the function's own, within 2^-18 of what it is at
//! infinity, and else what it is at the end of the calibrated range. How far an answer is from the float model's is judged as of
//! every other.

use zkml::graph::{Activation, TensorId};

use super::binary::{combination, line};
use super::draft::{Draft, Refusal};
use super::dynamic::rectified;
use super::function::function;
use crate::float::{FloatGraph, FloatMap, FloatOp, Hold};
use crate::functions::Function;
use crate::ops::Linear;

/// How far below the greatest of a row the weight of a place is 0. The sum of a row is 1 at least, and all such places together have
/// less than 2^-17: 16 of e^-15, or as many of e^-31 as a tensor has. Any number from 16 to 31 takes the same steps.
pub(super) const fn deepest(places: usize) -> u32 {
    if places <= 16 { 15 } else { 31 }
}

/// A function of numbers that no input is refused for: clamped where it is flat. Of a function that is flat nowhere they are
/// refused beyond the calibrated range, as everywhere.
pub(super) fn flat(draft: &mut Draft, name: &str, x: TensorId, of: Function) -> Result<TensorId, Refusal> {
    let x = match of.flat_from() {
        Some(end) => clamped(draft, name, x, end)?,
        None => x,
    };
    function(draft, name, x, of)
}

/// `min(max(x, −end), end)`, as `x` less what is above the end, and with what is below the other one. In integers the ends are as far
/// as calibration's values go, if that is less: a table of so many rows is as fine as it would be without a clamp, and what calibration
/// has seen is answered as it would be.
fn clamped(draft: &mut Draft, name: &str, x: TensorId, end: u32) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let len = shape.iter().product();
    let mut beyond = |sign: f64| {
        let map = line(len, vec![sign], -f64::from(end))?;
        let made = rectified(draft, name, map, x)?;
        draft.hold(made, Hold::Beyond);
        Ok(made)
    };
    let (above, below) = (beyond(1.0)?, beyond(-1.0)?);
    let y = draft.linear(
        name,
        combination(len, vec![1.0, -1.0, 1.0])?,
        &[x, above, below],
        &shape,
    )?;
    draft.hold(y, Hold::Within(end));
    Ok(y)
}

/// `min(max(x, −end), end)` of any end that is not below 0, in steps that calibration chooses.
pub(super) fn clipped(draft: &mut Draft, name: &str, x: TensorId, end: f64) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let len = shape.iter().product();
    let above = rectified(draft, name, line(len, vec![1.0], end)?, x)?;
    let below = rectified(draft, name, line(len, vec![-1.0], 2.0 * end)?, above)?;
    for id in [above, below] {
        draft.hold(id, Hold::All);
    }
    let y = draft.linear(name, line(len, vec![-1.0], end)?, &[below], &shape)?;
    // It is no more than that, whatever the inputs are.
    draft.bound(y, (end.ceil() as u32).max(1));
    Ok(y)
}

/// `max(map, 0)` of a map whose values are `most` at most, whatever the inputs are.
pub(super) fn from_below(
    draft: &mut Draft,
    name: &str,
    map: FloatMap,
    inputs: &[TensorId],
    shape: &[usize],
    most: u32,
) -> Result<TensorId, Refusal> {
    let activation = Activation::Relu;
    let above = draft.node(name, FloatOp::Linear(Linear { map, activation }), inputs, shape)?;
    draft.hold(above, Hold::Edge(most));
    let y = rectified(draft, name, line(shape.iter().product(), vec![1.0], 0.0)?, above)?;
    draft.hold(y, Hold::Clamped);
    Ok(y)
}

/// Gives room to every tensor that only such nodes read, or nodes that hand its values on to such as they are or times constants.
pub(super) fn make_room(graph: &mut FloatGraph) {
    let mut refuses = vec![false; graph.tensors.len()];
    let mut read = vec![false; graph.tensors.len()];
    for id in &graph.outputs {
        refuses[id.0 as usize] = true;
    }
    for node in graph.nodes.iter().rev() {
        let at = node.output.0 as usize;
        let made = &mut graph.tensors[at];
        if made.hold == Hold::Calibrated && read[at] && !refuses[at] && !made.whole {
            made.hold = Hold::All;
        }
        let hands_on = match &node.op {
            FloatOp::Linear(Linear { map, .. }) => matches!(map, FloatMap::Affine { .. }),
            FloatOp::Max(_) | FloatOp::Wiring(_) => true,
            _ => false,
        };
        let passes = hands_on && (made.hold.has_room() || matches!(made.hold, Hold::Within(_)));
        for id in &node.inputs {
            read[id.0 as usize] = true;
            refuses[id.0 as usize] |= !passes;
        }
    }
}
