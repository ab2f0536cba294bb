//! Operators that only move values: permutations, reshapes, slices, broadcasts, constant indices.
//!
//! Invariant: a source list has one entry per output value, each inside the input. An operator that keeps the
//! row-major order has no list.

use tract_onnx::tract_core::ops::array::{Slice, StridedSlice};
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, unsupported};
use super::translate::Operands;
use crate::float::FloatOp;
use crate::ops::Wiring;

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

/// A wiring, without its list where it keeps the order.
pub(super) fn emit(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    shape: &[usize],
    sources: Vec<u32>,
) -> Result<TensorId, Refusal> {
    let len = draft.shape(x).iter().product::<usize>();
    let in_order = sources.len() == len && sources.iter().enumerate().all(|(i, &s)| i == s as usize);
    let source = if in_order { None } else { Some(sources) };
    draft.node(name, FloatOp::Wiring(Wiring { source }), &[x], shape)
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
    draft.node(name, FloatOp::Wiring(Wiring { source: None }), &[x], shape)
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

/// ONNX's Slice with bounds, axes and steps as constants: along each axis the places `start, start + step, …` before
/// `end`, with negative bounds counted from the end and all bounds brought into the axis (ONNX specification, Slice).
pub(super) fn strided_slice(
    draft: &mut Draft,
    operands: &Operands<'_>,
    name: &str,
    op: &StridedSlice,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    if op.begin_mask != 0 || op.end_mask != 0 || op.shrink_axis_mask != 0 {
        return unsupported("a slice with masks");
    }
    let x = operands.computed(0)?;
    let from = draft.shape(x);
    let rank = from.len();
    let (starts, ends) = (operands.integers(1)?, operands.integers(2)?);
    let given = |at: Option<usize>| at.map(|at| operands.integers(at)).transpose();
    let axes = given(op.optional_axes_input)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = given(op.optional_steps_input)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()]
        .iter()
        .any(|&n| n != starts.len())
    {
        return unsupported("a slice whose starts, ends, axes and steps are not equally many");
    }
    let mut places: Vec<Vec<usize>> = from.iter().map(|&d| (0..d).collect()).collect();
    let mut sliced = vec![false; rank];
    for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
        let Some(axis) = place(axis, rank).filter(|&a| !std::mem::replace(&mut sliced[a], true)) else {
            return unsupported("a slice along an axis that does not exist, or twice along one");
        };
        places[axis] = along(from[axis], start, end, step)?;
    }
    picked(draft, name, x, &places, shape)
}

/// The places along an axis of `extent` that ONNX's `start:end:step` names.
fn along(extent: usize, start: i64, end: i64, step: i64) -> Result<Vec<usize>, Refusal> {
    let Ok(d) = i64::try_from(extent) else {
        return Err(Refusal::TooLarge);
    };
    let from_end = |at: i64| if at < 0 { at.saturating_add(d) } else { at };
    let (start, end) = (from_end(start), from_end(end));
    let counted = |from: i64, places: i64, step: u64| -> Vec<i64> {
        // `places` values lie from `from` towards the end; every `step`-th of them is taken.
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let forward = (0..places.max(0)).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        forward.map(|i| from + i).collect()
    };
    let places = match step {
        0 => return unsupported("a slice with step 0"),
        1.. => {
            let (start, end) = (start.clamp(0, d), end.clamp(0, d));
            counted(start, end - start, step.unsigned_abs())
        }
        _ => {
            let (start, end) = (start.clamp(0, (d - 1).max(0)), end.clamp(-1, d - 1));
            // Mirrored: from the start downwards.
            let down = counted(0, start - end, step.unsigned_abs());
            down.into_iter().map(|i| start - i).collect()
        }
    };
    places
        .into_iter()
        .map(|p| usize::try_from(p).ok().filter(|&p| p < extent))
        .collect::<Option<_>>()
        .ok_or_else(|| Refusal::Unsupported("a slice that leaves the tensor".into()))
}

/// Gather with constant indices: axis `axis` is replaced by the places that the indices name, negative ones from the end.
pub(super) fn gather(
    draft: &mut Draft,
    operands: &Operands<'_>,
    name: &str,
    axis: usize,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    if !operands.is_computed(0) {
        return unsupported("a look-up by computed indices");
    }
    let x = operands.computed(0)?;
    let from = draft.shape(x);
    let Some(&extent) = from.get(axis) else {
        return unsupported("a look-up along an axis that does not exist");
    };
    let indices = operands.integers(1)?;
    let indices: Option<Vec<usize>> = indices.into_iter().map(|i| place(i, extent)).collect();
    let Some(indices) = indices else {
        return unsupported("an index outside the tensor");
    };
    let mut places: Vec<Vec<usize>> = from.iter().map(|&d| (0..d).collect()).collect();
    let flat: Vec<usize> = from
        .iter()
        .enumerate()
        .map(|(d, &size)| if d == axis { indices.len() } else { size })
        .collect();
    places[axis] = indices;
    let y = picked(draft, name, x, &places, &flat)?;
    reshape(draft, name, y, shape)
}

/// A place along an axis of `extent`, negative ones from the end.
fn place(at: i64, extent: usize) -> Option<usize> {
    let extent_signed = i64::try_from(extent).ok()?;
    let at = if at < 0 {
        at.checked_add(extent_signed)?
    } else {
        at
    };
    usize::try_from(at).ok().filter(|&at| at < extent)
}

/// The values of `x` at the product of the places along each axis; `shape` is what the model says comes out.
fn picked(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    places: &[Vec<usize>],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let from = draft.shape(x);
    if !places.iter().map(Vec::len).eq(shape.iter().copied()) {
        return unsupported("a selection whose size is not the model's");
    }
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if len.is_none_or(|n| n > super::MAX_TENSOR_LEN) {
        return Err(Refusal::TooLarge);
    }
    let mut sources = vec![0u32];
    for (places, stride) in places.iter().zip(strides(&from)) {
        sources = sources
            .iter()
            .flat_map(|&s| places.iter().map(move |&p| s + (p * stride) as u32))
            .collect();
    }
    emit(draft, name, x, shape, sources)
}

trait ToUsizeChecked {
    fn to_usize_checked(&self) -> Option<usize>;
}

impl ToUsizeChecked for tract_onnx::prelude::TDim {
    fn to_usize_checked(&self) -> Option<usize> {
        self.to_i64().ok().and_then(|v| usize::try_from(v).ok())
    }
}
