//! Element-wise operators of one or two operands, as affine maps with or without a ReLU.
//!
//! Invariant: exact in floats. `max(x, c) = relu(x − c) + c`, `min(x, c) = c − relu(c − x)`, and the same with a
//! computed second operand; everything else is linear.

use zkml::graph::{Activation, TensorId};

use super::draft::{Constant, Draft, OTHER_FORM, Refusal, small, unsupported};
use super::translate::Operands;
use super::{function, product, wiring};
use crate::float::{FloatMap, FloatOp};
use crate::functions::Function;
use crate::ops::Linear;

/// A tensor viewed as `[outer, channels, inner]`, and a constant that depends on the channel alone.
pub(super) struct PerChannel {
    outer: usize,
    inner: usize,
    values: Vec<f64>,
}

impl PerChannel {
    /// The narrowest run of axes in which the constant varies. `constant` is broadcast to `shape`.
    pub(super) fn new(constant: &Constant, shape: &[usize]) -> Result<Self, Refusal> {
        let missing = shape.len().checked_sub(constant.shape.len());
        let Some(missing) = missing else {
            return unsupported("a constant of higher rank than the result");
        };
        let dims: Vec<usize> = std::iter::repeat_n(1, missing)
            .chain(constant.shape.iter().copied())
            .collect();
        if dims.iter().zip(shape).any(|(c, s)| *c != 1 && c != s) {
            return unsupported("operands whose shapes do not broadcast");
        }
        let varies = |d: &usize| dims[*d] != 1;
        let first = (0..dims.len()).find(varies).unwrap_or(dims.len());
        let last = (0..dims.len()).rfind(varies).map_or(first, |d| d + 1);
        // Axes of length 1 inside the run repeat the constant.
        let mut at = vec![0usize];
        let mut stride = dims.iter().product::<usize>();
        for (&c, &s) in dims[first..last].iter().zip(&shape[first..last]) {
            stride /= c;
            let step = if c == 1 { 0 } else { stride };
            at = at
                .iter()
                .flat_map(|&base| (0..s).map(move |i| base + i * step))
                .collect();
        }
        let values = at
            .iter()
            .map(|&i| constant.values.get(i).copied())
            .collect::<Option<Vec<_>>>();
        let Some(values) = values else {
            return unsupported("a constant with too few values");
        };
        let product = |dims: &[usize]| dims.iter().product::<usize>();
        Ok(Self {
            outer: product(&shape[..first]),
            inner: product(&shape[last..]),
            values,
        })
    }

    /// `x ↦ scale(c)·x + bias(c)`.
    pub(super) fn map(
        &self,
        scale: impl Fn(f64) -> f64,
        bias: impl Fn(f64) -> f64,
    ) -> Result<FloatMap, Refusal> {
        let [outer, channels, inner] = small([self.outer, self.values.len(), self.inner])?;
        let of = |f: &dyn Fn(f64) -> f64| self.values.iter().map(|&c| f(c)).collect();
        Ok(FloatMap::Affine {
            outer,
            channels,
            inner,
            scale: of(&scale),
            bias: of(&bias),
        })
    }
}

/// `Σ scale_k · x_k` over tensors of one length.
pub(super) fn combination(len: usize, scale: Vec<f64>) -> Result<FloatMap, Refusal> {
    line(len, scale, 0.0)
}

/// `Σ scale_k · x_k + constant` over tensors of one length.
pub(super) fn line(len: usize, scale: Vec<f64>, constant: f64) -> Result<FloatMap, Refusal> {
    let [inner] = small([len])?;
    Ok(FloatMap::Affine {
        outer: 1,
        channels: 1,
        inner,
        scale,
        bias: vec![constant],
    })
}

fn relu(map: FloatMap) -> FloatOp {
    FloatOp::Linear(Linear {
        map,
        activation: Activation::Relu,
    })
}

/// `x` with axes of length 1 in front, up to a rank.
pub(super) fn aligned(draft: &mut Draft, name: &str, x: TensorId, rank: usize) -> Result<TensorId, Refusal> {
    let from = draft.shape(x);
    let Some(missing) = rank.checked_sub(from.len()) else {
        return unsupported("an operand of higher rank than the result");
    };
    let shape: Vec<usize> = std::iter::repeat_n(1, missing).chain(from).collect();
    wiring::reshape(draft, name, x, &shape)
}

/// `factor · x`.
pub(super) fn scaled(draft: &mut Draft, name: &str, x: TensorId, factor: f64) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let map = combination(shape.iter().product(), vec![factor])?;
    draft.linear(name, map, &[x], &shape)
}

/// A binary operator of the typed model by its name.
pub(super) fn binary(
    draft: &mut Draft,
    operands: &Operands<'_>,
    name: &str,
    op: &str,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let broadcast = |draft: &mut Draft, at: usize| {
        let x = aligned(draft, name, operands.computed(at)?, shape.len())?;
        wiring::broadcast(draft, name, x, shape)
    };
    match (operands.is_computed(0), operands.is_computed(1)) {
        (true, true) => {
            let (a, b) = (broadcast(draft, 0)?, broadcast(draft, 1)?);
            of_two(draft, name, op, [a, b], shape)
        }
        (true, false) => {
            let x = broadcast(draft, 0)?;
            with_constant(draft, name, op, x, &operands.constant(1)?, false, shape)
        }
        _ => {
            let x = broadcast(draft, 1)?;
            with_constant(draft, name, op, x, &operands.constant(0)?, true, shape)
        }
    }
}

fn of_two(
    draft: &mut Draft,
    name: &str,
    op: &str,
    [a, b]: [TensorId; 2],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let len = shape.iter().product();
    match op {
        "Add" => draft.linear(name, combination(len, vec![1.0, 1.0])?, &[a, b], shape),
        "Sub" => draft.linear(name, combination(len, vec![1.0, -1.0])?, &[a, b], shape),
        "SubF" => draft.linear(name, combination(len, vec![-1.0, 1.0])?, &[a, b], shape),
        // max(a, b) = b + relu(a − b), min(a, b) = b − relu(b − a).
        "Max" | "Min" => {
            let sign = if op == "Max" { 1.0 } else { -1.0 };
            let over = draft.node(name, relu(combination(len, vec![sign, -sign])?), &[a, b], shape)?;
            draft.linear(name, combination(len, vec![1.0, sign])?, &[b, over], shape)
        }
        "Mul" => match function::product(draft, name, [a, b]) {
            Some(made) => wiring::reshape(draft, name, made?, shape),
            None => product::elements(draft, name, [a, b], shape),
        },
        "Div" => product::quotient(draft, name, [a, b], shape),
        _ => unsupported("this function of two computed tensors"),
    }
}

/// `swapped`: the constant is the first operand.
fn with_constant(
    draft: &mut Draft,
    name: &str,
    op: &str,
    x: TensorId,
    constant: &Constant,
    swapped: bool,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let per = PerChannel::new(constant, shape)?;
    let negated = matches!((op, swapped), ("Sub", true) | ("SubF", false));
    let map = match op {
        "Add" => per.map(|_| 1.0, |c| c)?,
        "Sub" | "SubF" if negated => per.map(|_| -1.0, |c| c)?,
        "Sub" | "SubF" => per.map(|_| 1.0, |c| -c)?,
        "Mul" => per.map(|c| c, |_| 0.0)?,
        "Div" if !swapped => per.map(|c| 1.0 / c, |_| 0.0)?,
        "Max" if per.values.iter().all(|&c| c == 0.0) => {
            return draft.node(name, relu(per.map(|_| 1.0, |_| 0.0)?), &[x], shape);
        }
        "Max" => {
            let over = draft.node(name, relu(per.map(|_| 1.0, |c| -c)?), &[x], shape)?;
            return draft.linear(name, per.map(|_| 1.0, |c| c)?, &[over], shape);
        }
        "Min" => {
            let under = draft.node(name, relu(per.map(|_| -1.0, |c| c)?), &[x], shape)?;
            return draft.linear(name, per.map(|_| -1.0, |c| c)?, &[under], shape);
        }
        // A divisor of 0 has no value, and no proof.
        "Div" => {
            let inverse = function::function(draft, name, x, Function::reciprocal())?;
            return draft.linear(name, per.map(|c| c, |_| 0.0)?, &[inverse], shape);
        }
        _ => return unsupported(OTHER_FORM),
    };
    draft.linear(name, map, &[x], shape)
}
