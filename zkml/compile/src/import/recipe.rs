//! Operators that are made of the graph's by our own rules, from the node as it stands in the file.
//!
//! Invariant: shape and type of what such a node makes are the reference's; a rule that makes another shape is refused. The
//! reader gets one operator of ours for all of them, which bears the node.

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};
use tract_onnx::prelude::{DatumType, OutletId, TractResult, TypedFact, TypedModel, TypedOp, tvec};
use tract_onnx::tract_core::internal::{EvalOp, Op, SpecialOps, StaticName, TValue, TVec, ToDim, anyhow};
use tract_onnx::tract_core::{as_op, not_out_of_plan, op_as_typed_op};
use tract_onnx::tract_hir::infer::{InferenceOp, InferenceResult, Solver, TensorProxy};
use tract_onnx::tract_hir::ops::expandable::{Expansion, expand};
use zkml::graph::TensorId;

use super::draft::{Constant, Draft, Refusal, Value, integers, unsupported};
use super::statics::Shapes;
use super::translate::Operands;
use super::{along, deconv, lp, maps, ml, moved, power, reduce, scatter, simple, sums, windows};
use crate::float::FloatMap;

/// What a rule makes of a node.
pub(super) type Rule = fn(&mut Draft, &Call<'_>) -> Result<TensorId, Refusal>;

/// An operator with its rule.
pub(super) struct Recipe {
    /// Its name in ONNX.
    pub onnx: &'static str,
    /// Of which forms the rule is: the reader's own translation has the others.
    pub of: fn(&NodeProto) -> bool,
    pub rule: Rule,
}

impl Recipe {
    /// For all forms of an operator.
    pub(super) const fn new(onnx: &'static str, rule: Rule) -> Self {
        Self {
            onnx,
            of: |_| true,
            rule,
        }
    }

    pub(super) const fn only(self, of: fn(&NodeProto) -> bool) -> Self {
        Self { of, ..self }
    }
}

const FAMILIES: &[&[Recipe]] = &[
    along::RECIPES,
    deconv::RECIPES,
    lp::RECIPES,
    power::RECIPES,
    reduce::RECIPES,
    scatter::RECIPES,
    simple::RECIPES,
    sums::RECIPES,
    windows::RECIPES,
];

/// The operators that recipes or index maps have in some form.
pub(super) fn operators() -> impl Iterator<Item = &'static str> {
    let recipes = FAMILIES.iter().flat_map(|f| f.iter()).map(|r| r.onnx);
    recipes.chain(maps::MAPS.iter().map(|(name, _)| *name))
}

fn find(node: &NodeProto) -> Option<Rule> {
    if node.domain == ml::DOMAIN {
        return ml::recipes().find(|r| r.onnx == node.op_type).map(|r| r.rule);
    }
    let recipe = FAMILIES.iter().flat_map(|f| f.iter());
    let found = recipe.filter(|r| r.onnx == node.op_type).find(|r| (r.of)(node));
    found
        .map(|r| r.rule)
        .or_else(|| maps::find(&node.op_type).map(|_| mapped as Rule))
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
    wired(draft, call, sources, call.shape)
}

/// The operands' values that the sources name, as a tensor of this shape. Constants among the operands are told from tensors
/// only here.
pub(super) fn wired(
    draft: &mut Draft,
    call: &Call<'_>,
    sources: Vec<moved::Source>,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
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
        Some(sources) => moved::moved(draft, call.name, &tensors, &sources, shape),
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
        let output = node.output.get(ml::output(node));
        let Some((shape, kind)) = output.and_then(|o| shapes.get(o)) else {
            continue;
        };
        node.output = output.cloned().into_iter().collect();
        let made = AttributeProto {
            name: MADE.to_owned(),
            ints: shape.iter().map(|&d| d as i64).collect(),
            i: i64::from(*kind == DatumType::F64),
            s: node.op_type.clone().into_bytes(),
            ..AttributeProto::default()
        };
        node.attribute.push(made);
        node.op_type = OURS.to_owned();
    }
}

/// A node with a recipe.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Marked {
    node: NodeProto,
    opset: i64,
    shape: Vec<usize>,
    kind: DatumType,
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
        shape: made
            .ints
            .iter()
            .map(|&d| usize::try_from(d))
            .collect::<Result<_, _>>()?,
        kind: if made.i == 0 {
            DatumType::F32
        } else {
            DatumType::F64
        },
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

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        _: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let [output] = outputs else {
            return Err(anyhow!("more than one output"));
        };
        solver.equals(&output.datum_type, self.kind)?;
        solver.equals(
            &output.shape,
            self.shape.iter().map(|&d| d.to_dim()).collect::<TVec<_>>(),
        )
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
        Ok(tvec!(TypedFact::dt_shape(self.kind, self.shape.clone())))
    }

    as_op!();
}

/// Translates a marked node.
pub(super) fn recipe(
    draft: &mut Draft,
    operands: &Operands<'_>,
    marked: &Marked,
    name: &str,
) -> Result<TensorId, Refusal> {
    let Some(rule) = find(&marked.node) else {
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
        shape: &marked.shape,
    };
    rule(draft, &call)
}

/// A node whose shapes and constants are known.
pub(super) struct Call<'a> {
    pub node: &'a NodeProto,
    pub opset: i64,
    operands: Vec<Option<&'a Value>>,
    pub name: &'a str,
    /// Of what it makes.
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

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let text = |s: &Vec<u8>| String::from_utf8_lossy(s).into_owned();
        let found = self.attribute(name, AttributeType::Strings)?;
        Ok(found.map(|a| a.strings.iter().map(text).collect()))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&TensorProto>, Refusal> {
        Ok(self
            .attribute(name, AttributeType::Tensor)?
            .and_then(|a| a.t.as_ref()))
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
