//! Row-major layouts: strides, broadcasting, axes and walks over them.
//!
//! Invariant: a walk reads only places that were held against the length of what it reads.

use crate::{Step, limits::volume};

/// Distance in values between neighbours along each dimension.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for i in (1..shape.len()).rev() {
        // Of a shape without values no stride is ever used.
        strides[i - 1] = strides[i].saturating_mul(shape[i]);
    }
    strides
}

/// An axis in `-rank..rank` as an index.
pub(crate) fn axis(axis: i64, rank: usize) -> Step<usize> {
    let signed = rank as i64;
    let index = if axis < 0 {
        axis.checked_add(signed)
    } else {
        Some(axis)
    };
    match index.and_then(|i| usize::try_from(i).ok()) {
        Some(i) if i < rank => Ok(i),
        _ => Err(format!("axis {axis} of a tensor with {rank} dimensions")),
    }
}

/// Distinct axes.
pub(crate) fn axes(list: &[i64], rank: usize) -> Step<Vec<usize>> {
    let mut found = Vec::new();
    for &a in list {
        let a = axis(a, rank)?;
        if found.contains(&a) {
            return Err(format!("axis {a} is named twice"));
        }
        found.push(a);
    }
    Ok(found)
}

/// `(values before, along, behind)` an axis: a tensor as a block of three dimensions.
pub(crate) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let product = |part: &[usize]| part.iter().fold(1usize, |n, &d| n.saturating_mul(d));
    let (before, rest) = shape.split_at(axis.min(shape.len()));
    match rest.split_first() {
        Some((&along, behind)) => (product(before), along, product(behind)),
        None => (product(before), 1, 1),
    }
}

/// The shape that two shapes broadcast to.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Step<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |j| s[j]);
    let dims = (0..rank).map(|i| match (at(a, i), at(b, i)) {
        (x, y) if x == y => Ok(x),
        (1, y) => Ok(y),
        (x, 1) => Ok(x),
        _ => Err(format!("the shapes {a:?} and {b:?} do not broadcast")),
    });
    dims.collect()
}

/// Strides of `shape` read as the larger `target` that it broadcasts to: 0 along repeated dimensions.
pub(crate) fn broadcast_strides(shape: &[usize], target: &[usize]) -> Step<Vec<usize>> {
    let lead = target.len().checked_sub(shape.len());
    let lead = lead.ok_or_else(|| format!("the shape {shape:?} does not broadcast to {target:?}"))?;
    let own = strides(shape);
    let mut found = vec![0; lead];
    for ((&d, &t), &s) in shape.iter().zip(&target[lead..]).zip(&own) {
        if d == t {
            found.push(if d == 1 { 0 } else { s });
        } else if d == 1 {
            found.push(0);
        } else {
            return Err(format!("the shape {shape:?} does not broadcast to {target:?}"));
        }
    }
    Ok(found)
}

/// Calls `visit` with the start in each source of every row (the last dimension) of `shape`, in order.
pub(crate) fn rows<const N: usize>(
    shape: &[usize],
    strides: [&[usize]; N],
    mut visit: impl FnMut([usize; N]),
) {
    if shape.contains(&0) {
        return;
    }
    let outer = shape.len().saturating_sub(1);
    let mut at = vec![0usize; outer];
    let mut start = [0usize; N];
    loop {
        visit(start);
        // The next place, as an odometer.
        let mut dim = outer;
        loop {
            if dim == 0 {
                return;
            }
            dim -= 1;
            at[dim] += 1;
            for (s, by) in start.iter_mut().zip(&strides) {
                *s += by[dim];
            }
            if at[dim] < shape[dim] {
                break;
            }
            for (s, by) in start.iter_mut().zip(&strides) {
                *s -= by[dim] * at[dim];
            }
            at[dim] = 0;
        }
    }
}

/// The values at `offset + Σ index · stride` for every index of `shape`, in order.
pub(crate) fn gather<T: Copy>(source: &[T], shape: &[usize], offset: usize, by: &[isize]) -> Step<Vec<T>> {
    let len = volume(shape)?;
    if len == 0 {
        return Ok(Vec::new());
    }
    // The least and greatest place read.
    let (mut least, mut greatest) = (offset as i128, offset as i128);
    for (&d, &s) in shape.iter().zip(by) {
        let reach = (d as i128 - 1) * s as i128;
        *(if reach < 0 { &mut least } else { &mut greatest }) += reach;
    }
    if least < 0 || greatest >= source.len() as i128 || by.len() != shape.len() {
        return Err("a place outside of the tensor is read".into());
    }
    let mut out = Vec::with_capacity(len);
    let (inner, inner_by) = (
        shape.last().copied().unwrap_or(1),
        by.last().copied().unwrap_or(0),
    );
    let outer = shape.len().saturating_sub(1);
    let mut at = vec![0usize; outer];
    let mut start = offset as isize;
    loop {
        if inner_by == 1 {
            out.extend_from_slice(&source[start as usize..start as usize + inner]);
        } else {
            out.extend((0..inner as isize).map(|i| source[(start + i * inner_by) as usize]));
        }
        let mut dim = outer;
        loop {
            if dim == 0 {
                return Ok(out);
            }
            dim -= 1;
            at[dim] += 1;
            start += by[dim];
            if at[dim] < shape[dim] {
                break;
            }
            start -= by[dim] * at[dim] as isize;
            at[dim] = 0;
        }
    }
}

/// Unsigned strides as signed ones.
pub(crate) fn signed(strides: &[usize]) -> Vec<isize> {
    strides.iter().map(|&s| s as isize).collect()
}
