//! Functions that have no value somewhere, in branches that are computed whether they are taken or not.
//!
//! Invariant: where its branch is not taken, such a function is computed at a number at which it has a value, whatever the inputs are,
//! so that it refuses none; where it is taken, at its own argument. What it makes where it is not taken is never read. Operators that
//! cannot be kept from having no value are refused by name.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};
use tract_onnx::prelude::DatumType;

use super::ImportError;
use super::admit::{name_of, unsupported};
use super::names::Taken;
use super::spliced::Branch;
use super::statics::Shapes;

/// Operators with the input by which they have no value, or grow out of every range, and a number at which they have one.
const GUARDED: &[(&str, usize, i32)] = &[
    ("Acos", 0, 0),
    ("Acosh", 0, 1),
    ("ArrayFeatureExtractor", 1, 0),
    ("Asin", 0, 0),
    ("Atanh", 0, 0),
    ("Cosh", 0, 0),
    ("Div", 1, 1),
    ("Exp", 0, 0),
    ("Gather", 1, 0),
    ("Log", 0, 1),
    ("LpNormalization", 0, 1),
    ("Mod", 1, 1),
    ("Normalizer", 0, 1),
    ("OneHot", 0, 0),
    ("Pow", 0, 1),
    ("Reciprocal", 0, 1),
    ("ReduceLogSum", 0, 1),
    ("Sinh", 0, 0),
    ("Sqrt", 0, 1),
    ("Tan", 0, 0),
];

/// Operators of which no argument is known at which they have a value.
const REFUSED: &[&str] = &["MeanVarianceNormalization"];

/// What these make of their numbers is 1, of which all others but Atanh have a value too.
const MAKE_ONE: &[&str] = &["Cosh", "Exp", "Pow", "Reciprocal", "Sqrt"];

/// Chooses the arguments of all such functions that stand in branches of computed conditions. What is no constant is computed here.
///
/// # Errors
/// An operator that cannot be guarded.
pub(super) fn guard(
    graph: &mut GraphProto,
    branches: &HashMap<String, Vec<Branch>>,
    shapes: &mut Shapes,
) -> Result<(), ImportError> {
    if branches.is_empty() {
        return Ok(());
    }
    let constants: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let exponents = graph.initializer.iter().filter(|t| is_small_and_whole(t));
    let exponents: HashSet<String> = exponents.map(|t| t.name.clone()).collect();
    let (mut taken, mut called) = (Taken::values(graph), Taken::nodes(graph));
    // By what makes them: values that are 1 where their branch is not taken, and the branches.
    let mut ones: HashMap<String, Vec<Branch>> = HashMap::new();
    let mut numbers: HashMap<(i32, i32), String> = HashMap::new();
    for mut node in std::mem::take(&mut graph.node) {
        let stands_in = node.output.iter().find_map(|name| branches.get(name));
        let Some(stands_in) = stands_in.cloned() else {
            graph.node.push(node);
            continue;
        };
        if REFUSED.contains(&node.op_type.as_str()) {
            let reason = "in a branch of a computed condition, which is computed where it is not taken too: there it may have no value";
            return Err(unsupported(&node, reason.to_owned()));
        }
        let guarded = GUARDED.iter().find(|(op, at, _)| {
            let argument = node.input.get(*at).filter(|name| !name.is_empty());
            // Such a power has a value everywhere.
            let total = *op == "Pow" && node.input.get(1).is_some_and(|e| exponents.contains(e));
            *op == node.op_type
                && !total
                && argument.is_some_and(|name| {
                    !constants.contains(name) && (*op == "Atanh" || ones.get(name) != Some(&stands_in))
                })
        });
        let Some(&(_, at, number)) = guarded else {
            graph.node.push(node);
            continue;
        };
        for branch in &stands_in {
            let argument = node.input[at].clone();
            let Some((shape, kind)) = shapes.get(&argument).cloned() else {
                let reason = format!(
                    "its input `{argument}` is of a type that is not supported in a branch of a computed condition"
                );
                return Err(unsupported(&node, reason));
            };
            let number = numbers.entry((stored(kind) as i32, number)).or_insert_with(|| {
                let made = tensor(taken.fresh("number"), stored(kind), number);
                let name = made.name.clone();
                graph.initializer.push(made);
                name
            });
            let number = number.clone();
            let chosen = taken.fresh(&argument);
            let [then, otherwise] = if branch.taken {
                [argument, number]
            } else {
                [number, argument]
            };
            graph.node.push(NodeProto {
                name: called.own(name_of(&node)),
                op_type: "Where".to_owned(),
                input: vec![branch.condition.clone(), then, otherwise],
                output: vec![chosen.clone()],
                ..NodeProto::default()
            });
            shapes.insert(chosen.clone(), (shape, kind));
            node.input[at] = chosen;
        }
        if MAKE_ONE.contains(&node.op_type.as_str()) {
            ones.extend(node.output.iter().map(|name| (name.clone(), stands_in.clone())));
        }
        graph.node.push(node);
    }
    Ok(())
}

/// Whether all its values are 0, 1, 2, 3 or 4.
fn is_small_and_whole(tensor: &TensorProto) -> bool {
    let whole = |v: &f32| v.fract() == 0.0 && (0.0..=4.0).contains(v);
    let raw = tensor.raw_data.as_chunks().0;
    tensor.data_type == DataType::Float as i32
        && tensor.float_data.iter().all(whole)
        && raw.iter().all(|b| whole(&f32::from_le_bytes(*b)))
}

/// How a number beside values of this type is stored. Whole numbers of every width are lists and places here.
fn stored(kind: DatumType) -> DataType {
    match kind {
        DatumType::F64 => DataType::Double,
        kind if kind.is_float() => DataType::Float,
        DatumType::Bool => DataType::Bool,
        _ => DataType::Int64,
    }
}

fn tensor(name: String, kind: DataType, number: i32) -> TensorProto {
    let raw_data = match kind {
        DataType::Double => f64::from(number).to_le_bytes().to_vec(),
        DataType::Float => (number as f32).to_le_bytes().to_vec(),
        DataType::Bool => vec![u8::from(number != 0)],
        _ => i64::from(number).to_le_bytes().to_vec(),
    };
    TensorProto {
        name,
        data_type: kind as i32,
        raw_data,
        ..TensorProto::default()
    }
}
