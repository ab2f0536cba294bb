//! All invariants of the integer graph, for graphs that come from untrusted bytes.
//!
//! Invariant: after [`IntGraph::validate`] succeeded, evaluating, lowering and proving form no index out of bounds
//! and overflow no integer, and their work is bounded by the limits below. It never panics itself.

use std::collections::BTreeSet;

use super::linear::{GeometryError, MAX_TENSOR_LEN};
use super::ops::{Misfit, Site};
use super::table::{MAX_TABLES, MAX_TOTAL_ROWS, TableError};
use super::{IntGraph, IntRange, Node, TensorId, TensorInfo};

/// The most nodes of a graph.
pub const MAX_NODES: usize = 4096;
/// The most tensors of a graph.
pub const MAX_TENSORS: usize = 2 * MAX_NODES;
/// The most values of all tensors together.
pub const MAX_TOTAL_LEN: usize = 1 << 26;
/// The most coefficients of all linear maps, indices of all windows and wirings, and rows of all tables, together.
pub const MAX_COEFFICIENTS: usize = 1 << 26;
/// The most multiplications of one evaluation.
pub const MAX_MULTIPLICATIONS: u64 = 1 << 36;
/// The greatest absolute exponent of a tensor.
pub const MAX_EXPONENT: i16 = 64;
/// The longest name, in bytes.
pub const MAX_NAME_LEN: usize = 1024;

const MAX_RANK: usize = 8;

// Each table is read by a node.
const _: () = assert!(MAX_TABLES == MAX_NODES);

/// Which invariant a graph breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The graph is larger than the engine accepts.
    #[error("the graph has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The most that is accepted.
        limit: u64,
    },
    /// An id that is not the place of a tensor.
    #[error("tensor {0:?} does not exist")]
    UnknownTensor(TensorId),
    /// A tensor has no producer, more than one, or is read before it is made.
    #[error("tensor {tensor:?} {reason}")]
    Order {
        /// The tensor.
        tensor: TensorId,
        /// What is wrong with its place in the order.
        reason: &'static str,
    },
    /// A tensor's own description is not valid.
    #[error("tensor {tensor:?}: {reason}")]
    Tensor {
        /// The tensor.
        tensor: TensorId,
        /// What is wrong.
        reason: &'static str,
    },
    /// A node does not fit its tensors.
    #[error("node `{node}`: {reason}")]
    Node {
        /// The node.
        node: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A linear map does not fit its tensors.
    #[error("node `{node}`: {source}")]
    Geometry {
        /// The node.
        node: String,
        /// What is wrong.
        source: GeometryError,
    },
    /// An accumulator could reach 2^62.
    #[error("node `{node}`: an accumulator could reach 2^62")]
    Overflow {
        /// The node.
        node: String,
    },
    /// A table that no graph may have.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A table does not have its one place.
    #[error("table {table} {reason}")]
    TablePlace {
        /// Its place in the list.
        table: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl IntGraph {
    /// Checks every invariant of the graph.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn validate(&self) -> Result<(), GraphError> {
        limit("nodes", self.nodes.len(), MAX_NODES)?;
        limit("tensors", self.tensors.len(), MAX_TENSORS)?;
        let mut total = 0;
        for (i, tensor) in self.tensors.iter().enumerate() {
            let reason = |reason| GraphError::Tensor {
                tensor: TensorId(i as u32),
                reason,
            };
            total += check_tensor(tensor).map_err(reason)?;
            if tensor.ranks.is_some() && !self.inputs.contains(&TensorId(i as u32)) {
                return Err(reason("it is held by ranks, and is no input"));
            }
        }
        limit("values", total, MAX_TOTAL_LEN)?;
        self.check_order()?;
        let (mut coefficients, mut multiplications) = (self.check_tables()?, 0u64);
        for node in &self.nodes {
            limit("bytes in a name", node.name.len(), MAX_NAME_LEN)?;
            self.check_node(node)?;
            let output_len = self.info(node.output)?.len();
            multiplications += node.op.multiplications(output_len);
            coefficients += node.op.kept();
            limit("coefficients and indices", coefficients, MAX_COEFFICIENTS)?;
            if multiplications > MAX_MULTIPLICATIONS {
                return Err(GraphError::Limit {
                    what: "multiplications",
                    limit: MAX_MULTIPLICATIONS,
                });
            }
        }
        Ok(())
    }

    fn info(&self, id: TensorId) -> Result<&TensorInfo, GraphError> {
        self.tensors
            .get(id.0 as usize)
            .ok_or(GraphError::UnknownTensor(id))
    }

    /// Every tensor is made once, before it is read, by an input or a node.
    fn check_order(&self) -> Result<(), GraphError> {
        let order = |tensor, reason| Err(GraphError::Order { tensor, reason });
        let mut made = vec![false; self.tensors.len()];
        for &id in &self.inputs {
            self.info(id)?;
            if std::mem::replace(&mut made[id.0 as usize], true) {
                return order(id, "is an input twice");
            }
        }
        for node in &self.nodes {
            limit("inputs of one node", node.inputs.len(), MAX_NODES)?;
            for &id in &node.inputs {
                self.info(id)?;
                if !made[id.0 as usize] {
                    return order(id, "is read before it is made");
                }
            }
            self.info(node.output)?;
            if std::mem::replace(&mut made[node.output.0 as usize], true) {
                return order(node.output, "is made twice");
            }
        }
        if let Some(i) = made.iter().position(|made| !made) {
            return order(TensorId(i as u32), "is never made");
        }
        if self.outputs.is_empty() {
            return Err(GraphError::Limit {
                what: "missing outputs",
                limit: 0,
            });
        }
        let mut is_output = vec![false; self.tensors.len()];
        for &id in &self.outputs {
            self.info(id)?;
            if std::mem::replace(&mut is_output[id.0 as usize], true) {
                return order(id, "is an output twice");
            }
            if self.inputs.contains(&id) {
                return order(id, "is an input and an output");
            }
        }
        Ok(())
    }

    fn check_node(&self, node: &Node) -> Result<(), GraphError> {
        let inputs = node.inputs.iter().map(|&id| self.info(id));
        let site = Site {
            tables: &self.tables,
            inputs: inputs.collect::<Result<_, _>>()?,
            output: self.info(node.output)?,
        };
        let name = || node.name.clone();
        node.op.check(&site).map_err(|misfit| match misfit {
            Misfit::Reason(reason) => GraphError::Node { node: name(), reason },
            Misfit::Geometry(source) => GraphError::Geometry { node: name(), source },
            Misfit::Overflow => GraphError::Overflow { node: name() },
        })
    }

    /// Every table is one, is in the list once, and stands there in the order of the first nodes that read them. The number of
    /// all rows.
    fn check_tables(&self) -> Result<usize, GraphError> {
        limit("tables", self.tables.len(), MAX_TABLES)?;
        let (mut rows, mut digests) = (0, BTreeSet::new());
        for (at, table) in self.tables.iter().enumerate() {
            limit("bytes in a name", table.name.len(), MAX_NAME_LEN)?;
            table.check()?;
            rows += table.rows();
            limit("rows in all tables", rows, MAX_TOTAL_ROWS)?;
            if !digests.insert(table.digest()) {
                let reason = "is in the list twice";
                return Err(GraphError::TablePlace { table: at, reason });
            }
        }
        let mut read = 0;
        for node in &self.nodes {
            let Some(table) = node.op.table() else { continue };
            let table = table as usize;
            if table > read {
                let reason = "is read before an earlier one of the list";
                return Err(GraphError::TablePlace { table, reason });
            }
            read = read.max(table + 1);
        }
        if read < self.tables.len() {
            let reason = "is read by no node";
            return Err(GraphError::TablePlace { table: read, reason });
        }
        Ok(rows)
    }
}

fn limit(what: &'static str, got: usize, limit: usize) -> Result<(), GraphError> {
    if got <= limit {
        Ok(())
    } else {
        Err(GraphError::Limit {
            what,
            limit: limit as u64,
        })
    }
}

/// The tensor's length.
fn check_tensor(tensor: &TensorInfo) -> Result<usize, &'static str> {
    let IntRange { bits, signed: _ } = tensor.range;
    if !(1..=IntRange::MAX_BITS).contains(&bits) {
        return Err("its range is not 1..=32 bits wide");
    }
    if tensor.whole && tensor.exponent != 0 {
        return Err("it is of whole numbers, and its exponent is not 0");
    }
    if tensor.ranks.is_some() && (tensor.exponent != 0 || tensor.whole) {
        return Err("it is held by ranks, and its exponent is not 0, or it is of whole numbers");
    }
    if tensor.exponent.unsigned_abs() > MAX_EXPONENT.unsigned_abs() {
        return Err("its exponent is beyond ±64");
    }
    if tensor.name.len() > MAX_NAME_LEN {
        return Err("its name is too long");
    }
    if tensor.shape.len() > MAX_RANK {
        return Err("it has more than 8 dimensions");
    }
    let len = tensor
        .shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d as usize));
    let len = len
        .filter(|n| (1..=MAX_TENSOR_LEN).contains(n))
        .ok_or("it is empty or too large")?;
    if let Some(ranks) = &tensor.ranks {
        ranks.check(len, [tensor.range.lo(), tensor.range.hi()])?;
    }
    Ok(len)
}
