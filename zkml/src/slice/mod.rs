//! Cuts the integer graph into slices of consecutive nodes, one circuit and one proof each.
//!
//! Invariants: slices cover every node once, in topological order; there are at least `parallelism` of them wherever
//! the graph allows; none needs more memory than a worker has. The cut is a function of graph and options alone.
//! Graphs are DAGs: a slice has lists of input and output tensors, and a skip connection is a boundary tensor of
//! every slice that it starts in, ends in or crosses into.

mod balance;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rayon::prelude::*;

use crate::graph::{IntGraph, Op, TensorId};
use crate::halo2::{self, Cost, LayoutError, SliceParameters};
use crate::relations::{self, LowerError, SliceRelations};

/// What a cut must respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlicingOptions {
    /// Least number of slices, wherever the graph allows.
    pub parallelism: u32,
    /// Most memory that proving a slice may need, in bytes.
    pub memory_per_worker: Option<u64>,
}

/// A slice before it has keys.
#[derive(Debug, Clone)]
pub struct SlicePlan {
    /// Nodes of the graph.
    pub nodes: Range<usize>,
    /// What is claimed; its inputs and outputs are the slice's boundary.
    pub relations: SliceRelations,
    /// Of the circuit.
    pub parameters: SliceParameters,
    /// Of proving.
    pub cost: Cost,
}

/// Why a graph cannot be cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SliceError {
    /// The graph does not lower to relations.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// A node has no circuit of its own.
    #[error("node `{node}` has no circuit: {source}")]
    Layout {
        /// The node.
        node: String,
        /// Why.
        source: LayoutError,
    },
    /// A node alone needs more memory than a worker has.
    #[error("node `{node}` alone needs {need} MiB to prove, a worker has {have} MiB")]
    Memory {
        /// The node.
        node: String,
        /// MiB needed.
        need: u64,
        /// MiB given.
        have: u64,
    },
    /// There is nothing to prove.
    #[error("the graph computes nothing: every output is a rearranged input")]
    Empty,
}

/// Longest slice that is considered, in nodes: costs are asked for every range up to it.
const MAX_NODES: usize = 24;

/// The tensors that a range of nodes reads from outside, and those it makes for outside; ascending ids.
#[must_use]
pub fn boundary(graph: &IntGraph, nodes: &Range<usize>) -> (Vec<TensorId>, Vec<TensorId>) {
    let inside = graph.nodes.get(nodes.clone()).unwrap_or_default();
    let made: BTreeSet<TensorId> = inside.iter().map(|n| n.output).collect();
    let read = |n: &[crate::graph::Node]| n.iter().flat_map(|n| n.inputs.clone()).collect::<BTreeSet<_>>();
    let mut outside = read(graph.nodes.get(nodes.end..).unwrap_or_default());
    outside.extend(graph.outputs.iter().copied());
    let inputs = read(inside).difference(&made).copied().collect();
    let outputs = made.intersection(&outside).copied().collect();
    (inputs, outputs)
}

/// Cuts a graph: the number of slices is the least that options and memory allow, the heaviest slice is as light as
/// it can be, and among such cuts the whole is cheapest.
///
/// # Errors
/// A node without a circuit or too large for a worker; both name the node.
pub fn plan(graph: &IntGraph, options: SlicingOptions) -> Result<Vec<SlicePlan>, SliceError> {
    let count = graph.nodes.len();
    let ranges: Vec<Range<usize>> = (0..count)
        .flat_map(|start| (start + 1..=count.min(start + MAX_NODES)).map(move |end| start..end))
        .filter(|range| !only_wiring(graph, range))
        .collect();
    let planned: BTreeMap<(usize, usize), Result<SlicePlan, SliceError>> = ranges
        .into_par_iter()
        .map(|range| ((range.start, range.end), plan_slice(graph, range)))
        .collect();
    let fits = |p: &SlicePlan| {
        options
            .memory_per_worker
            .is_none_or(|have| p.cost.memory_bytes <= have)
    };
    let costs = |range: &Range<usize>| match planned.get(&(range.start, range.end)) {
        Some(Ok(p)) if fits(p) => Some(u64::from(p.cost.cpu_ms)),
        _ => None,
    };
    let Some(cuts) = balance::partition(count, options.parallelism.max(1) as usize, costs) else {
        return Err(why_not(graph, &planned, options));
    };
    cuts.into_iter()
        .map(|r| {
            planned
                .get(&(r.start, r.end))
                .cloned()
                .unwrap_or(Err(SliceError::Empty))
        })
        .collect()
}

/// A slice of nothing but wiring would prove nothing.
fn only_wiring(graph: &IntGraph, range: &Range<usize>) -> bool {
    graph.nodes[range.clone()]
        .iter()
        .all(|n| matches!(n.op, Op::Wiring { .. }))
}

fn plan_slice(graph: &IntGraph, nodes: Range<usize>) -> Result<SlicePlan, SliceError> {
    let (inputs, outputs) = boundary(graph, &nodes);
    let relations = relations::lower(graph, nodes.clone(), &inputs, &outputs)?;
    let circuit = halo2::choose_parameters(&relations).and_then(|p| Ok((p, halo2::cost(&relations, p)?)));
    let node = || graph.nodes[nodes.end - 1].name.clone();
    let (parameters, cost) = circuit.map_err(|source| SliceError::Layout { node: node(), source })?;
    Ok(SlicePlan {
        nodes,
        relations,
        parameters,
        cost,
    })
}

/// The reason that a user can act on: a single node that cannot be proved.
fn why_not(
    graph: &IntGraph,
    planned: &BTreeMap<(usize, usize), Result<SlicePlan, SliceError>>,
    options: SlicingOptions,
) -> SliceError {
    for (at, node) in graph.nodes.iter().enumerate() {
        match planned.get(&(at, at + 1)) {
            Some(Err(e)) => return e.clone(),
            Some(Ok(p))
                if options
                    .memory_per_worker
                    .is_some_and(|have| p.cost.memory_bytes > have) =>
            {
                return SliceError::Memory {
                    node: node.name.clone(),
                    need: p.cost.memory_bytes.div_ceil(1 << 20),
                    have: options.memory_per_worker.unwrap_or_default() >> 20,
                };
            }
            _ => {}
        }
    }
    SliceError::Empty
}
