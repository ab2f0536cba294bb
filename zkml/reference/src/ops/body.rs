//! Graphs whose names are numbers: the model's own, and those that stand in nodes.
//!
//! Invariant: each holds what evaluating it needs, and nothing of its file.

use std::{ops::Range, sync::Arc};

use super::{Operation, Step, Tensor};
use crate::Node;

/// The nodes of a graph, in its order.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub nodes: Vec<Node>,
    /// One per node.
    pub operations: Vec<Operation>,
    pub constants: Vec<(usize, Arc<Tensor>)>,
    /// Value of each output.
    pub outputs: Vec<usize>,
    /// The values that are its own.
    pub own: Range<usize>,
    /// For each node, its own values that nothing reads after it.
    pub dying: Vec<Vec<usize>>,
}

/// The graphs of an `If`, and why one of them is not evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Branches {
    pub then: Step<Body>,
    pub otherwise: Step<Body>,
}
