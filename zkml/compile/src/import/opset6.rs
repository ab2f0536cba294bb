//! Nodes in forms that ONNX had before opset 7, and Squeeze as it was before opset 13, put into today's.
//!
//! Invariant: a node is rewritten only after the reference has evaluated it as its own opset says, so that a form of training, a
//! shape that does not fit and an attribute that the form lacks are refused before; what is left is where the second tensor's
//! dimensions stand among the first one's, and lists that became inputs.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType};

use super::admit::name_of;
use super::dimensions::fixed_shape;
use super::statics::Shapes;

/// The first opset of today's forms.
const TODAY: i64 = 7;

/// Operators of two tensors of which the second is repeated from an axis on, where the file says so.
const OF_TWO: &[&str] = &[
    "Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor",
];

/// Other operators with an old form, and the attributes that today's lacks.
const OTHERS: &[(&str, &[&str])] = &[
    ("BatchNormalization", &["is_test"]),
    ("Concat", &[]),
    ("Dropout", &["is_test"]),
    ("Gemm", &["broadcast"]),
    ("PRelu", &[]),
    ("Reshape", &["shape"]),
];

/// The attribute of operators before opset 6 that changes no result.
const CONSUMED: &str = "consumed_inputs";

/// The first opset whose Squeeze is read without axes.
const SQUEEZE: i64 = 13;

/// Whether some node may have a form that is another than today's.
pub(super) fn any(graph: &GraphProto, opset: Option<i64>) -> bool {
    let before = |first: i64| opset.is_some_and(|o| o < first);
    (before(TODAY) && graph.node.iter().any(is_old)) || (before(SQUEEZE) && graph.node.iter().any(is_bare))
}

/// Whether it takes out all dimensions of 1.
fn is_bare(node: &NodeProto) -> bool {
    node.op_type == "Squeeze" && attribute(node, "axes").is_none()
}

/// States which dimensions those are.
fn stated(node: &mut NodeProto, shape: &[usize]) {
    let ones = (0i64..).zip(shape).filter(|(_, size)| **size == 1);
    let ones: Vec<i64> = ones.map(|(axis, _)| axis).collect();
    if ones.is_empty() {
        node.op_type = "Identity".to_owned();
        return;
    }
    node.attribute.push(AttributeProto {
        name: "axes".to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: ones,
        ..AttributeProto::default()
    });
}

fn is_old(node: &NodeProto) -> bool {
    let op = node.op_type.as_str();
    OF_TWO.contains(&op)
        || OTHERS.iter().any(|(name, _)| *name == op)
        || node.attribute.iter().any(|a| a.name == CONSUMED)
}

/// Rewrites all nodes that have an old form.
pub(super) fn rewrite(graph: &mut GraphProto, opset: Option<i64>, shapes: &Shapes) {
    if !any(graph, opset) {
        return;
    }
    let inputs = graph.input.iter();
    let inputs: HashMap<String, Vec<usize>> = inputs
        .filter_map(|i| Some((i.name.clone(), fixed_shape(i)?)))
        .collect();
    for node in graph.node.iter_mut().filter(|node| is_bare(node)) {
        let read = node.input.first();
        let shape = read.and_then(|name| {
            shapes
                .get(name)
                .map(|(shape, _)| shape)
                .or_else(|| inputs.get(name))
        });
        if let Some(shape) = shape {
            stated(node, shape);
        }
    }
    if opset.is_none_or(|o| o >= TODAY) {
        return;
    }
    let mut ranks: HashMap<String, usize> = shapes.iter().map(|(n, (s, _))| (n.clone(), s.len())).collect();
    ranks.extend(inputs.into_iter().map(|(name, shape)| (name, shape.len())));
    ranks.extend(graph.initializer.iter().map(|t| (t.name.clone(), t.dims.len())));
    let mut names = Names(taken(graph));
    let nodes = std::mem::take(&mut graph.node);
    for mut node in nodes {
        if is_old(&node) {
            let rank = |at: usize| node.input.get(at).and_then(|n| ranks.get(n)).copied();
            if let (Some(a), Some(b)) = (rank(0), rank(1))
                && let Some(behind) = behind(&node, a, b)
            {
                graph.node.push(aligned(&mut node, &mut names, b, behind));
            }
            if node.op_type == "Reshape"
                && let Some(shape) = attribute(&node, "shape")
            {
                let shape = list(names.fresh(&format!("{}.shape", name_of(&node))), &shape.ints);
                node.input.truncate(1);
                node.input.push(shape.name.clone());
                graph.initializer.push(shape);
            }
            if node.op_type == "Concat" && attribute(&node, "axis").is_none() {
                node.attribute.push(AttributeProto {
                    name: "axis".to_owned(),
                    r#type: AttributeType::Int as i32,
                    i: 1,
                    ..AttributeProto::default()
                });
            }
            let op = node.op_type.as_str();
            let gone: &[&str] = match OTHERS.iter().find(|(name, _)| *name == op) {
                Some((_, gone)) => gone,
                None if OF_TWO.contains(&op) => &["axis", "broadcast"],
                None => &[],
            };
            node.attribute
                .retain(|a| a.name != CONSUMED && !gone.contains(&a.name.as_str()));
        }
        graph.node.push(node);
    }
}

/// How many dimensions of length 1 the second tensor lacks behind its own, to stand where the old form has it.
fn behind(node: &NodeProto, a: usize, b: usize) -> Option<usize> {
    let behind = if node.op_type == "PRelu" {
        // A slope for each channel.
        a.checked_sub(2).filter(|_| b == 1)?
    } else if OF_TWO.contains(&node.op_type.as_str()) {
        let axis = usize::try_from(attribute(node, "axis")?.i).ok()?;
        a.checked_sub(b)?.checked_sub(axis)?
    } else {
        return None;
    };
    (behind > 0).then_some(behind)
}

/// The node that puts these dimensions behind the second tensor's, which the old one then reads.
fn aligned(node: &mut NodeProto, names: &mut Names, rank: usize, behind: usize) -> NodeProto {
    let made = names.fresh(&format!("{}.aligned", name_of(node)));
    let read = std::mem::replace(&mut node.input[1], made.clone());
    NodeProto {
        name: made.clone(),
        op_type: "Unsqueeze".to_owned(),
        input: vec![read],
        output: vec![made],
        attribute: vec![AttributeProto {
            name: "axes".to_owned(),
            r#type: AttributeType::Ints as i32,
            ints: (rank..rank + behind).map(|d| d as i64).collect(),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name == name)
}

fn list(name: String, values: &[i64]) -> TensorProto {
    TensorProto {
        name,
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn taken(graph: &GraphProto) -> HashSet<String> {
    let made = graph.node.iter().flat_map(|n| n.output.iter().chain([&n.name]));
    let given = graph.initializer.iter().map(|t| &t.name);
    let inputs = graph.input.iter().map(|i| &i.name);
    made.chain(given).chain(inputs).cloned().collect()
}

/// Names that stand in the graph.
struct Names(HashSet<String>);

impl Names {
    /// One like this that does not yet.
    fn fresh(&mut self, like: &str) -> String {
        let mut name = like.to_owned();
        while !self.0.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}
