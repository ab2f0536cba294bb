//! Minus infinity in constants that mask places of a softmax, and infinite limits of a Clip, a Max or a Min.
//!
//! Invariant: a limit of a Clip that is infinite, to its own side, clips nothing, and goes; so does the one number of a Max that is
//! below all others, and of a Min that is above them. A constant that masks reaches nothing but additions, choices and moves on its
//! way to softmaxes and masks of attentions, where the weight of minus infinity is 0, as that of any number is that is far enough
//! below: it becomes one. Every other constant that is not finite is refused by its name.

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

/// Takes away the limits that clip nothing, and puts numbers in the places of minus infinity where it masks.
pub(super) fn finite(graph: &mut GraphProto) {
    unlimited(graph);
    masking(graph);
}

/// The infinity that a constant of one value is.
fn infinity(tensor: &TensorProto) -> Option<f64> {
    if let Some((kind, bits)) = Narrow::of(tensor.data_type).zip(narrow::bits(tensor)) {
        let [bits] = bits[..] else { return None };
        return Some(f64::from(kind.value(bits))).filter(|v| v.is_infinite());
    }
    let raw = tensor.raw_data.as_slice();
    let value = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => match (raw.first_chunk(), tensor.float_data.as_slice()) {
            (Some(bytes), []) if raw.len() == 4 => f64::from(f32::from_le_bytes(*bytes)),
            (None, [value]) if raw.is_empty() => f64::from(*value),
            _ => return None,
        },
        Ok(DataType::Double) => match (raw.first_chunk(), tensor.double_data.as_slice()) {
            (Some(bytes), []) if raw.len() == 8 => f64::from_le_bytes(*bytes),
            (None, [value]) if raw.is_empty() => *value,
            _ => return None,
        },
        _ => return None,
    };
    Some(value).filter(|v| v.is_infinite())
}

/// The same of a node that makes one.
fn made(node: &NodeProto) -> Option<f64> {
    let attribute = node.attribute.first().filter(|_| node.op_type == "Constant")?;
    match &attribute.t {
        Some(tensor) => infinity(tensor),
        None => Some(f64::from(attribute.f)).filter(|v| v.is_infinite()),
    }
}

/// Takes infinite limits from every Clip, and the constants that nothing reads then. A Clip without a limit passes on what it reads.
fn unlimited(graph: &mut GraphProto) {
    let stated = graph.initializer.iter().map(|t| (Some(&t.name), infinity(t)));
    let nodes = graph.node.iter().map(|n| (n.output.first(), made(n)));
    let infinite: HashMap<String, f64> = stated
        .chain(nodes)
        .filter_map(|(name, value)| Some((name?.clone(), value?)))
        .collect();
    let limits = [(1, "min", f64::NEG_INFINITY), (2, "max", f64::INFINITY)];
    for node in graph.node.iter_mut().filter(|n| n.op_type == "Clip") {
        for (at, name, none) in limits {
            let input = node.input.get_mut(at);
            if let Some(input) = input.filter(|input| infinite.get(input.as_str()) == Some(&none)) {
                input.clear();
            }
            let limits = |f: f32| f64::from(f) != none;
            node.attribute.retain(|a| a.name != name || limits(a.f));
        }
        while node.input.last().is_some_and(String::is_empty) {
            node.input.pop();
        }
        if node.input.len() == 1 && node.attribute.is_empty() {
            node.op_type = "Identity".to_owned();
        }
    }
    // A number without axes shapes nothing.
    let scalar = |tensor: &TensorProto| tensor.dims.is_empty();
    let stated = graph.initializer.iter().filter(|t| scalar(t)).map(|t| &t.name);
    let nodes = graph.node.iter().filter(|n| {
        let constant = n.op_type == "Constant";
        constant && n.attribute.iter().all(|a| a.t.as_ref().is_none_or(scalar))
    });
    let scalars: HashSet<String> = stated
        .chain(nodes.filter_map(|n| n.output.first()))
        .cloned()
        .collect();
    for node in &mut graph.node {
        let none = match node.op_type.as_str() {
            "Max" => f64::NEG_INFINITY,
            "Min" => f64::INFINITY,
            _ => continue,
        };
        let says_nothing = |name: &String| scalars.contains(name) && infinite.get(name) == Some(&none);
        if node.input.iter().all(says_nothing) {
            continue;
        }
        node.input.retain(|name| !says_nothing(name));
        if node.input.len() == 1 {
            node.op_type = "Identity".to_owned();
        }
    }
    let read = graph.node.iter().flat_map(|n| &n.input);
    let read: HashSet<String> = read
        .chain(graph.output.iter().map(|o| &o.name))
        .cloned()
        .collect();
    let left = |name: &String| infinite.contains_key(name) && !read.contains(name);
    let stated: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    // Old files state their constants as inputs too.
    graph
        .input
        .retain(|i| !(stated.contains(&i.name) && left(&i.name)));
    graph.initializer.retain(|t| !left(&t.name));
    graph
        .node
        .retain(|n| !(made(n).is_some() && n.output.first().is_some_and(left)));
}

/// Puts numbers in the places of minus infinity where it masks.
fn masking(graph: &mut GraphProto) {
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
