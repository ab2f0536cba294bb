//! Comparisons and logic, broadcast; the choice between two tensors.

use super::{Call, Made, Operator, Tensor, binary::zip, each_kind_of_two, one, op, same_type};
use crate::{ElementType, Values, layout::broadcast};

pub(super) const OPERATORS: &[Operator] = &[
    op("And", 2, 2, |c| logic(c, |x, y| x & y)),
    op("Equal", 2, 2, equal),
    op("Greater", 2, 2, |c| compare(c, |x, y| x > y, |x, y| x > y)),
    op("GreaterOrEqual", 2, 2, |c| {
        compare(c, |x, y| x >= y, |x, y| x >= y)
    })
    .since(12),
    op("Less", 2, 2, |c| compare(c, |x, y| x < y, |x, y| x < y)),
    op("LessOrEqual", 2, 2, |c| compare(c, |x, y| x <= y, |x, y| x <= y)).since(12),
    op("Or", 2, 2, |c| logic(c, |x, y| x | y)),
    op("Where", 3, 3, choose).since(9),
    op("Xor", 2, 2, |c| logic(c, |x, y| x ^ y)),
];

fn compare(call: &Call, f: fn(f64, f64) -> bool, i: fn(i128, i128) -> bool) -> Made {
    let (a, b) = (call.input(0)?, call.input(1)?);
    same_type(a, b)?;
    let (shape, made) = match (a.values(), b.values()) {
        (Values::Float(x), Values::Float(y)) => zip(call, (x, a.shape()), (y, b.shape()), f)?,
        (Values::Int(x), Values::Int(y)) => {
            let e: ElementType = a.element();
            zip(call, (x, a.shape()), (y, b.shape()), |x, y| {
                i(e.number(x), e.number(y))
            })?
        }
        _ => return Err("booleans have no order".into()),
    };
    one(Tensor::bool(shape, made)?)
}

fn equal(call: &Call) -> Made {
    let (a, b) = (call.input(0)?, call.input(1)?);
    match (a.values(), b.values()) {
        (Values::Bool(x), Values::Bool(y)) => {
            let (shape, made) = zip(call, (x, a.shape()), (y, b.shape()), |x, y| x == y)?;
            one(Tensor::bool(shape, made)?)
        }
        _ => compare(call, |x, y| x == y, |x, y| x == y),
    }
}

fn logic(call: &Call, f: fn(bool, bool) -> bool) -> Made {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let (shape, made) = zip(call, (a.bools()?, a.shape()), (b.bools()?, b.shape()), f)?;
    one(Tensor::bool(shape, made)?)
}

fn choose(call: &Call) -> Made {
    let (condition, a, b) = (call.input(0)?, call.input(1)?, call.input(2)?);
    same_type(a, b)?;
    let chosen = condition.bools()?;
    let shape = broadcast(condition.shape(), &broadcast(a.shape(), b.shape())?)?;
    // Pairs first, then one of each where the condition says.
    let values = each_kind_of_two!(a, b, x, y => {
        let (pairs_shape, pairs) = zip(call, (x, a.shape()), (y, b.shape()), |x, y| (x, y))?;
        let pick = |c, (x, y)| if c { x } else { y };
        zip(call, (chosen, condition.shape()), (&pairs, &pairs_shape), pick)?.1
    });
    one(Tensor::make(a.element(), shape, values)?)
}
