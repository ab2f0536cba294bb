//! From nodes of the integer graph to relations. The graph has been validated; operators name their claims, and this says
//! which relation of which tensors each is.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{MAX_RELATIONS, MAX_TABLE_ROWS, Relation, SliceRelations, SliceTensor};
use crate::graph::bound::accumulator_bound;
use crate::graph::{
    Claims, IntGraph, LinearMap, Node, Product, Requantise, Shared, TensorId, TensorInfo, Windows,
};

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
        relations.push(node.op.claim(&site)?);
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

/// A node in its graph.
struct Site<'g> {
    graph: &'g IntGraph,
    nodes: &'g Range<usize>,
    node: &'g Node,
    /// The first tensor that it reads.
    input: TensorId,
}

impl Site<'_> {
    fn outside(&self) -> LowerError {
        LowerError::OutOfGraph(self.nodes.clone())
    }

    fn overflow(&self) -> LowerError {
        LowerError::Overflow {
            node: self.node.name.clone(),
        }
    }

    fn info(&self, id: TensorId) -> Result<&TensorInfo, LowerError> {
        self.graph
            .tensors
            .get(id.0 as usize)
            .ok_or_else(|| self.outside())
    }
}

impl Claims for Site<'_> {
    type Claim = Result<Relation, LowerError>;

    fn requantised(&self, map: &LinearMap, requantise: Requantise) -> Self::Claim {
        let inputs = &self.node.inputs;
        let ranges = inputs.iter().map(|&id| self.info(id).map(|t| t.range));
        let input_ranges = ranges.collect::<Result<Vec<_>, _>>()?;
        let bound = accumulator_bound(map, &input_ranges).ok_or_else(|| self.overflow())?;
        Ok(Relation::Requantised {
            inputs: inputs.clone(),
            input_ranges,
            map: map.clone(),
            requantise,
            bound,
            output: self.node.output,
        })
    }

    fn product(&self, product: Product, requantise: Requantise) -> Self::Claim {
        let [left, right] = self.node.inputs[..] else {
            return Err(self.outside());
        };
        let ranges = [self.info(left)?.range, self.info(right)?.range];
        if product.bound(ranges).is_none() {
            return Err(self.overflow());
        }
        Ok(Relation::Product {
            factors: [left, right],
            ranges,
            product,
            requantise,
            output: self.node.output,
        })
    }

    fn maximum(&self, windows: &Windows) -> Self::Claim {
        Ok(Relation::Maximum {
            input: self.input,
            range: self.info(self.input)?.range,
            windows: windows.clone(),
            output: self.node.output,
        })
    }

    fn wired(&self, source: Option<&Shared<u32>>) -> Self::Claim {
        Ok(Relation::Wired {
            input: self.input,
            source: source.cloned(),
            output: self.node.output,
        })
    }

    fn rows(&self, table: &Shared<i64>, width: u32) -> Self::Claim {
        Ok(Relation::Rows {
            table: table.clone(),
            width,
            index: self.input,
            output: self.node.output,
        })
    }

    fn table(&self, table: u32) -> Self::Claim {
        let table = self.graph.tables.get(table as usize);
        Ok(Relation::Table {
            table: table.ok_or_else(|| self.outside())?.clone(),
            index: self.input,
            outputs: vec![self.node.output],
        })
    }
}
