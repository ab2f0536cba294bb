//! Operators that are made of the graph's by our own rules, from the node as it stands in the file.
//!
//! Invariant: shape and type of what such a node makes are the reference's; a rule that makes another shape is refused. The
//! reader gets one operator of ours for all of them, which bears the node.

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};
use tract_onnx::prelude::{DatumType, OutletId, TractResult, TypedFact, TypedModel, TypedOp};
use tract_onnx::tract_core::internal::{EvalOp, Op, SpecialOps, StaticName, TValue, TVec, ToDim, anyhow};
use tract_onnx::tract_core::{as_op, not_out_of_plan, op_as_typed_op};
use tract_onnx::tract_hir::infer::{InferenceOp, InferenceResult, Solver, TensorProxy};
use tract_onnx::tract_hir::ops::expandable::{Expansion, expand};
use zkml::graph::TensorId;

use super::draft::{Constant, Draft, Refusal, Value, integers, unsupported};
use super::statics::Shapes;
use super::translate::Operands;
use super::{along, attention, deconv, maps, moved, simple, softmax};
use crate::float::FloatMap;

/// What a rule makes of a node.
pub(super) type Rule = fn(&mut Draft, &Call<'_>) -> Result<TensorId, Refusal>;
/// What a rule makes of a node with several outputs: those of its list that the node names, in its order.
pub(super) type ManyRule = fn(&mut Draft, &Call<'_>) -> Result<Vec<TensorId>, Refusal>;

/// By the number of outputs that a rule has.
#[derive(Clone, Copy)]
pub(super) enum Rules {
    One(Rule),
    Many(ManyRule),
}

/// An operator with its rule.
pub(super) struct Recipe {
    /// Its name in ONNX.
    pub onnx: &'static str,
    /// Of which forms the rule is: the reader's own translation has the others.
    pub of: fn(&NodeProto) -> bool,
    pub rule: Rules,
}

impl Recipe {
    /// For all forms of an operator.
    pub(super) const fn new(onnx: &'static str, rule: Rule) -> Self {
        Self {
            onnx,
            of: |_| true,
            rule: Rules::One(rule),
        }
    }

    /// For all forms of an operator that may have several outputs.
    pub(super) const fn many(onnx: &'static str, rule: ManyRule) -> Self {
        Self {
            onnx,
            of: |_| true,
            rule: Rules::Many(rule),
        }
    }

    pub(super) const fn only(self, of: fn(&NodeProto) -> bool) -> Self {
        Self { of, ..self }
    }
}

const FAMILIES: &[&[Recipe]] = &[
    along::RECIPES,
    attention::RECIPES,
    deconv::RECIPES,
    simple::RECIPES,
    softmax::RECIPES,
];

/// The operators that recipes or index maps have in some form.
pub(super) fn operators() -> impl Iterator<Item = &'static str> {
    let recipes = FAMILIES.iter().flat_map(|f| f.iter()).map(|r| r.onnx);
    recipes.chain(maps::MAPS.iter().map(|(name, _)| *name))
}

fn find(node: &NodeProto) -> Option<Rules> {
    let recipe = FAMILIES.iter().flat_map(|f| f.iter());
    let found = recipe.filter(|r| r.onnx == node.op_type).find(|r| (r.of)(node));
    found
        .map(|r| r.rule)
        .or_else(|| maps::find(&node.op_type).map(|_| Rules::One(mapped)))
}

/// An index map's rule.
fn mapped(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let Some(map) = maps::find(&call.node.op_type) else {
        return unsupported("no index map");
    };
    let (shape, sources) = map(call, draft)?;
    if shape != call.shape {
        return unsupported(format!("a result of shape {shape:?}, not {:?}", call.shape));
    }
    // Constants among the operands are told from tensors only here.
    let constants = (0..call.operands.len()).map(|at| match call.operands[at] {
        Some(Value::Constant(_)) => call.constant(at).map(Some),
        Some(Value::Computed(_)) | None => Ok(None),
    });
    let constants = constants.collect::<Result<Vec<_>, _>>()?;
    let mut tensors = Vec::new();
    let mut of = vec![0; call.operands.len()];
    for (at, operand) in call.operands.iter().enumerate() {
        if let Some(Value::Computed(id)) = operand {
            of[at] = tensors.len();
            tensors.push(*id);
        }
    }
    let sources: Option<Vec<moved::Source>> = sources
        .into_iter()
        .map(|source| match source {
            moved::Source::Of(at, place) => match constants.get(at)? {
                Some(constant) => constant.values.get(place).copied().map(moved::Source::Constant),
                None => Some(moved::Source::Of(*of.get(at)?, place)),
            },
            moved::Source::Constant(c) => Some(moved::Source::Constant(c)),
        })
        .collect();
    match sources {
        Some(sources) => moved::moved(draft, call.name, &tensors, &sources, call.shape),
        None => unsupported("a place outside a constant"),
    }
}

/// Whether some node has a recipe, so that shapes are needed.
pub(super) fn any(graph: &GraphProto) -> bool {
    graph.node.iter().any(|n| find(n).is_some())
}

/// The reader's name of our operator, and the attribute that says what it makes.
const OURS: &str = "zkinfer.Recipe";
const MADE: &str = "zkinfer.made";

/// Puts our operator in the places of nodes with a recipe.
pub(super) fn mark(graph: &mut GraphProto, shapes: &Shapes) {
    for node in graph.node.iter_mut().filter(|n| find(n).is_some()) {
        let named = node.output.iter().filter(|o| !o.is_empty());
        let Some(made) = named.map(|o| shapes.get(o)).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let operator = node.op_type.clone().into_bytes();
        // One for each output that has a name.
        node.attribute
            .extend(made.into_iter().map(|(shape, kind)| AttributeProto {
                name: MADE.to_owned(),
                ints: shape.iter().map(|&d| d as i64).collect(),
                i: i64::from(*kind == DatumType::F64),
                s: operator.clone(),
                ..AttributeProto::default()
            }));
        node.op_type = OURS.to_owned();
    }
}

/// A node with a recipe.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Marked {
    node: NodeProto,
    opset: i64,
    /// Shapes and types of the outputs that have names.
    made: Vec<(Vec<usize>, DatumType)>,
}

impl Eq for Marked {}

pub(super) fn register(operators: &mut OnnxOpRegister) {
    operators.insert(OURS, build);
}

fn build(context: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let mut node = node.clone();
    let (ours, own) = std::mem::take(&mut node.attribute)
        .into_iter()
        .partition::<Vec<_>, _>(|a| a.name == MADE);
    node.attribute = own;
    let first = ours.first().ok_or_else(|| anyhow!("no node of ours"))?;
    node.op_type = String::from_utf8(first.s.clone())?;
    let made = ours.iter().map(|made| {
        let kind = if made.i == 0 {
            DatumType::F32
        } else {
            DatumType::F64
        };
        let shape = made.ints.iter().map(|&d| usize::try_from(d));
        Ok((shape.collect::<Result<Vec<_>, _>>()?, kind))
    });
    let marked = Marked {
        opset: context.onnx_operator_set_version,
        made: made.collect::<TractResult<_>>()?,
        node,
    };
    Ok((expand(marked), Vec::new()))
}

impl Expansion for Marked {
    fn name(&self) -> StaticName {
        OURS.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.made.len())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        _: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        if outputs.len() != self.made.len() {
            return Err(anyhow!("another number of outputs"));
        }
        for (output, (shape, kind)) in outputs.iter().zip(&self.made) {
            solver.equals(&output.datum_type, *kind)?;
            solver.equals(
                &output.shape,
                shape.iter().map(|&d| d.to_dim()).collect::<TVec<_>>(),
            )?;
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
        let fact = |(shape, kind): &(Vec<usize>, DatumType)| TypedFact::dt_shape(*kind, shape.clone());
        Ok(self.made.iter().map(fact).collect())
    }

    as_op!();
}

/// Translates a marked node: a tensor for each output that has a name.
pub(super) fn recipe(
    draft: &mut Draft,
    operands: &Operands<'_>,
    marked: &Marked,
    name: &str,
) -> Result<Vec<TensorId>, Refusal> {
    let (Some(rule), Some((shape, _))) = (find(&marked.node), marked.made.first()) else {
        return unsupported("no recipe");
    };
    // The reader passes over inputs that are left out.
    let mut given = operands.all();
    let operands = marked.node.input.iter();
    let operands = operands
        .map(|i| if i.is_empty() { None } else { given.next() })
        .collect();
    let call = Call {
        node: &marked.node,
        opset: marked.opset,
        operands,
        name,
        shape,
    };
    let made = match rule {
        Rules::One(rule) if marked.made.len() == 1 => vec![rule(draft, &call)?],
        Rules::One(_) => return unsupported("its outputs after the first are not supported"),
        Rules::Many(rule) => rule(draft, &call)?,
    };
    let shapes = marked.made.iter().map(|(shape, _)| shape);
    if made.len() != marked.made.len()
        || made
            .iter()
            .zip(shapes)
            .any(|(id, shape)| draft.shape(*id) != *shape)
    {
        return unsupported("results of other shapes than the model's");
    }
    Ok(made)
}

/// A node whose shapes and constants are known.
pub(super) struct Call<'a> {
    pub node: &'a NodeProto,
    pub opset: i64,
    operands: Vec<Option<&'a Value>>,
    pub name: &'a str,
    /// Of the first output that it names.
    pub shape: &'a [usize],
}

impl Call<'_> {
    fn attribute(&self, name: &str, kind: AttributeType) -> Result<Option<&AttributeProto>, Refusal> {
        match self.node.attribute.iter().find(|a| a.name == name) {
            Some(a) if a.r#type != kind as i32 => unsupported(format!(
                "its attribute `{name}` is of another type than ONNX says"
            )),
            found => Ok(found),
        }
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        Ok(self.attribute(name, AttributeType::Int)?.map_or(default, |a| a.i))
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f64, Refusal> {
        Ok(self
            .attribute(name, AttributeType::Float)?
            .map_or(default, |a| a.f)
            .into())
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Refusal> {
        Ok(self.attribute(name, AttributeType::Ints)?.map(|a| a.ints.clone()))
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<Vec<f64>>, Refusal> {
        let found = self.attribute(name, AttributeType::Floats)?;
        Ok(found.map(|a| a.floats.iter().map(|&f| f64::from(f)).collect()))
    }

    pub(super) fn text(&self, name: &str, default: &str) -> Result<String, Refusal> {
        let found = self.attribute(name, AttributeType::String)?;
        Ok(found.map_or_else(
            || default.to_owned(),
            |a| String::from_utf8_lossy(&a.s).into_owned(),
        ))
    }

    /// Number of inputs, those that are left out among them.
    pub(super) fn len(&self) -> usize {
        self.operands.len()
    }

    pub(super) fn has(&self, at: usize) -> bool {
        self.operands.get(at).is_some_and(Option::is_some)
    }

    pub(super) fn is_computed(&self, at: usize) -> bool {
        matches!(self.operands.get(at), Some(Some(Value::Computed(_))))
    }

    /// The tensor; it must depend on the model's inputs.
    pub(super) fn computed(&self, at: usize) -> Result<TensorId, Refusal> {
        match self.operands.get(at) {
            Some(Some(Value::Computed(id))) => Ok(*id),
            Some(Some(Value::Constant(_))) => unsupported(format!(
                "its input {at} is a constant: only a computed tensor is supported there"
            )),
            Some(None) | None => unsupported(format!("its input {at} is missing")),
        }
    }

    /// Whether it is a constant of yes and no.
    pub(super) fn is_bool(&self, at: usize) -> bool {
        let constant = self.operands.get(at).copied().flatten();
        matches!(constant, Some(Value::Constant(tensor)) if tensor.datum_type() == DatumType::Bool)
    }

    /// The constant; it must not depend on the model's inputs.
    pub(super) fn constant(&self, at: usize) -> Result<Constant, Refusal> {
        match self.operands.get(at) {
            Some(Some(Value::Constant(tensor))) => Constant::new(tensor),
            Some(Some(Value::Computed(_))) => self.computed_where_constant(at),
            Some(None) | None => unsupported(format!("its input {at} is missing")),
        }
    }

    /// The constant's integers, where it is given.
    pub(super) fn integers(&self, at: usize) -> Result<Option<Vec<i64>>, Refusal> {
        match self.operands.get(at) {
            Some(Some(Value::Constant(tensor))) => integers(tensor).map(Some),
            Some(Some(Value::Computed(_))) => self.computed_where_constant(at),
            Some(None) | None => Ok(None),
        }
    }

    fn computed_where_constant<T>(&self, at: usize) -> Result<T, Refusal> {
        let name = self.node.input.get(at).map_or("", String::as_str);
        unsupported(format!(
            "its input `{name}` is computed: only a constant is supported there"
        ))
    }

    /// The shape of an input.
    pub(super) fn shape_of(&self, draft: &Draft, at: usize) -> Result<Vec<usize>, Refusal> {
        match self.operands.get(at) {
            Some(Some(Value::Computed(id))) => Ok(draft.shape(*id)),
            Some(Some(Value::Constant(tensor))) => Ok(tensor.shape().to_vec()),
            Some(None) | None => unsupported(format!("its input {at} is missing")),
        }
    }
}

/// An axis of a rank, negative ones from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let from_end = if axis < 0 {
        axis.saturating_add(rank as i64)
    } else {
        axis
    };
    match usize::try_from(from_end) {
        Ok(axis) if axis < rank => Ok(axis),
        Ok(_) | Err(_) => unsupported(format!("axis {axis} of {rank} dimensions")),
    }
}

/// Sizes that the file states.
pub(super) fn sizes(list: &[i64]) -> Result<Vec<usize>, Refusal> {
    let sizes: Option<Vec<usize>> = list.iter().map(|&n| usize::try_from(n).ok()).collect();
    sizes.map_or_else(|| unsupported("a negative size"), Ok)
}

/// `x` times a matrix along one axis: its `inputs` places there become `weight.len() / inputs`, each a sum of all by its row.
pub(super) fn along_axis(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    axis: usize,
    weight: Vec<f64>,
    bias: Vec<f64>,
) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let inputs = shape.get(axis).copied().unwrap_or(1);
    let outputs = bias.len();
    let behind: Vec<usize> = (0..shape.len()).filter(|&d| d != axis).chain([axis]).collect();
    let x = super::wiring::permute(draft, name, x, &behind)?;
    let mut made: Vec<usize> = behind.iter().map(|&d| shape[d]).collect();
    if let Some(last) = made.last_mut() {
        *last = outputs;
    }
    let [inputs, outputs] = super::draft::small([inputs, outputs])?;
    let map = FloatMap::Dense {
        inputs,
        outputs,
        weight,
        bias,
    };
    let y = draft.linear(name, map, &[x], &made)?;
    let back: Vec<usize> = (0..shape.len())
        .map(|d| {
            if d == axis {
                shape.len() - 1
            } else if d < axis {
                d
            } else {
                d - 1
            }
        })
        .collect();
    super::wiring::permute(draft, name, y, &back)
}
