//! Functions of one value, and products that are one.
//!
//! Invariant: exact in floats, but for a product whose constants are rounded themselves (`ROUNDED`; a slope becomes the nearest
//! float of 32 bits). The reader gets an operator of ours for each of them, which bears the function with the node's own
//! attributes, so that what its own operators make of an attribute does not matter. A product of two computed tensors is taken
//! for a function only where both are multiples of the same tensor or of a function of it.

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::TractResult;
use tract_onnx::tract_core::internal::anyhow;
use tract_onnx::tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_onnx::tract_hir::infer::InferenceOp;
use tract_onnx::tract_hir::ops::element_wise::ElementWiseIntoHir;
use zkml::graph::TensorId;

use super::binary::scaled;
use super::draft::{Draft, Refusal};
use crate::float::FloatOp;
use crate::functions::{self, Function};
use crate::ops::Lookup;

impl ElementWiseMiniOp for Function {
    fn name(&self) -> String {
        self.name()
    }
}

/// Puts our operators in the places of the reader's.
pub(super) fn register(operators: &mut OnnxOpRegister) {
    for operator in functions::operators() {
        operators.insert(operator.onnx, build);
    }
}

fn build(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    match functions::read(node) {
        Some(Ok(function)) => Ok((ElementWiseOp(Box::new(function), None).into_hir(), Vec::new())),
        Some(Err(reason)) => Err(anyhow!(reason)),
        None => Err(anyhow!("no function of one value")),
    }
}

/// Translates a function of the tensor.
pub(super) fn function(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    function: Function,
) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    draft.node(name, FloatOp::Table(Lookup { function }), &[x], &shape)
}

/// What is said of an operator that the model's version of ONNX does not have yet.
pub(super) fn too_new(op: &str, opset: Option<i64>) -> Option<String> {
    let (first, opset) = (zkml_reference::first_opset(op)?, opset?);
    let reason = format!(
        "its form of today is ONNX's from opset {first} on, and the model says that it is of opset {opset}"
    );
    (opset < first).then_some(reason)
}

/// A product of two tensors that is a function of one: `x · sigmoid(a·x)` and `x · (1 + erf(x/√2))`, each times a number, as
/// models have them that were exported before there were operators for them.
pub(super) fn product(
    draft: &mut Draft,
    name: &str,
    factors: [TensorId; 2],
) -> Option<Result<TensorId, Refusal>> {
    let [left, right] = factors.map(|id| Chain::all_to(draft, id));
    let (found, factor, of) = gate(draft, &left, &right).or_else(|| gate(draft, &right, &left))?;
    let made = || {
        let y = function(draft, name, of, found)?;
        if factor == 1.0 {
            return Ok(y);
        }
        scaled(draft, name, y, factor)
    };
    Some(made())
}

/// The function that `straight · curved` is, times a number, of a tensor.
fn gate(draft: &Draft, straight: &[Chain], curved: &[Chain]) -> Option<(Function, f64, TensorId)> {
    let curved = curved.last()?;
    let (function, argument) = function_of(draft, curved.root)?;
    let arguments = Chain::all_to(draft, argument);
    let pairs = straight
        .iter()
        .flat_map(|s| arguments.iter().map(move |a| (s, a)));
    let (straight, argument) = pairs
        .filter(|(s, a)| s.offset == 0.0 && a.offset == 0.0)
        .find(|(s, a)| s.root == a.root)?;
    let factor = straight.factor * curved.factor;
    if function.is_sigmoid() && curved.offset == 0.0 {
        let alpha = argument.factor as f32;
        return alpha
            .is_finite()
            .then(|| (Function::swish(alpha), factor, straight.root));
    }
    let half = (argument.factor * std::f64::consts::SQRT_2 - 1.0).abs() < ROUNDED;
    if function.is_erf() && curved.offset == curved.factor && half {
        return Some((Function::gelu(), 2.0 * factor, straight.root));
    }
    None
}

/// What a constant of 32 bits, or one that was made of two, may be off.
const ROUNDED: f64 = 1e-6;

/// Most nodes of a chain.
const LONGEST: usize = 8;

/// `factor · root + offset`, with one factor for all values.
#[derive(Clone, Copy)]
struct Chain {
    root: TensorId,
    factor: f64,
    offset: f64,
}

impl Chain {
    /// Those that end in this tensor, from the shortest on, of a few nodes: more of them are no product that anybody exports.
    fn all_to(draft: &Draft, end: TensorId) -> Vec<Self> {
        let mut last = Self {
            root: end,
            factor: 1.0,
            offset: 0.0,
        };
        let mut all = vec![last];
        while let Some((x, factor, offset)) = step(draft, last.root).filter(|_| all.len() < LONGEST) {
            last = Self {
                root: x,
                factor: last.factor * factor,
                offset: last.offset + last.factor * offset,
            };
            all.push(last);
        }
        all
    }
}

/// The node that makes a tensor. Each node's output is younger than all tensors before it.
pub(super) fn producer(draft: &Draft, id: TensorId) -> Option<(&FloatOp, &[TensorId])> {
    let at = draft.nodes.binary_search_by_key(&id, |n| n.output).ok()?;
    let node = draft.nodes.get(at)?;
    Some((&node.op, &node.inputs))
}

/// `(x, a, b)` of a tensor that is `a·x + b`, value by value.
pub(super) fn step(draft: &Draft, id: TensorId) -> Option<(TensorId, f64, f64)> {
    let (op, inputs) = producer(draft, id)?;
    let (factor, offset) = op.scaling()?;
    let &[x] = inputs else { return None };
    Some((x, factor, offset))
}

/// The function that makes a tensor, and of what.
fn function_of(draft: &Draft, id: TensorId) -> Option<(&Function, TensorId)> {
    let (op, inputs) = producer(draft, id)?;
    let &[x] = inputs else { return None };
    Some((op.function()?, x))
}
