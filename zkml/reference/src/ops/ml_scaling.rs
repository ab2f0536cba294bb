//! Features before a model.

use super::ml::{floats_of, op, table};
use super::{Call, Made, Operator, Tensor};
use crate::{
    ElementType, Values,
    attribute::{float, floats, int, ints, text},
    layout::around,
    ops::{each_kind, one},
};

pub(super) const OPERATORS: &[Operator] = &[
    op("ArrayFeatureExtractor", 2, 2, extract),
    op("Binarizer", 1, 1, binarize).attributes(&[float("threshold")]),
    op("FeatureVectorizer", 1, usize::MAX, together).attributes(&[ints("inputdimensions")]),
    op("Imputer", 1, 1, impute).attributes(&[
        floats("imputed_value_floats"),
        ints("imputed_value_int64s"),
        float("replaced_value_float"),
        int("replaced_value_int64"),
    ]),
    op("Normalizer", 1, 1, normalize).attributes(&[text("norm")]),
    op("Scaler", 1, 1, scale).attributes(&[floats("offset"), floats("scale")]),
];

fn same_shape(x: &Tensor, element: ElementType, values: Vec<f64>) -> Made {
    one(Tensor::make(element, x.shape().to_vec(), Values::Float(values))?)
}

/// `(x − offset) · scale`, by feature.
fn scale(call: &Call) -> Made {
    let x = call.input(0)?;
    call.room(x.shape())?;
    let features = x.shape().last().copied().unwrap_or(1);
    let (offset, factor) = (call.floats("offset"), call.floats("scale"));
    if [offset, factor]
        .iter()
        .any(|list| ![0, 1, features].contains(&list.len()))
    {
        return Err(format!("offsets and scales of {features} features"));
    }
    let of = |list: &[f64], at: usize, without: f64| match list {
        [] => without,
        [all] => *all,
        each => each[at % features],
    };
    let values = floats_of(x).into_iter().enumerate();
    let made = values.map(|(at, v)| (v - of(offset, at, 0.0)) * of(factor, at, 1.0));
    same_shape(x, ElementType::Float32, made.collect())
}

fn binarize(call: &Call) -> Made {
    let x = call.input(0)?;
    call.room(x.shape())?;
    let threshold = call.float("threshold", 0.0);
    let made = x.floats()?.iter().map(|&v| f64::from(u8::from(v > threshold)));
    same_shape(x, x.element(), made.collect())
}

/// Rows divided by their greatest value, the sum of their sizes, or their length.
fn normalize(call: &Call) -> Made {
    let x = call.input(0)?;
    call.room(x.shape())?;
    let (_, features) = table(x)?;
    let mut values = floats_of(x);
    for row in values.chunks_exact_mut(features.max(1)) {
        let by = match call.text("norm", "MAX") {
            "MAX" => row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            "L1" => row.iter().map(|v| v.abs()).sum(),
            "L2" => row.iter().map(|v| v * v).sum::<f64>().sqrt(),
            other => return Err(format!("norm is `{other}`")),
        };
        if by != 0.0 {
            row.iter_mut().for_each(|v| *v /= by);
        }
    }
    same_shape(x, ElementType::Float32, values)
}

/// Floats in the places of those that are missing, or that have one value.
fn impute(call: &Call) -> Made {
    let x = call.input(0)?;
    call.room(x.shape())?;
    let features = x.shape().last().copied().unwrap_or(1);
    let new = call.floats("imputed_value_floats");
    if ![1, features].contains(&new.len()) {
        return Err(format!("{} new values for {features} features", new.len()));
    }
    let old = call.float("replaced_value_float", 0.0);
    let made = x.floats()?.iter().enumerate().map(|(at, &v)| {
        if v == old || (v.is_nan() && old.is_nan()) {
            new[at % features % new.len()]
        } else {
            v
        }
    });
    same_shape(x, x.element(), made.collect())
}

/// Places of the last axis; a vector is a row.
fn extract(call: &Call) -> Made {
    let (x, places) = (call.input(0)?, call.input(1)?.ints()?);
    let last = x.rank().checked_sub(1).ok_or("a single value")?;
    let (before, width, _) = around(x.shape(), last);
    let mut shape = if last == 0 { vec![1, 0] } else { x.shape().to_vec() };
    if let Some(last) = shape.last_mut() {
        *last = places.len();
    }
    call.room(&shape)?;
    let inside = |&p: &i64| {
        let place = usize::try_from(p).ok().filter(|p| *p < width);
        place.ok_or_else(|| format!("place {p} of {width}"))
    };
    let places = places.iter().map(inside).collect::<Result<Vec<_>, _>>()?;
    let source = (0..before).flat_map(|row| places.iter().map(move |p| row * width + p));
    let values: Values = each_kind!(x.values(), v => source.map(|s| v[s]).collect());
    one(Tensor::make(x.element(), shape, values)?)
}

/// Rows of all inputs, one behind the other, each of the width that is stated.
fn together(call: &Call) -> Made {
    let inputs = call.all()?;
    let widths = call.ints("inputdimensions").unwrap_or_default();
    let tables = inputs.iter().map(|x| table(x)).collect::<Result<Vec<_>, _>>()?;
    let rows = tables.first().map_or(0, |t| t.0);
    let fits = widths.len() == tables.len()
        && tables
            .iter()
            .zip(widths)
            .all(|(t, &w)| t.0 == rows && usize::try_from(w) == Ok(t.1));
    if !fits {
        return Err(format!(
            "inputs of {tables:?} rows and features, stated as {widths:?}"
        ));
    }
    let whole: usize = tables.iter().map(|t| t.1).sum();
    call.room(&[rows, whole])?;
    let values: Vec<Vec<f64>> = inputs.iter().map(|x| floats_of(x)).collect();
    let mut made = Vec::with_capacity(rows * whole);
    for row in 0..rows {
        for (values, (_, width)) in values.iter().zip(&tables) {
            made.extend(&values[row * width..(row + 1) * width]);
        }
    }
    one(Tensor::make(
        ElementType::Float32,
        vec![rows, whole],
        Values::Float(made),
    )?)
}
