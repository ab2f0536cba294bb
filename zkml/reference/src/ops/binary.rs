//! Arithmetic of two or more tensors, broadcast to one shape.

use super::{Call, ElementType, MANY, Made, Operator, Step, Tensor, one, op, same_type};
use crate::{
    Values,
    attribute::{float, int, text},
    layout::{broadcast, broadcast_strides, rows, strides},
    limits::volume,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("Add", 2, 2, |c| {
        arithmetic(c, |x, y| x + y, |_, x, y| Some(x.wrapping_add(y)))
    }),
    op("BitShift", 2, 2, bit_shift)
        .since(11)
        .attributes(&[text("direction")]),
    op("BitwiseAnd", 2, 2, |c| integers(c, |_, x, y| Some(x & y))).since(18),
    op("BitwiseOr", 2, 2, |c| integers(c, |_, x, y| Some(x | y))).since(18),
    op("BitwiseXor", 2, 2, |c| integers(c, |_, x, y| Some(x ^ y))).since(18),
    op("Clip", 1, 3, clip)
        .since(6)
        .attributes(&[float("max").before(11), float("min").before(11)]),
    op("Div", 2, 2, |c| arithmetic(c, |x, y| x / y, divide)),
    op("Max", 1, MANY, |c| {
        fold(c, maximum, |e, x, y| {
            Some(if e.number(x) < e.number(y) { y } else { x })
        })
    })
    .since(6),
    op("Mean", 1, MANY, mean).since(6),
    op("Min", 1, MANY, |c| {
        fold(c, minimum, |e, x, y| {
            Some(if e.number(y) < e.number(x) { y } else { x })
        })
    })
    .since(6),
    op("Mod", 2, 2, modulo).since(10).attributes(&[int("fmod")]),
    op("Mul", 2, 2, |c| {
        arithmetic(c, |x, y| x * y, |_, x, y| Some(x.wrapping_mul(y)))
    }),
    op("PRelu", 2, 2, prelu),
    op("Pow", 2, 2, pow),
    op("Sub", 2, 2, |c| {
        arithmetic(c, |x, y| x - y, |_, x, y| Some(x.wrapping_sub(y)))
    }),
    op("Sum", 1, MANY, |c| {
        fold(c, |x, y| x + y, |_, x, y| Some(x.wrapping_add(y)))
    })
    .since(6),
];

/// The greater value; NaN if either is.
pub(super) fn maximum(x: f64, y: f64) -> f64 {
    if x.is_nan() || x > y { x } else { y }
}

/// The lesser value; NaN if either is.
pub(super) fn minimum(x: f64, y: f64) -> f64 {
    if x.is_nan() || x < y { x } else { y }
}

/// A function of integers of a type; none where it is not defined.
type OfIntegers = fn(ElementType, i64, i64) -> Option<i64>;

/// `f` of the values of `a` and `b`, in the shape that they broadcast to.
pub(super) fn zip<T: Copy, U: Copy, V>(
    call: &Call,
    (a, a_shape): (&[T], &[usize]),
    (b, b_shape): (&[U], &[usize]),
    f: impl Fn(T, U) -> V,
) -> Step<(Vec<usize>, Vec<V>)> {
    let shape = broadcast(a_shape, b_shape)?;
    let len = call.room(&shape)?;
    if a_shape == b_shape {
        return Ok((shape, a.iter().zip(b).map(|(&x, &y)| f(x, y)).collect()));
    }
    let mut made = Vec::with_capacity(len);
    // The last dimensions that are whole, or repeated whole, in both are walked as one.
    let (a_by, b_by) = (
        broadcast_strides(a_shape, &shape)?,
        broadcast_strides(b_shape, &shape)?,
    );
    let inner = inner_dimensions(&shape, &a_by, &b_by);
    let (outer_shape, inner_shape) = shape.split_at(shape.len() - inner);
    let row = volume(inner_shape)?;
    let repeated = |by: &[usize]| by[outer_shape.len()..].iter().all(|&s| s == 0);
    let repeated = (repeated(&a_by), repeated(&b_by));
    // `rows` walks all but the last dimension, which is the row here.
    let walk: Vec<usize> = outer_shape.iter().copied().chain([row]).collect();
    rows(&walk, [&a_by, &b_by], |[i, j]| match repeated {
        (true, true) => made.extend((0..row).map(|_| f(a[i], b[j]))),
        (true, false) => made.extend(b[j..j + row].iter().map(|&y| f(a[i], y))),
        (false, true) => made.extend(a[i..i + row].iter().map(|&x| f(x, b[j]))),
        (false, false) => made.extend(a[i..i + row].iter().zip(&b[j..j + row]).map(|(&x, &y)| f(x, y))),
    });
    Ok((shape, made))
}

/// How many of the last dimensions are one run of values in both, or one value in either.
fn inner_dimensions(shape: &[usize], a: &[usize], b: &[usize]) -> usize {
    let own = strides(shape);
    let matches = |by: &[usize], count: usize| {
        let from = shape.len() - count;
        let repeated = by[from..].iter().all(|&s| s == 0);
        repeated || (from..shape.len()).all(|d| shape[d] == 1 || by[d] == own[d])
    };
    (1..=shape.len())
        .take_while(|&count| matches(a, count) && matches(b, count))
        .last()
        .unwrap_or(0)
}

/// Two tensors of one type, floats or integers.
fn combine(call: &Call, a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64, i: OfIntegers) -> Step<Tensor> {
    same_type(a, b)?;
    let element = a.element();
    if element.is_float() {
        let (shape, made) = zip(call, (a.floats()?, a.shape()), (b.floats()?, b.shape()), f)?;
        return Tensor::make(element, shape, Values::Float(made));
    }
    let (x, y) = (a.ints()?, b.ints()?);
    let (shape, made) = zip(call, (x, a.shape()), (y, b.shape()), |x, y| i(element, x, y))?;
    let wrapped = made.into_iter().map(|v| v.map(|v| element.wrap(v)));
    let made: Option<Vec<i64>> = wrapped.collect();
    let made =
        made.ok_or("the operation is not defined on a pair of its integers, such as a division by 0")?;
    Tensor::make(element, shape, Values::Int(made))
}

fn arithmetic(call: &Call, f: impl Fn(f64, f64) -> f64, i: OfIntegers) -> Made {
    one(combine(call, call.input(0)?, call.input(1)?, f, i)?)
}

fn integers(call: &Call, i: OfIntegers) -> Made {
    call.input(0)?.ints()?;
    arithmetic(call, |x, _| x, i)
}

fn fold(call: &Call, f: impl Fn(f64, f64) -> f64, i: OfIntegers) -> Made {
    let inputs = call.all()?;
    let (first, rest) = inputs.split_first().ok_or("there is no input")?;
    let mut sum = (*first).clone();
    for next in rest {
        sum = combine(call, &sum, next, &f, i)?;
    }
    one(sum)
}

fn mean(call: &Call) -> Made {
    let count = call.inputs.len() as f64;
    call.input(0)?.floats()?;
    let sum = fold(call, |x, y| x + y, |_, _, _| None)?;
    let mut made = Vec::new();
    for t in sum {
        let values = t.floats()?.iter().map(|v| v / count).collect();
        made.push(Tensor::make(
            t.element(),
            t.shape().to_vec(),
            Values::Float(values),
        )?);
    }
    Ok(made)
}

/// Towards zero.
fn divide(element: ElementType, x: i64, y: i64) -> Option<i64> {
    let (x, y) = (element.number(x), element.number(y));
    Some(x.checked_div(y)? as i64)
}

fn modulo(call: &Call) -> Made {
    if call.flag("fmod", false)? {
        // The sign of the dividend.
        return arithmetic(
            call,
            |x, y| x % y,
            |e, x, y| Some(e.number(x).checked_rem(e.number(y))? as i64),
        );
    }
    if call.input(0)?.element().is_float() {
        return Err("floats have fmod 1 only".into());
    }
    // The sign of the divisor.
    integers(call, |e, x, y| {
        let (x, y) = (e.number(x), e.number(y));
        let rest = x.checked_rem(y)?;
        Some(if rest != 0 && (rest < 0) != (y < 0) {
            rest + y
        } else {
            rest
        } as i64)
    })
}

fn bit_shift(call: &Call) -> Made {
    match call.text("direction", "") {
        // Unsigned types only, by the specification; all bits shifted out leave 0.
        "LEFT" => unsigned(call, |_, x, y| {
            Some(shift(y).and_then(|y| x.checked_shl(y)).unwrap_or(0))
        }),
        "RIGHT" => unsigned(call, |_, x, y| {
            Some(shift(y).and_then(|y| (x as u64).checked_shr(y)).unwrap_or(0) as i64)
        }),
        other => Err(format!("direction is `{other}`")),
    }
}

fn shift(by: i64) -> Option<u32> {
    u32::try_from(by).ok()
}

fn unsigned(call: &Call, i: OfIntegers) -> Made {
    match call.input(0)?.element() {
        ElementType::Uint8 | ElementType::Uint16 | ElementType::Uint32 | ElementType::Uint64 => {
            integers(call, i)
        }
        other => Err(format!("{other} is not unsigned")),
    }
}

/// Base and exponent may have unlike types; the result has the base's.
fn pow(call: &Call) -> Made {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let element = a.element();
    let (shape, exponents) = (b.shape(), b.to_f64());
    if element.is_float() {
        let (shape, made) = zip(call, (a.floats()?, a.shape()), (&exponents, shape), f64::powf)?;
        return one(Tensor::make(element, shape, Values::Float(made))?);
    }
    let bases = a.ints()?;
    let (shape, made) = if b.element().is_int() {
        zip(
            call,
            (bases, a.shape()),
            (b.ints()?, shape),
            |x, y| match u32::try_from(y) {
                Ok(y) => element.wrap(x.wrapping_pow(y)),
                Err(_) => element.truncate((element.number(x) as f64).powf(y as f64)),
            },
        )?
    } else {
        zip(call, (bases, a.shape()), (&exponents, shape), |x, y| {
            element.truncate((element.number(x) as f64).powf(y))
        })?
    };
    one(Tensor::make(element, shape, Values::Int(made))?)
}

/// The slope broadcasts to the input, not both to each other.
fn prelu(call: &Call) -> Made {
    let (x, slope) = (call.input(0)?, call.input(1)?);
    if broadcast(x.shape(), slope.shape())? != x.shape() {
        return Err(format!(
            "the slope's shape {:?} does not broadcast to {:?}",
            slope.shape(),
            x.shape()
        ));
    }
    arithmetic(
        call,
        |x, slope| if x < 0.0 { slope * x } else { x },
        |e, x, slope| Some(if e.number(x) < 0 { slope.wrapping_mul(x) } else { x }),
    )
}

/// Bounds that are left out do not bind; where they cross, the upper one counts.
fn clip(call: &Call) -> Made {
    let x = call.input(0)?;
    let element = x.element();
    call.touch(x.len())?;
    let bound = |i: usize, name: &str| match call.optional(i) {
        Some(t) if t.element() != element => Err(super::unlike(x, t)),
        Some(t) if t.len() != 1 => Err(format!(
            "`{name}` is a tensor of {} values, not a scalar",
            t.len()
        )),
        t => Ok(t),
    };
    let (low, high) = (bound(1, "min")?, bound(2, "max")?);
    let values = match x.values() {
        Values::Float(v) => {
            let low = low.map_or(call.float("min", f32::NEG_INFINITY), |t| t.number(0));
            let high = high.map_or(call.float("max", f32::INFINITY), |t| t.number(0));
            Values::Float(v.iter().map(|&x| minimum(maximum(x, low), high)).collect())
        }
        Values::Int(v) => {
            if call.opset() < 12 {
                return Err("before opset 12 only floats are clipped".into());
            }
            let (least, greatest) = element.range();
            let one = |t: Option<&Tensor>, default: i128| match t {
                Some(t) => t.one_int().map(|i| element.number(i)),
                None => Ok(default),
            };
            let (low, high) = (one(low, least)?, one(high, greatest)?);
            Values::Int(
                v.iter()
                    .map(|&x| element.number(x).max(low).min(high) as i64)
                    .collect(),
            )
        }
        Values::Bool(_) => return Err("booleans are not clipped".into()),
    };
    one(Tensor::make(element, x.shape().to_vec(), values)?)
}
