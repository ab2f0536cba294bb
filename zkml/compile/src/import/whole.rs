//! Whole numbers, and yes and no, that depend on the inputs: which operators may read them, and which inputs are of them.
//!
//! Invariant: such a tensor holds what its type holds, as floats: nothing reads it that would compute otherwise with numbers of
//! its type than with floats. A division that drops its remainder, or a sum that wraps, is refused by name.

use std::collections::HashSet;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto};
use tract_onnx::prelude::DatumType;

use super::admit::unsupported;
use super::draft::type_name;
use super::operators::SIZED;
use super::statics::{self, Shapes};
use super::{ImportError, UnsupportedNode, modulo, operators, whole_sums};
use crate::float::Interval;

/// The domain that a node gets whose operator has a rule of its own for whole numbers.
pub(super) const DOMAIN: &str = "zkinfer.whole";

/// Whether it is one of these. They compute with numbers that are wide enough for whatever their rules let through.
fn has_own_rule(op: &str) -> bool {
    let mut own = whole_sums::RECIPES.iter().chain(modulo::OF_WHOLE);
    own.any(|recipe| recipe.onnx == op)
}

/// An input of whole numbers, or of yes and no: between which, or none where only what reads it, or calibration, says how far they
/// go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Given(pub Option<Interval>);

impl Given {
    /// Of an input's type, where it is one of those that are taken.
    pub(super) fn of(kind: DataType) -> Option<Self> {
        let bound = match kind {
            DataType::Bool => Some(Interval::new(0, 1)),
            DataType::Uint8 => Some(Interval::new(0, 255)),
            DataType::Int8 => Some(Interval::new(-128, 127)),
            DataType::Int32 | DataType::Int64 => None,
            _ => return None,
        };
        Some(Self(bound))
    }
}

/// The type of a port's values.
pub(super) fn element(port: &ValueInfoProto) -> Option<DataType> {
    match port.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(Value::TensorType(tensor)) => DataType::try_from(tensor.elem_type).ok(),
        _ => None,
    }
}

/// Whether an output is of whole numbers, or of yes and no, as the file says.
pub(super) fn is_whole(port: &ValueInfoProto) -> bool {
    let kind = port.r#type.as_ref().and_then(|t| t.value.as_ref());
    let floats = [
        DataType::Float,
        DataType::Double,
        DataType::Float16,
        DataType::Bfloat16,
    ];
    matches!(kind, Some(Value::TensorType(tensor)) if !floats.iter().any(|f| *f as i32 == tensor.elem_type))
}

/// Operators that take sizes of floats, and from which input on. All others take them as whole numbers, which they may not read
/// here where they are computed.
const SIZES: &[(&str, usize)] = &[("OneHot", 1), ("Resize", 1), ("Upsample", 1)];

/// Refuses sizes that depend on the inputs' values, also of what nothing but a shape is taken of.
fn check_sizes(graph: &GraphProto) -> Result<(), ImportError> {
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    for (op, first) in SIZES {
        for node in graph.node.iter().filter(|node| node.op_type == *op) {
            let mut sizes = node.input.iter().skip(*first).filter(|name| !name.is_empty());
            if let Some(name) = sizes.find(|name| !constants.contains(name.as_str())) {
                let reason = format!("its input `{name}` is computed: only a constant is supported there");
                return Err(unsupported(node, reason));
            }
        }
    }
    Ok(())
}

/// Refuses whatever else reads such a tensor, and takes away casts that change nothing.
///
/// # Errors
/// The readers that would compute otherwise.
pub(super) fn check(graph: &mut GraphProto, shapes: &Shapes) -> Result<(), ImportError> {
    check_sizes(graph)?;
    let whole = |name: &String| match shapes.get(name) {
        Some((_, kind)) if !kind.is_float() => Some(*kind),
        Some(_) | None => None,
    };
    let mut refused = Vec::new();
    for node in &mut graph.node {
        let read = node.input.iter().enumerate();
        let mut read = read.filter_map(|(at, name)| Some((at, name, whole(name)?)));
        let Some((at, name, kind)) = read.next() else {
            continue;
        };
        let may = match node.op_type.as_str() {
            "Where" | "Concat" => true,
            // What is moved, not where to.
            "Expand" | "Slice" | "Split" | "Tile" => at == 0 && read.next().is_none(),
            // Places in a list; of a list that is computed itself only constant ones.
            "ArrayFeatureExtractor" => at == 1,
            "Gather" | "GatherElements" => at == 1 || read.next().is_none_or(|(at, ..)| at == 1),
            "OneHot" | "LabelEncoder" | "OneHotEncoder" | "TopK" => at == 0,
            // Numbers and zero points; scales are floats.
            "ConvInteger" | "MatMulInteger" => true,
            "DequantizeLinear" => at == 0 || at == 2,
            "QLinearConv" | "QLinearMatMul" => at == 0 && read.next().is_none(),
            // Which places count.
            "Attention" => at == 3 && kind == DatumType::Bool && read.next().is_none(),
            // Narrower numbers wrap.
            op if has_own_rule(op) => matches!(kind, DatumType::I32 | DatumType::I64),
            op => operators::reads_whole(op),
        };
        if !may {
            let reason = match node.op_type.as_str() {
                "Compress" if at == 1 => format!("its `condition` is computed: {SIZED}"),
                _ => format!(
                    "its input `{name}` is computed and of type {}, which this operator is not supported on",
                    type_name(kind)
                ),
            };
            note(&mut refused, unsupported(node, reason))?;
            continue;
        }
        if node.op_type == "Cast"
            && let Err(error) = cast(node, kind)
        {
            note(&mut refused, error)?;
        }
        let places = node.input.get(1).is_some_and(|name| whole(name).is_some());
        let looked_up = ["Gather", "GatherElements"].contains(&node.op_type.as_str()) && places;
        if looked_up || node.op_type == "Attention" || has_own_rule(&node.op_type) {
            node.domain = DOMAIN.to_owned();
        }
    }
    if refused.is_empty() {
        Ok(())
    } else {
        Err(ImportError::Unsupported(refused))
    }
}

/// Adds a node to those that are refused; any other error stays one.
fn note(refused: &mut Vec<UnsupportedNode>, error: ImportError) -> Result<(), ImportError> {
    match error {
        ImportError::Unsupported(nodes) => refused.extend(nodes),
        other => return Err(other),
    }
    Ok(())
}

/// Whether a node casts what depends on the inputs to whole numbers.
pub(super) fn is_cast(node: &NodeProto, names: &HashSet<String>) -> bool {
    let whole = [DataType::Int64, DataType::Int32].map(|kind| kind as i64);
    let to = node.attribute.iter().find(|a| a.name == "to").map_or(0, |a| a.i);
    node.op_type == "Cast" && whole.contains(&to) && !statics::is_static(node, names)
}

/// A cast of such a tensor: to floats it stays, and changes no value; to whole numbers it goes, where none is changed.
fn cast(node: &mut NodeProto, from: DatumType) -> Result<(), ImportError> {
    let to = node.attribute.iter().find(|a| a.name == "to").map_or(0, |a| a.i);
    let to = i32::try_from(to).ok().and_then(|to| DataType::try_from(to).ok());
    match to {
        Some(DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16) => Ok(()),
        // Of the bounded numbers that are made here none has more than 31 bits.
        Some(DataType::Int64 | DataType::Int32) => {
            node.op_type = "Identity".to_owned();
            node.attribute.clear();
            Ok(())
        }
        Some(DataType::Bool) if from == DatumType::Bool => {
            node.op_type = "Identity".to_owned();
            node.attribute.clear();
            Ok(())
        }
        // Whether it is 0.
        Some(DataType::Bool) => Ok(()),
        _ => {
            let reason = format!(
                "a cast of computed numbers of type {} to this type",
                type_name(from)
            );
            Err(unsupported(node, reason))
        }
    }
}
