//! `If` whose condition does not depend on the inputs' values: the branch that it takes stands in the graph instead of it.
//!
//! Invariant: the graph computes what it did before. The condition's value is the float reference's, of the nodes that it is made
//! of; names of the branch's own values become new ones, known nowhere else; nothing is taken away but the node and the branch that
//! it does not take. A condition that depends on the inputs' values is refused by name.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value};
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto};
use zkml_reference::{EvaluateError, Model, ReadError, Tensor, Values};

use super::admit::{name_of, unsupported};
use super::reader::zeros;
use super::{ImportError, statics};

/// Most branches within each other.
const MOST_DEPTH: usize = 8;
/// Multiply-adds of the conditions of one depth, each value counted as eight.
const WORK: u64 = 1 << 30;

fn is_if(node: &NodeProto) -> bool {
    node.op_type == "If" && (node.domain.is_empty() || node.domain == "ai.onnx")
}

fn condition(node: &NodeProto) -> &str {
    node.input.first().map_or("", String::as_str)
}

/// Whether a node has a graph in it, so that it may read what its inputs do not name.
pub(super) fn has_graph(node: &NodeProto) -> bool {
    let graphs = |a: &AttributeProto| a.g.is_some() || !a.graphs.is_empty();
    node.attribute.iter().any(graphs)
}

/// Why an `If` is still there.
pub(super) fn left(node: &NodeProto, statics: &HashSet<String>) -> Option<String> {
    let condition = Some(condition(node)).filter(|_| is_if(node))?;
    Some(if statics.contains(condition) {
        format!("its condition `{condition}` is made by nodes that are not supported")
    } else {
        format!(
            "its condition `{condition}` is computed: only one that does not depend on the inputs' values is supported"
        )
    })
}

/// Puts branches in the places of all `If`s whose conditions are known.
///
/// # Errors
/// A condition that cannot be computed, or a branch that does not fit its node.
pub(super) fn inline(proto: &mut ModelProto) -> Result<(), ImportError> {
    for depth in 0.. {
        let Some(graph) = proto.graph.as_mut() else {
            return Ok(());
        };
        let statics = statics::names(graph);
        let known = |node: &&NodeProto| is_if(node) && statics.contains(condition(node));
        let wanted: HashSet<String> = graph
            .node
            .iter()
            .filter(known)
            .map(|n| condition(n).to_owned())
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        if let Some(node) = graph.node.iter().find(known).filter(|_| depth == MOST_DEPTH) {
            return Err(unsupported(
                node,
                format!("it stands in {MOST_DEPTH} others: more than are read"),
            ));
        }
        let Some(conditions) = evaluated(proto, &wanted)? else {
            return Ok(());
        };
        if let Some(graph) = proto.graph.as_mut() {
            splice(graph, &conditions)?;
        }
    }
    Ok(())
}

/// The conditions' values, of the part of the graph that makes them; none where that part has nodes that are not evaluated, of
/// which the list of operators knows.
fn evaluated(
    proto: &ModelProto,
    wanted: &HashSet<String>,
) -> Result<Option<HashMap<String, bool>>, ImportError> {
    let mut part = proto.clone();
    let Some(graph) = part.graph.as_mut() else {
        return Ok(None);
    };
    let mut conditions = HashMap::new();
    for tensor in graph.initializer.iter().filter(|t| wanted.contains(&t.name)) {
        let value = Tensor::from_onnx(&tensor.encode_to_vec())?;
        conditions.insert(tensor.name.clone(), value);
    }
    graph.output = wanted
        .iter()
        .filter(|name| !conditions.contains_key(*name))
        .map(|n| yes_or_no(n))
        .collect();
    graph.output.sort_by(|a, b| a.name.cmp(&b.name));
    let mut read: HashSet<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    // What nodes read stands before them.
    let needed: Vec<bool> = graph
        .node
        .iter()
        .rev()
        .map(|node| {
            let needed = node.output.iter().any(|o| read.contains(o));
            if needed {
                reads(node, &mut read);
            }
            needed
        })
        .collect();
    let mut needed = needed.into_iter().rev();
    graph.node.retain(|_| needed.next().unwrap_or(false));
    graph.initializer.retain(|t| read.contains(&t.name));
    if !graph.output.is_empty() {
        let model = match Model::read(&part.encode_to_vec()) {
            Ok(model) => model,
            Err(ReadError::Nodes(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(inputs) = zeros(&model) else {
            return Err(ImportError::Form("the inputs have too many values".into()));
        };
        let made = model
            .evaluate_within(WORK, &inputs, &mut |_, _| ())
            .map_err(|error| match error {
                EvaluateError::Node { node, op, reason } => ImportError::Node { node, op, reason },
                error => ImportError::Form(error.to_string()),
            })?;
        conditions.extend(model.outputs().iter().map(|port| port.name.clone()).zip(made));
    }
    let one = |(name, tensor): (String, Tensor)| match tensor.values() {
        Values::Bool(values) if values.len() == 1 => Ok((name, values[0])),
        _ => Err(ImportError::Malformed(format!(
            "the condition `{name}` of an If is {} {:?}, not one bool",
            tensor.element(),
            tensor.shape()
        ))),
    };
    conditions
        .into_iter()
        .map(one)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn yes_or_no(name: &str) -> ValueInfoProto {
    let tensor = TensorType {
        elem_type: DataType::Bool as i32,
        shape: None,
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// All names that a node reads, those of nodes within it included.
fn reads(node: &NodeProto, names: &mut HashSet<String>) {
    names.extend(node.input.iter().cloned());
    for graph in node.attribute.iter().filter_map(|a| a.g.as_ref()) {
        graph.node.iter().for_each(|inner| reads(inner, names));
        names.extend(graph.output.iter().map(|o| o.name.clone()));
    }
}

/// All names of a graph, and of the graphs in it.
fn names(graph: &GraphProto, all: &mut HashSet<String>) {
    all.extend(own_names(graph).map(str::to_owned));
    for node in &graph.node {
        all.extend(node.input.iter().cloned());
        node.attribute
            .iter()
            .filter_map(|a| a.g.as_ref())
            .for_each(|graph| names(graph, all));
    }
}

/// What a graph makes or holds.
fn own_names(graph: &GraphProto) -> impl Iterator<Item = &str> {
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

fn splice(graph: &mut GraphProto, conditions: &HashMap<String, bool>) -> Result<(), ImportError> {
    let mut taken = Taken::default();
    names(graph, &mut taken.names);
    let mut called = Taken::default();
    called
        .names
        .extend(graph.node.iter().map(|node| name_of(node).to_owned()));
    let mut nodes = Vec::new();
    for node in std::mem::take(&mut graph.node) {
        let decided = conditions.get(condition(&node)).filter(|_| is_if(&node));
        let Some(&yes) = decided else {
            nodes.push(node);
            continue;
        };
        let mut branch = taken_branch(&node, if yes { "then_branch" } else { "else_branch" })?;
        let renamed: HashMap<String, String> = own_names(&branch)
            .map(|name| (name.to_owned(), taken.fresh(name)))
            .collect();
        rename(&mut branch, &renamed, &mut HashMap::new());
        graph.initializer.append(&mut branch.initializer);
        for mut inner in branch.node {
            inner.name = called.own(name_of(&inner));
            nodes.push(inner);
        }
        let named = node
            .output
            .iter()
            .zip(&branch.output)
            .filter(|(name, _)| !name.is_empty());
        nodes.extend(named.map(|(name, made)| NodeProto {
            name: called.own(name),
            op_type: "Identity".to_owned(),
            input: vec![made.name.clone()],
            output: vec![name.clone()],
            ..NodeProto::default()
        }));
    }
    graph.node = nodes;
    Ok(())
}

fn taken_branch(node: &NodeProto, attribute: &str) -> Result<GraphProto, ImportError> {
    let wrong = |what: &str| ImportError::Node {
        node: name_of(node).to_owned(),
        op: node.op_type.clone(),
        reason: format!("its {attribute} {what}"),
    };
    let found = node.attribute.iter().find(|a| a.name == attribute);
    let branch = found
        .and_then(|a| a.g.clone())
        .ok_or_else(|| wrong("is missing"))?;
    if !branch.sparse_initializer.is_empty() {
        return Err(unsupported(node, format!("its {attribute} has sparse constants")));
    }
    if !branch.input.is_empty() {
        return Err(wrong("has inputs"));
    }
    if branch.output.len() != node.output.len() {
        return Err(wrong("has another number of outputs than the node"));
    }
    Ok(branch)
}

/// Names that are taken, and how many new ones were made.
#[derive(Default)]
struct Taken {
    names: HashSet<String>,
    made: usize,
}

impl Taken {
    /// The name, or a new one where it is taken.
    fn own(&mut self, name: &str) -> String {
        if self.names.insert(name.to_owned()) {
            name.to_owned()
        } else {
            self.fresh(name)
        }
    }

    /// A name that nothing has.
    fn fresh(&mut self, name: &str) -> String {
        loop {
            self.made += 1;
            let new = format!("{name}.{}", self.made);
            if self.names.insert(new.clone()) {
                return new;
            }
        }
    }
}

/// Other names for a graph's own values, where they are made and wherever they are read; `shadowed` has those that are other
/// values in the graph within it.
fn rename(graph: &mut GraphProto, renamed: &HashMap<String, String>, shadowed: &mut HashMap<String, usize>) {
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
        for inner in node.attribute.iter_mut().filter_map(|a| a.g.as_mut()) {
            let own: Vec<String> = own_names(inner)
                .filter(|n| renamed.contains_key(*n))
                .map(str::to_owned)
                .collect();
            for name in &own {
                *shadowed.entry(name.clone()).or_default() += 1;
            }
            rename(inner, renamed, shadowed);
            for name in &own {
                let count = shadowed.remove(name).unwrap_or(0);
                if count > 1 {
                    shadowed.insert(name.clone(), count - 1);
                }
            }
        }
    }
}
