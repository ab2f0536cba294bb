//! From nodes of the integer graph to relations. The graph has been validated; this only names claims.

use std::ops::Range;

use super::{Relation, SliceRelations, SliceTensor};
use crate::graph::{IntGraph, Op, TensorId};

/// Why nodes do not lower.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// The node range, a tensor id or a table is not in the graph.
    #[error("nodes {0:?}, or a tensor or table of theirs, are not in the graph")]
    OutOfGraph(Range<usize>),
    /// An accumulator could reach 2^62.
    #[error("node `{node}`: an accumulator could reach 2^62")]
    Overflow {
        /// The node.
        node: String,
    },
}

/// The relations of `graph.nodes[nodes]`, with the given boundary tensors in the manifest's order.
///
/// The first claims are the exact ranges of the inputs; inner tensors get theirs from the relation that makes them.
///
/// # Errors
/// Ids outside the graph, or an accumulator whose static bound is not below 2^62.
pub fn lower(
    graph: &IntGraph,
    nodes: Range<usize>,
    inputs: &[TensorId],
    outputs: &[TensorId],
) -> Result<SliceRelations, LowerError> {
    let outside = || LowerError::OutOfGraph(nodes.clone());
    let info = |id: TensorId| graph.tensors.get(id.0 as usize).ok_or_else(outside);
    let boundary = |ids: &[TensorId]| {
        ids.iter()
            .map(|&id| {
                info(id).map(|t| SliceTensor {
                    id,
                    len: t.len(),
                    range: t.range,
                })
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let (inputs, outputs) = (boundary(inputs)?, boundary(outputs)?);
    let mut relations: Vec<_> = inputs
        .iter()
        .map(|t| Relation::Range {
            tensor: t.id,
            range: t.range,
        })
        .collect();
    for node in graph.nodes.get(nodes.clone()).ok_or_else(outside)? {
        let first = *node.inputs.first().ok_or_else(outside)?;
        relations.push(match &node.op {
            Op::Linear { map, requantise } => {
                let input_ranges = node
                    .inputs
                    .iter()
                    .map(|&id| info(id).map(|t| t.range))
                    .collect::<Result<Vec<_>, _>>()?;
                let bound = super::bound::accumulator_bound(map, &input_ranges).ok_or_else(|| {
                    LowerError::Overflow {
                        node: node.name.clone(),
                    }
                })?;
                Relation::Requantised {
                    inputs: node.inputs.clone(),
                    input_ranges,
                    map: map.clone(),
                    requantise: *requantise,
                    bound,
                    output: node.output,
                }
            }
            Op::Max { windows } => Relation::Maximum {
                input: first,
                range: info(first)?.range,
                windows: windows.iter().map(<[u32]>::to_vec).collect(),
                output: node.output,
            },
            Op::Wiring { source } => Relation::Wired {
                input: first,
                source: source.clone(),
                output: node.output,
            },
            Op::Table { table } => {
                let table = graph.tables.get(*table as usize).ok_or_else(outside)?;
                Relation::Table {
                    table: table.clone(),
                    index: first,
                    outputs: vec![node.output],
                }
            }
        });
    }
    Ok(SliceRelations {
        inputs,
        outputs,
        relations,
    })
}
