//! How many bits a profile gives each tensor, by who reads it.
//!
//! Invariant: no table has an index of more bits than it may have rows, whatever the profile is. An input is only as wide as leaves
//! the sum of all its values, each with a coefficient of the profile's width, within an accumulator; a map that adds up more (a
//! repeated value's) is refused where its bound is found, as for every width.

use zkml::graph::bound::LIMIT;
use zkml::graph::{ProfileLimits, TensorId};

use crate::float::FloatGraph;
use crate::functions;
use crate::ops::Readers;

/// By tensor, the width that the profile gives it.
pub(crate) fn widths(graph: &FloatGraph, limits: &ProfileLimits) -> Vec<u8> {
    let mut readers = vec![Readers::Linear; graph.tensors.len()];
    for id in &graph.outputs {
        readers[id.0 as usize] = Readers::Any;
    }
    for node in graph.nodes.iter().rev() {
        let made = readers[node.output.0 as usize];
        let hold = |id: TensorId| graph.tensors[id.0 as usize].hold;
        let others = node.op.reads(node.inputs.len(), made);
        for id in &node.inputs {
            // What is on the way to a clamp has its bits too.
            let alike = hold(node.output).as_wide_as(hold(*id));
            let of = &mut readers[id.0 as usize];
            *of = if alike { made } else { others }.min(*of);
        }
    }
    let width = |(at, readers): (usize, Readers)| match readers {
        Readers::Table => limits.activation_bits.min(functions::MAX_BITS),
        Readers::Linear if graph.inputs.contains(&TensorId(at as u32)) => {
            // As many products with coefficients of the profile's width fit into an accumulator.
            let terms = graph.tensors[at].len().max(1).ilog2() as u8 + 1;
            let room = (LIMIT.ilog2() as u8).saturating_sub(limits.weight_bits + terms);
            room.clamp(limits.activation_bits, limits.input_bits)
        }
        Readers::Linear | Readers::Any => limits.activation_bits,
    };
    readers.into_iter().enumerate().map(width).collect()
}
