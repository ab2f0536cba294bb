//! Typed operators → float nodes, one at a time.
//!
//! Invariant: every place of the typed model that a later node reads holds a constant or a tensor of the draft. A node
//! that cannot be translated is noted, its output stands as a tensor that nothing makes, and the walk goes on: the
//! error names all such nodes at once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tract_onnx::prelude::{DatumType, Node, Outlet, OutletId, Tensor, TypedFact, TypedModel, TypedOp};
use tract_onnx::tract_core::ops::array::{Gather, MultiBroadcastTo, Slice, StridedSlice, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::cnn::{Conv, MaxPool, SumPool};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_core::ops::math::Neg;
use tract_onnx::tract_core::ops::nn::Reduce;
use zkml::graph::TensorId;

use super::admit::{self, Admitted};
use super::draft::{Constant, Draft, OTHER_FORM, Refusal, Value, integers, type_name, unsupported};
use super::folding::constant_output;
use super::reader::Fault;
use super::{
    ImportError, MAX_NODES, UnsupportedNode, binary, compare, concat, conv, einsum, function, marked, moved,
    pool, recipe, whole_sums, wiring,
};
use crate::functions::Function;

type TypedNode = Node<TypedFact, Box<dyn TypedOp>>;

/// What a translation needs beside the node.
pub(super) struct Operands<'a> {
    values: Vec<&'a Value>,
}

impl Operands<'_> {
    /// The operand, which must depend on the inputs.
    pub(super) fn computed(&self, at: usize) -> Result<TensorId, Refusal> {
        match self.values.get(at) {
            Some(Value::Computed(id)) => Ok(*id),
            Some(Value::Constant(_)) => unsupported("a constant where a computed tensor is expected"),
            None => unsupported("an operand is missing"),
        }
    }

    /// The operand, which must be a constant.
    pub(super) fn constant(&self, at: usize) -> Result<Constant, Refusal> {
        match self.values.get(at) {
            Some(Value::Constant(tensor)) => Constant::new(tensor),
            Some(Value::Computed(_)) => unsupported("a computed tensor where only a constant is supported"),
            None => unsupported("an operand is missing"),
        }
    }

    /// The operand's integers; it must be a constant.
    pub(super) fn integers(&self, at: usize) -> Result<Vec<i64>, Refusal> {
        match self.values.get(at) {
            Some(Value::Constant(tensor)) => integers(tensor),
            Some(Value::Computed(_)) => unsupported("computed numbers where only constants are supported"),
            None => unsupported("an operand is missing"),
        }
    }

    /// Whether some operand is a constant that says true.
    fn any_true(&self) -> bool {
        let says = |value: &&Value| match value {
            Value::Constant(tensor) if tensor.datum_type() == DatumType::Bool => {
                Constant::new(tensor).is_ok_and(|c| c.values.iter().any(|v| *v != 0.0))
            }
            _ => false,
        };
        self.values.iter().any(says)
    }

    /// Whether the operand depends on the inputs.
    pub(super) fn is_computed(&self, at: usize) -> bool {
        matches!(self.values.get(at), Some(Value::Computed(_)))
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Value> {
        self.values.iter().copied()
    }

    /// Number of operands.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// Translates a typed model.
pub(super) fn translate(model: &TypedModel, admitted: &Admitted) -> Result<Draft, Fault> {
    let malformed = |e: &dyn std::fmt::Display| Fault::reader(e);
    if model.nodes().len() > MAX_NODES {
        return Err(Fault::Told(ImportError::Limit {
            place: "model".into(),
            what: "operations that its nodes consist of",
            limit: MAX_NODES as u64,
        }));
    }
    let mut draft = Draft::default();
    let mut values: BTreeMap<OutletId, Value> = BTreeMap::new();
    let outlets = model.input_outlets().map_err(|e| malformed(&e))?;
    if outlets.len() != admitted.inputs.len() {
        return Err(Fault::Reader("the inputs are not those of the file".into()));
    }
    // By the file's names: folding gives an input the name of a node that does nothing to it.
    for (&outlet, (name, whole)) in outlets.iter().zip(&admitted.inputs) {
        let shape = concrete(model.outlet_fact(outlet).map_err(|e| malformed(&e))?).unwrap_or_default();
        let id = draft.tensor(name, &shape).map_err(|r| refused_input(name, &r))?;
        if let Some(given) = whole {
            draft.whole_within(id, given.0);
        }
        draft.inputs.push(id);
        values.insert(outlet, Value::Computed(id));
    }
    let mut noted = Vec::new();
    let mut named = HashSet::new();
    for at in model.eval_order().map_err(|e| malformed(&e))? {
        let node = model.node(at);
        if values.contains_key(&OutletId::new(at, 0)) {
            continue;
        }
        let (name, op) = origin(admitted, node);
        let placed = place(&mut draft, &values, node, &name).and_then(|made| exact(&draft, node, made));
        match placed {
            Ok(made) => {
                let slots = (0..).map(|slot| OutletId::new(at, slot));
                values.extend(slots.zip(made));
            }
            Err(Refusal::NonFinite) => return Err(ImportError::NonFinite { node: name }.into()),
            Err(Refusal::TooLarge) => {
                return Err(ImportError::Limit {
                    place: name,
                    what: "values in a tensor",
                    limit: super::MAX_TENSOR_LEN as u64,
                }
                .into());
            }
            Err(Refusal::Together(what, limit)) => {
                return Err(ImportError::Limit {
                    place: name,
                    what,
                    limit: limit as u64,
                }
                .into());
            }
            Err(Refusal::Unsupported(reason)) => {
                if named.insert(name.clone()) {
                    noted.push(UnsupportedNode {
                        node: name.clone(),
                        op,
                        reason,
                    });
                }
                for (slot, output) in node.outputs.iter().enumerate() {
                    let shape = concrete(&output.fact).unwrap_or_else(|| vec![1]);
                    if let Ok(id) = draft.tensor(&name, &shape) {
                        values.insert(OutletId::new(at, slot), Value::Computed(id));
                    }
                }
            }
        }
    }
    if !noted.is_empty() {
        return Err(ImportError::Unsupported(noted).into());
    }
    draft.exact.clone_from(&admitted.exact);
    let outlets = model.output_outlets().map_err(|e| malformed(&e))?;
    for (outlet, name) in outlets.iter().zip(&admitted.outputs) {
        match values.get(outlet) {
            Some(Value::Computed(id)) => draft.outputs.push(*id),
            Some(Value::Constant(tensor)) => {
                let made = constant(&mut draft, name, tensor).map_err(|r| refused_output(name, &r))?;
                draft.outputs.push(made);
            }
            None => return Err(constant_output(name).into()),
        }
    }
    Ok(draft)
}

/// Whatever the file says is of whole numbers, or of yes and no, is held in steps of 1: its readers compute with nothing else.
fn exact(draft: &Draft, node: &TypedNode, made: Vec<Value>) -> Result<Vec<Value>, Refusal> {
    let of_file: Vec<bool> = match node.op.downcast_ref::<marked::Marked>() {
        Some(marked) => marked.given().map(|output| output.whole).collect(),
        None => {
            let whole = |output: &Outlet<TypedFact>| !output.fact.datum_type.is_float();
            node.outputs.iter().map(whole).collect()
        }
    };
    for (value, whole) in made.iter().zip(of_file) {
        match value {
            Value::Computed(id) if whole && !draft.is_whole(*id) => {
                return unsupported(
                    "whole numbers that are not known to stay within what is held exactly: up to 2^22",
                );
            }
            Value::Computed(_) | Value::Constant(_) => {}
        }
    }
    Ok(made)
}

/// An output that is the same for every input, beside others.
fn constant(draft: &mut Draft, name: &str, tensor: &Tensor) -> Result<TensorId, Refusal> {
    let constant = Constant::new(tensor)?;
    let made = moved::constant(draft, name, &constant.values, &constant.shape)?;
    if !tensor.datum_type().is_float() && !draft.is_whole(made) {
        return unsupported("whole numbers beyond 2^22");
    }
    Ok(made)
}

fn refused_output(name: &str, refusal: &Refusal) -> ImportError {
    match refusal {
        Refusal::Unsupported(_) => ImportError::Output {
            output: name.to_owned(),
            reason: "it is a constant that has no values, no numbers, or whole ones beyond 2^22; take it out of the outputs",
        },
        Refusal::NonFinite => ImportError::NonFinite {
            node: name.to_owned(),
        },
        Refusal::TooLarge | Refusal::Together(..) => refused_input(name, refusal),
    }
}

fn refused_input(name: &str, refusal: &Refusal) -> ImportError {
    match refusal {
        Refusal::TooLarge => ImportError::Limit {
            place: name.to_owned(),
            what: "values",
            limit: super::MAX_TENSOR_LEN as u64,
        },
        &Refusal::Together(what, limit) => ImportError::Limit {
            place: name.to_owned(),
            what,
            limit: limit as u64,
        },
        _ => ImportError::Input {
            input: name.to_owned(),
            reason: "it has no values, or sizes that are not fixed".into(),
        },
    }
}

/// The sizes of a tensor; `None` when one is not fixed.
fn concrete(fact: &TypedFact) -> Option<Vec<usize>> {
    fact.shape.as_concrete().map(<[usize]>::to_vec)
}

/// The model's own name and operator behind a typed node: typing splits nodes and appends to their names.
fn origin(admitted: &Admitted, node: &TypedNode) -> (String, String) {
    let origins = admitted.origins.iter();
    let origins = origins.map(|(name, op)| (name.as_str(), op.as_str()));
    match admit::origin(origins, &node.name) {
        Some((name, op)) => (name.to_owned(), op.to_owned()),
        None => (node.name.clone(), "part of another node".to_owned()),
    }
}

fn place(
    draft: &mut Draft,
    values: &BTreeMap<OutletId, Value>,
    node: &TypedNode,
    name: &str,
) -> Result<Vec<Value>, Refusal> {
    let Some(output) = node.outputs.first() else {
        return unsupported("it makes nothing");
    };
    if let Some(constant) = &output.fact.konst {
        return Ok(vec![Value::Constant(constant.clone())]);
    }
    let Some(shape) = concrete(&output.fact) else {
        return unsupported("sizes that are not fixed");
    };
    // What has no values is the same for every input.
    let empty = |output: &Outlet<TypedFact>| {
        let shape = concrete(&output.fact).filter(|shape| shape.contains(&0))?;
        let tensor = Tensor::zero_dt(output.fact.datum_type, &shape).ok()?;
        Some(Value::Constant(Arc::new(tensor)))
    };
    if let Some(made) = node.outputs.iter().map(empty).collect() {
        return Ok(made);
    }
    let operands = node
        .inputs
        .iter()
        .map(|i| values.get(i))
        .collect::<Option<Vec<_>>>();
    let Some(operands) = operands else {
        return unsupported("it reads a second output of another operator");
    };
    let operands = Operands { values: operands };
    let made = match node.op.downcast_ref::<marked::Marked>() {
        Some(marked) => recipe::recipe(draft, &operands, marked, name)?,
        None => vec![one(draft, &operands, node, name, &shape)?],
    };
    Ok(made.into_iter().map(Value::Computed).collect())
}

/// One operator that depends on the inputs.
fn one(
    draft: &mut Draft,
    operands: &Operands<'_>,
    node: &TypedNode,
    name: &str,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let op = &node.op;
    if op.downcast_ref::<Identity>().is_some() {
        return operands.computed(0);
    }
    if let Some(op) = op.downcast_ref::<Cast>() {
        // Whole numbers have at most 31 bits here: none is changed. The reader may take those of ONNX's int64 for sizes.
        let x = operands.computed(0)?;
        let to_whole = [DatumType::I64, DatumType::I32, DatumType::TDim].contains(&op.to);
        if to_whole {
            return whole_sums::truncated(draft, name, x);
        }
        if op.to == DatumType::Bool {
            return compare::is_not_zero(draft, name, x);
        }
        // A cast to fewer bits rounds, which is not what is meant by it: no float is rounded before it is an integer here.
        if ![DatumType::F32, DatumType::F64].contains(&op.to) {
            return unsupported(format!("a cast to {}", type_name(op.to)));
        }
        return Ok(x);
    }
    if op.name() == "Dropout" {
        if operands.any_true() {
            return unsupported("dropout in training");
        }
        return operands.computed(0);
    }
    if let Some(op) = op.downcast_ref::<AxisOp>() {
        return wiring::axis_op(draft, name, op, operands.computed(0)?, shape);
    }
    if let Some(op) = op.downcast_ref::<Slice>() {
        return wiring::slice(draft, name, op, operands.computed(0)?, shape);
    }
    if op.downcast_ref::<MultiBroadcastTo>().is_some() {
        let x = binary::aligned(draft, name, operands.computed(0)?, shape.len())?;
        return wiring::broadcast(draft, name, x, shape);
    }
    if let Some(op) = op.downcast_ref::<StridedSlice>() {
        return wiring::strided_slice(draft, operands, name, op, shape);
    }
    if let Some(op) = op.downcast_ref::<Gather>() {
        return wiring::gather(draft, operands, name, op.axis, shape);
    }
    if let Some(op) = op.downcast_ref::<TypedConcat>() {
        return concat::concat(draft, operands, name, op.axis, shape);
    }
    if let Some(op) = op.downcast_ref::<TypedBinOp>() {
        return binary::binary(draft, operands, name, op.0.name(), shape);
    }
    if let Some(op) = op.downcast_ref::<ElementWiseOp>() {
        if op.0.downcast_ref::<Neg>().is_some() {
            return binary::scaled(draft, name, operands.computed(0)?, -1.0);
        }
        return match op.0.downcast_ref::<Function>() {
            Some(of) => function::function(draft, name, operands.computed(0)?, of.clone()),
            None => unsupported(OTHER_FORM),
        };
    }
    if let Some(op) = op.downcast_ref::<EinSum>() {
        return einsum::einsum(draft, operands, name, op, shape);
    }
    if let Some(op) = op.downcast_ref::<Conv>() {
        return conv::conv(draft, operands, name, op, shape);
    }
    if let Some(op) = op.downcast_ref::<MaxPool>() {
        return pool::max_pool(draft, operands, name, op, shape);
    }
    if let Some(op) = op.downcast_ref::<SumPool>() {
        return pool::sum_pool(draft, operands, name, op, shape);
    }
    if let Some(op) = op.downcast_ref::<Reduce>() {
        return pool::reduce(draft, operands, name, op, shape);
    }
    unsupported(OTHER_FORM)
}
