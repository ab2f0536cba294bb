//! Operators that change a tensor's shape or the order of its values, and no value.

use super::{Call, Made, Operator, Step, Tensor, each_kind, list_of, one, op, size};
use crate::{
    Values,
    attribute::{float, int, ints, text},
    layout::{self, axes, axis, broadcast, broadcast_strides, signed, strides},
    limits::{MAX_RANK, volume},
};

pub(super) const OPERATORS: &[Operator] = &[
    op("DepthToSpace", 1, 1, depth_to_space)
        .since(1)
        .attributes(&[int("blocksize"), text("mode").from(11)]),
    op("Dropout", 1, 3, dropout).attributes(&[float("ratio").before(12), int("seed").from(12)]),
    op("Expand", 2, 2, expand).since(8),
    op("Flatten", 1, 1, flatten).since(1).attributes(&[int("axis")]),
    op("Identity", 1, 1, |c| one(c.input(0)?.clone())).since(1),
    op("Reshape", 2, 2, reshape)
        .since(5)
        .attributes(&[int("allowzero").from(14)]),
    op("Shape", 1, 1, shape)
        .since(1)
        .attributes(&[int("end").from(15), int("start").from(15)]),
    op("Size", 1, 1, |c| {
        one(Tensor::int64(vec![], vec![c.input(0)?.len() as i64])?)
    })
    .since(1),
    op("SpaceToDepth", 1, 1, space_to_depth)
        .since(1)
        .attributes(&[int("blocksize")]),
    op("Squeeze", 1, 2, squeeze)
        .since(1)
        .attributes(&[ints("axes").before(13)]),
    op("Tile", 2, 2, tile).since(6),
    op("Transpose", 1, 1, transpose)
        .since(1)
        .attributes(&[ints("perm")]),
    op("Unsqueeze", 1, 2, unsqueeze)
        .since(1)
        .attributes(&[ints("axes").before(13)]),
];

/// The values of `x` walked with other strides, as a tensor of another shape.
pub(super) fn walked(
    call: &Call,
    x: &Tensor,
    shape: Vec<usize>,
    offset: usize,
    by: &[isize],
) -> Step<Tensor> {
    call.room(&shape)?;
    let values: Values = each_kind!(x.values(), v => layout::gather(v, &shape, offset, by)?);
    Tensor::make(x.element(), shape, values)
}

fn reshape(call: &Call) -> Made {
    let x = call.input(0)?;
    let target = call.input(1)?;
    if target.rank() != 1 {
        return Err("the new shape is no list".into());
    }
    let target = list_of(target)?;
    let zero_is_zero = call.flag("allowzero", false)?;
    let mut shape = Vec::new();
    let mut free = None;
    if target.len() > MAX_RANK {
        return Err(format!(
            "{} dimensions; at most {MAX_RANK} are evaluated",
            target.len()
        ));
    }
    for (i, &d) in target.iter().enumerate() {
        shape.push(match d {
            0 if !zero_is_zero => *x
                .shape()
                .get(i)
                .ok_or_else(|| format!("dimension {i} is copied, and missing"))?,
            -1 if free.replace(i).is_none() => 1,
            -1 => return Err("two dimensions are left free".into()),
            d => size(d)?,
        });
    }
    if let Some(i) = free {
        let rest = volume(&shape)?;
        if rest == 0 || !x.len().is_multiple_of(rest) {
            return Err(format!("{:?} does not reshape to {target:?}", x.shape()));
        }
        shape[i] = x.len() / rest;
    }
    one(x.with_shape(shape)?)
}

fn flatten(call: &Call) -> Made {
    let x = call.input(0)?;
    let split = call.int("axis", 1);
    let at = if split == x.rank() as i64 {
        x.rank()
    } else {
        axis(split, x.rank())?
    };
    let (before, behind) = x.shape().split_at(at);
    one(x.with_shape(vec![volume(before)?, volume(behind)?])?)
}

fn squeeze(call: &Call) -> Made {
    let x = call.input(0)?;
    let removed = match call.list("axes", 1)? {
        Some(list) => axes(&list, x.rank())?,
        None => (0..x.rank()).filter(|&d| x.shape()[d] == 1).collect(),
    };
    if let Some(&d) = removed.iter().find(|&&d| x.shape()[d] != 1) {
        return Err(format!("dimension {d} is {}, not 1", x.shape()[d]));
    }
    let kept = x.shape().iter().enumerate().filter(|(d, _)| !removed.contains(d));
    one(x.with_shape(kept.map(|(_, &n)| n).collect())?)
}

fn unsqueeze(call: &Call) -> Made {
    let x = call.input(0)?;
    let list = call.list("axes", 1)?.ok_or("there are no axes")?;
    let rank = x.rank() + list.len();
    if rank > MAX_RANK {
        return Err(format!("{rank} dimensions; at most {MAX_RANK} are evaluated"));
    }
    let added = axes(&list, rank)?;
    let mut old = x.shape().iter();
    let dims = (0..rank).map(|d| {
        if added.contains(&d) {
            1
        } else {
            old.next().copied().unwrap_or(1)
        }
    });
    one(x.with_shape(dims.collect())?)
}

fn transpose(call: &Call) -> Made {
    let x = call.input(0)?;
    let order = match call.ints("perm") {
        Some(list) if list.len() == x.rank() && list.iter().all(|&d| d >= 0) => axes(list, x.rank())?,
        Some(list) => return Err(format!("perm {list:?} of {} dimensions", x.rank())),
        None => (0..x.rank()).rev().collect(),
    };
    one(permuted(call, x, &order)?)
}

/// The axes in another order.
pub(super) fn permuted(call: &Call, x: &Tensor, order: &[usize]) -> Step<Tensor> {
    let by = signed(&strides(x.shape()));
    let shape = order.iter().map(|&d| x.shape()[d]).collect();
    let by: Vec<isize> = order.iter().map(|&d| by[d]).collect();
    walked(call, x, shape, 0, &by)
}

fn expand(call: &Call) -> Made {
    let x = call.input(0)?;
    let wanted = list_of(call.input(1)?)?;
    let wanted: Vec<usize> = wanted.into_iter().map(size).collect::<Step<_>>()?;
    volume(&wanted)?;
    let shape = broadcast(x.shape(), &wanted)?;
    let by = signed(&broadcast_strides(x.shape(), &shape)?);
    one(walked(call, x, shape, 0, &by)?)
}

/// Every axis becomes two, of repeats and of values, which are one again in the result.
fn tile(call: &Call) -> Made {
    let x = call.input(0)?;
    let repeats: Vec<usize> = list_of(call.input(1)?)?
        .into_iter()
        .map(size)
        .collect::<Step<_>>()?;
    if repeats.len() != x.rank() {
        return Err(format!("{} repeats of {} dimensions", repeats.len(), x.rank()));
    }
    let sizes = x.shape().iter().zip(&repeats).map(|(&n, &r)| n.checked_mul(r));
    let shape: Vec<usize> = sizes.collect::<Option<_>>().ok_or("too many repeats")?;
    if call.room(&shape)? == 0 {
        return one(Tensor::make(
            x.element(),
            shape,
            each_kind!(x.values(), v => v[..0].to_vec()),
        )?);
    }
    // Axes that are repeated, the last first.
    let mut tensor = x.clone();
    for (d, &r) in repeats.iter().enumerate().rev().filter(|&(_, &r)| r != 1) {
        let (before, along, behind) = layout::around(tensor.shape(), d);
        let mut made = tensor.shape().to_vec();
        made[d] *= r;
        let run = along * behind;
        let by = [run as isize, 0, 1];
        let values: Values = each_kind!(tensor.values(), v => layout::gather(v, &[before, r, run], 0, &by)?);
        tensor = Tensor::make(x.element(), made, values)?;
    }
    one(tensor)
}

fn shape(call: &Call) -> Made {
    let x = call.input(0)?;
    let rank = x.rank() as i64;
    let bound = |name: &str, default: i64| {
        let at = call.int(name, default);
        (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank)
    };
    let (start, end) = (bound("start", 0) as usize, bound("end", rank) as usize);
    let dims = x.shape().get(start..end).unwrap_or_default();
    let list: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
    one(Tensor::int64(vec![list.len()], list)?)
}

/// Outside of training it passes its input; the mask is all true.
fn dropout(call: &Call) -> Made {
    let x = call.input(0)?;
    if let Some(training) = call.optional(2)
        && training.bools()?.first() == Some(&true)
    {
        let ratio = call.optional(1).map_or(Ok(0.5), Tensor::one_number)?;
        if ratio != 0.0 {
            return Err("in training it is random".into());
        }
    }
    let mask = Tensor::bool(x.shape().to_vec(), vec![true; x.len()])?;
    Ok(vec![x.clone(), mask])
}

/// `[N, C, H, W]` and the size of the blocks.
fn blocks<'a>(call: &Call<'a>) -> Step<(&'a Tensor, [usize; 4], usize)> {
    let x = call.input(0)?;
    let block = size(call.int("blocksize", 0))?;
    match *x.shape() {
        [n, c, h, w] if block > 0 && block < 1 << 16 => Ok((x, [n, c, h, w], block)),
        _ => Err(format!("blocks of {block} in the shape {:?}", x.shape())),
    }
}

fn depth_to_space(call: &Call) -> Made {
    let (x, [n, c, h, w], b) = blocks(call)?;
    if !c.is_multiple_of(b * b) {
        return Err(format!("{c} channels in blocks of {b}"));
    }
    let rest = c / (b * b);
    let (split, order) = match call.text("mode", "DCR") {
        "DCR" => ([n, b, b, rest, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, rest, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        other => return Err(format!("mode is `{other}`")),
    };
    let moved = permuted(call, &x.with_shape(split.to_vec())?, &order)?;
    one(moved.with_shape(vec![n, rest, h * b, w * b])?)
}

fn space_to_depth(call: &Call) -> Made {
    let (x, [n, c, h, w], b) = blocks(call)?;
    if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
        return Err(format!("planes of {h} by {w} in blocks of {b}"));
    }
    let split = x.with_shape(vec![n, c, h / b, b, w / b, b])?;
    let moved = permuted(call, &split, &[0, 3, 5, 1, 2, 4])?;
    one(moved.with_shape(vec![n, c * b * b, h / b, w / b])?)
}
