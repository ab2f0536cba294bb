//! ONNX's operators, by family, each from its definition in the specification.
//!
//! Invariant: [`FAMILIES`] is the only list of operators; forms that they had before opset 7 stand in [`old`]. An operator is
//! given inputs in the number that it declares and attributes of the kinds that it declares; everything else (shapes, element
//! types, values) it checks itself, and it makes as many outputs as are asked for, or says why not.

use std::sync::Arc;

use crate::{
    ElementType, Step, Tensor,
    attribute::{Attributes, Declared, Kind, Value},
    limits::{Budget, STEP, volume},
};

mod attention;
mod binary;
mod body;
mod cast;
mod col2im;
mod compare;
mod control;
mod conv;
mod conv_transpose;
mod einsum;
mod fourier;
mod gather;
mod generate;
mod grid;
mod loss;
mod matmul;
pub(crate) mod microsoft;
pub(crate) mod ml;
mod ml_labels;
mod ml_linear;
mod ml_scaling;
mod ml_svm;
mod ml_trees;
mod normalise;
pub(crate) mod old;
mod order;
mod pad;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod reshape;
mod resize;
mod rotary;
mod slice;
mod softmax;
mod stack;
mod unary;
mod window;

pub(crate) use body::{Body, Graphs, Stated};
pub(crate) use control::{Scanned, branch, condition, scanned};
pub(crate) use stack::{element, stacked};

const FAMILIES: &[&[Operator]] = &[
    unary::OPERATORS,
    binary::OPERATORS,
    compare::OPERATORS,
    cast::OPERATORS,
    reduce::OPERATORS,
    matmul::OPERATORS,
    conv::OPERATORS,
    pool::OPERATORS,
    normalise::OPERATORS,
    softmax::OPERATORS,
    reshape::OPERATORS,
    slice::OPERATORS,
    gather::OPERATORS,
    pad::OPERATORS,
    generate::OPERATORS,
    conv_transpose::OPERATORS,
    col2im::OPERATORS,
    grid::OPERATORS,
    einsum::OPERATORS,
    order::OPERATORS,
    resize::OPERATORS,
    quantize::OPERATORS,
    recurrent::OPERATORS,
    loss::OPERATORS,
    fourier::OPERATORS,
    rotary::OPERATORS,
    attention::OPERATORS,
    control::OPERATORS,
];

/// Any number of inputs.
const MANY: usize = usize::MAX;

/// What an operator makes.
type Made = Step<Vec<Tensor>>;

/// An operator's definition.
#[derive(Debug)]
pub(crate) struct Operator {
    pub name: &'static str,
    /// Least and greatest number of inputs, in any opset.
    pub inputs: (usize, usize),
    /// Opsets that have it: the first, and the first that has it no longer.
    pub opsets: (i64, i64),
    pub attributes: &'static [Declared],
    run: fn(&Call) -> Made,
}

/// An operator since opset 7.
const fn op(name: &'static str, least: usize, most: usize, run: fn(&Call) -> Made) -> Operator {
    Operator {
        name,
        inputs: (least, most),
        opsets: (7, i64::MAX),
        attributes: &[],
        run,
    }
}

impl Operator {
    const fn since(mut self, opset: i64) -> Self {
        self.opsets.0 = opset;
        self
    }

    const fn until(mut self, opset: i64) -> Self {
        self.opsets.1 = opset;
        self
    }

    const fn attributes(mut self, attributes: &'static [Declared]) -> Self {
        self.attributes = attributes;
        self
    }

    /// Whether it computes what the graphs in its attributes do.
    pub(crate) fn has_graphs(&self) -> bool {
        self.attributes.iter().any(|a| a.kind == Kind::Graph)
    }
}

/// The operators that the reference has, sorted by name.
#[must_use]
pub fn operators() -> Vec<&'static str> {
    let mut names: Vec<_> = FAMILIES.iter().flat_map(|f| f.iter()).map(|o| o.name).collect();
    names.sort_unstable();
    names
}

/// The first opset that has an operator in a form that the reference has.
#[must_use]
pub fn first_opset(name: &str) -> Option<i64> {
    let operator = FAMILIES.iter().flat_map(|f| f.iter()).find(|o| o.name == name);
    operator.map(|o| o.opsets.0)
}

/// The operators of the domain ai.onnx.ml that the reference has, sorted by name.
#[must_use]
pub fn operators_of_models() -> Vec<&'static str> {
    let mut names: Vec<_> = ml::all().map(|o| o.name).collect();
    names.sort_unstable();
    names
}

/// The operators of the domain com.microsoft that the reference has, sorted by name.
#[must_use]
pub fn operators_of_microsoft() -> Vec<&'static str> {
    microsoft::OPERATORS.iter().map(|o| o.name).collect()
}

/// The operator of a name in a version of its domain.
pub(crate) fn find(domain: &str, name: &str, opset: i64) -> Step<&'static Operator> {
    let absent = "the operator is not supported";
    if domain == ml::DOMAIN {
        return Ok(ml::all().find(|o| o.name == name).ok_or(absent)?);
    }
    if domain == microsoft::DOMAIN {
        let mut own = microsoft::OPERATORS.iter();
        return Ok(own.find(|o| o.name == name).ok_or(absent)?);
    }
    let operator = FAMILIES.iter().flat_map(|f| f.iter()).find(|o| o.name == name);
    let operator = operator.ok_or(absent)?;
    if let Some(old) = old::find(name, opset) {
        return Ok(old);
    }
    let since = if old::is_in_place(name) {
        1
    } else {
        operator.opsets.0
    };
    if since <= opset && opset < operator.opsets.1 {
        Ok(operator)
    } else {
        // Before it, ONNX had the operator in another form, or not at all.
        Err(match opset < operator.opsets.0 {
            true => format!(
                "its form of opset {opset} is not supported, that of opset {} is",
                operator.opsets.0
            ),
            false => format!("opset {opset} has the operator no longer"),
        })
    }
}

/// A node, its names resolved.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub operator: &'static Operator,
    pub opset: i64,
    pub attributes: Attributes,
    pub inputs: Vec<Option<usize>>,
    pub outputs: Vec<Option<usize>>,
    /// Of an operator that has them: the graphs in its attributes.
    pub graphs: Option<Box<Graphs>>,
    /// What is read in these of the graphs around them.
    pub captured: Vec<usize>,
    /// Whether it depends on an input of the model.
    pub computed: bool,
}

impl Operation {
    /// All that it reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = usize> {
        self.inputs
            .iter()
            .copied()
            .flatten()
            .chain(self.captured.iter().copied())
    }
}

/// An operator's application to values.
pub(crate) struct Call<'a> {
    pub operation: &'a Operation,
    pub inputs: &'a [Option<Arc<Tensor>>],
    pub budget: &'a Budget,
}

impl<'a> Call<'a> {
    pub(crate) fn run(&self) -> Made {
        let made = (self.operation.operator.run)(self)?;
        let asked = self.operation.outputs.len();
        match self.operation.outputs.get(made.len()..) {
            Some(more) if more.iter().any(Option::is_some) => {
                Err(format!("{asked} outputs; {} are evaluated", made.len()))
            }
            _ => Ok(made),
        }
    }

    fn opset(&self) -> i64 {
        self.operation.opset
    }

    /// How many outputs the node names.
    fn asked(&self) -> usize {
        self.operation.outputs.len()
    }

    fn input(&self, i: usize) -> Step<&'a Tensor> {
        self.optional(i).ok_or_else(|| format!("input {i} is missing"))
    }

    fn optional(&self, i: usize) -> Option<&'a Tensor> {
        self.inputs.get(i)?.as_deref()
    }

    /// All inputs, none of which may be left out.
    fn all(&self) -> Step<Vec<&'a Tensor>> {
        (0..self.inputs.len()).map(|i| self.input(i)).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.operation.attributes.contains_key(name)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        match self.operation.attributes.get(name) {
            Some(Value::Int(i)) => *i,
            _ => default,
        }
    }

    /// The attribute as yes or no.
    fn flag(&self, name: &str, default: bool) -> Step<bool> {
        match self.int(name, default.into()) {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("attribute `{name}` is {other}, not 0 or 1")),
        }
    }

    /// The attribute, or ONNX's default, which is a 32-bit float too.
    fn float(&self, name: &str, default: f32) -> f64 {
        match self.operation.attributes.get(name) {
            Some(Value::Float(f)) => *f,
            _ => default.into(),
        }
    }

    fn text(&self, name: &str, default: &'a str) -> &'a str {
        match self.operation.attributes.get(name) {
            Some(Value::Text(t)) => t,
            _ => default,
        }
    }

    fn ints(&self, name: &str) -> Option<&'a [i64]> {
        match self.operation.attributes.get(name) {
            Some(Value::Ints(list)) => Some(list),
            _ => None,
        }
    }

    fn tensor(&self, name: &str) -> Option<&'a Arc<Tensor>> {
        match self.operation.attributes.get(name) {
            Some(Value::Tensor(t)) => Some(t),
            _ => None,
        }
    }

    /// A list of integers that was an attribute before some opset and is an input since.
    fn list(&self, name: &str, i: usize) -> Step<Option<Vec<i64>>> {
        match (self.ints(name), self.optional(i)) {
            (Some(_), Some(_)) => Err(format!("`{name}` is stated twice")),
            (Some(list), None) => Ok(Some(list.to_vec())),
            (None, Some(tensor)) => list_of(tensor).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Takes the work of touching `count` values, before they are touched.
    fn touch(&self, count: usize) -> Step<()> {
        self.budget.spend((count as u64).saturating_mul(STEP))
    }

    /// The number of values of a shape that is about to be made, its work taken.
    fn room(&self, shape: &[usize]) -> Step<usize> {
        let len = volume(shape)?;
        self.touch(len)?;
        Ok(len)
    }
}

/// A one-dimensional tensor of integers as a list.
fn list_of(tensor: &Tensor) -> Step<Vec<i64>> {
    match tensor.rank() {
        0 | 1 => Ok(tensor.ints()?.to_vec()),
        rank => Err(format!("a list is wanted, not a tensor of {rank} dimensions")),
    }
}

/// Where an axis is put among those of a rank: `-1` behind the last.
fn axis_or_end(axis: i64, rank: usize) -> Step<usize> {
    crate::layout::axis(axis, rank + 1)
}

fn one(tensor: Tensor) -> Made {
    Ok(vec![tensor])
}

/// A size or count that the file states.
fn size(value: i64) -> Step<usize> {
    usize::try_from(value).map_err(|_| format!("a size of {value}"))
}

/// Evaluates an expression on the values of whatever kind, giving values of that kind.
macro_rules! each_kind {
    ($values:expr, $v:ident => $made:expr) => {
        match $values {
            crate::Values::Float($v) => crate::Values::Float($made),
            crate::Values::Int($v) => crate::Values::Int($made),
            crate::Values::Bool($v) => crate::Values::Bool($made),
        }
    };
}
use each_kind;

/// Evaluates an expression on the values of two tensors of one element type.
macro_rules! each_kind_of_two {
    ($a:expr, $b:expr, $x:ident, $y:ident => $made:expr) => {
        match ($a.values(), $b.values()) {
            (crate::Values::Float($x), crate::Values::Float($y)) => crate::Values::Float($made),
            (crate::Values::Int($x), crate::Values::Int($y)) => crate::Values::Int($made),
            (crate::Values::Bool($x), crate::Values::Bool($y)) => crate::Values::Bool($made),
            _ => return Err(crate::ops::unlike($a, $b)),
        }
    };
}
use each_kind_of_two;

fn unlike(a: &Tensor, b: &Tensor) -> String {
    format!("inputs of unlike types, {} and {}", a.element(), b.element())
}

fn same_type(a: &Tensor, b: &Tensor) -> Step<()> {
    if a.element() == b.element() {
        Ok(())
    } else {
        Err(unlike(a, b))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_operator_is_defined_twice() {
        let names = super::operators();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    }
}
