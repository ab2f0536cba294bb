//! Nodes with graphs in them: the graphs stand in the nodes' places, as often as they are computed.
//!
//! Invariant: the graph computes what it did before, and each of its nodes is computed once, for every input. What says which graph,
//! and how often, does not depend on the inputs' values: it is a constant or follows from shapes, and has the float reference's
//! value. Of an `If` whose condition is computed both branches are in. Whatever else the inputs' values would decide is refused by
//! name, and so is what becomes too large.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::admit::{limit, name_of, unsupported};
use super::names::{self, Taken};
use super::spliced::{MOST_NODES, Origins, Spliced};
use super::{ImportError, branches, known, loops, scans, statics};

/// Most graphs within each other.
const MOST_DEPTH: usize = 8;

/// Why a node with graphs in it is still there.
pub(super) fn left(node: &NodeProto, statics: &HashSet<String>) -> Option<String> {
    branches::left(node)
        .or_else(|| loops::left(node, statics))
        .or_else(|| scans::left(node))
}

/// What has to be known of a node before it goes, by the names of these values.
enum Asked {
    Condition(String),
    /// As many values as there are trips.
    Trips(String),
    Shapes(Vec<String>),
}

/// Puts the graphs in the places of all nodes that have some.
///
/// # Errors
/// What is not known, a graph that does not fit its node, or what becomes too large.
pub(super) fn inline(proto: &mut ModelProto, opset: Option<i64>) -> Result<Origins, ImportError> {
    let mut origins = Origins::default();
    let Some(graph) = &proto.graph else {
        return Ok(origins);
    };
    if let Some(node) = graph.node.iter().find(|node| names::depth(node) > MOST_DEPTH) {
        let reason = format!("a node in it stands in {MOST_DEPTH} others: more than are read");
        return Err(unsupported(node, reason));
    }
    // Each round takes a layer of all nodes that are known, or of all that are not where there are none.
    for _ in 0..=MOST_DEPTH * MOST_DEPTH {
        let Some(graph) = &proto.graph else {
            break;
        };
        limit(
            "model",
            "nodes, with the graphs in them",
            graph.node.len(),
            MOST_NODES,
        )?;
        let statics = statics::names(graph);
        let goes_on = if graph.node.iter().any(|node| is_known(node, &statics)) {
            known_ones(proto, &statics, opset, &mut origins)?
        } else {
            choices(proto, opset, &mut origins)?
        };
        if !goes_on {
            break;
        }
    }
    Ok(origins)
}

/// Whether what has to be known of a node does not depend on the inputs' values.
fn is_known(node: &NodeProto, statics: &HashSet<String>) -> bool {
    branches::is_known(node, statics) || loops::is_known(node, statics) || scans::is_scan(node)
}

/// Puts the graphs of all known nodes in their places; whether they could be evaluated.
fn known_ones(
    proto: &mut ModelProto,
    statics: &HashSet<String>,
    opset: Option<i64>,
    origins: &mut Origins,
) -> Result<bool, ImportError> {
    let Some(graph) = &proto.graph else {
        return Ok(false);
    };
    let (mut part, mut taken) = (graph.clone(), Taken::values(graph));
    let (mut asked, mut wanted) = (HashMap::new(), HashSet::new());
    let nodes = std::mem::take(&mut part.node);
    let version = opset.unwrap_or(i64::MAX);
    for (at, mut node) in nodes.into_iter().enumerate() {
        if branches::is_known(&node, statics) {
            let seen = ask(&mut part, &mut taken, "Identity", branches::condition(&node));
            wanted.insert(seen.clone());
            asked.insert(at, Asked::Condition(seen));
        } else if loops::is_known(&node, statics) {
            let seen = loops::ask(&mut node, &mut taken)?;
            wanted.insert(seen.clone());
            asked.insert(at, Asked::Trips(seen));
        } else if scans::is_scan(&node) {
            let scanned = scans::asked(&node, version).iter();
            let seen: Vec<String> = scanned
                .map(|of| ask(&mut part, &mut taken, "Shape", of))
                .collect();
            wanted.extend(seen.iter().cloned());
            asked.insert(at, Asked::Shapes(seen));
        }
        part.node.push(node);
    }
    let Some(known) = known::values(proto, part, &wanted)? else {
        return Ok(false);
    };
    if let Some(error) = known.error {
        return Err(error);
    }
    replace(proto, opset, origins, |spliced, at, node| {
        let value = |seen: &String| known.values.get(seen).ok_or_else(|| not_made(node));
        match asked.get(&at) {
            None => return Ok(false),
            Some(Asked::Condition(seen)) => {
                branches::one(spliced, node, branches::decided(node, value(seen)?)?)?;
            }
            Some(Asked::Trips(seen)) => loops::unroll(spliced, node, value(seen)?)?,
            Some(Asked::Shapes(seen)) => {
                let shapes = seen.iter().map(value).collect::<Result<Vec<_>, _>>()?;
                scans::unroll(spliced, node, version, &shapes)?;
            }
        }
        Ok(true)
    })?;
    Ok(true)
}

fn not_made(node: &NodeProto) -> ImportError {
    unsupported(node, "what decides it is not known".to_owned())
}

/// A node that shows a value, or its shape, by a name that is new.
fn ask(part: &mut GraphProto, taken: &mut Taken, op: &str, of: &str) -> String {
    let seen = taken.fresh(of);
    part.node.push(NodeProto {
        op_type: op.to_owned(),
        input: vec![of.to_owned()],
        output: vec![seen.clone()],
        ..NodeProto::default()
    });
    seen
}

/// Puts both branches in the places of all `If`s; whether there were some.
fn choices(proto: &mut ModelProto, opset: Option<i64>, origins: &mut Origins) -> Result<bool, ImportError> {
    let mut chosen = Vec::new();
    replace(proto, opset, origins, |spliced, _, node| {
        if branches::is_if(node) {
            chosen.extend(branches::both(spliced, node)?);
            return Ok(true);
        }
        Ok(false)
    })?;
    let Some(graph) = proto.graph.clone().filter(|_| !chosen.is_empty()) else {
        return Ok(false);
    };
    let wanted = chosen.iter().flat_map(branches::Chosen::names).cloned().collect();
    match known::values(proto, graph, &wanted)? {
        Some(known) => branches::check(&chosen, known)?,
        // Nodes that are not supported are told of by the list of operators.
        None => return Ok(false),
    }
    Ok(true)
}

/// Goes through a graph's nodes: those that `put` does not put something in the place of stay.
fn replace(
    proto: &mut ModelProto,
    opset: Option<i64>,
    origins: &mut Origins,
    mut put: impl FnMut(&mut Spliced<'_>, usize, &NodeProto) -> Result<bool, ImportError>,
) -> Result<(), ImportError> {
    let Some(graph) = proto.graph.as_mut() else {
        return Ok(());
    };
    let mut spliced = Spliced::new(graph, opset.unwrap_or(i64::MAX), origins);
    for (at, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        spliced.in_place_of(&node);
        if !put(&mut spliced, at, &node)? {
            spliced.keep(node);
        }
        limit(
            name_of_last(&spliced),
            "nodes, with the graphs in them",
            spliced.nodes.len(),
            MOST_NODES,
        )?;
    }
    let Spliced { nodes, constants, .. } = spliced;
    graph.node = nodes;
    graph.initializer.extend(constants);
    Ok(())
}

fn name_of_last<'a>(spliced: &'a Spliced<'_>) -> &'a str {
    spliced.nodes.last().map_or("model", name_of)
}
