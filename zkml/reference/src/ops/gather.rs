//! Values picked by indices, and values put where indices say.

use super::{Call, Made, Operator, Step, Tensor, each_kind, one, op, same_type, size};
use crate::{
    ElementType, Values,
    attribute::{Declared, int, text},
    layout::{around, axis, strides},
    limits::volume,
};

const SCATTER: &[Declared] = &[int("axis"), text("reduction").from(16)];

pub(super) const OPERATORS: &[Operator] = &[
    op("Compress", 2, 2, compress).since(9).attributes(&[int("axis")]),
    op("Gather", 2, 2, gather).since(1).attributes(&[int("axis")]),
    op("GatherElements", 2, 2, gather_elements)
        .since(11)
        .attributes(&[int("axis")]),
    op("GatherND", 2, 2, gather_nd)
        .since(11)
        .attributes(&[int("batch_dims").from(12)]),
    op("NonZero", 1, 1, nonzero).since(9),
    op("Scatter", 3, 3, scatter_elements)
        .since(9)
        .until(11)
        .attributes(&[int("axis")]),
    op("ScatterElements", 3, 3, scatter_elements)
        .since(11)
        .attributes(SCATTER),
    op("ScatterND", 3, 3, scatter_nd)
        .since(11)
        .attributes(&[text("reduction").from(16)]),
    op("TensorScatter", 2, 3, tensor_scatter)
        .since(24)
        .attributes(&[int("axis"), text("mode")]),
];

/// An index in `-size..size`, counted from the end where negative.
fn place(index: i64, size: usize) -> Step<usize> {
    let at = if index < 0 {
        index.saturating_add(size as i64)
    } else {
        index
    };
    match usize::try_from(at) {
        Ok(at) if at < size => Ok(at),
        _ => Err(format!("index {index} of {size} values")),
    }
}

fn indices<'a>(call: &Call<'a>, i: usize) -> Step<&'a Tensor> {
    let tensor = call.input(i)?;
    match tensor.element() {
        ElementType::Int32 | ElementType::Int64 => Ok(tensor),
        other => Err(format!("indices of type {other}")),
    }
}

fn gather(call: &Call) -> Made {
    let (x, list) = (call.input(0)?, indices(call, 1)?);
    let along = axis(call.int("axis", 0), x.rank())?;
    one(picked(call, x, along, list.ints()?, list.shape())?)
}

/// The slices at `list` along an axis, which becomes the axes of `list_shape`.
fn picked(call: &Call, x: &Tensor, along: usize, list: &[i64], list_shape: &[usize]) -> Step<Tensor> {
    let (before, count, behind) = around(x.shape(), along);
    let mut shape = x.shape()[..along].to_vec();
    shape.extend_from_slice(list_shape);
    shape.extend_from_slice(&x.shape()[along + 1..]);
    let len = call.room(&shape)?;
    let places: Vec<usize> = list.iter().map(|&i| place(i, count)).collect::<Step<_>>()?;
    fn pick<T: Copy>(
        v: &[T],
        places: &[usize],
        (before, count, behind): (usize, usize, usize),
        len: usize,
    ) -> Vec<T> {
        let mut made = Vec::with_capacity(len);
        if len > 0 {
            for b in 0..before {
                for p in places {
                    let at = (b * count + p) * behind;
                    made.extend_from_slice(&v[at..at + behind]);
                }
            }
        }
        made
    }
    let values: Values = each_kind!(x.values(), v => pick(v, &places, (before, count, behind), len));
    Tensor::make(x.element(), shape, values)
}

/// For each place of the indices, the place of the data that it names: its own, but along the axis.
fn element_places(call: &Call, data: &Tensor, list: &Tensor) -> Step<Vec<usize>> {
    let along = axis(call.int("axis", 0), data.rank())?;
    let by = strides(data.shape());
    let fits =
        (0..data.rank()).all(|d| d == along || list.shape().get(d).is_some_and(|&n| n <= data.shape()[d]));
    if list.rank() != data.rank() || !fits {
        return Err(format!(
            "indices of shape {:?} for {:?}",
            list.shape(),
            data.shape()
        ));
    }
    call.room(list.shape())?;
    let own = strides(list.shape());
    let places = list.ints()?.iter().enumerate().map(|(i, &index)| {
        let mut at = place(index, data.shape()[along])? * by[along];
        for d in (0..by.len()).filter(|&d| d != along) {
            at += i / own[d] % list.shape()[d] * by[d];
        }
        Ok(at)
    });
    places.collect()
}

fn gather_elements(call: &Call) -> Made {
    let (x, list) = (call.input(0)?, indices(call, 1)?);
    let places = element_places(call, x, list)?;
    let values: Values = each_kind!(x.values(), v => places.iter().map(|&p| v[p]).collect());
    one(Tensor::make(x.element(), list.shape().to_vec(), values)?)
}

/// The starts of the slices of `shape[from..]` that the index tuples name, and the length of each slice. `batch` gives
/// the start of the tuple's own batch.
fn slices(
    shape: &[usize],
    from: usize,
    list: &Tensor,
    batch: impl Fn(usize) -> usize,
) -> Step<(Vec<usize>, usize)> {
    let width = *list.shape().last().ok_or("the indices are a scalar")?;
    let dims = shape.get(from..from + width);
    let dims = dims.ok_or_else(|| format!("indices of {width} numbers for the shape {shape:?}"))?;
    let by = strides(shape);
    let slice = volume(&shape[from + width..])?;
    let count = volume(&list.shape()[..list.rank() - 1])?;
    let values = list.ints()?;
    let starts = (0..count).map(|i| {
        let mut at = batch(i);
        for (d, (&size, by)) in dims.iter().zip(&by[from..]).enumerate() {
            at += place(values[i * width + d], size)? * by;
        }
        Ok(at)
    });
    Ok((starts.collect::<Step<_>>()?, slice))
}

fn gather_nd(call: &Call) -> Made {
    let (x, list) = (call.input(0)?, call.input(1)?);
    let batches = size(call.int("batch_dims", 0))?;
    let (Some(a), Some(b)) = (x.shape().get(..batches), list.shape().get(..batches)) else {
        return Err(format!("{batches} dimensions of batches"));
    };
    if a != b || batches >= list.rank() {
        return Err(format!("batches of shape {a:?} and {b:?}"));
    }
    let width = list.shape()[list.rank() - 1];
    let rest = x
        .shape()
        .get(batches.saturating_add(width)..)
        .ok_or("the indices are too long")?;
    let mut shape = list.shape()[..list.rank() - 1].to_vec();
    shape.extend_from_slice(rest);
    let len = call.room(&shape)?;
    if len == 0 {
        return one(Tensor::make(
            x.element(),
            shape,
            each_kind!(x.values(), v => v[..0].to_vec()),
        )?);
    }
    // Tuples of one batch, and values of one batch.
    let (tuples, values_each) = (
        volume(&list.shape()[batches..list.rank() - 1])?,
        volume(&x.shape()[batches..])?,
    );
    let (starts, slice) = slices(x.shape(), batches, list, |i| i / tuples * values_each)?;
    fn pick<T: Copy>(v: &[T], starts: &[usize], slice: usize) -> Vec<T> {
        starts.iter().flat_map(|&s| &v[s..s + slice]).copied().collect()
    }
    let values: Values = each_kind!(x.values(), v => pick(v, &starts, slice));
    one(Tensor::make(x.element(), shape, values)?)
}

/// What becomes of a value where another is put.
fn put<T: Copy>(made: &mut [T], places: impl Iterator<Item = usize>, updates: &[T], f: impl Fn(T, T) -> T) {
    for (at, &u) in places.zip(updates) {
        made[at] = f(made[at], u);
    }
}

fn scattered(call: &Call, x: &Tensor, updates: &Tensor, places: &[usize]) -> Step<Tensor> {
    same_type(x, updates)?;
    call.room(x.shape())?;
    let e = x.element();
    let reduction = call.text("reduction", "none");
    let mut values = x.values().clone();
    let places = places.iter().copied();
    match (&mut values, updates.values(), reduction) {
        (Values::Float(v), Values::Float(u), "none") => put(v, places, u, |_, u| u),
        (Values::Int(v), Values::Int(u), "none") => put(v, places, u, |_, u| u),
        (Values::Bool(v), Values::Bool(u), "none") => put(v, places, u, |_, u| u),
        (Values::Float(v), Values::Float(u), "add") => put(v, places, u, |v, u| v + u),
        (Values::Float(v), Values::Float(u), "mul") => put(v, places, u, |v, u| v * u),
        (Values::Float(v), Values::Float(u), "max") => put(v, places, u, super::binary::maximum),
        (Values::Float(v), Values::Float(u), "min") => put(v, places, u, super::binary::minimum),
        (Values::Int(v), Values::Int(u), "add") => put(v, places, u, |v, u| e.wrap(v.wrapping_add(u))),
        (Values::Int(v), Values::Int(u), "mul") => put(v, places, u, |v, u| e.wrap(v.wrapping_mul(u))),
        (Values::Int(v), Values::Int(u), "max") => {
            put(v, places, u, |v, u| if e.number(u) > e.number(v) { u } else { v });
        }
        (Values::Int(v), Values::Int(u), "min") => {
            put(v, places, u, |v, u| if e.number(u) < e.number(v) { u } else { v });
        }
        (_, _, other) => return Err(format!("reduction is `{other}` on {e}")),
    }
    Tensor::make(e, x.shape().to_vec(), values)
}

fn scatter_elements(call: &Call) -> Made {
    let (x, list, updates) = (call.input(0)?, indices(call, 1)?, call.input(2)?);
    if list.shape() != updates.shape() {
        return Err(format!(
            "indices of shape {:?} for updates of {:?}",
            list.shape(),
            updates.shape()
        ));
    }
    let places = element_places(call, x, list)?;
    one(scattered(call, x, updates, &places)?)
}

fn scatter_nd(call: &Call) -> Made {
    let (x, list, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (starts, slice) = slices(x.shape(), 0, list, |_| 0)?;
    let width = list.shape()[list.rank() - 1];
    let mut wanted = list.shape()[..list.rank() - 1].to_vec();
    wanted.extend_from_slice(&x.shape()[width..]);
    if updates.shape() != wanted {
        return Err(format!("updates of shape {:?}, not {wanted:?}", updates.shape()));
    }
    call.room(&wanted)?;
    let places: Vec<usize> = starts.iter().flat_map(|&s| s..s + slice).collect();
    one(scattered(call, x, updates, &places)?)
}

/// A cache whose slices along an axis, from an index of each sample's own, are those of an update.
fn tensor_scatter(call: &Call) -> Made {
    let (cache, update) = (call.input(0)?, call.input(1)?);
    same_type(cache, update)?;
    let along = axis(call.int("axis", -2), cache.rank())?;
    let circular = match call.text("mode", "linear") {
        "linear" => false,
        "circular" => true,
        other => return Err(format!("mode is `{other}`")),
    };
    let mut wanted = cache.shape().to_vec();
    wanted[along] = update.shape().get(along).copied().unwrap_or(0);
    if along == 0 || update.shape() != wanted || wanted[along] > cache.shape()[along] {
        return Err(format!(
            "an update of shape {:?} along axis {along} of a cache of {:?}",
            update.shape(),
            cache.shape()
        ));
    }
    let begins = match call.optional(2) {
        Some(list) => list.ints()?.to_vec(),
        None => vec![0; wanted[0]],
    };
    if begins.len() != wanted[0] {
        return Err(format!("{} indices for {} samples", begins.len(), wanted[0]));
    }
    call.room(cache.shape())?;
    let (rows, length, width) = around(cache.shape(), along);
    let count = wanted[along];
    let mut places = Vec::new();
    for row in 0..rows {
        let begin = begins[row / (rows / begins.len().max(1)).max(1)];
        for step in 0..count {
            let at = begin.saturating_add(step as i64);
            let at = match circular {
                true => at.rem_euclid((length as i64).max(1)),
                false => at,
            };
            let at = place(at, length)?;
            places.extend((0..width).map(|i| (row * length + at) * width + i));
        }
    }
    one(scattered(call, cache, update, &places)?)
}

/// The slices along an axis, or the values of all, where the condition is true.
fn compress(call: &Call) -> Made {
    let (x, condition) = (call.input(0)?, call.input(1)?);
    let chosen = condition.bools()?.iter().enumerate().filter(|&(_, &c)| c);
    let list: Vec<i64> = chosen.map(|(i, _)| i as i64).collect();
    if call.has("axis") {
        let along = axis(call.int("axis", 0), x.rank())?;
        return one(picked(call, x, along, &list, &[list.len()])?);
    }
    let flat = x.with_shape(vec![x.len()])?;
    one(picked(call, &flat, 0, &list, &[list.len()])?)
}

/// The indices of the values that are not 0, one column each.
fn nonzero(call: &Call) -> Made {
    let x = call.input(0)?;
    let found: Vec<usize> = (0..x.len()).filter(|&i| x.number(i) != 0.0).collect();
    let own = strides(x.shape());
    call.touch(x.len())?;
    call.room(&[x.rank(), found.len()])?;
    let mut made = Vec::new();
    for (&n, &by) in x.shape().iter().zip(&own) {
        made.extend(found.iter().map(|&i| (i / by % n) as i64));
    }
    one(Tensor::int64(vec![x.rank(), found.len()], made)?)
}
