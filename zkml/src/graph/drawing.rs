//! An integer graph as it is drawn for people: nodes and who reads whom, without weights and tables.
//!
//! Invariants: it is bounded whatever the graph is, in nodes, edges and the length of names; it says nothing that the graph
//! does not, and nothing is ever proved or verified by it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use super::{IntGraph, TensorId, TensorInfo};

/// Most nodes that are drawn, inputs among them.
pub const MAX_DRAWN_NODES: usize = 20_000;
/// Most edges.
pub const MAX_DRAWN_EDGES: usize = 100_000;
/// Most characters of a name; the rest is cut off.
pub const MAX_DRAWN_NAME: usize = 160;
/// What stands for an operator where a node is an input of the request.
pub const INPUT: &str = "Input";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drawing {
    /// The request's inputs, then the graph's nodes, in topological order.
    pub nodes: Vec<DrawnNode>,
    /// Who is read, and by whom, as places in the list of nodes; each pair once.
    pub edges: Vec<(u32, u32)>,
    /// The nodes that make the request's outputs.
    pub outputs: Vec<u32>,
}

/// A node with the tensor that it makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrawnNode {
    /// Its name in the model.
    pub name: String,
    /// Its operator, or [`INPUT`].
    pub op: &'static str,
    /// The tensor's dimensions.
    pub shape: Vec<u32>,
    /// How many bits its values take.
    pub bits: u8,
    /// Whether they may be below zero.
    pub signed: bool,
    /// What a value `v` stands for is `v · 2^-exponent`.
    pub exponent: i16,
    /// How many constants a verifier evaluates for it.
    pub weights: u64,
    /// The slice that proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<u32>,
}

/// Why a graph is not drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DrawingError {
    /// It has more than anybody could look at.
    #[error(
        "the graph has {nodes} nodes and {edges} edges; at most {MAX_DRAWN_NODES} and {MAX_DRAWN_EDGES} are drawn"
    )]
    TooLarge {
        /// Its nodes.
        nodes: usize,
        /// Its edges.
        edges: usize,
    },
    /// A tensor is read that nobody has made.
    #[error("tensor {0} is read and nobody has made it")]
    Unmade(u32),
}

impl Drawing {
    /// Draws a graph, cut into slices of these nodes.
    ///
    /// # Errors
    /// A graph that is too large, or none.
    pub fn of(
        graph: &IntGraph,
        slices: impl IntoIterator<Item = Range<usize>>,
    ) -> Result<Self, DrawingError> {
        let count = graph.inputs.len().saturating_add(graph.nodes.len());
        let read = graph
            .nodes
            .iter()
            .fold(0_usize, |sum, node| sum.saturating_add(node.inputs.len()));
        if count > MAX_DRAWN_NODES || read > MAX_DRAWN_EDGES {
            return Err(DrawingError::TooLarge {
                nodes: count,
                edges: read,
            });
        }
        let info = |id: TensorId| graph.tensors.get(id.0 as usize).ok_or(DrawingError::Unmade(id.0));
        let mut drawing = Self {
            nodes: Vec::with_capacity(count),
            edges: Vec::with_capacity(read),
            outputs: Vec::new(),
        };
        let mut made: BTreeMap<TensorId, u32> = BTreeMap::new();
        for &id in &graph.inputs {
            let info = info(id)?;
            made.insert(id, drawing.nodes.len() as u32);
            drawing.nodes.push(DrawnNode::new(&info.name, INPUT, info));
        }
        for node in &graph.nodes {
            let to = drawing.nodes.len() as u32;
            let mut sources = Vec::with_capacity(node.inputs.len());
            for id in &node.inputs {
                sources.push(*made.get(id).ok_or(DrawingError::Unmade(id.0))?);
            }
            sources.sort_unstable();
            sources.dedup();
            drawing.edges.extend(sources.into_iter().map(|from| (from, to)));
            made.insert(node.output, to);
            let mut drawn = DrawnNode::new(&node.name, node.op.name(), info(node.output)?);
            drawn.weights = node.op.weights() as u64;
            drawing.nodes.push(drawn);
        }
        for id in &graph.outputs {
            drawing
                .outputs
                .push(*made.get(id).ok_or(DrawingError::Unmade(id.0))?);
        }
        let nodes = drawing.nodes.get_mut(graph.inputs.len()..).unwrap_or_default();
        for (slice, range) in slices.into_iter().enumerate() {
            for node in nodes.get_mut(range).unwrap_or_default() {
                node.slice = Some(slice as u32);
            }
        }
        Ok(drawing)
    }
}

impl DrawnNode {
    fn new(name: &str, op: &'static str, info: &TensorInfo) -> Self {
        Self {
            name: name.chars().take(MAX_DRAWN_NAME).collect(),
            op,
            shape: info.shape.clone(),
            bits: info.range.bits,
            signed: info.range.signed,
            exponent: info.exponent,
            weights: 0,
            slice: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{IntRange, Lookup, Node, Op, Table, TableRef};
    use super::*;

    fn info(name: &str) -> TensorInfo {
        TensorInfo {
            name: name.to_owned(),
            range: IntRange::unsigned(8),
            shape: vec![1, 4],
            exponent: 3,
            whole: false,
            ranks: None,
        }
    }

    /// `x → a → b`, each through the same table.
    fn graph(name: &str) -> IntGraph {
        let node = |name: &str, from, to| Node {
            op: Op::Table(Lookup { table: 0 }),
            name: name.to_owned(),
            inputs: vec![TensorId(from)],
            output: TensorId(to),
        };
        IntGraph {
            nodes: vec![node(name, 0, 1), node("b", 1, 2)],
            inputs: vec![TensorId(0)],
            tables: vec![TableRef::new(Table {
                name: "f".to_owned(),
                first: 0,
                columns: vec![Arc::from([0_i64, 1].as_slice())],
            })],
            outputs: vec![TensorId(2)],
            tensors: ["x", "y", "z"].map(info).to_vec(),
        }
    }

    #[test]
    fn inputs_and_nodes_are_drawn_with_who_reads_whom_and_their_slices() {
        let drawing = Drawing::of(&graph("a"), [0..1, 1..2]).unwrap();
        let told: Vec<_> = drawing
            .nodes
            .iter()
            .map(|n| (n.name.as_str(), n.op, n.slice))
            .collect();
        let op = drawing.nodes[1].op;
        assert_eq!(told, [("x", INPUT, None), ("a", op, Some(0)), ("b", op, Some(1))]);
        assert_eq!((drawing.edges, drawing.outputs), (vec![(0, 1), (1, 2)], vec![2]));
        assert_eq!((drawing.nodes[2].bits, drawing.nodes[2].exponent), (8, 3));
    }

    #[test]
    fn a_tensor_that_is_read_twice_is_one_edge() {
        let mut graph = graph("a");
        graph.nodes[1].inputs = vec![TensorId(1), TensorId(0), TensorId(1)];
        let drawing = Drawing::of(&graph, []).unwrap();
        assert_eq!(drawing.edges, [(0, 1), (0, 2), (1, 2)]);
        assert_eq!(drawing.nodes[1].slice, None, "it is cut into none");
    }

    #[test]
    fn names_are_cut_and_what_is_no_graph_or_too_large_is_refused_by_name() {
        let long = Drawing::of(&graph(&"é".repeat(1000)), []).unwrap();
        assert_eq!(long.nodes[1].name.chars().count(), MAX_DRAWN_NAME);
        let mut unmade = graph("a");
        unmade.nodes[0].inputs = vec![TensorId(2)];
        assert_eq!(Drawing::of(&unmade, []), Err(DrawingError::Unmade(2)));
        let mut large = graph("a");
        large.nodes[1].inputs = vec![TensorId(1); MAX_DRAWN_EDGES];
        let error = Drawing::of(&large, []).unwrap_err();
        assert!(error.to_string().contains("100001 edges"), "{error}");
    }
}
