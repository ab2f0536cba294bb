//! Cuts the integer graph into slices of consecutive nodes, one key and one proof each, by the proof system's cost model.
//!
//! Invariants: slices cover every node once, in topological order; there are at least `parallelism` of them wherever
//! the graph allows; none needs more memory than a worker has. The cut is a function of graph and options alone.
//! Graphs are DAGs: a slice has lists of input and output tensors, and a skip connection is a boundary tensor of
//! every slice that it starts in, ends in or crosses into.

mod balance;
mod search;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use zkml::backend::{Cost, CutRule, LayoutError, Parameters, SliceCount, System, SystemId};
use zkml::graph::{IntGraph, TensorId};
use zkml::relations::{self, LowerError, SliceRelations};

use self::search::Search;
use crate::progress::{self, Counter, Listener, Stage};

/// What a cut must respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlicingOptions {
    /// Least number of slices, wherever the graph allows.
    pub parallelism: u32,
    /// Most memory that proving a slice may need, in bytes.
    pub memory_per_worker: Option<u64>,
}

impl SlicingOptions {
    /// At least so many slices, whatever memory they take.
    #[must_use]
    pub const fn at_least(parallelism: u32) -> Self {
        Self {
            parallelism,
            memory_per_worker: None,
        }
    }
}

/// A slice before it has keys.
#[derive(Debug, Clone)]
pub struct SlicePlan {
    /// Nodes of the graph.
    pub nodes: Range<usize>,
    /// What is claimed; its inputs and outputs are the slice's boundary.
    pub relations: SliceRelations,
    /// Of the proof system.
    pub parameters: Parameters,
    /// Of proving.
    pub cost: Cost,
}

/// Why a graph cannot be cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SliceError {
    /// The graph does not lower to relations.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// A node cannot be proved by itself.
    #[error("node `{node}` cannot be proved with {system}: {source}{}{}", beside(.others), other(*.instead))]
    Layout {
        /// The proof system.
        system: SystemId,
        /// One that may prove it.
        instead: Option<&'static str>,
        /// The node.
        node: String,
        /// Why.
        source: Box<LayoutError>,
        /// Whatever other node cannot be proved by itself, and why.
        others: Vec<(String, LayoutError)>,
    },
    /// A node alone has more rows than the largest circuit.
    #[error(
        "node `{node}` alone needs {rows} rows, and a circuit of {system} has at most {most}: no cut helps. {}ake the layer \
         smaller", no_rows(*.instead)
    )]
    Rows {
        /// The proof system.
        system: SystemId,
        /// One without rows.
        instead: Option<&'static str>,
        /// The node.
        node: String,
        /// Rows needed.
        rows: usize,
        /// Rows of the largest circuit.
        most: usize,
    },
    /// A node alone needs more memory than a worker has.
    #[error(
        "node `{node}` alone needs {need} MiB to prove, a worker has {have} MiB: give workers more (--memory-mib, \
         slicing.memoryPerWorker)"
    )]
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

/// What may help where one proof system has no place for a node.
fn other(instead: Option<&str>) -> String {
    instead.map_or_else(String::new, |other| {
        format!("; {other} may prove it (--proof-system, proofSystem)")
    })
}

/// The same where it is the rows that are too many, up to the word "make".
fn no_rows(instead: Option<&str>) -> String {
    instead.map_or_else(
        || "M".to_owned(),
        |other| {
            format!("Prove the model with {other} (--proof-system, proofSystem), which has no rows, or m")
        },
    )
}

/// The tensors that a range of nodes reads from outside, and those it makes for outside; ascending ids.
#[must_use]
pub fn boundary(graph: &IntGraph, nodes: &Range<usize>) -> (Vec<TensorId>, Vec<TensorId>) {
    boundary_of(graph, &last_readers(graph), nodes)
}

/// Cuts a graph. The number of slices is at least `parallelism` and else by the proof system's rule: the least that is
/// feasible, or the one that is cheapest in all. The heaviest slice is as light as it can be, and among such cuts the
/// whole is cheapest. Where the cheapest is asked for, a long graph is cut from coarse to fine: of the cuts that are looked at.
///
/// # Errors
/// A node that cannot be proved or is too large for a worker; both name the node.
pub fn plan(
    graph: &IntGraph,
    system: &dyn System,
    options: SlicingOptions,
) -> Result<Vec<SlicePlan>, SliceError> {
    plan_telling(graph, system, options, &progress::silent)
}

/// As [`plan`]; `listener` hears of the slices that are first looked at, in nodes of theirs: for each node of the graph at most
/// half the square of what a slice may have, so that ten times the nodes take ten times the work.
///
/// # Errors
/// As [`plan`].
pub fn plan_telling(
    graph: &IntGraph,
    system: &dyn System,
    options: SlicingOptions,
    listener: Listener<'_>,
) -> Result<Vec<SlicePlan>, SliceError> {
    let rule = system.cut_rule();
    let count = graph.nodes.len();
    let readers = last_readers(graph);
    let plan_slice = |nodes: Range<usize>| plan_slice(graph, &readers, system, nodes);
    if let Some(whole) = whole(graph, rule, options, &plan_slice) {
        let nodes = count as u64;
        Counter::new(Stage::Cutting(system.id()), nodes, listener).add(nodes);
        return Ok(vec![whole]);
    }
    let cost = |nodes: Range<usize>| plan_slice(nodes).ok().map(|plan| plan.cost);
    let Some(cuts) = searched(graph, system, options, &cost, listener) else {
        return Err(why_not(graph, &readers, system, rule, options));
    };
    cuts.into_par_iter().map(plan_slice).collect()
}

/// What a graph would cost slice by slice, cut into at least so many slices for each of these numbers: each cut as [`plan`] makes it,
/// where what a stretch costs is asked once for all of them. It stops after the first cut that has fewer slices than were asked for,
/// or that there is none of: more cannot be had.
///
/// # Errors
/// As [`plan`], of one number.
pub fn forecast(
    graph: &IntGraph,
    system: &dyn System,
    parallelism: &[u32],
    memory_per_worker: Option<u64>,
) -> Vec<(u32, Result<Vec<Cost>, SliceError>)> {
    let rule = system.cut_rule();
    let readers = last_readers(graph);
    let plan_slice = |nodes: Range<usize>| plan_slice(graph, &readers, system, nodes);
    let known: Mutex<HashMap<(usize, usize), Option<Cost>>> = Mutex::default();
    let cost = |nodes: Range<usize>| {
        let key = (nodes.start, nodes.end);
        let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cost) = lock().get(&key) {
            return *cost;
        }
        let cost = plan_slice(nodes).ok().map(|plan| plan.cost);
        lock().insert(key, cost);
        cost
    };
    let mut all = Vec::with_capacity(parallelism.len());
    for &parallelism in parallelism {
        let options = SlicingOptions {
            parallelism,
            memory_per_worker,
        };
        let cut = match whole(graph, rule, options, &plan_slice) {
            Some(whole) => Ok(vec![whole.cost]),
            None => searched(graph, system, options, &cost, &progress::silent)
                .and_then(|cuts| cuts.into_iter().map(cost).collect())
                .ok_or_else(|| why_not(graph, &readers, system, rule, options)),
        };
        let enough = cut
            .as_ref()
            .is_ok_and(|slices| slices.len() >= parallelism as usize);
        all.push((parallelism, cut));
        if !enough {
            break;
        }
    }
    all
}

/// Looks for the best cut, by what a stretch of nodes costs as a slice; `None` of one that is none.
fn searched(
    graph: &IntGraph,
    system: &dyn System,
    options: SlicingOptions,
    cost: &(impl Fn(Range<usize>) -> Option<Cost> + Sync),
    listener: Listener<'_>,
) -> Option<Vec<Range<usize>>> {
    let rule = system.cut_rule();
    let count = graph.nodes.len();
    let last = |start| feasible_ends(graph, start, rule).last().unwrap_or(start);
    let reach: Vec<usize> = (0..count).map(last).collect();
    let is_heavy = |at: &usize| graph.nodes[*at].op.weights() as u64 > rule.max_weights / 2;
    let heavy: Vec<usize> = (0..count).filter(is_heavy).collect();
    let search = Search {
        reach: &reach,
        heavy: &heavy,
        rule,
        parts: options.parallelism.max(1) as usize,
        cost: |nodes: Range<usize>| {
            if only_wiring(graph, &nodes) {
                return None;
            }
            let cost = cost(nodes).filter(|cost| fits(cost, options))?;
            Some(cost.cpu_us + rule.per_slice_us)
        },
    };
    let places = search.places();
    let counter = Counter::new(Stage::Cutting(system.id()), search.work(&places), listener);
    search.cut(&places, &counter)
}

/// The graph as one slice, where no cut can be better: where the fewest slices are asked for, or where two cost more by what a
/// slice costs whatever is in it. Most small models end here, and none of their stretches is looked at.
fn whole(
    graph: &IntGraph,
    rule: CutRule,
    options: SlicingOptions,
    plan_slice: &impl Fn(Range<usize>) -> Result<SlicePlan, SliceError>,
) -> Option<SlicePlan> {
    let nodes = 0..graph.nodes.len();
    let may = feasible_ends(graph, 0, rule).any(|end| end == nodes.end) && !only_wiring(graph, &nodes);
    if options.parallelism > 1 || !may {
        return None;
    }
    let whole = plan_slice(nodes).ok().filter(|plan| fits(&plan.cost, options))?;
    let best = match rule.count {
        SliceCount::Fewest => true,
        SliceCount::Cheapest => whole.cost.cpu_us <= rule.per_slice_us,
    };
    best.then_some(whole)
}

/// Per tensor the last node that reads it, or one beyond all where the request does.
fn last_readers(graph: &IntGraph) -> Vec<usize> {
    let mut last = vec![0; graph.tensors.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        for id in &node.inputs {
            last.get_mut(id.0 as usize).into_iter().for_each(|l| *l = at);
        }
    }
    for id in &graph.outputs {
        last.get_mut(id.0 as usize)
            .into_iter()
            .for_each(|l| *l = graph.nodes.len());
    }
    last
}

/// As [`boundary`], by what is known of all readers: takes no longer than the range is.
fn boundary_of(graph: &IntGraph, readers: &[usize], nodes: &Range<usize>) -> (Vec<TensorId>, Vec<TensorId>) {
    let inside = graph.nodes.get(nodes.clone()).unwrap_or_default();
    let made: BTreeSet<TensorId> = inside.iter().map(|n| n.output).collect();
    let read: BTreeSet<TensorId> = inside.iter().flat_map(|n| n.inputs.iter().copied()).collect();
    let leaves = |id: &TensorId| readers.get(id.0 as usize).is_some_and(|&last| last >= nodes.end);
    (
        read.difference(&made).copied().collect(),
        made.iter().copied().filter(leaves).collect(),
    )
}

/// The ends of slices from `start` that the rule allows, in order: weights are what a verifier evaluates, constant coefficients
/// and rows of tables. A map with more weights than a slice should have has no smaller slice, and keeps the tables behind it.
fn feasible_ends(graph: &IntGraph, start: usize, rule: CutRule) -> impl Iterator<Item = usize> {
    let (mut weights, mut maps, mut tables) = (0u64, 0, BTreeSet::new());
    let nodes = graph.nodes.iter().skip(start).take(rule.max_nodes);
    nodes
        .map_while(move |node| {
            let of_map = node.op.weights() as u64;
            maps += u32::from(of_map > 0);
            weights += of_map;
            // A slice has a table once, however often it is read.
            if let Some(table) = node.op.table().filter(|&t| tables.insert(t)) {
                weights += graph.tables.get(table as usize).map_or(0, |t| t.rows() as u64);
            }
            (maps <= 1 || weights <= rule.max_weights).then_some(())
        })
        .enumerate()
        .map(move |(i, ())| start + i + 1)
}

fn fits(cost: &Cost, options: SlicingOptions) -> bool {
    options
        .memory_per_worker
        .is_none_or(|have| cost.memory_bytes <= have)
}

/// A slice of nothing but values moved would prove nothing.
fn only_wiring(graph: &IntGraph, range: &Range<usize>) -> bool {
    graph.nodes[range.clone()].iter().all(|n| n.op.moves())
}

fn plan_slice(
    graph: &IntGraph,
    readers: &[usize],
    system: &dyn System,
    nodes: Range<usize>,
) -> Result<SlicePlan, SliceError> {
    let (inputs, outputs) = boundary_of(graph, readers, &nodes);
    let relations = relations::lower(graph, nodes.clone(), &inputs, &outputs)?;
    let last = || graph.nodes[nodes.end - 1].name.clone();
    let chosen = system.choose(&relations);
    let (parameters, cost) = chosen.map_err(|source| no_place(system, last(), source))?;
    Ok(SlicePlan {
        nodes,
        relations,
        parameters,
        cost,
    })
}

/// The nodes beside the first that cannot be proved by themselves.
fn beside(others: &[(String, LayoutError)]) -> String {
    let each = others
        .iter()
        .map(|(node, source)| format!("; nor can node `{node}`: {source}"));
    each.collect()
}

/// Why a proof system has no place for a slice that ends with a node.
fn no_place(system: &dyn System, node: String, source: LayoutError) -> SliceError {
    let (system, instead) = (system.id(), system.instead());
    match source {
        LayoutError::Rows { rows, most, why: _ } => SliceError::Rows {
            system,
            instead,
            node,
            rows,
            most,
        },
        LayoutError::Other(_) | LayoutError::Parameters => SliceError::Layout {
            system,
            instead,
            node,
            source: Box::new(source),
            others: Vec::new(),
        },
    }
}

/// The reason that a user can act on: a single node that cannot be proved, or nodes that are proved together alone and cannot be.
fn why_not(
    graph: &IntGraph,
    readers: &[usize],
    system: &dyn System,
    rule: CutRule,
    options: SlicingOptions,
) -> SliceError {
    let count = graph.nodes.len();
    if only_wiring(graph, &(0..count)) {
        return SliceError::Empty;
    }
    let refusal = |nodes: Range<usize>| match plan_slice(graph, readers, system, nodes.clone()) {
        Err(error) => Some(error),
        Ok(plan) if fits(&plan.cost, options) => None,
        Ok(plan) => Some(SliceError::Memory {
            node: graph.nodes[nodes.end - 1].name.clone(),
            need: plan.cost.memory_bytes.div_ceil(1 << 20),
            have: options.memory_per_worker.unwrap_or_default() >> 20,
        }),
    };
    let mut refused = (0..count).filter_map(|at| refusal(at..at + 1));
    if let Some(mut error) = refused.next() {
        if let SliceError::Layout { node, others, .. } = &mut error {
            // A node of the model may be many of the graph, of which the first says why.
            let mut named = BTreeSet::from([node.clone()]);
            for error in refused {
                if let SliceError::Layout { node, source, .. } = error
                    && named.insert(node.clone())
                {
                    others.push((node, *source));
                }
            }
        }
        return error;
    }
    // What only moves values is in a slice with what computes. The last place that a cut reaches is before those that are too much.
    let mut reached = vec![false; count + 1];
    reached[0] = true;
    let mut last = SliceError::Empty;
    for start in 0..count {
        if !reached[start] {
            continue;
        }
        let mut first = None;
        for end in feasible_ends(graph, start, rule) {
            if reached[end] || only_wiring(graph, &(start..end)) {
                continue;
            }
            match refusal(start..end) {
                None => reached[end] = true,
                Some(error) => first = first.or(Some(error)),
            }
        }
        last = first.unwrap_or(last);
    }
    last
}
