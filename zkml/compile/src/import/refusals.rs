//! All nodes of a file that are refused, whichever stage of the importer refuses them.
//!
//! Invariant: what is found first stays, and each that joins it was refused by the same importer, in a model of what is left: what
//! the refused nodes make is given there as inputs, where shape and type of it are known, and is gone with all that reads it
//! where they are not. Nothing but the list of an error hangs on it.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Dim};
use tract_onnx::pb::{GraphProto, ModelProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::DatumType;

use super::admit::{self, name_of};
use super::{Sizes, UnsupportedNode, statics};

/// Most models of what is left that are asked.
const MOST: usize = 6;

/// The refused nodes of a file, those that were found `first` among them, in the file's order. `read` says which of a model it refuses
/// first.
pub(super) fn all(
    onnx: &[u8],
    sizes: Sizes<'_>,
    first: Vec<UnsupportedNode>,
    read: impl Fn(&[u8]) -> Vec<UnsupportedNode>,
) -> Vec<UnsupportedNode> {
    let mut refused = first;
    let Ok(mut proto) = ModelProto::decode(onnx) else {
        return refused;
    };
    if admit::sized(proto.graph.as_mut(), sizes).is_err() {
        return refused;
    }
    let (mut known, mut complete) = known_of(&proto);
    for _ in 0..MOST {
        let Some(rest) = without(&proto, &known, &refused) else {
            break;
        };
        let more: Vec<_> = read(&rest.encode_to_vec())
            .into_iter()
            .filter(|found| refused.iter().all(|r| r.node != found.node))
            .collect();
        if more.is_empty() {
            break;
        }
        refused.extend(more);
        if !complete {
            // What only an operator hid that the reference does not have.
            let (more, all) = known_of(&rest);
            known.extend(more);
            complete = all;
        }
    }
    let nodes = proto.graph.iter().flat_map(|graph| &graph.node);
    let places: HashMap<&str, usize> = nodes.enumerate().map(|(at, n)| (name_of(n), at)).collect();
    refused.sort_by_key(|node| places.get(node.node.as_str()).copied().unwrap_or(usize::MAX));
    refused
}

/// What is known of values: of all, where the reference evaluates the file, and otherwise of those that the file says it of; and
/// which of the two it is.
fn known_of(proto: &ModelProto) -> (HashMap<String, ValueInfoProto>, bool) {
    let Some(graph) = &proto.graph else {
        return (HashMap::new(), true);
    };
    let fixed = |port: &&ValueInfoProto| {
        let kind = port.r#type.as_ref().and_then(|t| t.value.as_ref());
        let Some(type_proto::Value::TensorType(tensor)) = kind else {
            return false;
        };
        let dims = tensor.shape.as_ref().map(|shape| &shape.dim);
        dims.is_some_and(|dims| dims.iter().all(|d| matches!(d.value, Some(Dim::DimValue(1..)))))
    };
    let said = graph.value_info.iter().chain(&graph.output).filter(fixed);
    let mut known: HashMap<_, _> = said.map(|port| (port.name.clone(), port.clone())).collect();
    let names = statics::names(graph);
    let shapes = statics::fold(&mut proto.clone(), &names);
    let complete = shapes.is_ok();
    let shapes = shapes.unwrap_or_default();
    for (name, (shape, kind)) in shapes {
        let kind = match kind {
            DatumType::Bool => DataType::Bool,
            DatumType::I64 => DataType::Int64,
            DatumType::I32 => DataType::Int32,
            DatumType::I8 => DataType::Int8,
            DatumType::U8 => DataType::Uint8,
            DatumType::F64 => DataType::Double,
            kind if kind.is_float() => DataType::Float,
            _ => continue,
        };
        if shape.iter().all(|d| *d > 0) {
            known.insert(name.clone(), port(name, &shape, kind));
        }
    }
    (known, complete)
}

fn port(name: String, shape: &[usize], kind: DataType) -> ValueInfoProto {
    let dim = |d: &usize| Dimension {
        value: Some(Dim::DimValue(*d as i64)),
        ..Dimension::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: kind as i32,
        shape: Some(TensorShapeProto {
            dim: shape.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name,
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// The model without these nodes; none where nothing is taken away, or nothing is left to be computed.
fn without(
    proto: &ModelProto,
    known: &HashMap<String, ValueInfoProto>,
    refused: &[UnsupportedNode],
) -> Option<ModelProto> {
    let mut rest = proto.clone();
    let graph = rest.graph.as_mut()?;
    let refused: HashSet<&str> = refused.iter().map(|node| node.node.as_str()).collect();
    let all = graph.node.len();
    let mut lost: HashSet<String> = HashSet::new();
    let mut read: Vec<String> = Vec::new();
    let mut kept = Vec::with_capacity(all);
    for node in std::mem::take(&mut graph.node) {
        if !refused.contains(name_of(&node)) && !node.input.iter().any(|name| lost.contains(name)) {
            kept.push(node);
            continue;
        }
        read.extend(node.input);
        for name in node.output.into_iter().filter(|name| !name.is_empty()) {
            match known.get(&name) {
                Some(port) => graph.input.push(port.clone()),
                None => _ = lost.insert(name),
            }
        }
    }
    if kept.is_empty() || kept.len() == all {
        return None;
    }
    graph.node = kept;
    let outputs = outputs(graph, known, &lost, read);
    graph.output = outputs;
    (!graph.output.is_empty()).then_some(rest)
}

/// The outputs that are left, and what a node that is gone reads of those that are not: all that is computed counts.
fn outputs(
    graph: &GraphProto,
    known: &HashMap<String, ValueInfoProto>,
    lost: &HashSet<String>,
    read: Vec<String>,
) -> Vec<ValueInfoProto> {
    let made: HashSet<&String> = graph.node.iter().flat_map(|node| &node.output).collect();
    let mut outputs: Vec<ValueInfoProto> = graph
        .output
        .iter()
        .filter(|port| !lost.contains(&port.name) && made.contains(&port.name))
        .cloned()
        .collect();
    for name in read {
        let new = made.contains(&name) && outputs.iter().all(|port| port.name != name);
        if let Some(port) = known.get(&name).filter(|_| new) {
            outputs.push(port.clone());
        }
    }
    outputs
}
