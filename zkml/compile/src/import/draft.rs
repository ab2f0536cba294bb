//! The float graph under construction: tensors, nodes, and constants by their place in the typed model.
//!
//! Invariant: nodes stand in topological order; every tensor's length is within the limit, and so is what all tensors hold
//! and what all nodes keep: a constant that many nodes read is in the file once and in the graph for each of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tract_onnx::prelude::{DatumType, Tensor};
use zkml::graph::validate::{MAX_COEFFICIENTS, MAX_TOTAL_LEN};
use zkml::graph::{Activation, TensorId};

use super::{MAX_CONSTANT_LEN, MAX_TENSOR_LEN};
use crate::float::{FloatMap, FloatNode, FloatOp, FloatTensor, Hold, Interval};
use crate::ops::{Linear, Multiply, Step};

/// Of the draft, which has more tensors than the graph: fusing and dropping come later.
const MAX_DRAFT_LEN: usize = 2 * MAX_TOTAL_LEN;
const MAX_DRAFT_COEFFICIENTS: usize = MAX_COEFFICIENTS;

/// Why one node cannot be translated. The caller adds the node's name and goes on with the others.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No integer form, because.
    Unsupported(String),
    /// A constant is not finite.
    NonFinite,
    /// A tensor is too large.
    TooLarge,
    /// All of them together are: more than so many.
    Together(&'static str, usize),
}

/// What `Refusal`s are made of in most places.
pub(super) fn unsupported<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Unsupported(reason.into()))
}

/// Of an operator of the list whose form has no translation, and no better name.
pub(super) const OTHER_FORM: &str = "this form of the operator is not supported";

/// ONNX's name of an element type.
pub(super) fn type_name(kind: DatumType) -> &'static str {
    match kind {
        DatumType::Bool => "bool",
        DatumType::U8 => "uint8",
        DatumType::U16 => "uint16",
        DatumType::U32 => "uint32",
        DatumType::U64 => "uint64",
        DatumType::I8 => "int8",
        DatumType::I16 => "int16",
        DatumType::I32 => "int32",
        // The reader's own type of sizes is what ONNX's int64 becomes.
        DatumType::I64 | DatumType::TDim => "int64",
        DatumType::F16 => "float16",
        DatumType::F32 => "float",
        DatumType::F64 => "double",
        DatumType::String => "string",
        _ => "another type than numbers have",
    }
}

/// A constant of the model.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Constant {
    /// Widens a tract constant to f64, value by value: exact for every type that is admitted but large integers.
    pub(super) fn new(tensor: &Tensor) -> Result<Self, Refusal> {
        if tensor.len() > MAX_CONSTANT_LEN {
            return Err(Refusal::TooLarge);
        }
        let unreadable =
            |_| Refusal::Unsupported(format!("a constant of type {}", type_name(tensor.datum_type())));
        let values = match tensor.to_plain_array_view::<f32>() {
            Ok(view) => view.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(),
            Err(_) => tensor
                .cast_to::<f64>()
                .and_then(|t| Ok(t.to_plain_array_view::<f64>()?.iter().copied().collect()))
                .map_err(unreadable)?,
        };
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Refusal::NonFinite);
        }
        Ok(Self {
            shape: tensor.shape().to_vec(),
            values,
        })
    }
}

/// The integers of a constant: bounds, indices, axes.
pub(super) fn integers(tensor: &Tensor) -> Result<Vec<i64>, Refusal> {
    if tensor.len() > MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    if tensor.datum_type().is_float() {
        return unsupported("a constant of floats where integers are expected");
    }
    tensor
        .cast_to::<i64>()
        .and_then(|t| Ok(t.to_plain_array_view::<i64>()?.iter().copied().collect()))
        .map_err(|_| Refusal::Unsupported("a constant that is not fixed".into()))
}

/// What a place in the typed model holds.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A tensor that depends on the inputs.
    Computed(TensorId),
    /// A constant.
    Constant(Arc<Tensor>),
}

/// The graph so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub tensors: Vec<FloatTensor>,
    pub nodes: Vec<FloatNode>,
    pub inputs: Vec<TensorId>,
    pub outputs: Vec<TensorId>,
    /// By output, whether the file says that it is of whole numbers, or of yes and no.
    pub exact: Vec<bool>,
    /// By tensor that has a constant far below all others instead of some values: the values, 1 where they stay, and the constant.
    masked: HashMap<TensorId, (TensorId, TensorId, f64)>,
    /// Tensors of which something is said or done that is right for numbers alone: a missing or infinite value there is refused.
    pub finite: Vec<TensorId>,
    /// Values of all tensors.
    values: usize,
    /// Coefficients and indices of all nodes.
    kept: usize,
}

impl Draft {
    /// A new tensor.
    pub(super) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<TensorId, Refusal> {
        let len = shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .filter(|n| *n <= MAX_TENSOR_LEN);
        match len {
            None => return Err(Refusal::TooLarge),
            Some(0) => return unsupported("a tensor without values"),
            Some(len) => self.values += len,
        }
        if self.values > MAX_DRAFT_LEN {
            return Err(Refusal::Together("values in all tensors", MAX_DRAFT_LEN));
        }
        let id = TensorId(self.tensors.len() as u32);
        // Every dimension divides the length, which fits.
        let shape = shape.iter().map(|&d| d as u32).collect();
        self.tensors.push(FloatTensor {
            name: name.to_owned(),
            shape,
            bound: None,
            whole: false,
            ranks: None,
            hold: Hold::Calibrated,
        });
        Ok(id)
    }

    /// Says of a tensor what every value is between, whatever the inputs are.
    pub(super) fn bound(&mut self, id: TensorId, bound: impl Into<Interval>) {
        if let Some(tensor) = self.tensors.get_mut(id.0 as usize) {
            tensor.bound = Some(bound.into());
        }
    }

    /// Says of a tensor which values it has room for.
    pub(super) fn hold(&mut self, id: TensorId, hold: Hold) {
        if let Some(tensor) = self.tensors.get_mut(id.0 as usize) {
            tensor.hold = hold;
        }
    }

    /// Says of a tensor that its values are whole numbers between these, whatever the inputs are.
    pub(super) fn whole(&mut self, id: TensorId, bound: impl Into<Interval>) {
        self.whole_within(id, Some(bound.into()));
    }

    /// Says that a tensor is of whole numbers, within a bound or as far as calibration's go.
    pub(super) fn whole_within(&mut self, id: TensorId, bound: Option<Interval>) {
        if let Some(tensor) = self.tensors.get_mut(id.0 as usize) {
            (tensor.bound, tensor.whole) = (bound, true);
        }
    }

    /// Says so of a tensor and of what it is only moved from.
    pub(super) fn whole_from(&mut self, mut id: TensorId, bound: Option<Interval>) {
        loop {
            self.whole_within(id, bound);
            let made = self.nodes.iter().rev().find(|n| n.output == id);
            match made.map(|node| (&node.op, &node.inputs[..])) {
                Some((FloatOp::Wiring(_), &[from])) if !self.is_whole(from) => id = from,
                _ => return,
            }
        }
    }

    /// Says of places in a table of so many rows that the model takes no others, where they are an input's values, or those moved.
    pub(super) fn within_table(&mut self, id: TensorId, rows: u32) {
        // Those below 0 count from the end.
        self.within(id, Interval::new(-i64::from(rows), i64::from(rows) - 1));
    }

    /// Says of whole numbers that the model takes no others, where they are an input's values, or those moved; whether it now does.
    pub(super) fn within(&mut self, id: TensorId, numbers: Interval) -> bool {
        let input = self.input_behind(id);
        let Some(tensor) = input.and_then(|id| self.tensors.get_mut(id.0 as usize)) else {
            return false;
        };
        tensor.bound = match tensor.bound {
            Some(bound) => bound.within(numbers).or(Some(bound)),
            None => Some(numbers),
        };
        tensor.bound.is_some_and(|bound| numbers.has(bound))
    }

    /// The same, where it is an input of floats too, which has nothing but whole numbers then.
    pub(super) fn takes(&mut self, id: TensorId, numbers: Interval) -> bool {
        if self.may_take(id, numbers) && !self.is_whole(id) {
            self.whole_from(id, Some(numbers));
        }
        self.within(id, numbers)
    }

    /// Whether it is all of an input, or moved, of which nothing says that it has others than these numbers.
    pub(super) fn may_take(&self, id: TensorId, numbers: Interval) -> bool {
        let input = self.input_behind(id).map(|id| self.bound_of(id));
        input.is_some_and(|bound| bound.is_none_or(|of| numbers.has(of)))
    }

    /// The input whose values these are, all of them, if only moved.
    fn input_behind(&self, mut id: TensorId) -> Option<TensorId> {
        // What takes some of an input's values says nothing of the others.
        let moved = |node: &&FloatNode| match &node.op {
            FloatOp::Wiring(wiring) => wiring.source.as_ref().is_none_or(|source| {
                let places: HashSet<u32> = source.iter().copied().collect();
                node.inputs
                    .first()
                    .is_some_and(|from| places.len() == self.tensors[from.0 as usize].len())
            }),
            _ => false,
        };
        while let Some(node) = self.nodes.iter().find(|n| n.output == id).filter(moved) {
            match node.inputs[..] {
                [from] => id = from,
                _ => return None,
            }
        }
        self.inputs.contains(&id).then_some(id)
    }

    /// The input whose values these are, in its order.
    pub(super) fn given(&self, mut id: TensorId) -> Option<TensorId> {
        while let Some(node) = self.nodes.iter().find(|n| n.output == id) {
            match (&node.op, &node.inputs[..]) {
                (FloatOp::Wiring(wiring), &[from]) if wiring.source.is_none() => id = from,
                _ => return None,
            }
        }
        self.inputs.contains(&id).then_some(id)
    }

    /// Says of a tensor that it is another one where `keeps` is 1, and this number, far below all others, where that is 0.
    pub(super) fn masks(&mut self, id: TensorId, values: TensorId, keeps: TensorId, far: f64) {
        self.masked.insert(id, (values, keeps, far));
    }

    /// What was said of it so.
    pub(super) fn masked(&self, id: TensorId) -> Option<(TensorId, TensorId, f64)> {
        self.masked.get(&id).copied()
    }

    /// Whether its values were said to be whole.
    pub(super) fn is_whole(&self, id: TensorId) -> bool {
        self.tensors.get(id.0 as usize).is_some_and(|tensor| tensor.whole)
    }

    /// What was said to be its bound.
    pub(super) fn bound_of(&self, id: TensorId) -> Option<Interval> {
        self.tensors.get(id.0 as usize)?.bound
    }

    /// Between which whole numbers its values are; none where they are not said to be whole, or how far they go.
    pub(super) fn numbers(&self, id: TensorId) -> Option<Interval> {
        let bound = self.bound_of(id).filter(|_| self.is_whole(id));
        // What it is refused beyond is a power of two.
        bound.map(|of| if self.inputs.contains(&id) { of.held() } else { of })
    }

    /// The shape of a tensor.
    pub(super) fn shape(&self, id: TensorId) -> Vec<usize> {
        self.tensors
            .get(id.0 as usize)
            .map_or_else(Vec::new, |t| t.shape.iter().map(|&d| d as usize).collect())
    }

    /// A new node and its output.
    pub(super) fn node(
        &mut self,
        name: &str,
        mut op: FloatOp,
        inputs: &[TensorId],
        shape: &[usize],
    ) -> Result<TensorId, Refusal> {
        if let FloatOp::Step(step) = &mut op
            && inputs.iter().all(|&id| self.is_whole(id))
        {
            step.of_whole();
        }
        let output = self.tensor(name, shape)?;
        self.kept += op.kept();
        if self.kept > MAX_DRAFT_COEFFICIENTS {
            let what = "coefficients and indices in all nodes";
            return Err(Refusal::Together(what, MAX_DRAFT_COEFFICIENTS));
        }
        let lengths: Vec<_> = inputs
            .iter()
            .map(|&id| self.tensors[id.0 as usize].len())
            .collect();
        let made = self.tensors[output.0 as usize].len();
        if let FloatOp::Product(Multiply { product }) = &op
            && !matches!(lengths[..], [a, b] if product.output_len(a, b) == Some(made))
        {
            return unsupported("the shapes do not fit the operator");
        }
        if let FloatOp::Linear(Linear { map, .. }) | FloatOp::Step(Step { map, .. }) = &op {
            if !map.weight().iter().chain(map.bias()).all(|v| v.is_finite()) {
                return Err(Refusal::NonFinite);
            }
            let fits = map
                .output_len(&lengths)
                .map_err(|e| Refusal::Unsupported(e.to_string()))?;
            if fits != made {
                return unsupported("the shapes do not fit the operator");
            }
        }
        // Values in other places are what they are.
        if let (FloatOp::Wiring(_), &[from]) = (&op, inputs)
            && self.is_whole(from)
        {
            let (bound, made) = (self.numbers(from), &mut self.tensors[output.0 as usize]);
            (made.bound, made.whole) = (bound, true);
        }
        self.nodes.push(FloatNode {
            name: name.to_owned(),
            op,
            inputs: inputs.to_vec(),
            output,
        });
        Ok(output)
    }

    /// A linear node without activation.
    pub(super) fn linear(
        &mut self,
        name: &str,
        map: FloatMap,
        inputs: &[TensorId],
        shape: &[usize],
    ) -> Result<TensorId, Refusal> {
        self.node(
            name,
            FloatOp::Linear(Linear {
                map,
                activation: Activation::Identity,
            }),
            inputs,
            shape,
        )
    }
}

/// Numbers of a model as the map's; too large ones are refused.
pub(super) fn small<const N: usize>(numbers: [usize; N]) -> Result<[u32; N], Refusal> {
    let mut small = [0; N];
    for (s, n) in small.iter_mut().zip(numbers) {
        *s = u32::try_from(n).map_err(|_| Refusal::TooLarge)?;
    }
    Ok(small)
}
