//! The operator of ours that stands for a node with a recipe while the reader finds shapes and types.
//!
//! Invariant: it bears the node as it stands in the file, and says of each of its outputs what the reference has found.

use std::collections::HashSet;

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};
use tract_onnx::prelude::{DatumType, OutletId, TractResult, TypedFact, TypedModel, TypedOp};
use tract_onnx::tract_core::internal::{EvalOp, Op, SpecialOps, StaticName, TValue, TVec, ToDim, anyhow};
use tract_onnx::tract_core::{as_op, not_out_of_plan, op_as_typed_op};
use tract_onnx::tract_hir::infer::{InferenceOp, InferenceResult, Solver, TensorProxy};
use tract_onnx::tract_hir::ops::expandable::{Expansion, expand};

use super::ml;
use super::recipe::has_recipe;
use super::statics::Shapes;
use crate::float::Interval;

/// The reader's name of our operator, and the attribute that says what it makes.
const OURS: &str = "zkinfer.Recipe";
const MADE: &str = "zkinfer.made";

/// Puts our operator in the places of nodes with a recipe.
pub(super) fn mark(graph: &mut GraphProto, shapes: &Shapes) {
    let constants: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let constant = |name: &str| constants.contains(name);
    let read = graph.node.iter().flat_map(|n| &n.input);
    let read: HashSet<String> = read
        .chain(graph.output.iter().map(|o| &o.name))
        .cloned()
        .collect();
    for node in graph.node.iter_mut().filter(|n| has_recipe(n, &constant)) {
        if ml::has_label(node) && !node.output.first().is_some_and(|label| read.contains(label)) {
            node.output.first_mut().into_iter().for_each(String::clear);
        }
        let Some(ints) = node
            .output
            .iter()
            .map(|o| stated(o, shapes))
            .collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        let made = AttributeProto {
            name: MADE.to_owned(),
            ints: ints.concat(),
            s: node.op_type.clone().into_bytes(),
            ..AttributeProto::default()
        };
        node.attribute.push(made);
        node.op_type = OURS.to_owned();
    }
}

/// An output that is left out.
const ABSENT: i64 = -1;
/// Outputs of doubles, and of whole numbers or yes and no.
const DOUBLE: i64 = 1;
const WHOLE: i64 = 2;
const UINT8: i64 = 3;
const INT8: i64 = 4;

/// An output as integers: what it is of, its rank, its sizes.
fn stated(output: &str, shapes: &Shapes) -> Option<Vec<i64>> {
    if output.is_empty() {
        return Some(vec![ABSENT]);
    }
    let (shape, kind) = shapes.get(output)?;
    let of = match kind {
        DatumType::F64 => DOUBLE,
        kind if kind.is_float() => 0,
        DatumType::U8 => UINT8,
        DatumType::I8 => INT8,
        _ => WHOLE,
    };
    let mut ints = vec![of, shape.len() as i64];
    ints.extend(shape.iter().map(|&d| d as i64));
    Some(ints)
}

/// An output that a node has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Output {
    /// To the reader, all numbers are floats.
    kind: DatumType,
    /// Whether the file says that it is of whole numbers, or of yes and no.
    pub whole: bool,
    /// All numbers of its type, where that has 8 bits.
    pub held: Option<Interval>,
    pub shape: Vec<usize>,
}

/// What [`stated`] wrote, output by output.
fn read_outputs(mut ints: &[i64]) -> Option<Vec<Option<Output>>> {
    let mut outputs = Vec::new();
    while let Some((&first, rest)) = ints.split_first() {
        if first == ABSENT {
            outputs.push(None);
            ints = rest;
            continue;
        }
        let (&rank, rest) = rest.split_first()?;
        let (shape, rest) = rest.split_at_checked(usize::try_from(rank).ok()?)?;
        outputs.push(Some(Output {
            kind: if first == DOUBLE {
                DatumType::F64
            } else {
                DatumType::F32
            },
            whole: first >= WHOLE,
            held: match first {
                UINT8 => Some(Interval::new(0, 255)),
                INT8 => Some(Interval::new(-128, 127)),
                _ => None,
            },
            shape: shape
                .iter()
                .map(|&d| usize::try_from(d).ok())
                .collect::<Option<_>>()?,
        }));
        ints = rest;
    }
    Some(outputs)
}

/// A node with a recipe.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Marked {
    pub node: NodeProto,
    pub opset: i64,
    /// By output of the operator.
    pub outputs: Vec<Option<Output>>,
}

impl Marked {
    /// The outputs that the node has: the reader passes over the others.
    pub(super) fn given(&self) -> impl Iterator<Item = &Output> {
        self.outputs.iter().flatten()
    }
}

impl Eq for Marked {}

pub(super) fn register(operators: &mut OnnxOpRegister) {
    operators.insert(OURS, build);
}

fn build(context: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let mut node = node.clone();
    let made = node.attribute.pop().filter(|a| a.name == MADE);
    let made = made.ok_or_else(|| anyhow!("no node of ours"))?;
    node.op_type = String::from_utf8(made.s)?;
    let marked = Marked {
        opset: context.onnx_operator_set_version,
        outputs: read_outputs(&made.ints).ok_or_else(|| anyhow!("no outputs of ours"))?,
        node,
    };
    Ok((expand(marked), Vec::new()))
}

impl Expansion for Marked {
    fn name(&self) -> StaticName {
        OURS.into()
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.given().count())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        _: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        for (output, made) in outputs.iter().zip(self.given()) {
            solver.equals(&output.datum_type, made.kind)?;
            let shape: TVec<_> = made.shape.iter().map(|&d| d.to_dim()).collect();
            solver.equals(&output.shape, shape)?;
        }
        Ok(())
    }
}

impl Op for Marked {
    fn name(&self) -> StaticName {
        OURS.into()
    }

    op_as_typed_op!();
}

impl EvalOp for Marked {
    not_out_of_plan!();
}

impl TypedOp for Marked {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let fact = |made: &Output| TypedFact::dt_shape(made.kind, made.shape.clone());
        Ok(self.given().map(fact).collect())
    }

    as_op!();
}
