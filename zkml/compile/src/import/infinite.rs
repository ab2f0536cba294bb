//! Minus infinity in constants that mask places of a softmax.
//!
//! Invariant: such a constant reaches nothing but additions, choices and moves on its way to softmaxes and masks of attentions,
//! where the weight of minus infinity is 0, as that of any number is that is far enough below: it becomes one. Every other constant
//! that is not finite is refused by its name.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::narrow::{self, Narrow};

/// What minus infinity becomes. Several of them may be added.
const FAR: f32 = -1e30;
/// Most values between a constant and its softmaxes.
const MOST: usize = 64;

/// Inputs by which operators take values as they are.
fn passes(node: &NodeProto, at: usize) -> bool {
    match node.op_type.as_str() {
        "Add" | "Concat" => true,
        "Where" => at > 0,
        "Cast" | "CastLike" | "Expand" | "Gather" | "Identity" | "Reshape" | "Slice" | "Squeeze" | "Tile"
        | "Transpose" | "Trilu" | "Unsqueeze" => at == 0,
        _ => false,
    }
}

fn ends(node: &NodeProto, at: usize) -> bool {
    matches!((node.op_type.as_str(), at), ("Softmax", 0) | ("Attention", 3))
}

type Readers<'a> = HashMap<&'a str, Vec<(&'a NodeProto, usize)>>;

/// Whether all that reads a value, of whatever it becomes, is a softmax, and no output shows it. Each name is looked at once.
fn masks(readers: &Readers<'_>, outputs: &HashSet<&str>, name: &str) -> bool {
    let (mut seen, mut next) = (HashSet::from([name]), vec![name]);
    while let Some(name) = next.pop() {
        let known = readers
            .get(name)
            .filter(|_| seen.len() <= MOST && !outputs.contains(name));
        let Some(read) = known else {
            return false;
        };
        for &(node, at) in read {
            if ends(node, at) {
                continue;
            }
            let made = node.output.first().filter(|_| passes(node, at));
            let Some(made) = made else { return false };
            if seen.insert(made) {
                next.push(made);
            }
        }
    }
    true
}

/// Puts numbers in the places of minus infinity where it masks.
pub(super) fn finite(graph: &mut GraphProto) {
    let holders = |graph: &GraphProto| -> Vec<String> {
        let constants = graph
            .initializer
            .iter()
            .filter(|t| is_infinite(t))
            .map(|t| &t.name);
        let held = |n: &&NodeProto| {
            n.attribute
                .iter()
                .any(|a| a.t.as_ref().is_some_and(is_infinite) || lone(n, a.f))
        };
        let made = graph.node.iter().filter(held).filter_map(|n| n.output.first());
        constants.chain(made).cloned().collect()
    };
    let found = holders(graph);
    if found.is_empty() {
        return;
    }
    let mut readers = Readers::new();
    for node in &graph.node {
        for (at, input) in node.input.iter().enumerate() {
            readers.entry(input).or_default().push((node, at));
        }
    }
    let outputs: HashSet<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    let found: Vec<String> = found
        .into_iter()
        .filter(|name| masks(&readers, &outputs, name))
        .collect();
    for tensor in graph.initializer.iter_mut().filter(|t| found.contains(&t.name)) {
        replace(tensor);
    }
    for node in &mut graph.node {
        if !node.output.first().is_some_and(|o| found.contains(o)) {
            continue;
        }
        for attribute in &mut node.attribute {
            attribute.t.as_mut().into_iter().for_each(replace);
            if attribute.name == "value_float" && attribute.f == f32::NEG_INFINITY {
                attribute.f = FAR;
            }
        }
    }
}

fn lone(node: &NodeProto, value: f32) -> bool {
    node.op_type == "Constant" && value == f32::NEG_INFINITY
}

fn is_infinite(tensor: &TensorProto) -> bool {
    if let Some(kind) = Narrow::of(tensor.data_type) {
        let (infinite, _) = kind.far(FAR);
        return narrow::bits(tensor).is_some_and(|bits| bits.contains(&infinite));
    }
    tensor.data_type == DataType::Float as i32
        && (tensor.float_data.contains(&f32::NEG_INFINITY)
            || (tensor.raw_data.as_chunks().0.iter()).any(|b| f32::from_le_bytes(*b) == f32::NEG_INFINITY))
}

fn replace(tensor: &mut TensorProto) {
    if let Some((kind, mut bits)) = Narrow::of(tensor.data_type).zip(narrow::bits(tensor)) {
        let (infinite, far) = kind.far(FAR);
        let masks = bits.iter_mut().filter(|b| **b == infinite);
        masks.for_each(|b| *b = far);
        narrow::put(tensor, &bits);
        return;
    }
    if tensor.data_type != DataType::Float as i32 {
        return;
    }
    let far = |v: f32| if v == f32::NEG_INFINITY { FAR } else { v };
    tensor.float_data.iter_mut().for_each(|v| *v = far(*v));
    for bytes in tensor.raw_data.as_chunks_mut().0 {
        *bytes = far(f32::from_le_bytes(*bytes)).to_le_bytes();
    }
}
