//! Numbers in the places of others, by lists; and numbers as rows of 0 with a 1.
//!
//! Invariant: a key stands in its list once, since implementations differ on which of two counts.

use super::ml::{floats_of, op};
use super::{Call, Made, Operator, Step, Tensor};
use crate::{
    ElementType, Values,
    attribute::{float, floats, int, ints, tensor, text, texts},
    ops::one,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("LabelEncoder", 1, 1, encode).attributes(&[
        texts("classes_strings").before(2),
        float("default_float").from(2),
        int("default_int64"),
        text("default_string"),
        tensor("default_tensor").from(4),
        floats("keys_floats").from(2),
        ints("keys_int64s").from(2),
        texts("keys_strings").from(2),
        tensor("keys_tensor").from(4),
        floats("values_floats").from(2),
        ints("values_int64s").from(2),
        texts("values_strings").from(2),
        tensor("values_tensor").from(4),
    ]),
    op("OneHotEncoder", 1, 1, one_hot).attributes(&[
        ints("cats_int64s"),
        texts("cats_strings"),
        int("zeros"),
    ]),
    op("ZipMap", 1, 1, zip).attributes(&[ints("classlabels_int64s"), texts("classlabels_strings")]),
];

/// A map from class to score for each row: here the tensor of scores, whose columns are the classes in the order of their names.
fn zip(call: &Call) -> Made {
    let x = call.input(0)?;
    x.floats()?;
    let names =
        call.ints("classlabels_int64s").map_or(0, <[i64]>::len) + call.texts("classlabels_strings").len();
    match x.shape() {
        [classes] | [_, classes] if *classes == names => one(x.clone()),
        shape => Err(format!("scores of shape {shape:?} for {names} classes")),
    }
}

/// Numbers and their type.
type Numbers = (ElementType, Vec<f64>);

fn no_texts(call: &Call, names: &[&str]) -> Step<()> {
    match names.iter().find(|name| !call.texts(name).is_empty()) {
        Some(name) => Err(format!(
            "its attribute `{name}`: labels that are texts are not evaluated"
        )),
        None => Ok(()),
    }
}

/// A list under one of its three names.
fn list(call: &Call, what: &str) -> Step<Numbers> {
    if let Some(tensor) = call.tensor(&format!("{what}_tensor")) {
        return Ok((tensor.element(), floats_of(tensor)));
    }
    let ints = call.ints(&format!("{what}_int64s")).unwrap_or_default();
    let floats = call.floats(&format!("{what}_floats"));
    match (ints, floats) {
        ([], []) => Err(format!("it has no {what} that are numbers")),
        (ints, []) => Ok((ElementType::Int64, ints.iter().map(|&i| i as f64).collect())),
        ([], floats) => Ok((ElementType::Float32, floats.to_vec())),
        _ => Err(format!("it has two lists of {what}")),
    }
}

/// What stands in the places of numbers that are no key.
fn default(call: &Call, of: ElementType) -> Step<f64> {
    match call.tensor("default_tensor").map(|tensor| floats_of(tensor)) {
        Some(values) => match values[..] {
            [one] => Ok(one),
            _ => Err("its `default_tensor` is not one number".into()),
        },
        None if of.is_float() => Ok(call.float("default_float", -0.0)),
        None => Ok(call.int("default_int64", -1) as f64),
    }
}

fn once(keys: &[f64]) -> Step<()> {
    let mut sorted = keys.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("the key {} twice", pair[0])),
        None => Ok(()),
    }
}

fn encode(call: &Call) -> Made {
    let x = call.input(0)?;
    no_texts(call, &["classes_strings", "keys_strings", "values_strings"])?;
    let ((key, keys), (value, values)) = (list(call, "keys")?, list(call, "values")?);
    if keys.len() != values.len() {
        return Err(format!("{} values for {} keys", values.len(), keys.len()));
    }
    if key.is_float() != x.element().is_float() {
        return Err(format!("keys of {key} for an input of {}", x.element()));
    }
    once(&keys)?;
    call.room(&[x.len(), keys.len()])?;
    let other = default(call, value)?;
    let of = |v: f64| {
        let at = keys.iter().position(|key| *key == v);
        at.and_then(|at| values.get(at).copied()).unwrap_or(other)
    };
    let made = floats_of(x).into_iter().map(of);
    let made = if value.is_float() {
        Values::Float(made.collect())
    } else {
        Values::Int(made.map(|v| v as i64).collect())
    };
    one(Tensor::make(value, x.shape().to_vec(), made)?)
}

/// A row of all categories for each number.
fn one_hot(call: &Call) -> Made {
    let x = call.input(0)?;
    no_texts(call, &["cats_strings"])?;
    let categories: Vec<f64> = call
        .ints("cats_int64s")
        .unwrap_or_default()
        .iter()
        .map(|&c| c as f64)
        .collect();
    if categories.is_empty() {
        return Err("it has no categories that are numbers".into());
    }
    once(&categories)?;
    let shape: Vec<usize> = x.shape().iter().copied().chain([categories.len()]).collect();
    call.room(&shape)?;
    let mut made = Vec::with_capacity(x.len() * categories.len());
    for v in floats_of(x) {
        if v.fract() != 0.0 {
            return Err(format!("{v} is no whole number, and no category"));
        }
        if !call.flag("zeros", true)? && !categories.contains(&v) {
            return Err(format!("{v} is no category, and `zeros` is 0"));
        }
        made.extend(categories.iter().map(|c| f64::from(u8::from(*c == v))));
    }
    one(Tensor::make(ElementType::Float32, shape, Values::Float(made))?)
}
