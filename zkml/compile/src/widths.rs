//! How many bits a profile gives each tensor, by who reads it.
//!
//! Invariant: no table has an index of more bits than it may have rows, whatever the profile is. An input is only as wide as leaves
//! the sum of all its values, each with a coefficient of the profile's width, within an accumulator; a map that adds up more (a
//! repeated value's) is refused where its bound is found, as for every width.

use zkml::graph::bound::LIMIT;
use zkml::graph::{ProfileLimits, TensorId};

use crate::float::{FloatGraph, FloatOp};
use crate::functions;

/// Who reads a tensor, through whatever hands its values on as they are; the first that one of the readers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Readers {
    /// A table, by its rows.
    Table,
    /// Any.
    Any,
    /// Linear maps alone.
    Linear,
}

/// By tensor, the width that the profile gives it.
pub(crate) fn widths(graph: &FloatGraph, limits: &ProfileLimits) -> Vec<u8> {
    let mut readers = vec![Readers::Linear; graph.tensors.len()];
    for id in &graph.outputs {
        readers[id.0 as usize] = Readers::Any;
    }
    for node in graph.nodes.iter().rev() {
        let handed_on = readers[node.output.0 as usize];
        let reads = match &node.op {
            FloatOp::Table(_) => Readers::Table,
            FloatOp::Wiring(_) => handed_on,
            FloatOp::Max(_) => handed_on.min(Readers::Any),
            // It refuses by its own width what is beyond, at the same scale.
            op if op.is_guard() => handed_on.min(Readers::Any),
            FloatOp::Product(_) => Readers::Any,
            // Beside another tensor in greater steps its coefficients would be too small.
            FloatOp::Linear(_) | FloatOp::Step(_) if node.inputs.len() > 1 => Readers::Any,
            FloatOp::Linear(_) | FloatOp::Step(_) | FloatOp::Floor(_) | FloatOp::Rows(_) => Readers::Linear,
        };
        for id in &node.inputs {
            let of = &mut readers[id.0 as usize];
            *of = reads.min(*of);
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
