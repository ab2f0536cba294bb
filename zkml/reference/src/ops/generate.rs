//! Tensors from next to nothing: constants, ranges, masks.

use super::{
    Call, Made, Operator, Step, Tensor, axis_or_end, cast::named_type, each_kind, list_of, one, op, size,
};
use crate::{
    ElementType, Values,
    attribute::{Value, float, floats, int, ints, tensor},
    layout::around,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("Constant", 0, 0, constant).since(1).attributes(&[
        tensor("value"),
        float("value_float").from(12),
        floats("value_floats").from(12),
        int("value_int").from(12),
        ints("value_ints").from(12),
    ]),
    op("ConstantOfShape", 1, 1, constant_of_shape)
        .since(9)
        .attributes(&[tensor("value")]),
    op("EyeLike", 1, 1, eye_like)
        .since(9)
        .attributes(&[int("dtype"), int("k")]),
    op("OneHot", 3, 3, one_hot).since(9).attributes(&[int("axis")]),
    op("Range", 3, 3, range)
        .since(11)
        .attributes(&[int("stash_type").from(27)]),
    op("Trilu", 1, 2, trilu).since(14).attributes(&[int("upper")]),
];

fn constant(call: &Call) -> Made {
    let mut values = call.operation.attributes.values();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err("it has not exactly one value".into());
    };
    one(match value {
        Value::Tensor(t) => t.as_ref().clone(),
        Value::Float(f) => Tensor::float(vec![], vec![*f]).map_err(|e| e.to_string())?,
        Value::Floats(list) => Tensor::float(vec![list.len()], list.clone()).map_err(|e| e.to_string())?,
        Value::Int(i) => Tensor::int64(vec![], vec![*i])?,
        Value::Ints(list) => Tensor::int64(vec![list.len()], list.clone())?,
        _ => return Err("its value is text".into()),
    })
}

fn constant_of_shape(call: &Call) -> Made {
    let shape: Vec<usize> = list_of(call.input(0)?)?
        .into_iter()
        .map(size)
        .collect::<Step<_>>()?;
    let len = call.room(&shape)?;
    let Some(value) = call.tensor("value") else {
        return one(Tensor::make(
            ElementType::Float32,
            shape,
            Values::Float(vec![0.0; len]),
        )?);
    };
    if value.len() != 1 {
        return Err(format!("a value of {} numbers", value.len()));
    }
    let values: Values = each_kind!(value.values(), v => vec![v[0]; len]);
    one(Tensor::make(value.element(), shape, values)?)
}

fn range(call: &Call) -> Made {
    let (start, limit, delta) = (call.input(0)?, call.input(1)?, call.input(2)?);
    super::same_type(start, limit)?;
    super::same_type(start, delta)?;
    let element = start.element();
    let bounds = (start.one_number()?, limit.one_number()?, delta.one_number()?);
    let count = ((bounds.1 - bounds.0) / bounds.2).ceil();
    if count.is_nan() || count > crate::limits::MAX_ELEMENTS as f64 {
        return Err(format!(
            "a range from {} to {} by {}",
            bounds.0, bounds.1, bounds.2
        ));
    }
    let count = count.max(0.0) as usize;
    call.room(&[count])?;
    let values = match start.values() {
        Values::Float(_) => Values::Float((0..count).map(|i| bounds.0 + i as f64 * bounds.2).collect()),
        Values::Int(_) => {
            let (start, delta) = (start.one_int()?, delta.one_int()?);
            let at = |i: usize| element.wrap(start.wrapping_add((i as i64).wrapping_mul(delta)));
            Values::Int((0..count).map(at).collect())
        }
        Values::Bool(_) => return Err("a range of booleans".into()),
    };
    one(Tensor::make(element, vec![count], values)?)
}

/// Indices out of reach are off everywhere.
fn one_hot(call: &Call) -> Made {
    let (indices, depth, pair) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let depth = depth.one_number()?;
    if !(1.0..=crate::limits::MAX_ELEMENTS as f64).contains(&depth) || pair.shape() != [2] {
        return Err(format!(
            "a depth of {depth} with values of shape {:?}",
            pair.shape()
        ));
    }
    let depth = depth as usize;
    let along = axis_or_end(call.int("axis", -1), indices.rank())?;
    let mut shape = indices.shape().to_vec();
    shape.insert(along, depth);
    let len = call.room(&shape)?;
    let (_, _, behind) = around(&shape, along);
    let list = indices.to_f64();
    let reach = depth as f64;
    let mut on = vec![false; len];
    for (i, &index) in list.iter().enumerate() {
        let index = if index < 0.0 { index + reach } else { index };
        if (0.0..reach).contains(&index) {
            on[(i / behind * depth + index as usize) * behind + i % behind] = true;
        }
    }
    let values: Values = each_kind!(pair.values(), v => on.iter().map(|&on| v[usize::from(on)]).collect());
    one(Tensor::make(pair.element(), shape, values)?)
}

fn eye_like(call: &Call) -> Made {
    let x = call.input(0)?;
    let element = named_type(call, "dtype", Some(x.element()))?;
    let &[rows, columns] = x.shape() else {
        return Err(format!("the shape {:?} is no matrix", x.shape()));
    };
    call.room(x.shape())?;
    let k = i128::from(call.int("k", 0));
    let places = (0..rows).flat_map(|r| (0..columns).map(move |c| c as i128 - r as i128 == k));
    let eye = Tensor::bool(x.shape().to_vec(), places.collect())?;
    one(super::cast::convert(&eye, element)?)
}

/// The part above or below a diagonal, the rest 0.
fn trilu(call: &Call) -> Made {
    let x = call.input(0)?;
    let k = i128::from(call.optional(1).map_or(Ok(0), Tensor::one_int)?);
    let upper = call.flag("upper", true)?;
    let &[.., rows, columns] = x.shape() else {
        return Err(format!("the shape {:?} is no matrix", x.shape()));
    };
    call.room(x.shape())?;
    let keeps = |i: usize| {
        let (row, column) = (i / columns % rows, i % columns);
        let above = column as i128 - row as i128;
        if upper { above >= k } else { above <= k }
    };
    fn keep<T: Copy + Default>(v: &[T], keeps: impl Fn(usize) -> bool) -> Vec<T> {
        let kept = v
            .iter()
            .enumerate()
            .map(|(i, &x)| if keeps(i) { x } else { T::default() });
        kept.collect()
    }
    let values: Values = each_kind!(x.values(), v => keep(v, keeps));
    one(Tensor::make(x.element(), x.shape().to_vec(), values)?)
}
