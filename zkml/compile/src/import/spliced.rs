//! What takes the places of nodes that have graphs in them.
//!
//! Invariant: a graph that is put in computes what it did where it stood: its own values have new names, its inputs are values that
//! the graph around it has, and what it reads besides is found by the same names. Nodes of a branch that an input's values choose
//! are known as such, and so are those of later trips.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::admit::{limit, name_of};
use super::names::{self, Taken};
use super::{ImportError, MAX_BYTES, MAX_NODES};

/// Most nodes of a graph in which every body stands as often as it is computed. Those that depend on constants alone, as a counter
/// does, go later; what is left may be [`MAX_NODES`].
pub(super) const MOST_NODES: usize = 4 * MAX_NODES;

/// A branch that is computed whether it is taken or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    /// The name of its condition, which is one yes or no.
    pub condition: String,
    /// Which of the two takes it.
    pub taken: bool,
}

/// What is known of nodes that stood in others.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// By what a node makes: the branches that it stands in.
    pub branches: HashMap<String, Vec<Branch>>,
    /// Names of the nodes of all trips but first ones.
    pub later: HashSet<String>,
}

/// A graph in the making, node by node.
pub(super) struct Spliced<'a> {
    pub nodes: Vec<NodeProto>,
    pub constants: Vec<TensorProto>,
    origins: &'a mut Origins,
    values: Taken,
    called: Taken,
    opset: i64,
    /// Of the node whose place is taken now.
    branches: Vec<Branch>,
    later: bool,
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

impl<'a> Spliced<'a> {
    pub(super) fn new(graph: &GraphProto, opset: i64, origins: &'a mut Origins) -> Self {
        Self {
            nodes: Vec::with_capacity(graph.node.len()),
            constants: Vec::new(),
            origins,
            values: Taken::values(graph),
            called: Taken::nodes(graph),
            opset,
            branches: Vec::new(),
            later: false,
        }
    }

    /// What follows stands in the place of this node.
    pub(super) fn in_place_of(&mut self, node: &NodeProto) {
        let of = |name: &String| self.origins.branches.get(name).cloned();
        self.branches = node.output.iter().find_map(of).unwrap_or_default();
        self.later = self.origins.later.contains(name_of(node));
    }

    /// This node goes.
    pub(super) fn gone(&mut self, node: &NodeProto) {
        self.called.free(name_of(node));
    }

    /// What follows stands in one more branch, until [`Spliced::leave_branch`].
    pub(super) fn enter_branch(&mut self, branch: Branch) {
        self.branches.push(branch);
    }

    pub(super) fn leave_branch(&mut self) {
        self.branches.pop();
    }

    /// What follows is of a trip behind the first.
    pub(super) fn later_trip(&mut self) {
        self.later = true;
    }

    /// Room for a graph this often, in bytes and in nodes.
    pub(super) fn room(&self, node: &NodeProto, body: &GraphProto, times: usize) -> Result<(), ImportError> {
        let nodes = names::count(body).saturating_add(1).saturating_mul(times);
        let what = "nodes, with its body in its place as often as it is computed";
        limit(
            name_of(node),
            what,
            nodes.saturating_add(self.nodes.len()),
            MOST_NODES,
        )?;
        let bytes = prost::Message::encoded_len(body).saturating_mul(times);
        let what = "bytes, with its body in its place as often as it is computed";
        limit(name_of(node), what, bytes, MAX_BYTES)
    }

    /// A name that no value has.
    pub(super) fn fresh(&mut self, name: &str) -> String {
        self.values.fresh(name)
    }

    /// A node as it is.
    pub(super) fn keep(&mut self, node: NodeProto) {
        self.nodes.push(node);
    }

    fn push(&mut self, mut node: NodeProto, called: &str) {
        node.name = self.called.own(called);
        if !self.branches.is_empty() {
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                self.origins
                    .branches
                    .insert(output.clone(), self.branches.clone());
            }
        }
        if self.later {
            self.origins.later.insert(node.name.clone());
        }
        self.nodes.push(node);
    }

    /// A node of ONNX, called as it is said.
    pub(super) fn node(
        &mut self,
        op: &str,
        called: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) {
        let node = NodeProto {
            op_type: op.to_owned(),
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes,
            ..NodeProto::default()
        };
        self.push(node, called);
    }

    /// A value by another name, where the node names it at all.
    pub(super) fn identity(&mut self, from: &str, to: &str) {
        if !to.is_empty() {
            self.node("Identity", to, &[from], to, vec![]);
        }
    }

    /// A name that neither a value nor a node has: the reader counts constants among nodes.
    fn fresh_constant(&mut self, name: &str) -> String {
        loop {
            let new = self.values.fresh(name);
            if self.called.take(&new) {
                return new;
            }
        }
    }

    /// A constant of whole numbers: a list, or one number.
    pub(super) fn integers(&mut self, name: &str, dims: &[i64], values: &[i64]) -> String {
        let name = self.fresh_constant(name);
        self.constants.push(TensorProto {
            name: name.clone(),
            dims: dims.to_vec(),
            data_type: DataType::Int64 as i32,
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        name
    }

    /// Yes, as a constant.
    pub(super) fn yes(&mut self, name: &str) -> String {
        let name = self.fresh_constant(name);
        self.constants.push(TensorProto {
            name: name.clone(),
            data_type: DataType::Bool as i32,
            raw_data: vec![1],
            ..TensorProto::default()
        });
        name
    }

    /// One element along an axis, which goes.
    pub(super) fn element(&mut self, called: &str, of: &str, axis: i64, index: usize) -> String {
        let at = self.integers(of, &[], &[index as i64]);
        let made = self.fresh(of);
        self.node("Gather", called, &[of, &at], &made, vec![int("axis", axis)]);
        made
    }

    /// All parts along a new axis, in their order.
    pub(super) fn stack(&mut self, called: &str, parts: &[String], axis: i64, to: &str) {
        let mut with_axis = Vec::with_capacity(parts.len());
        let axes = (self.opset >= 13).then(|| self.integers(to, &[1], &[axis]));
        for part in parts {
            let made = self.fresh(to);
            match &axes {
                Some(axes) => self.node("Unsqueeze", called, &[part, axes], &made, vec![]),
                None => {
                    let axes = AttributeProto {
                        name: "axes".to_owned(),
                        r#type: AttributeType::Ints as i32,
                        ints: vec![axis],
                        ..AttributeProto::default()
                    };
                    self.node("Unsqueeze", called, &[part], &made, vec![axes]);
                }
            }
            with_axis.push(made);
        }
        let all: Vec<&str> = with_axis.iter().map(String::as_str).collect();
        match all[..] {
            [one] => self.identity(one, to),
            _ => self.node("Concat", called, &all, to, vec![int("axis", axis)]),
        }
    }

    /// Puts a graph's constants into this one, once for however many trips: those that are nodes too.
    pub(super) fn hoist(&mut self, body: &mut GraphProto) {
        let nodes = std::mem::take(&mut body.node);
        for mut node in nodes {
            let is_constant = node.op_type == "Constant" && node.domain.is_empty() && node.output.len() == 1;
            let tensor = match &mut node.attribute[..] {
                [value] if is_constant && value.name == "value" => value.t.take(),
                _ => None,
            };
            match tensor {
                Some(tensor) => body.initializer.push(TensorProto {
                    name: node.output.remove(0),
                    ..tensor
                }),
                None => body.node.push(node),
            }
        }
        let renamed = body.initializer.iter();
        let renamed: HashMap<String, String> = renamed
            .map(|t| (t.name.clone(), self.fresh_constant(&t.name)))
            .collect();
        names::rename(body, &renamed);
        self.constants.append(&mut body.initializer);
    }

    /// A graph, its inputs bound to values of this one; the names of its outputs.
    pub(super) fn graph(&mut self, mut graph: GraphProto, bound: &[String]) -> Vec<String> {
        let within = names::own_within(&graph);
        let constants: HashSet<&str> = graph.initializer.iter().map(|t| &*t.name).collect();
        let new = |name: &str| match constants.contains(name) {
            true => (name.to_owned(), self.fresh_constant(name)),
            false => (name.to_owned(), self.values.fresh(name)),
        };
        let mut renamed: HashMap<String, String> = names::own(&graph).map(new).collect();
        for (input, value) in graph.input.iter().zip(bound) {
            // A graph further in may have another value of the name.
            let value = if within.contains(value) {
                let alias = self.values.fresh(value);
                self.identity(value, &alias);
                alias
            } else {
                value.clone()
            };
            renamed.insert(input.name.clone(), value);
        }
        names::rename(&mut graph, &renamed);
        self.constants.append(&mut graph.initializer);
        for node in graph.node {
            let called = name_of(&node).to_owned();
            self.push(node, &called);
        }
        graph.output.into_iter().map(|o| o.name).collect()
    }
}
