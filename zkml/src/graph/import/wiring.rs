//! Operators that only move values: permutations, reshapes, slices, broadcasts.
//!
//! Invariant: a source list has one entry per output value, each inside the input. An operator that keeps the
//! row-major order has no list.

use tract_onnx::tract_core::ops::array::Slice;
use tract_onnx::tract_core::ops::change_axes::AxisOp;

use super::super::TensorId;
use super::super::float::FloatOp;
use super::draft::{Draft, Refusal, unsupported};

/// Row-major strides.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// Flat input index per output value: the output has `shape`, and a step along its axis `d` is `steps[d]` in the input.
fn walk(shape: &[usize], steps: &[usize], start: usize) -> Vec<u32> {
    let mut sources = vec![start as u32];
    for (&extent, &step) in shape.iter().zip(steps) {
        sources = sources
            .iter()
            .flat_map(|&s| (0..extent).map(move |i| s + (i * step) as u32))
            .collect();
    }
    sources
}

fn emit(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    shape: &[usize],
    sources: Vec<u32>,
) -> Result<TensorId, Refusal> {
    let len = draft.shape(x).iter().product::<usize>();
    let in_order = sources.len() == len && sources.iter().enumerate().all(|(i, &s)| i == s as usize);
    let source = if in_order { None } else { Some(sources) };
    draft.node(name, FloatOp::Wiring { source }, &[x], shape)
}

/// `x` in another shape, the same order.
pub(super) fn reshape(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    if draft.shape(x) == shape {
        return Ok(x);
    }
    if draft.shape(x).iter().product::<usize>() != shape.iter().product::<usize>() {
        return unsupported("a reshape that changes the number of values");
    }
    draft.node(name, FloatOp::Wiring { source: None }, &[x], shape)
}

/// Output axis `d` is input axis `order[d]`.
pub(super) fn permute(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    order: &[usize],
) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let steps = strides(&shape);
    let (Some(to), Some(steps)) = (
        order
            .iter()
            .map(|&a| shape.get(a).copied())
            .collect::<Option<Vec<_>>>(),
        order
            .iter()
            .map(|&a| steps.get(a).copied())
            .collect::<Option<Vec<_>>>(),
    ) else {
        return unsupported("a permutation of axes that do not exist");
    };
    if to == shape && order.iter().enumerate().all(|(i, &a)| i == a) {
        return Ok(x);
    }
    // Sizes are checked before the list is made.
    if to.iter().product::<usize>() != shape.iter().product::<usize>() {
        return unsupported("a permutation that repeats an axis");
    }
    emit(draft, name, x, &to, walk(&to, &steps, 0))
}

/// `x` repeated along its axes of length 1 up to `shape`, which has the same rank.
pub(super) fn broadcast(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let from = draft.shape(x);
    if from == shape {
        return Ok(x);
    }
    if from.len() != shape.len() || from.iter().zip(shape).any(|(&f, &s)| f != s && f != 1) {
        return unsupported("operands whose shapes do not broadcast");
    }
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if len.is_none_or(|n| n > super::MAX_TENSOR_LEN) {
        return Err(Refusal::TooLarge);
    }
    let steps: Vec<_> = strides(&from)
        .iter()
        .zip(from.iter().zip(shape))
        .map(|(&s, (f, t))| if f == t { s } else { 0 })
        .collect();
    emit(draft, name, x, shape, walk(shape, &steps, 0))
}

/// tract's axis operators.
pub(super) fn axis_op(
    draft: &mut Draft,
    name: &str,
    op: &AxisOp,
    x: TensorId,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let AxisOp::Move(from, to) = op else {
        return reshape(draft, name, x, shape);
    };
    let mut order: Vec<usize> = (0..shape.len()).collect();
    if *from >= order.len() || *to >= order.len() {
        return unsupported("a permutation of axes that do not exist");
    }
    let axis = order.remove(*from);
    order.insert(*to, axis);
    permute(draft, name, x, &order)
}

/// A contiguous slice along one axis.
pub(super) fn slice(
    draft: &mut Draft,
    name: &str,
    op: &Slice,
    x: TensorId,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let from = draft.shape(x);
    let start = op.start.to_usize_checked();
    let end = op.end.to_usize_checked();
    let (Some(start), Some(end)) = (start, end) else {
        return unsupported("a slice with bounds that are not fixed");
    };
    let same_elsewhere = from.len() == shape.len()
        && from
            .iter()
            .zip(shape)
            .enumerate()
            .all(|(d, (f, s))| d == op.axis || f == s);
    let inside = from
        .get(op.axis)
        .is_some_and(|&extent| start < end && end <= extent);
    if !same_elsewhere || !inside || shape.get(op.axis) != Some(&(end - start)) {
        return unsupported("a slice that leaves the tensor");
    }
    let steps = strides(&from);
    emit(draft, name, x, shape, walk(shape, &steps, start * steps[op.axis]))
}

trait ToUsizeChecked {
    fn to_usize_checked(&self) -> Option<usize>;
}

impl ToUsizeChecked for tract_onnx::prelude::TDim {
    fn to_usize_checked(&self) -> Option<usize> {
        self.to_i64().ok().and_then(|v| usize::try_from(v).ok())
    }
}
