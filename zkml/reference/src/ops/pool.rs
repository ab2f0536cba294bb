//! Pools. A window is a product of intervals, so maxima and sums are taken along one axis after the other.

use super::{
    Call, ElementType, Made, Operator, Step, Tensor,
    binary::maximum,
    list_of, one, op, size,
    window::{Attributes, Axis, axes, kernel},
};
use crate::{
    Values,
    attribute::{int, ints, text},
    layout::{around, strides as strides_of},
    limits::volume,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("AveragePool", 1, 1, average).since(1).attributes(&[
        text("auto_pad"),
        int("ceil_mode").from(10),
        int("count_include_pad").from(7),
        ints("dilations").from(19),
        ints("kernel_shape"),
        ints("pads"),
        ints("strides"),
    ]),
    op("GlobalAveragePool", 1, 1, global_average).since(1),
    op("GlobalLpPool", 1, 1, global_lp)
        .since(2)
        .attributes(&[int("p")]),
    op("GlobalMaxPool", 1, 1, global_max).since(1),
    op("LpPool", 1, 1, lp).since(2).attributes(&[
        text("auto_pad"),
        int("ceil_mode").from(18),
        ints("dilations").from(18),
        ints("kernel_shape"),
        int("p"),
        ints("pads"),
        ints("strides"),
    ]),
    op("MaxPool", 1, 1, max).since(1).attributes(&[
        text("auto_pad"),
        int("ceil_mode").from(10),
        ints("dilations").from(10),
        ints("kernel_shape"),
        ints("pads"),
        int("storage_order").from(8),
        ints("strides"),
    ]),
    op("MaxUnpool", 2, 3, max_unpool).since(9).attributes(&[
        ints("kernel_shape"),
        ints("pads"),
        ints("strides"),
    ]),
];

/// Zeros of the shape that a pool would have read, with the values at the places that the pool's indices name; more zeros
/// behind them where a larger shape is asked for.
fn max_unpool(call: &Call) -> Made {
    let (x, list) = (call.input(0)?, call.input(1)?);
    let [batch, channels, pooled @ ..] = x.shape() else {
        return Err(format!("an input of shape {:?}", x.shape()));
    };
    if list.shape() != x.shape() {
        return Err(format!("indices of shape {:?} for {:?}", list.shape(), x.shape()));
    }
    let kernel = kernel(call, None)?;
    let Attributes { strides, pads, .. } = Attributes::read(call, pooled.len())?;
    if kernel.len() != pooled.len() {
        return Err(format!("a kernel of {} dimensions", kernel.len()));
    }
    let mut shape = vec![*batch, *channels];
    for (d, &n) in pooled.iter().enumerate() {
        let reach = n
            .saturating_sub(1)
            .saturating_mul(strides[d])
            .saturating_add(kernel[d]);
        let read = reach.checked_sub(pads[d] + pads[pooled.len() + d]);
        shape.push(read.ok_or("a pool that reads padding alone")?);
    }
    let mut values = vec![0.0; call.room(&shape)?];
    for (&at, &v) in list.ints()?.iter().zip(x.floats()?) {
        let at = usize::try_from(at).ok();
        let value = at.and_then(|at| values.get_mut(at));
        *value.ok_or("an index outside of the result")? = v;
    }
    let Some(wanted) = call.optional(2) else {
        return one(Tensor::make(x.element(), shape, Values::Float(values))?);
    };
    let wanted = list_of(wanted)?.into_iter().map(size).collect::<Step<Vec<_>>>()?;
    if wanted.len() != shape.len() || wanted.iter().zip(&shape).any(|(w, n)| w < n) {
        return Err(format!("a result of shape {wanted:?} for one of {shape:?}"));
    }
    let mut larger = vec![0.0; call.room(&wanted)?];
    let by = strides_of(&wanted);
    let inner = shape.last().copied().unwrap_or(1).max(1);
    for (row, part) in values.chunks(inner).enumerate() {
        let (mut rest, mut at) = (row, 0);
        for d in (0..shape.len() - 1).rev() {
            at += rest % shape[d] * by[d];
            rest /= shape[d];
        }
        larger[at..at + part.len()].copy_from_slice(part);
    }
    one(Tensor::make(x.element(), wanted, Values::Float(larger))?)
}

/// The axes of an input `[N, C, …]`, and the shape that is made.
fn windows(call: &Call, x: &Tensor) -> Step<(Vec<Axis>, Vec<usize>)> {
    let [batch, channels, input @ ..] = x.shape() else {
        return Err(format!("an input of shape {:?}", x.shape()));
    };
    let axes = axes(call, input, &kernel(call, None)?)?;
    let mut shape = vec![*batch, *channels];
    shape.extend(axes.iter().map(|a| a.output));
    let len = call.room(&shape)?;
    let taps = axes.iter().fold(0usize, |n, a| n.saturating_add(a.kernel));
    call.touch(len.max(x.len()).saturating_mul(taps) / 4)?;
    Ok((axes, shape))
}

/// Folds the windows, axis after axis.
fn fold<T: Copy>(x: &[T], shape: &[usize], axes: &[Axis], begin: T, f: impl Fn(T, T) -> T) -> Step<Vec<T>> {
    let mut shape = shape.to_vec();
    let mut values = x.to_vec();
    for (i, axis) in axes.iter().enumerate() {
        let (before, along, behind) = around(&shape, i + 2);
        shape[i + 2] = axis.output;
        let mut made = vec![begin; volume(&shape)?];
        if behind == 0 || along == 0 || made.is_empty() {
            values = made;
            continue;
        }
        let blocks = values.chunks_exact(along * behind);
        for (block, out) in blocks
            .zip(made.chunks_exact_mut(axis.output * behind))
            .take(before)
        {
            for k in 0..axis.kernel {
                let (from, to, place) = axis.windows(k);
                if behind == 1 {
                    let read = block[place.min(along)..].iter().step_by(axis.stride);
                    out[from..to]
                        .iter_mut()
                        .zip(read)
                        .for_each(|(o, &v)| *o = f(*o, v));
                } else {
                    for o in from..to {
                        let read = &block[(place + (o - from) * axis.stride) * behind..][..behind];
                        let row = out[o * behind..(o + 1) * behind].iter_mut();
                        row.zip(read).for_each(|(o, &v)| *o = f(*o, v));
                    }
                }
            }
        }
        values = made;
    }
    Ok(values)
}

fn max(call: &Call) -> Made {
    let x = call.input(0)?;
    let (axes, shape) = windows(call, x)?;
    let element = x.element();
    let values = match x.values() {
        Values::Float(v) => Values::Float(fold(v, x.shape(), &axes, f64::NEG_INFINITY, maximum)?),
        Values::Int(v) if matches!(element, ElementType::Int8 | ElementType::Uint8) => {
            Values::Int(fold(v, x.shape(), &axes, element.range().0 as i64, i64::max)?)
        }
        _ => return Err(format!("{element} is not pooled")),
    };
    let mut made = vec![Tensor::make(element, shape.clone(), values)?];
    if call.asked() > 1 {
        made.push(indices(call, x, &axes, shape)?);
    }
    Ok(made)
}

/// Where in the whole input each maximum stands; the first of equals.
fn indices(call: &Call, x: &Tensor, axes: &[Axis], shape: Vec<usize>) -> Step<Tensor> {
    let columns_first = call.flag("storage_order", false)?;
    let input = &x.shape()[2..];
    let (plane, positions) = (volume(input)?, volume(&shape[2..])?);
    let taps: usize = axes.iter().map(|a| a.kernel).product();
    call.touch(volume(&shape)?.saturating_mul(taps).saturating_mul(axes.len()))?;
    let mut made = Vec::new();
    for i in 0..shape[0] * shape[1] {
        for position in 0..positions {
            let mut best = None;
            'taps: for tap in 0..taps {
                let (mut o, mut k) = (position, tap);
                let (mut at, mut stride) = (0, 1);
                for axis in axes.iter().rev() {
                    let Some(place) = axis.place(o % axis.output, k % axis.kernel) else {
                        continue 'taps;
                    };
                    at += place * stride;
                    stride *= axis.input;
                    o /= axis.output;
                    k /= axis.kernel;
                }
                let value = x.number(i * plane + at);
                if best.is_none_or(|(greatest, _)| value > greatest) {
                    best = Some((value, at));
                }
            }
            let at = best.map_or(0, |(_, at)| at);
            let at = if columns_first { transposed(at, input) } else { at };
            made.push((i * plane + at) as i64);
        }
    }
    Tensor::int64(shape, made)
}

/// The place in a plane counted with the first axis fastest.
fn transposed(mut at: usize, input: &[usize]) -> usize {
    let mut found = 0;
    for &d in input.iter().rev() {
        found = found * d + at % d;
        at /= d;
    }
    found
}

fn average(call: &Call) -> Made {
    let x = call.input(0)?;
    let (axes, shape) = windows(call, x)?;
    let mut sums = fold(x.floats()?, x.shape(), &axes, 0.0, |sum, v| sum + v)?;
    let with_padding = call.flag("count_include_pad", false)?;
    let taps = axes.iter().map(|a| a.output.saturating_mul(a.kernel));
    call.touch(taps.fold(0, usize::saturating_add))?;
    // A window counts a product of places: of the input, or of it and its stated padding, but never what lies beyond.
    let counts: Vec<Vec<f64>> = axes.iter().map(|a| counts(a, with_padding)).collect();
    let positions = volume(&shape[2..])?;
    let divisors: Vec<f64> = (0..positions)
        .map(|mut position| {
            let mut count = 1.0;
            for counts in counts.iter().rev() {
                count *= counts[position % counts.len()];
                position /= counts.len();
            }
            count
        })
        .collect();
    if positions > 0 {
        for plane in sums.chunks_exact_mut(positions) {
            plane.iter_mut().zip(&divisors).for_each(|(s, d)| *s /= d);
        }
    }
    one(Tensor::make(x.element(), shape, Values::Float(sums))?)
}

fn counts(axis: &Axis, with_padding: bool) -> Vec<f64> {
    let counted = |o: usize, k: usize| {
        if with_padding {
            o * axis.stride + k * axis.dilation < axis.begin + axis.input + axis.end
        } else {
            axis.place(o, k).is_some()
        }
    };
    let count = |o: usize| (0..axis.kernel).filter(|&k| counted(o, k)).count() as f64;
    (0..axis.output).map(count).collect()
}

/// The norm's exponent.
fn exponent(call: &Call) -> Step<f64> {
    match call.int("p", 2) {
        p if p >= 1 => Ok(p as f64),
        p => Err(format!("a norm of exponent {p}")),
    }
}

fn lp(call: &Call) -> Made {
    let (x, p) = (call.input(0)?, exponent(call)?);
    let (axes, shape) = windows(call, x)?;
    let powers: Vec<f64> = x.floats()?.iter().map(|v| v.abs().powf(p)).collect();
    let sums = fold(&powers, x.shape(), &axes, 0.0, |sum, v| sum + v)?;
    let made = sums.iter().map(|s| s.powf(1.0 / p)).collect();
    one(Tensor::make(x.element(), shape, Values::Float(made))?)
}

/// One value per plane.
fn global(call: &Call, f: impl Fn(&[f64]) -> f64) -> Made {
    let x = call.input(0)?;
    let (v, rank) = (x.floats()?, x.rank());
    call.touch(v.len())?;
    let [batch, channels, input @ ..] = x.shape() else {
        return Err(format!("an input of shape {:?}", x.shape()));
    };
    let plane = volume(input)?;
    let mut shape = vec![*batch, *channels];
    shape.resize(rank, 1);
    if plane == 0 {
        return Err("there is no value in a plane".into());
    }
    let made = v.chunks_exact(plane).map(f).collect();
    one(Tensor::make(x.element(), shape, Values::Float(made))?)
}

fn global_average(call: &Call) -> Made {
    global(call, |plane| plane.iter().sum::<f64>() / plane.len() as f64)
}

fn global_max(call: &Call) -> Made {
    global(call, |plane| {
        plane.iter().copied().fold(f64::NEG_INFINITY, maximum)
    })
}

fn global_lp(call: &Call) -> Made {
    let p = exponent(call)?;
    global(call, |plane| {
        plane.iter().map(|v| v.abs().powf(p)).sum::<f64>().powf(1.0 / p)
    })
}
