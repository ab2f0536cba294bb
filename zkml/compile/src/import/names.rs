//! Names of values and of nodes, where a graph takes the place of the node that it stands in.
//!
//! Invariant: whatever is put into a graph has names that nothing in it had before, in no graph within it either, and reads what it
//! read where it stood: the nearest value of a name.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, NodeProto};

use super::admit::name_of;

/// The graphs in a node's attributes.
pub(super) fn graphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

/// Whether a node has a graph in it, so that it may read what its inputs do not name.
pub(super) fn has_graph(node: &NodeProto) -> bool {
    graphs(node).next().is_some()
}

/// How many graphs stand in each other below a node.
pub(super) fn depth(node: &NodeProto) -> usize {
    let below = |graph: &GraphProto| 1 + graph.node.iter().map(depth).max().unwrap_or(0);
    graphs(node).map(below).max().unwrap_or(0)
}

/// Nodes of a graph and of all graphs in it.
pub(super) fn count(graph: &GraphProto) -> usize {
    let of = |node: &NodeProto| 1 + graphs(node).map(count).sum::<usize>();
    graph.node.iter().map(of).sum()
}

/// All names that a node reads, those of nodes within it included.
pub(super) fn reads(node: &NodeProto, names: &mut HashSet<String>) {
    names.extend(node.input.iter().cloned());
    for graph in graphs(node) {
        graph.node.iter().for_each(|inner| reads(inner, names));
        names.extend(graph.output.iter().map(|o| o.name.clone()));
    }
}

/// What a graph makes or holds.
pub(super) fn own(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let held = graph
        .initializer
        .iter()
        .map(|t| &t.name)
        .chain(graph.input.iter().map(|i| &i.name));
    let made = graph.node.iter().flat_map(|n| &n.output);
    held.chain(made)
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}

/// What the graphs within a graph's nodes make or hold.
pub(super) fn own_within(graph: &GraphProto) -> HashSet<String> {
    let (mut found, mut open) = (HashSet::new(), vec![graph]);
    while let Some(graph) = open.pop() {
        for inner in graph.node.iter().flat_map(graphs) {
            found.extend(own(inner).map(str::to_owned));
            open.push(inner);
        }
    }
    found
}

/// All names of a graph, and of the graphs in it.
fn all(graph: &GraphProto, found: &mut HashSet<String>) {
    found.extend(own(graph).map(str::to_owned));
    found.extend(graph.output.iter().map(|o| o.name.clone()));
    for node in &graph.node {
        found.extend(node.input.iter().cloned());
        graphs(node).for_each(|graph| all(graph, found));
    }
}

/// Names that are taken, and how many new ones were made.
#[derive(Default)]
pub(super) struct Taken {
    names: HashSet<String>,
    made: usize,
}

impl Taken {
    /// The names of a graph's values, and of those of the graphs in it.
    pub(super) fn values(graph: &GraphProto) -> Self {
        let mut taken = Self::default();
        all(graph, &mut taken.names);
        taken
    }

    /// The names of a graph's nodes, and of what the reader counts among them: inputs and constants.
    pub(super) fn nodes(graph: &GraphProto) -> Self {
        let nodes = graph.node.iter().map(|node| name_of(node).to_owned());
        let given = graph.input.iter().map(|input| input.name.clone());
        let constants = graph.initializer.iter().map(|constant| constant.name.clone());
        Self {
            names: nodes.chain(given).chain(constants).collect(),
            made: 0,
        }
    }

    /// Takes a name. Whether nothing had it.
    pub(super) fn take(&mut self, name: &str) -> bool {
        self.names.insert(name.to_owned())
    }

    /// The name, or a new one where it is taken.
    pub(super) fn own(&mut self, name: &str) -> String {
        if self.names.insert(name.to_owned()) {
            name.to_owned()
        } else {
            self.fresh(name)
        }
    }

    /// Whoever had this name is gone.
    pub(super) fn free(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// A name that nothing has; nor has what the reader makes of a node, which it calls `NODE.NUMBER`.
    pub(super) fn fresh(&mut self, name: &str) -> String {
        loop {
            self.made += 1;
            let new = format!("{name}~{}", self.made);
            if self.names.insert(new.clone()) {
                return new;
            }
        }
    }
}

/// Other names for a graph's own values, where they are made and wherever they are read. What a graph within it calls the same is
/// another value, there and in what stands in it.
pub(super) fn rename(graph: &mut GraphProto, renamed: &HashMap<String, String>) {
    within(graph, renamed, &mut HashMap::new());
}

fn within(graph: &mut GraphProto, renamed: &HashMap<String, String>, shadowed: &mut HashMap<String, usize>) {
    let other = |name: &mut String, shadowed: &HashMap<String, usize>| {
        if let Some(new) = renamed
            .get(name.as_str())
            .filter(|_| !shadowed.contains_key(name.as_str()))
        {
            name.clone_from(new);
        }
    };
    graph
        .initializer
        .iter_mut()
        .for_each(|t| other(&mut t.name, shadowed));
    graph.output.iter_mut().for_each(|o| other(&mut o.name, shadowed));
    for node in &mut graph.node {
        if node.name.is_empty() {
            node.name = name_of(node).to_owned();
        }
        node.input
            .iter_mut()
            .chain(&mut node.output)
            .for_each(|name| other(name, shadowed));
        let inner = node.attribute.iter_mut();
        for inner in inner.flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
            let own: HashSet<String> = own(inner)
                .filter(|n| renamed.contains_key(*n))
                .map(str::to_owned)
                .collect();
            for name in &own {
                *shadowed.entry(name.clone()).or_default() += 1;
            }
            within(inner, renamed, shadowed);
            for name in &own {
                let count = shadowed.remove(name).unwrap_or(0);
                if count > 1 {
                    shadowed.insert(name.clone(), count - 1);
                }
            }
        }
    }
}
