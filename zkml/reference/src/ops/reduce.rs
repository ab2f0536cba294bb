//! Reductions over axes.

use super::{
    Call, Made, Operator, Step, Tensor,
    binary::{maximum, minimum},
    one, op,
};
use crate::{
    ElementType, Values,
    attribute::{Declared, int, ints},
    layout::{around, axes, axis, rows, strides},
};

const SINCE_18: &[Declared] = &[
    ints("axes").before(18),
    int("keepdims"),
    int("noop_with_empty_axes").from(18),
];
const SINCE_13: &[Declared] = &[
    ints("axes").before(13),
    int("keepdims"),
    int("noop_with_empty_axes").from(13),
];
const ARG: &[Declared] = &[int("axis"), int("keepdims"), int("select_last_index").from(12)];

/// An operator that reduces over axes, which are an attribute before opset 18 and an input since.
const fn reduction(name: &'static str, run: fn(&Call) -> Made) -> Operator {
    op(name, 1, 2, run).since(1).attributes(SINCE_18)
}

pub(super) const OPERATORS: &[Operator] = &[
    op("ArgMax", 1, 1, |c| arg(c, |best, next| next > best))
        .since(1)
        .attributes(ARG),
    op("ArgMin", 1, 1, |c| arg(c, |best, next| next < best))
        .since(1)
        .attributes(ARG),
    reduction("ReduceL1", |c| reduce(c, L1)),
    reduction("ReduceL2", |c| reduce(c, L2)),
    reduction("ReduceLogSum", |c| reduce(c, LOG_SUM)),
    reduction("ReduceLogSumExp", log_sum_exp),
    reduction("ReduceMax", |c| extreme(c, MAX, |a, b| a | b, false)),
    reduction("ReduceMean", |c| reduce(c, MEAN)),
    reduction("ReduceMin", |c| extreme(c, MIN, |a, b| a & b, true)),
    reduction("ReduceProd", |c| reduce(c, PROD)),
    op("ReduceSum", 1, 2, |c| reduce(c, SUM))
        .since(1)
        .attributes(SINCE_13),
    reduction("ReduceSumSquare", |c| reduce(c, SUM_SQUARE)),
];

/// A reduction: what one value adds to what there is, from what it begins, and what becomes of the end.
#[derive(Clone, Copy)]
struct Reduction {
    begin: f64,
    float: fn(f64, f64) -> f64,
    end: fn(f64, f64) -> f64,
    /// The same for integers of a type.
    begin_int: fn(ElementType) -> i64,
    int: fn(ElementType, i64, i64) -> i64,
    end_int: fn(ElementType, i64, usize) -> Step<i64>,
}

const SUM: Reduction = Reduction {
    begin: 0.0,
    float: |sum, x| sum + x,
    end: |sum, _| sum,
    begin_int: |_| 0,
    int: |_, sum, x| sum.wrapping_add(x),
    end_int: |_, sum, _| Ok(sum),
};
const MEAN: Reduction = Reduction {
    end: |sum, count| sum / count,
    // Towards zero, as an integer division.
    end_int: |e, sum, count| {
        let mean = e.number(sum).checked_div(count as i128);
        mean.map(|m| m as i64)
            .ok_or_else(|| "the mean of no integers".into())
    },
    ..SUM
};
const PROD: Reduction = Reduction {
    begin: 1.0,
    float: |product, x| product * x,
    begin_int: |_| 1,
    int: |_, product, x| product.wrapping_mul(x),
    ..SUM
};
const L1: Reduction = Reduction {
    float: |sum, x| sum + x.abs(),
    int: |e, sum, x| sum.wrapping_add(e.number(x).abs() as i64),
    ..SUM
};
const SUM_SQUARE: Reduction = Reduction {
    float: |sum, x| sum + x * x,
    int: |_, sum, x| sum.wrapping_add(x.wrapping_mul(x)),
    ..SUM
};
const L2: Reduction = Reduction {
    end: |sum, _| sum.sqrt(),
    end_int: |e, sum, _| Ok((e.number(sum) as f64).sqrt() as i64),
    ..SUM_SQUARE
};
const LOG_SUM: Reduction = Reduction {
    end: |sum, _| sum.ln(),
    end_int: |_, _, _| Err("the logarithm of integers is not evaluated".into()),
    ..SUM
};
const MAX: Reduction = Reduction {
    begin: f64::NEG_INFINITY,
    float: maximum,
    begin_int: |e| e.range().0 as i64,
    int: |e, best, x| if e.number(x) > e.number(best) { x } else { best },
    ..SUM
};
const MIN: Reduction = Reduction {
    begin: f64::INFINITY,
    float: minimum,
    begin_int: |e| e.range().1 as i64,
    int: |e, best, x| if e.number(x) < e.number(best) { x } else { best },
    ..SUM
};

/// Where a reduction goes: the shape that is left, and each axis of the input in it.
struct Target {
    shape: Vec<usize>,
    /// Values that are left, and strides of the input's axes among them: 0 for those that are reduced.
    len: usize,
    by: Vec<usize>,
    /// Values that become one.
    count: usize,
}

/// None where nothing is reduced because the node says so.
fn target(call: &Call, shape: &[usize]) -> Step<Target> {
    let keep = call.flag("keepdims", true)?;
    let given = call.list("axes", 1)?.unwrap_or_default();
    let mut reduced = axes(&given, shape.len())?;
    if given.is_empty() && !call.flag("noop_with_empty_axes", false)? {
        reduced = (0..shape.len()).collect();
    }
    let is = |d: usize| reduced.contains(&d);
    let kept: Vec<usize> = shape
        .iter()
        .enumerate()
        .map(|(d, &n)| if is(d) { 1 } else { n })
        .collect();
    let mut by = strides(&kept);
    reduced.iter().for_each(|&d| by[d] = 0);
    let len = call.room(&kept)?;
    let count = reduced.iter().fold(1usize, |n, &d| n.saturating_mul(shape[d]));
    let left = kept.iter().enumerate().filter(|&(d, _)| keep || !is(d));
    Ok(Target {
        shape: left.map(|(_, &n)| n).collect(),
        len,
        by,
        count,
    })
}

impl Target {
    /// Folds every value into the place that it goes to.
    fn fold<T: Copy, U: Copy>(
        &self,
        values: &[T],
        shape: &[usize],
        begin: U,
        f: impl Fn(U, T, usize) -> U,
    ) -> Vec<U> {
        let mut made = vec![begin; self.len];
        let inner = shape.last().copied().unwrap_or(1);
        let step = self.by.last().copied().unwrap_or(0);
        rows(shape, [&strides(shape), &self.by], |[from, to]| {
            let row = &values[from..from + inner];
            if step == 0 {
                made[to] = row.iter().fold(made[to], |sum, &x| f(sum, x, to));
            } else {
                let places = made[to..to + inner].iter_mut().enumerate();
                places.zip(row).for_each(|((i, m), &x)| *m = f(*m, x, to + i));
            }
        });
        made
    }
}

fn reduce(call: &Call, r: Reduction) -> Made {
    let x = call.input(0)?;
    call.touch(x.len())?;
    let target = target(call, x.shape())?;
    let element = x.element();
    let values = match x.values() {
        Values::Float(v) => {
            let mut made = target.fold(v, x.shape(), r.begin, |sum, x, _| (r.float)(sum, x));
            made.iter_mut()
                .for_each(|m| *m = (r.end)(*m, target.count as f64));
            Values::Float(made)
        }
        Values::Int(v) => {
            let made = target.fold(v, x.shape(), (r.begin_int)(element), |sum, x, _| {
                element.wrap((r.int)(element, sum, x))
            });
            let ends = made.into_iter().map(|m| (r.end_int)(element, m, target.count));
            Values::Int(ends.collect::<Step<_>>()?)
        }
        Values::Bool(_) => return Err("booleans have no sum".into()),
    };
    one(Tensor::make(element, target.shape, values)?)
}

/// Greatest or least; booleans too since opset 20.
fn extreme(call: &Call, r: Reduction, f: fn(bool, bool) -> bool, begin: bool) -> Made {
    let x = call.input(0)?;
    let Values::Bool(v) = x.values() else {
        return reduce(call, r);
    };
    call.touch(x.len())?;
    let target = target(call, x.shape())?;
    let made = target.fold(v, x.shape(), begin, |best, x, _| f(best, x));
    one(Tensor::bool(target.shape, made)?)
}

/// The greatest value is taken out of the sum first, so that nothing overflows.
fn log_sum_exp(call: &Call) -> Made {
    let x = call.input(0)?;
    let v = x.floats()?;
    call.touch(2 * x.len())?;
    let target = target(call, x.shape())?;
    let greatest = target.fold(v, x.shape(), f64::NEG_INFINITY, |best, x, _| maximum(best, x));
    let shift: Vec<f64> = greatest
        .iter()
        .map(|&g| if g.is_infinite() { 0.0 } else { g })
        .collect();
    let sums = target.fold(v, x.shape(), 0.0, |sum, x, to| sum + (x - shift[to]).exp());
    let made = sums.iter().zip(&shift).map(|(s, g)| s.ln() + g).collect();
    one(Tensor::make(x.element(), target.shape, Values::Float(made))?)
}

/// The index of the best value along an axis; the first or last of equals.
fn arg(call: &Call, better: fn(f64, f64) -> bool) -> Made {
    let x = call.input(0)?;
    let along = axis(call.int("axis", 0), x.rank())?;
    let keep = call.flag("keepdims", true)?;
    let last = call.flag("select_last_index", false)?;
    call.touch(x.len())?;
    let (before, count, behind) = around(x.shape(), along);
    if count == 0 {
        return Err("there is no greatest or least of no values".into());
    }
    if x.element().is_int()
        && x.element().width() == 8
        && x.ints()?.iter().any(|i| i.unsigned_abs() > 1 << 53)
    {
        return Err("integers beyond 53 bits are not compared".into());
    }
    let values = x.to_f64();
    let mut made = Vec::with_capacity(before * behind);
    for b in 0..before {
        for p in 0..behind {
            let at = |i: usize| values[(b * count + i) * behind + p];
            let mut best = 0;
            for i in 1..count {
                // The first NaN wins over every number.
                let nan = at(i).is_nan() && !at(best).is_nan();
                let tie = last && at(i) == at(best);
                if nan || tie || better(at(best), at(i)) {
                    best = i;
                }
            }
            made.push(best as i64);
        }
    }
    let mut shape = x.shape().to_vec();
    if keep {
        shape[along] = 1;
    } else {
        shape.remove(along);
    }
    one(Tensor::int64(shape, made)?)
}
