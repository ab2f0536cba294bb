//! Operators that are made of the graph's by our own rules, from the node as it stands in the file.
//!
//! Invariant: shape and type of what such a node makes are the reference's; a rule that makes another shape is refused. The
//! reader gets one operator of ours for all of them ([`marked`](super::marked)).

use std::collections::HashSet;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};
use tract_onnx::prelude::DatumType;
use zkml::graph::TensorId;

use super::draft::{Constant, Draft, Refusal, Value, integers, unsupported};
use super::marked::Marked;
use super::translate::Operands;
use super::{
    along, attention, compare, deconv, dynamic, fourier, greatest, lp, maps, microsoft, ml, modulo, moved,
    norms, places, power, quantised, ranks, recurrent, reduce, rotary, scatter, simple, softmax, sums, whole,
    whole_sums, windows,
};
use crate::float::{FloatMap, Interval};

/// What a rule makes of a node with one output.
pub(super) type One = fn(&mut Draft, &Call<'_>) -> Result<TensorId, Refusal>;
/// What a rule makes of a node, one for each output of the operator; those that the node leaves out may be left out.
pub(super) type Several = fn(&mut Draft, &Call<'_>) -> Result<Vec<Option<TensorId>>, Refusal>;

/// How a node is made.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    One(One),
    Several(Several),
}

/// Whether a name is that of a constant.
pub(super) type IsConstant<'a> = &'a dyn Fn(&str) -> bool;

/// An operator with its rule.
pub(super) struct Recipe {
    /// Its name in ONNX.
    pub onnx: &'static str,
    /// Of which forms the rule is: the reader's own translation has the others.
    pub of: fn(&NodeProto, IsConstant<'_>) -> bool,
    pub rule: Rule,
    /// Whether the rule is right for whole numbers that depend on the inputs, at whatever input: comparisons, yes and no.
    pub whole: bool,
}

impl Recipe {
    /// For all forms of an operator.
    pub(super) const fn new(onnx: &'static str, rule: One) -> Self {
        Self {
            onnx,
            of: |_, _| true,
            rule: Rule::One(rule),
            whole: false,
        }
    }

    /// For all forms of an operator of several outputs.
    pub(super) const fn several(onnx: &'static str, rule: Several) -> Self {
        Self {
            onnx,
            of: |_, _| true,
            rule: Rule::Several(rule),
            whole: false,
        }
    }

    pub(super) const fn only(self, of: fn(&NodeProto, IsConstant<'_>) -> bool) -> Self {
        Self { of, ..self }
    }

    pub(super) const fn whole(self) -> Self {
        Self { whole: true, ..self }
    }
}

const FAMILIES: &[&[Recipe]] = &[
    along::RECIPES,
    attention::RECIPES,
    compare::RECIPES,
    deconv::RECIPES,
    dynamic::RECIPES,
    fourier::RECIPES,
    greatest::RECIPES,
    lp::RECIPES,
    modulo::RECIPES,
    norms::RECIPES,
    places::RECIPES,
    power::RECIPES,
    quantised::RECIPES,
    ranks::RECIPES,
    recurrent::RECIPES,
    reduce::RECIPES,
    rotary::RECIPES,
    scatter::RECIPES,
    simple::RECIPES,
    softmax::RECIPES,
    sums::RECIPES,
    windows::RECIPES,
];

/// The operators that recipes or index maps have in some form.
pub(super) fn operators() -> impl Iterator<Item = &'static str> {
    let recipes = FAMILIES.iter().flat_map(|f| f.iter()).map(|r| r.onnx);
    recipes.chain(maps::MAPS.iter().map(|(name, _)| *name))
}

/// Whether an operator's recipe reads whole numbers as it reads floats.
pub(super) fn reads_whole(op: &str) -> bool {
    let mut recipes = FAMILIES.iter().flat_map(|f| f.iter());
    recipes.any(|r| r.onnx == op && r.whole)
}

fn find(node: &NodeProto, constant: IsConstant<'_>) -> Option<Rule> {
    if node.domain == whole::DOMAIN {
        let of_whole = whole_sums::RECIPES.iter().chain(places::OF_WHOLE);
        let of_whole = of_whole.chain(modulo::OF_WHOLE);
        let mut of_whole = of_whole.chain(attention::OF_YES_AND_NO);
        return of_whole.find(|r| r.onnx == node.op_type).map(|r| r.rule);
    }
    if node.domain == ml::DOMAIN {
        return ml::recipes().find(|r| r.onnx == node.op_type).map(|r| r.rule);
    }
    if node.domain == microsoft::DOMAIN {
        let mut recipes = microsoft::RECIPES.iter();
        return recipes.find(|r| r.onnx == node.op_type).map(|r| r.rule);
    }
    let recipe = FAMILIES.iter().flat_map(|f| f.iter());
    let found = recipe
        .filter(|r| r.onnx == node.op_type)
        .find(|r| (r.of)(node, constant));
    found
        .map(|r| r.rule)
        .or_else(|| maps::find(&node.op_type).map(|_| Rule::One(mapped)))
}

/// Whether a node has a recipe.
pub(super) fn has_recipe(node: &NodeProto, constant: IsConstant<'_>) -> bool {
    find(node, constant).is_some()
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

/// Whether some node has a recipe, so that shapes are needed. These names are constants', or will be.
pub(super) fn any(graph: &GraphProto, statics: &HashSet<String>) -> bool {
    let constant = |name: &str| statics.contains(name);
    graph.node.iter().any(|n| has_recipe(n, &constant))
}

/// Translates a marked node: the tensors of the outputs that it has.
pub(super) fn recipe(
    draft: &mut Draft,
    operands: &Operands<'_>,
    marked: &Marked,
    name: &str,
) -> Result<Vec<TensorId>, Refusal> {
    // The reader passes over inputs that are left out.
    let mut given = operands.all();
    let operands = marked.node.input.iter();
    let operands: Vec<Option<&Value>> = operands
        .map(|i| if i.is_empty() { None } else { given.next() })
        .collect();
    let constant = |name: &str| {
        let mut named = marked
            .node
            .input
            .iter()
            .zip(&operands)
            .filter(|(i, _)| *i == name);
        named.any(|(_, value)| matches!(value, Some(Value::Constant(_))))
    };
    let Some(rule) = find(&marked.node, &constant) else {
        return unsupported("no recipe");
    };
    let shapes: Vec<Option<&[usize]>> = marked
        .outputs
        .iter()
        .map(|o| o.as_ref().map(|o| &o.shape[..]))
        .collect();
    let held = marked.outputs.iter().map(|o| o.as_ref().and_then(|o| o.held));
    let call = Call {
        held: held.collect(),
        node: &marked.node,
        opset: marked.opset,
        operands,
        name,
        shape: shapes.first().copied().flatten().unwrap_or_default(),
        shapes,
    };
    let made = match rule {
        Rule::One(rule) if call.shapes.len() == 1 => vec![Some(rule(draft, &call)?)],
        Rule::One(_) => return unsupported("outputs beside its first"),
        Rule::Several(rule) => rule(draft, &call)?,
    };
    let mut tensors = Vec::new();
    for (at, shape) in call.shapes.iter().enumerate() {
        let Some(shape) = shape else { continue };
        match made.get(at).copied().flatten() {
            Some(id) if draft.shape(id) == *shape => tensors.push(id),
            Some(id) => {
                return unsupported(format!("a result of shape {:?}, not {shape:?}", draft.shape(id)));
            }
            None => return unsupported(format!("its output `{}`", marked.node.output[at])),
        }
    }
    Ok(tensors)
}

/// A node whose shapes and constants are known.
pub(super) struct Call<'a> {
    pub node: &'a NodeProto,
    pub opset: i64,
    operands: Vec<Option<&'a Value>>,
    pub name: &'a str,
    /// Of what it makes first.
    pub shape: &'a [usize],
    /// Of all that it makes, by output of the operator; those that the node leaves out have none.
    pub shapes: Vec<Option<&'a [usize]>>,
    /// By output, all numbers of its type, where that has 8 bits.
    held: Vec<Option<Interval>>,
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

    /// The call of another operator that this one is: with these inputs, and whatever else the node says.
    pub(super) fn of_inputs<'b>(&'b self, operands: Vec<Option<&'b Value>>) -> Call<'b> {
        Call {
            node: self.node,
            opset: self.opset,
            operands,
            name: self.name,
            shape: self.shape,
            shapes: self.shapes.clone(),
            held: self.held.clone(),
        }
    }

    /// An input as it is given.
    pub(super) fn operand(&self, at: usize) -> Option<&Value> {
        self.operands.get(at).copied().flatten()
    }

    /// All numbers that an output's type holds, where that has 8 bits.
    pub(super) fn held(&self, at: usize) -> Option<Interval> {
        self.held.get(at).copied().flatten()
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
