//! Graphs whose names are numbers: the model's own, and those that stand in nodes.
//!
//! Invariant: each holds what evaluating it needs, and nothing of its file.

use std::{ops::Range, sync::Arc};

use super::{Operation, Step, Tensor};
use crate::{ElementType, Node};

/// The nodes of a graph, in its order.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub nodes: Vec<Node>,
    /// One per node.
    pub operations: Vec<Operation>,
    pub constants: Vec<(usize, Arc<Tensor>)>,
    /// Value of each input: of a graph that is computed again and again.
    pub inputs: Vec<usize>,
    /// Value of each output.
    pub outputs: Vec<usize>,
    /// What the file says of each: where nothing is computed, nothing else tells.
    pub stated: Vec<Option<Stated>>,
    /// The values that are its own.
    pub own: Range<usize>,
    /// For each node, its own values that nothing reads after it.
    pub dying: Vec<Vec<usize>>,
}

/// Type and shape of an output as the file states them, with 0 for sizes that are free.
pub(crate) type Stated = (ElementType, Vec<usize>);

/// The graphs in a node, and why one of them is not evaluated.
#[derive(Debug, Clone)]
pub(crate) enum Graphs {
    /// Of an `If`.
    Branches { then: Step<Body>, otherwise: Step<Body> },
    /// Of a `Loop` or a `Scan`.
    Repeated(Step<Body>),
}

impl Graphs {
    /// Those that are evaluated.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &Body> {
        let (first, second) = match self {
            Self::Branches { then, otherwise } => (then, Some(otherwise)),
            Self::Repeated(body) => (body, None),
        };
        first.iter().chain(second.into_iter().flatten())
    }
}

impl Body {
    /// How many nodes are evaluated with it, each time; graphs that are repeated within it count by themselves.
    pub(crate) fn weight(&self) -> u64 {
        let of = |operation: &Operation| match operation.graphs.as_deref() {
            Some(graphs @ Graphs::Branches { .. }) => graphs.bodies().map(Body::weight).sum(),
            Some(Graphs::Repeated(_)) | None => 0u64,
        };
        1 + self.nodes.len() as u64 + self.operations.iter().map(of).sum::<u64>()
    }
}
