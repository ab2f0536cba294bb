//! What the reader could not do, in ONNX's words.
//!
//! Invariant: nothing that the reader (tract) says reaches a person; it has words of its own, and refuses valid models. The
//! float reference, which is written from ONNX's specification, decides whether a file is an ONNX model: what it reads and
//! evaluates is one, in a form that is not supported yet.

use std::collections::BTreeMap;

use zkml::graph::other_file;
use zkml_reference::{Dimension, ElementType, EvaluateError, Model, ReadError, Tensor, Values};

use super::admit::origin;
use super::{ImportError, UnsupportedNode};

/// Multiply-adds that may go into the question which node is at fault, eight for each value: a moment, and 128 MiB.
const WORK: u64 = 1 << 27;

/// Why there is no float graph: in words that were chosen for people, or only the reader's.
#[derive(Debug)]
pub(super) enum Fault {
    /// As it is told.
    Told(ImportError),
    /// What the reader says.
    Reader(String),
}

impl From<ImportError> for Fault {
    fn from(error: ImportError) -> Self {
        Self::Told(error)
    }
}

impl Fault {
    /// What an error of the reader's says.
    pub(super) fn reader(error: &dyn std::fmt::Display) -> Self {
        Self::Reader(format!("{error:#}"))
    }

    /// What a person is told of the file.
    pub(super) fn told(self, onnx: &[u8]) -> ImportError {
        let error = match self {
            Self::Told(error) => error,
            Self::Reader(said) => by_reference(onnx, &said),
        };
        match (&error, other_file::recognise(onnx)) {
            (ImportError::Malformed(_), Some(other)) => ImportError::OtherFile(other.to_string()),
            _ => error,
        }
    }
}

/// What the reference says of a file that the reader refuses; `said` is what the reader says.
fn by_reference(onnx: &[u8], said: &str) -> ImportError {
    let model = match Model::read(onnx) {
        Ok(model) => model,
        Err(error) => return error.into(),
    };
    let mut shapes = BTreeMap::new();
    let mut see = |name: &str, tensor: &Tensor| {
        shapes.insert(name.to_owned(), described(tensor));
    };
    let inputs = zeros(&model);
    for (port, tensor) in model.inputs().iter().zip(inputs.iter().flatten()) {
        see(&port.name, tensor);
    }
    let evaluated = inputs.map(|inputs| model.evaluate_within(WORK, &inputs, &mut see));
    if let Some(Err(EvaluateError::Node { node, op, mut reason })) = evaluated {
        let is_free = |d: &Dimension| matches!(d, Dimension::Free(_));
        let mut ports = model.inputs().iter();
        if ports.any(|p| p.shape.as_ref().is_some_and(|s| s.iter().any(is_free))) {
            reason.push_str(" (the model is read with 1 for the sizes that it leaves free)");
        }
        return ImportError::Node { node, op, reason };
    }
    let origins = model.nodes().iter().map(|n| (n.name.as_str(), n.op.as_str()));
    let named = named_node(said).and_then(|name| origin(origins, name));
    let Some((node, op)) = named else {
        let reason = "it is a valid ONNX model, but of a form that is not read; please report it";
        return ImportError::Form(reason.to_owned());
    };
    let found = model.nodes().iter().find(|n| n.name == node);
    let read = |name: &String| match shapes.get(name) {
        Some(described) => format!("`{name}`, {described}"),
        None => format!("`{name}`"),
    };
    let inputs = found.iter().flat_map(|n| n.inputs.iter());
    let inputs: Vec<String> = inputs.filter(|name| !name.is_empty()).map(read).collect();
    ImportError::Unsupported(vec![UnsupportedNode {
        node: node.to_owned(),
        op: op.to_owned(),
        reason: format!(
            "this form of the operator is not supported yet (it reads {})",
            inputs.join(" and ")
        ),
    }])
}

/// `float [1, 3]`.
fn described(tensor: &Tensor) -> String {
    format!("{} {:?}", tensor.element(), tensor.shape())
}

/// Zeros for every input, with 1 for each size that is free; `None` where the file states too little, or too much.
pub(super) fn zeros(model: &Model) -> Option<Vec<Tensor>> {
    filled(model, false)
}

/// The same of ones, or zeros.
pub(super) fn filled(model: &Model, with_ones: bool) -> Option<Vec<Tensor>> {
    let one = i64::from(with_ones);
    let mut left = WORK / 8;
    let mut filled = Vec::new();
    for port in model.inputs() {
        let size = |d: &Dimension| match d {
            Dimension::Fixed(size) => *size,
            Dimension::Free(_) => 1,
        };
        let shape: Vec<usize> = port.shape.as_ref()?.iter().map(size).collect();
        let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        left = left.checked_sub(len as u64)?;
        let values = match port.element {
            ElementType::Bool => Values::Bool(vec![with_ones; len]),
            kind if kind.is_float() => Values::Float(vec![one as f64; len]),
            _ => Values::Int(vec![one; len]),
        };
        filled.push(Tensor::new(port.element, shape, values).ok()?);
    }
    Some(filled)
}

/// The node that the reader names: `… node #3 "name" …`.
fn named_node(said: &str) -> Option<&str> {
    let (_, after) = said.split_once("node #")?;
    let (_, quoted) = after.split_once('"')?;
    quoted.split_once('"').map(|(name, _)| name)
}

impl From<ReadError> for ImportError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Malformed(reason) => Self::Malformed(reason),
            ReadError::Unsupported(reason) => Self::Form(reason),
            ReadError::Nodes(nodes) => Self::Unsupported(
                nodes
                    .into_iter()
                    .map(|n| UnsupportedNode {
                        node: n.node,
                        op: n.op,
                        reason: n.reason,
                    })
                    .collect(),
            ),
        }
    }
}
