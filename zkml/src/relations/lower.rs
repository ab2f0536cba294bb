//! From nodes of the integer graph to relations. The graph has been validated; an operator says as which it is claimed, and that
//! one's relation, in its file, of which tensors it is.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{MAX_RELATIONS, MAX_TABLE_ROWS, Relation, SliceRelations, SliceTensor};
use crate::graph::{IntGraph, IntRange, Node, Op, TableRef, TensorId};

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
    /// There is more in the slice than a slice has.
    #[error("the slice has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The most that is accepted.
        limit: usize,
    },
}

/// The relations of `graph.nodes[nodes]`, with the given boundary tensors in the manifest's order.
///
/// The first claims are the exact ranges of the inputs; inner tensors get theirs from the relation that makes them.
///
/// # Errors
/// Ids outside the graph, an accumulator whose static bound is not below 2^62, or more than a slice may have.
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
        let site = Site {
            graph,
            nodes: &nodes,
            node,
            input: *node.inputs.first().ok_or_else(outside)?,
        };
        relations.push(claim(&node.op, &site)?);
    }
    check_limits(&relations)?;
    Ok(SliceRelations {
        inputs,
        outputs,
        relations,
    })
}

/// A slice has no more relations than [`MAX_RELATIONS`], and its tables, each counted once, no more rows than
/// [`MAX_TABLE_ROWS`]: a verifier's work for one slice is bounded before any of it is done.
fn check_limits(relations: &[Relation]) -> Result<(), LowerError> {
    let limit = |what, got: usize, limit| {
        if got <= limit {
            Ok(())
        } else {
            Err(LowerError::Limit { what, limit })
        }
    };
    limit("relations", relations.len(), MAX_RELATIONS)?;
    let mut tables = BTreeMap::new();
    for relation in relations {
        if let Some(table) = relation.table() {
            tables.insert(table.digest(), table.rows());
        }
    }
    limit("rows in its tables", tables.values().sum(), MAX_TABLE_ROWS)
}

/// An operator of the integer graph that has a relation of its own.
pub(super) trait Lower {
    /// What is claimed of a node that does this.
    ///
    /// # Errors
    /// A tensor or table that is not in the graph, or an accumulator that could reach 2^62.
    fn lower(&self, site: &Site<'_>) -> Result<Relation, LowerError>;
}

/// The match that names every operator: each as what it is claimed as.
macro_rules! claims {
    ($($(#[$doc:meta])* $variant:ident($file:ident::$form:ident),)*) => {
        fn claim(op: &Op, site: &Site<'_>) -> Result<Relation, LowerError> {
            match op {
                $(Op::$variant(op) => op.claimed().lower(site),)*
            }
        }
    };
}

crate::operators!(claims);

/// A node in its graph.
pub(super) struct Site<'g> {
    graph: &'g IntGraph,
    nodes: &'g Range<usize>,
    node: &'g Node,
    input: TensorId,
}

impl<'g> Site<'g> {
    /// The tensors that it reads.
    pub(super) fn inputs(&self) -> &'g [TensorId] {
        &self.node.inputs
    }

    /// The first of them.
    pub(super) const fn input(&self) -> TensorId {
        self.input
    }

    /// The tensor that it makes.
    pub(super) const fn output(&self) -> TensorId {
        self.node.output
    }

    /// The exact range of a tensor.
    pub(super) fn range(&self, id: TensorId) -> Result<IntRange, LowerError> {
        let tensor = self.graph.tensors.get(id.0 as usize);
        tensor.map(|t| t.range).ok_or_else(|| self.outside())
    }

    /// A table of the graph.
    pub(super) fn table(&self, place: u32) -> Result<&'g TableRef, LowerError> {
        let table = self.graph.tables.get(place as usize);
        table.ok_or_else(|| self.outside())
    }

    pub(super) fn outside(&self) -> LowerError {
        LowerError::OutOfGraph(self.nodes.clone())
    }

    pub(super) fn overflow(&self) -> LowerError {
        LowerError::Overflow {
            node: self.node.name.clone(),
        }
    }
}
