//! `Loop` whose number of trips does not depend on the inputs' values: its body stands in its place once for each trip.
//!
//! Invariant: the graph computes what it did before. Each copy reads what the one before it made, and the number of its trip is a
//! constant; constants of the body are there once. The number of trips is the float reference's, and it follows from constants and
//! shapes: so do the trip count, the condition, and every state that decides a condition. One that the inputs' values decide is
//! refused by name, and so is a result without values.

use std::collections::HashSet;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto};
use zkml_reference::Tensor;

use super::admit::{name_of, unsupported};
use super::names::{self, Taken};
use super::spliced::Spliced;
use super::{ImportError, known, statics};

pub(super) fn is_loop(node: &NodeProto) -> bool {
    node.op_type == "Loop" && (node.domain.is_empty() || node.domain == "ai.onnx")
}

/// The graph that a node computes again and again, of as many outputs more than the node.
pub(super) fn body(node: &NodeProto, more: usize) -> Result<GraphProto, ImportError> {
    let wrong = |what: String| ImportError::Node {
        node: name_of(node).to_owned(),
        op: node.op_type.clone(),
        reason: format!("its body {what}"),
    };
    let found = node.attribute.iter().find(|a| a.name == "body");
    let body = found
        .and_then(|a| a.g.clone())
        .ok_or_else(|| wrong("is missing".into()))?;
    if !body.sparse_initializer.is_empty() {
        return Err(unsupported(node, "its body has sparse constants".to_owned()));
    }
    let outputs = node.output.len() + more;
    if body.output.len() != outputs {
        return Err(wrong(format!("has {} outputs, not {outputs}", body.output.len())));
    }
    let held: HashSet<&str> = body.initializer.iter().map(|t| t.name.as_str()).collect();
    if let Some(input) = body.input.iter().find(|i| held.contains(i.name.as_str())) {
        return Err(wrong(format!("has a constant for its input `{}`", input.name)));
    }
    Ok(body)
}

/// A body of a loop, with an input for each of the node's.
fn of_loop(node: &NodeProto) -> Result<GraphProto, ImportError> {
    let body = body(node, 1)?;
    if body.input.len() == node.input.len()
        && body.input.len() >= 2
        && body.output.len() + 1 >= body.input.len()
    {
        return Ok(body);
    }
    Err(ImportError::Node {
        node: name_of(node).to_owned(),
        op: node.op_type.clone(),
        reason: format!(
            "its body has {} inputs and {} outputs, which do not fit the {} inputs of the node",
            body.input.len(),
            body.output.len(),
            node.input.len()
        ),
    })
}

fn given(node: &NodeProto, at: usize) -> Option<&str> {
    node.input
        .get(at)
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}

/// What the inputs' values decide about the number of trips, if they decide anything.
fn decided_by_inputs(node: &NodeProto, body: &GraphProto, statics: &HashSet<String>) -> Option<String> {
    for (at, what) in [(0, "trip count"), (1, "condition")] {
        if let Some(name) = given(node, at).filter(|name| !statics.contains(*name)) {
            return Some(format!("its {what} `{name}` is computed"));
        }
    }
    let condition = &body.output.first()?.name;
    // States are taken for known until the body makes them of something that is not.
    let states = || body.input.iter().zip(&node.input).skip(2);
    let mut known: Vec<bool> = states().map(|(_, from)| statics.contains(from)).collect();
    loop {
        let mut names = statics.clone();
        names.extend(body.initializer.iter().map(|t| t.name.clone()));
        names.extend(body.input.iter().take(2).map(|i| i.name.clone()));
        for ((input, _), known) in states().zip(&known) {
            if *known {
                names.insert(input.name.clone());
            } else {
                names.remove(&input.name);
            }
        }
        let names = statics::follow(&body.node, names);
        let next: Vec<bool> = body
            .output
            .iter()
            .skip(1)
            .zip(&known)
            .map(|(made, known)| *known && names.contains(&made.name))
            .collect();
        if next == known {
            let decides = (!names.contains(condition)).then_some(condition);
            return decides.map(|c| format!("the condition `{c}` of its body is computed"));
        }
        known = next;
    }
}

/// Whether its number of trips does not depend on the inputs' values; a body that does not fit is told of where it is unrolled.
pub(super) fn is_known(node: &NodeProto, statics: &HashSet<String>) -> bool {
    is_loop(node)
        && match of_loop(node) {
            Ok(body) => decided_by_inputs(node, &body, statics).is_none(),
            Err(_) => true,
        }
}

/// Why a `Loop` is still there.
pub(super) fn left(node: &NodeProto, statics: &HashSet<String>) -> Option<String> {
    let body = of_loop(node).ok().filter(|_| is_loop(node))?;
    Some(match decided_by_inputs(node, &body, statics) {
        Some(what) => {
            format!("{what}: only a number of trips that does not depend on the inputs' values is supported")
        }
        None => "what says its number of trips is made by nodes that are not supported".to_owned(),
    })
}

/// Makes the node show the numbers of its trips: their name.
pub(super) fn ask(node: &mut NodeProto, taken: &mut Taken) -> Result<String, ImportError> {
    let body = of_loop(node)?;
    let (seen, shown) = (taken.fresh("trips"), taken.fresh("trip"));
    let Some(number) = body.input.first().map(|i| i.name.clone()) else {
        return Ok(seen);
    };
    let found = node.attribute.iter_mut().find(|a| a.name == "body");
    if let Some(body) = found.and_then(|a| a.g.as_mut()) {
        body.node.push(NodeProto {
            op_type: "Identity".to_owned(),
            input: vec![number],
            output: vec![shown.clone()],
            ..NodeProto::default()
        });
        body.output
            .push(known::of_shape(known::port(&shown, DataType::Int64), &[]));
    }
    node.output.push(seen.clone());
    Ok(seen)
}

/// The body once for each of its trips.
pub(super) fn unroll(spliced: &mut Spliced<'_>, node: &NodeProto, trips: &Tensor) -> Result<(), ImportError> {
    let mut body = of_loop(node)?;
    let trips = trips.len();
    let count = node.input.len() - 2;
    spliced.gone(node);
    spliced.hoist(&mut body);
    spliced.room(node, &body, trips)?;
    let mut read = HashSet::new();
    body.node.iter().for_each(|inner| names::reads(inner, &mut read));
    read.extend(body.output.iter().map(|o| o.name.clone()));
    let reads = |at: usize| body.input.get(at).is_some_and(|i| read.contains(&i.name));
    let yes = if reads(1) {
        spliced.yes("condition")
    } else {
        String::new()
    };
    let mut states: Vec<String> = node.input.iter().skip(2).cloned().collect();
    let mut parts = vec![Vec::with_capacity(trips); node.output.len() - count];
    for trip in 0..trips {
        if trip == 1 {
            spliced.later_trip();
        }
        let number = if reads(0) {
            spliced.integers("trip", &[], &[trip as i64])
        } else {
            String::new()
        };
        let bound: Vec<String> = [number, yes.clone()].into_iter().chain(states).collect();
        let mut made = spliced.graph(body.clone(), &bound).into_iter().skip(1);
        states = made.by_ref().take(count).collect();
        for (part, made) in parts.iter_mut().zip(made) {
            part.push(made);
        }
    }
    for (state, name) in states.iter().zip(&node.output) {
        spliced.identity(state, name);
    }
    for (parts, name) in parts.iter().zip(node.output.iter().skip(count)) {
        put_together(spliced, node, parts, 0, name)?;
    }
    Ok(())
}

/// What the steps made, along a new axis.
pub(super) fn put_together(
    spliced: &mut Spliced<'_>,
    node: &NodeProto,
    parts: &[String],
    axis: i64,
    to: &str,
) -> Result<(), ImportError> {
    if to.is_empty() {
        return Ok(());
    }
    if parts.is_empty() {
        let reason = format!("its body is computed no time, so that its output `{to}` has no values");
        return Err(unsupported(node, reason));
    }
    spliced.stack(to, parts, axis, to);
    Ok(())
}
