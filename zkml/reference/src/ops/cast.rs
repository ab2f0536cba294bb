//! Conversions between element types.

use super::{Call, Made, Operator, Step, Tensor, one, op};
use crate::{
    ElementType, Values,
    attribute::{int, text},
    element::element_name,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("BitCast", 1, 1, bit_cast).since(26).attributes(&[int("to")]),
    op("Cast", 1, 1, cast).since(6).attributes(&[
        text("round_mode").from(24),
        int("saturate").from(19),
        int("to"),
    ]),
    op("CastLike", 2, 2, cast_like)
        .since(15)
        .attributes(&[text("round_mode").from(24), int("saturate").from(19)]),
];

/// The type that an attribute names; a default where it is left out.
pub(super) fn named_type(call: &Call, name: &str, default: Option<ElementType>) -> Step<ElementType> {
    let given = call.has(name).then(|| call.int(name, 0));
    match (given, default) {
        (None, Some(default)) => Ok(default),
        (None, None) => Err(format!("attribute `{name}` is missing")),
        (Some(code), _) => ElementType::from_onnx(code)
            .ok_or_else(|| format!("the type {} is not evaluated", element_name(code))),
    }
}

fn cast(call: &Call) -> Made {
    let to = named_type(call, "to", None)?;
    call.touch(call.input(0)?.len())?;
    one(cast_to(call, to)?)
}

fn cast_like(call: &Call) -> Made {
    call.touch(call.input(0)?.len())?;
    one(cast_to(call, call.input(1)?.element())?)
}

/// A computed tensor of floats is not rounded by the node that makes it, nor by a cast to fewer bits: rounded there alone,
/// `x - Cast(Cast(x))`, which is 0, would be what f64 has more of `x`. Where nodes round to their types the caller does so,
/// behind each of them. What the type does not reach is infinite, and a constant is what the file says.
fn cast_to(call: &Call, to: ElementType) -> Step<Tensor> {
    let x = call.input(0)?;
    let held = |f: f64| if to.round(f).is_infinite() { to.round(f) } else { f };
    let values = match x.values() {
        Values::Float(v) if call.operation.computed && to.is_float() => v.iter().map(|&f| held(f)).collect(),
        Values::Int(v) if call.operation.computed && to.is_float() => {
            let number = |&i: &i64| held(x.element().number(i) as f64);
            v.iter().map(number).collect()
        }
        _ => return convert(x, to),
    };
    Tensor::make(to, x.shape().to_vec(), Values::Float(values))
}

/// The tensor in another type. To a float type that holds every value of the old one, nothing is rounded.
pub(super) fn convert(x: &Tensor, to: ElementType) -> Step<Tensor> {
    let from = x.element();
    if from == to {
        return Ok(x.clone());
    }
    let values = match x.values() {
        Values::Float(v) if to.is_float() => Values::Float(v.iter().map(|&f| to.round(f)).collect()),
        Values::Float(v) if to.is_int() => {
            let whole = |&f: &f64| {
                let left_open =
                    || format!("a cast of {f} to {to:?}, which ONNX leaves open: it is out of range");
                to.whole(f).ok_or_else(left_open)
            };
            Values::Int(v.iter().map(whole).collect::<Step<_>>()?)
        }
        Values::Float(v) => Values::Bool(v.iter().map(|&f| f != 0.0).collect()),
        Values::Int(v) if to.is_float() => {
            Values::Float(v.iter().map(|&i| to.round(from.number(i) as f64)).collect())
        }
        Values::Int(v) if to.is_int() => Values::Int(v.iter().map(|&i| to.wrap(i)).collect()),
        Values::Int(v) => Values::Bool(v.iter().map(|&i| i != 0).collect()),
        Values::Bool(v) if to.is_float() => {
            Values::Float(v.iter().map(|&b| f64::from(u8::from(b))).collect())
        }
        Values::Bool(v) => Values::Int(v.iter().map(|&b| i64::from(b)).collect()),
    };
    Tensor::make(to, x.shape().to_vec(), values)
}

/// The same bits, read as another type of the same width.
fn bit_cast(call: &Call) -> Made {
    let (x, to) = (call.input(0)?, named_type(call, "to", None)?);
    call.touch(x.len())?;
    let from = x.element();
    if from.width() != to.width() {
        return Err(format!("{from} and {to} have unlike widths"));
    }
    let values = match (x.values(), to) {
        (_, to) if to == from => x.values().clone(),
        (Values::Int(v), to) if to.is_int() => Values::Int(v.iter().map(|&i| to.wrap(i)).collect()),
        (Values::Float(v), to) if to.is_int() => {
            let bits = |f: f64| match from {
                ElementType::Float32 => Ok(to.wrap(i64::from((f as f32).to_bits()))),
                ElementType::Float64 => Ok(f.to_bits() as i64),
                _ => Err(format!("the bits of {from} are not evaluated")),
            };
            Values::Int(v.iter().map(|&f| bits(f)).collect::<Step<_>>()?)
        }
        (Values::Int(v), ElementType::Float32) => {
            Values::Float(v.iter().map(|&i| f64::from(f32::from_bits(i as u32))).collect())
        }
        (Values::Int(v), ElementType::Float64) => {
            Values::Float(v.iter().map(|&i| f64::from_bits(i as u64)).collect())
        }
        (Values::Bool(v), to) if to.is_int() => Values::Int(v.iter().map(|&b| i64::from(b)).collect()),
        (Values::Int(v), ElementType::Bool) => Values::Bool(v.iter().map(|&i| i != 0).collect()),
        _ => return Err(format!("the bits of {from} as {to} are not evaluated")),
    };
    one(Tensor::make(to, x.shape().to_vec(), values)?)
}
