//! Quantisation, and products and convolutions of quantised values. Sums of products of 8-bit integers are exact in f64.

use super::{
    Call, Made, Operator, Step, Tensor, cast::named_type, conv::convolve, matmul::multiplied, one, op, size,
    window::WINDOWS,
};
use crate::{
    ElementType, Values,
    attribute::int,
    layout::{axis, strides},
};

pub(super) const OPERATORS: &[Operator] = &[
    op("ConvInteger", 2, 4, conv_integer)
        .since(10)
        .attributes(WINDOWS),
    op("DequantizeLinear", 2, 3, dequantize).since(10).attributes(&[
        int("axis").from(13),
        int("block_size").from(21),
        int("output_dtype").from(23),
    ]),
    op("DynamicQuantizeLinear", 1, 1, dynamic).since(11),
    op("MatMulInteger", 2, 4, matmul_integer).since(10),
    op("QLinearConv", 8, 9, qlinear_conv)
        .since(10)
        .attributes(WINDOWS),
    op("QLinearMatMul", 8, 8, qlinear_matmul).since(10),
    op("QuantizeLinear", 2, 3, quantize).since(10).attributes(&[
        int("axis").from(13),
        int("block_size").from(21),
        int("output_dtype").from(21),
        int("precision").from(23),
        int("saturate").from(19),
    ]),
];

/// The nearest integer (ties to even) plus a zero point, held in the type's range.
fn saturated(element: ElementType, value: f64, zero: f64) -> i64 {
    let (least, greatest) = element.range();
    (value.round_ties_even() + zero).clamp(least as f64, greatest as f64) as i64
}

/// For the value at a place, the place of its parameter: one for all, one per index of an axis, or one per block.
fn parameter_of<'a>(
    call: &Call,
    x: &'a Tensor,
    parameter: &Tensor,
) -> Step<Box<dyn Fn(usize) -> usize + 'a>> {
    if parameter.len() == 1 {
        return Ok(Box::new(|_| 0));
    }
    let along = axis(call.int("axis", 1), x.rank())?;
    let n = x.shape()[along];
    let by = strides(x.shape());
    if parameter.shape() == [n] {
        return Ok(Box::new(move |i| i / by[along] % n));
    }
    let block = size(call.int("block_size", 0))?;
    let mut blocks = x.shape().to_vec();
    if block > 0 {
        blocks[along] = n.div_ceil(block);
    }
    if block == 0 || parameter.shape() != blocks {
        return Err(format!(
            "a parameter of shape {:?} for {:?}",
            parameter.shape(),
            x.shape()
        ));
    }
    let own = strides(&blocks);
    Ok(Box::new(move |i| {
        let places = x.shape().iter().zip(&by).zip(&own).enumerate();
        let at = places.map(|(d, ((&n, &by), &own))| {
            let index = i / by % n;
            own * if d == along { index / block } else { index }
        });
        at.sum()
    }))
}

fn quantize(call: &Call) -> Made {
    let (x, scale, zero) = (call.input(0)?, call.input(1)?, call.optional(2));
    let stated = call.int("output_dtype", 0) != 0;
    let element = match zero {
        Some(z) => z.element(),
        None if stated => named_type(call, "output_dtype", None)?,
        None => ElementType::Uint8,
    };
    if !element.is_int() {
        return Err(format!("values are not quantised to {element}"));
    }
    call.room(x.shape())?;
    let place = parameter_of(call, x, scale)?;
    if zero.is_some_and(|z| z.shape() != scale.shape() && z.len() != 1) {
        return Err("scale and zero point have unlike shapes".into());
    }
    let made = (0..x.len()).map(|i| {
        let p = place(i);
        let zero = zero.map_or(0.0, |z| z.number(if z.len() == 1 { 0 } else { p }));
        saturated(element, x.number(i) / scale.number(p), zero)
    });
    one(Tensor::make(
        element,
        x.shape().to_vec(),
        Values::Int(made.collect()),
    )?)
}

fn dequantize(call: &Call) -> Made {
    let (x, scale, zero) = (call.input(0)?, call.input(1)?, call.optional(2));
    let element = match call.int("output_dtype", 0) {
        0 => scale.element(),
        _ => named_type(call, "output_dtype", None)?,
    };
    x.ints()?;
    call.room(x.shape())?;
    let place = parameter_of(call, x, scale)?;
    if zero.is_some_and(|z| z.shape() != scale.shape() && z.len() != 1) {
        return Err("scale and zero point have unlike shapes".into());
    }
    let made = (0..x.len()).map(|i| {
        let p = place(i);
        let zero = zero.map_or(0.0, |z| z.number(if z.len() == 1 { 0 } else { p }));
        (x.number(i) - zero) * scale.number(p)
    });
    one(Tensor::make(
        element,
        x.shape().to_vec(),
        Values::Float(made.collect()),
    )?)
}

/// A quotient in the steps of 2^-16 that floats of 32 bits have from 128 on: what they do not tell from a half is one. Values that
/// are multiples of a scale themselves, such as rows of a quantised table, come to halves often.
fn told_apart(quotient: f64) -> f64 {
    (quotient * 65536.0).round() / 65536.0
}

/// Scale and zero point from the values' own range, which always has 0, and the values in such steps.
fn in_steps(v: &[f64]) -> (Vec<i64>, f64, i64) {
    let least = v.iter().copied().fold(0.0, f64::min);
    let greatest = v.iter().copied().fold(0.0, f64::max);
    let scale = (greatest - least) / 255.0;
    let zero = if scale == 0.0 {
        0
    } else {
        saturated(ElementType::Uint8, told_apart(-least / scale), 0.0)
    };
    let quantised = |&x: &f64| {
        let steps = if scale == 0.0 { 0.0 } else { told_apart(x / scale) };
        saturated(ElementType::Uint8, steps, zero as f64)
    };
    (v.iter().map(quantised).collect(), scale, zero)
}

/// Quantised so and back, in place.
pub(super) fn there_and_back(v: &mut [f64]) {
    let (made, scale, zero) = in_steps(v);
    v.iter_mut()
        .zip(made)
        .for_each(|(v, m)| *v = (m - zero) as f64 * scale);
}

fn dynamic(call: &Call) -> Made {
    let x = call.input(0)?;
    let v = x.floats()?;
    call.touch(3 * v.len())?;
    let (made, scale, zero) = in_steps(v);
    Ok(vec![
        Tensor::make(ElementType::Uint8, x.shape().to_vec(), Values::Int(made))?,
        Tensor::make(x.element(), vec![], Values::Float(vec![scale]))?,
        Tensor::make(ElementType::Uint8, vec![], Values::Int(vec![zero]))?,
    ])
}

/// Integers less their zero points as floats. More than one zero point belongs to the indices of `along`.
fn centred(call: &Call, x: &Tensor, zero: Option<&Tensor>, along: usize) -> Step<Tensor> {
    x.ints()?;
    call.room(x.shape())?;
    let by = strides(x.shape());
    let place = |i: usize| match zero {
        Some(z) if z.len() > 1 => i / by[along] % x.shape()[along],
        _ => 0,
    };
    if zero.is_some_and(|z| z.len() != 1 && x.shape().get(along) != Some(&z.len())) {
        return Err("zero points of another number than their axis".into());
    }
    let made = (0..x.len()).map(|i| x.number(i) - zero.map_or(0.0, |z| z.number(place(i))));
    Tensor::make(
        ElementType::Float64,
        x.shape().to_vec(),
        Values::Float(made.collect()),
    )
}

/// Exact sums as 32-bit integers.
fn sums(shape: Vec<usize>, values: &[f64]) -> Made {
    let made = values.iter().map(|&v| ElementType::Int32.wrap(v as i64));
    one(Tensor::make(
        ElementType::Int32,
        shape,
        Values::Int(made.collect()),
    )?)
}

fn conv_integer(call: &Call) -> Made {
    let x = centred(call, call.input(0)?, call.optional(2), 1)?;
    let w = centred(call, call.input(1)?, call.optional(3), 0)?;
    let (shape, made) = convolve(call, (x.floats()?, x.shape()), (w.floats()?, w.shape()))?;
    sums(shape, &made)
}

/// Zero points of the rows of the first matrix, and of the columns of the second.
fn centred_product(
    call: &Call,
    a: (&Tensor, Option<&Tensor>),
    b: (&Tensor, Option<&Tensor>),
) -> Step<Tensor> {
    let a = centred(call, a.0, a.1, a.0.rank().saturating_sub(2))?;
    let b = centred(call, b.0, b.1, b.0.rank().saturating_sub(1))?;
    multiplied(call, &a, &b)
}

fn matmul_integer(call: &Call) -> Made {
    let a = (call.input(0)?, call.optional(2));
    let made = centred_product(call, a, (call.input(1)?, call.optional(3)))?;
    sums(made.shape().to_vec(), made.floats()?)
}

fn qlinear_matmul(call: &Call) -> Made {
    let (a_scale, b_scale) = (call.input(1)?.one_number()?, call.input(4)?.one_number()?);
    let (y_scale, y_zero) = (call.input(6)?.one_number()?, call.input(7)?);
    let a = (call.input(0)?, Some(call.input(2)?));
    let product = centred_product(call, a, (call.input(3)?, Some(call.input(5)?)))?;
    let factor = a_scale * b_scale / y_scale;
    let zero = y_zero.one_number()?;
    let made = product
        .floats()?
        .iter()
        .map(|&v| saturated(y_zero.element(), v * factor, zero));
    one(Tensor::make(
        y_zero.element(),
        product.shape().to_vec(),
        Values::Int(made.collect()),
    )?)
}

fn qlinear_conv(call: &Call) -> Made {
    let x = centred(call, call.input(0)?, Some(call.input(2)?), 1)?;
    let w = centred(call, call.input(3)?, Some(call.input(5)?), 0)?;
    let (x_scale, w_scale) = (call.input(1)?.one_number()?, call.input(4)?);
    let (y_scale, y_zero) = (call.input(6)?.one_number()?, call.input(7)?);
    let (shape, sums) = convolve(call, (x.floats()?, x.shape()), (w.floats()?, w.shape()))?;
    let (maps, plane) = (shape[1], shape[2..].iter().product::<usize>().max(1));
    let bias = call.optional(8);
    if (w_scale.len() != 1 && w_scale.len() != maps) || bias.is_some_and(|b| b.shape() != [maps]) {
        return Err("a scale or bias of another number than the maps".into());
    }
    let zero = y_zero.one_number()?;
    let made = sums.iter().enumerate().map(|(i, sum)| {
        let map = i / plane % maps;
        let scale = x_scale * w_scale.number(if w_scale.len() == 1 { 0 } else { map }) / y_scale;
        saturated(
            y_zero.element(),
            (sum + bias.map_or(0.0, |b| b.number(map))) * scale,
            zero,
        )
    });
    one(Tensor::make(
        y_zero.element(),
        shape,
        Values::Int(made.collect()),
    )?)
}
