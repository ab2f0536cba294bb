//! How far whole numbers go that the model does not bound: inputs as far as calibration's, and what is made of them as far as
//! that lets it.
//!
//! Invariant: no answer hangs on it but whether there is one. A tensor is held in the range that is chosen here, and a value beyond
//! is refused where it is made.

use zkml::graph::TensorId;

use crate::float::{FloatGraph, FloatNode, Interval};
use crate::ops::whole_scale;

/// By tensor of whole numbers, those that it has room for. `seen` are the greatest absolute values over the samples; a range of
/// more bits than `most_bits` is as far as these go.
pub(crate) fn of(graph: &FloatGraph, seen: &[f64], most_bits: u8) -> Vec<Option<Interval>> {
    let mut reaches: Vec<Option<Interval>> = vec![None; graph.tensors.len()];
    // Below 2^31, or of more bits than any profile has. What an input has room for is a power of two.
    let calibrated = |at: usize| {
        let seen = seen.get(at).map_or(0, |seen| *seen as u32);
        let half = 1i64 << (Interval::from(seen).bits() - 1);
        Interval::new(-half, half - 1)
    };
    for id in &graph.inputs {
        let at = id.0 as usize;
        let tensor = graph.tensors.get(at).filter(|tensor| tensor.whole);
        if let Some(tensor) = tensor {
            reaches[at] = Some(tensor.bound.unwrap_or_else(|| calibrated(at)));
        }
    }
    for node in &graph.nodes {
        let at = node.output.0 as usize;
        let Some(tensor) = graph.tensors.get(at).filter(|tensor| tensor.whole) else {
            continue;
        };
        let fits = |reach: &Interval| whole_scale(*reach).bits <= most_bits;
        let derived = || made(node, &reaches).filter(fits);
        reaches[at] = Some(tensor.bound.or_else(derived).unwrap_or_else(|| calibrated(at)));
    }
    reaches
}

/// Whether some whole number is made of numbers that are not: a step of these decides it, however small it is.
pub(crate) fn decides(graph: &FloatGraph) -> bool {
    let whole = |id: &TensorId| {
        graph
            .tensors
            .get(id.0 as usize)
            .is_some_and(|tensor| tensor.whole)
    };
    graph
        .nodes
        .iter()
        .any(|node| whole(&node.output) && !node.inputs.iter().all(whole))
}

/// What a node makes of numbers that go so far; none where its own are not whole, or nothing is known of them.
fn made(node: &FloatNode, reaches: &[Option<Interval>]) -> Option<Interval> {
    let read = node.inputs.iter().map(|id| *reaches.get(id.0 as usize)?);
    let read: Vec<Interval> = read.collect::<Option<_>>()?;
    node.op.reach(&read)
}
