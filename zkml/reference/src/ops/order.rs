//! Sums along the way, and orders of values.

use super::{Call, Made, Operator, Tensor, each_kind, one, op, size};
use crate::{
    Values,
    attribute::int,
    layout::{around, axis},
};

pub(super) const OPERATORS: &[Operator] = &[
    op("CumProd", 2, 2, |c| {
        cumulate(c, 1.0, |p, x| p * x, i64::wrapping_mul)
    })
    .since(26)
    .attributes(&[int("exclusive"), int("reverse")]),
    op("CumSum", 2, 2, |c| {
        cumulate(c, 0.0, |s, x| s + x, i64::wrapping_add)
    })
    .since(11)
    .attributes(&[int("exclusive"), int("reverse")]),
    op("ReverseSequence", 2, 2, reverse_sequence)
        .since(10)
        .attributes(&[int("batch_axis"), int("time_axis")]),
    op("TopK", 1, 2, top_k).since(1).attributes(&[
        int("axis"),
        int("k").before(10),
        int("largest").from(11),
        int("sorted").from(11),
    ]),
];

fn cumulate(call: &Call, begin: f64, f: fn(f64, f64) -> f64, i: fn(i64, i64) -> i64) -> Made {
    let x = call.input(0)?;
    let along = axis(call.input(1)?.one_int()?, x.rank())?;
    let (exclusive, reverse) = (call.flag("exclusive", false)?, call.flag("reverse", false)?);
    call.room(x.shape())?;
    let (before, n, behind) = around(x.shape(), along);
    fn run<T: Copy>(
        v: &[T],
        (before, n, behind): (usize, usize, usize),
        (exclusive, reverse): (bool, bool),
        begin: T,
        f: impl Fn(T, T) -> T,
    ) -> Vec<T> {
        let mut made = v.to_vec();
        for b in 0..before {
            for p in 0..behind {
                let mut sum = begin;
                for k in 0..n {
                    let k = if reverse { n - 1 - k } else { k };
                    let at = (b * n + k) * behind + p;
                    let next = f(sum, v[at]);
                    made[at] = if exclusive { sum } else { next };
                    sum = next;
                }
            }
        }
        made
    }
    let (walk, how) = ((before, n, behind), (exclusive, reverse));
    let values = match x.values() {
        Values::Float(v) => Values::Float(run(v, walk, how, begin, f)),
        Values::Int(v) => Values::Int(run(v, walk, how, begin as i64, |s, v| x.element().wrap(i(s, v)))),
        Values::Bool(_) => return Err("booleans have no sum".into()),
    };
    one(Tensor::make(x.element(), x.shape().to_vec(), values)?)
}

/// The first values of each batch in reverse order, as many as the list says.
fn reverse_sequence(call: &Call) -> Made {
    let (x, lengths) = (call.input(0)?, call.input(1)?);
    let (batch, time) = (call.int("batch_axis", 1), call.int("time_axis", 0));
    let ((0, 1) | (1, 0)) = (batch, time) else {
        return Err(format!("batch axis {batch}, time axis {time}"));
    };
    let [first, second, rest @ ..] = x.shape() else {
        return Err("fewer than two dimensions".into());
    };
    let (batches, times) = if batch == 0 {
        (*first, *second)
    } else {
        (*second, *first)
    };
    let inner: usize = rest.iter().product();
    let lengths = lengths.ints()?;
    if lengths.len() != batches || lengths.iter().any(|&l| l < 0 || l as usize > times) {
        return Err(format!("lengths {lengths:?} of {batches} batches of {times}"));
    }
    call.room(x.shape())?;
    let place = |b: usize, t: usize| {
        if batch == 0 {
            (b * times + t) * inner
        } else {
            (t * batches + b) * inner
        }
    };
    let mut source: Vec<usize> = (0..x.len()).collect();
    for (b, &length) in lengths.iter().enumerate() {
        let length = length as usize;
        for t in 0..length {
            let (to, from) = (place(b, t), place(b, length - 1 - t));
            (0..inner).for_each(|i| source[to + i] = from + i);
        }
    }
    let values: Values = each_kind!(x.values(), v => source.iter().map(|&s| v[s]).collect());
    one(Tensor::make(x.element(), x.shape().to_vec(), values)?)
}

/// The greatest or least values along an axis and their indices; of equals the one with the lower index first.
fn top_k(call: &Call) -> Made {
    let x = call.input(0)?;
    let along = axis(call.int("axis", -1), x.rank())?;
    let k = match call.optional(1) {
        Some(k) => size(k.one_int()?)?,
        None if call.int("k", -1) < 0 => {
            return Err("it has neither an input `K` nor an attribute `k`".into());
        }
        None => size(call.int("k", -1))?,
    };
    let largest = call.flag("largest", true)?;
    call.flag("sorted", true)?;
    let (before, n, behind) = around(x.shape(), along);
    if k > n {
        return Err(format!("the first {k} of {n} values"));
    }
    // Sorting: a step per value and level.
    call.touch(x.len().saturating_mul(1 + n.max(2).ilog2() as usize))?;
    let mut shape = x.shape().to_vec();
    shape[along] = k;
    let len = call.room(&shape)?;
    let element = x.element();
    let (mut source, mut indices) = (vec![0usize; len], vec![0i64; len]);
    for b in 0..before {
        for p in 0..behind {
            let at = |i: usize| (b * n + i) * behind + p;
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&i, &j| {
                let (i, j) = if largest { (j, i) } else { (i, j) };
                match x.values() {
                    Values::Float(v) => v[at(i)].total_cmp(&v[at(j)]),
                    Values::Int(v) => element.number(v[at(i)]).cmp(&element.number(v[at(j)])),
                    Values::Bool(v) => v[at(i)].cmp(&v[at(j)]),
                }
            });
            for (i, &from) in order.iter().take(k).enumerate() {
                let to = (b * k + i) * behind + p;
                source[to] = at(from);
                indices[to] = from as i64;
            }
        }
    }
    let values: Values = each_kind!(x.values(), v => source.iter().map(|&s| v[s]).collect());
    Ok(vec![
        Tensor::make(element, shape.clone(), values)?,
        Tensor::int64(shape, indices)?,
    ])
}
