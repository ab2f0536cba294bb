//! Parts of tensors, and tensors from parts.

use super::{Call, MANY, Made, Operator, Step, Tensor, list_of, one, op, reshape::walked, same_type, size};
use crate::{
    Values,
    attribute::{int, ints},
    layout::{around, axes, axis, signed, strides},
};

pub(super) const OPERATORS: &[Operator] = &[
    op("Concat", 1, MANY, concat).since(4).attributes(&[int("axis")]),
    op("Slice", 1, 5, slice).since(1).attributes(&[
        ints("axes").before(10),
        ints("ends").before(10),
        ints("starts").before(10),
    ]),
    op("Split", 1, 2, split).since(2).attributes(&[
        int("axis"),
        int("num_outputs").from(18),
        ints("split").before(13),
    ]),
];

fn concat(call: &Call) -> Made {
    let parts = call.all()?;
    let first = *parts.first().ok_or("there is no input")?;
    if !call.has("axis") {
        return Err("attribute `axis` is missing".into());
    }
    one(joined(call, &parts, axis(call.int("axis", 0), first.rank())?)?)
}

/// Tensors one behind the other along an axis.
pub(super) fn joined(call: &Call, parts: &[&Tensor], along: usize) -> Step<Tensor> {
    let first = *parts.first().ok_or("there is no tensor")?;
    let mut shape = first.shape().to_vec();
    shape[along] = 0;
    for part in parts {
        same_type(first, part)?;
        let mut rest = part.shape().to_vec();
        let size = rest.get_mut(along).map(std::mem::take);
        match (size, rest.len() == shape.len()) {
            (Some(size), true) if (0..rest.len()).all(|d| d == along || rest[d] == shape[d]) => {
                shape[along] = shape[along].checked_add(size).ok_or("too large")?;
            }
            _ => {
                return Err(format!(
                    "{:?} does not join {:?} along axis {along}",
                    part.shape(),
                    first.shape()
                ));
            }
        }
    }
    let len = call.room(&shape)?;
    fn join<T: Copy>(parts: &[(&[T], usize)], len: usize) -> Vec<T> {
        let mut made = Vec::with_capacity(len);
        let mut chunks: Vec<_> = parts
            .iter()
            .map(|(v, run)| v.chunks_exact((*run).max(1)))
            .collect();
        while made.len() < len {
            for chunk in &mut chunks {
                made.extend_from_slice(chunk.next().unwrap_or_default());
            }
        }
        made
    }
    let runs = parts.iter().map(|p| {
        let (_, size, behind) = around(p.shape(), along);
        size * behind
    });
    let runs: Vec<usize> = runs.collect();
    macro_rules! each {
        ($method:ident, $kind:ident) => {{
            let values = parts.iter().map(|p| p.$method()).collect::<Step<Vec<_>>>()?;
            let pairs: Vec<_> = values.into_iter().zip(runs.iter().copied()).collect();
            Values::$kind(join(&pairs, len))
        }};
    }
    let values = match first.values() {
        Values::Float(_) => each!(floats, Float),
        Values::Int(_) => each!(ints, Int),
        Values::Bool(_) => each!(bools, Bool),
    };
    Tensor::make(first.element(), shape, values)
}

/// The values `start..start + count` along an axis.
pub(super) fn part(call: &Call, x: &Tensor, along: usize, start: usize, count: usize) -> Step<Tensor> {
    let mut shape = x.shape().to_vec();
    let by = strides(&shape);
    shape[along] = count;
    walked(call, x, shape, start.saturating_mul(by[along]), &signed(&by))
}

fn slice(call: &Call) -> Made {
    let x = call.input(0)?;
    let given = |name: &str, i: usize| call.list(name, i)?.ok_or_else(|| format!("`{name}` is missing"));
    let (starts, ends) = (given("starts", 1)?, given("ends", 2)?);
    let steps = call.optional(4).map(list_of).transpose()?;
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    let along = match call.list("axes", 3)? {
        Some(list) => axes(&list, x.rank())?,
        None if starts.len() <= x.rank() => (0..starts.len()).collect(),
        None => return Err(format!("{} starts of {} dimensions", starts.len(), x.rank())),
    };
    if starts.len() != along.len() || ends.len() != along.len() || steps.len() != along.len() {
        return Err("starts, ends, axes and steps are of unlike lengths".into());
    }
    let mut shape = x.shape().to_vec();
    let mut by = signed(&strides(&shape));
    let mut offset = 0usize;
    for (((&d, &start), &end), &step) in along.iter().zip(&starts).zip(&ends).zip(&steps) {
        let n = shape[d] as i64;
        if step == 0 || step == i64::MIN {
            return Err(format!("a step of {step}"));
        }
        // As numpy: negative places count from the end, and what is out of reach is the nearest in reach.
        let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
        let clamp = |at: i64| (if at < 0 { at.saturating_add(n) } else { at }).clamp(low.min(high), high);
        let (start, end) = (clamp(start), clamp(end));
        let span = if step > 0 { end - start } else { start - end };
        let count = if span > 0 { (span - 1) / step.abs() + 1 } else { 0 };
        shape[d] = count as usize;
        if count > 0 {
            offset += start as usize * by[d] as usize;
            // A step beyond the end is never taken.
            by[d] = if count > 1 { by[d] * step as isize } else { 0 };
        }
    }
    one(walked(call, x, shape, offset, &by)?)
}

fn split(call: &Call) -> Made {
    let x = call.input(0)?;
    let along = axis(call.int("axis", 0), x.rank())?;
    let size_along = x.shape()[along];
    let sizes: Vec<usize> = match call.list("split", 1)? {
        Some(_) if call.has("num_outputs") => return Err("num_outputs is stated, and `split` too".into()),
        Some(list) => list.into_iter().map(size).collect::<Step<_>>()?,
        None => {
            let parts = size(call.int("num_outputs", call.asked() as i64))?;
            if parts != call.asked() {
                return Err(format!(
                    "num_outputs is {parts}; there are {} outputs",
                    call.asked()
                ));
            }
            // The last one is smaller where it does not come out even; before opset 18 it has to.
            if call.opset() < 18 && !size_along.is_multiple_of(parts) {
                return Err(format!("{size_along} values in {parts} parts"));
            }
            let each = size_along.div_ceil(parts);
            let from = |i: usize| (i * each).min(size_along);
            (0..parts).map(|i| from(i + 1) - from(i)).collect()
        }
    };
    let sum = sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s));
    if sum != Some(size_along) || sizes.len() != call.asked() {
        return Err(format!(
            "{size_along} values in {} parts of {sizes:?}",
            call.asked()
        ));
    }
    let mut start = 0;
    let mut made = Vec::new();
    for &count in &sizes {
        made.push(part(call, x, along, start, count)?);
        start += count;
    }
    Ok(made)
}
