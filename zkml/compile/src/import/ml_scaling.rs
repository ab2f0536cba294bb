//! Features before a model: scaled, put together, taken apart, made 0 or 1.
//!
//! Invariant: what an imputer of missing values reads has none, so that it leaves all as they are.

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, small, unsupported};
use super::function::function;
use super::moved::{Source, affine, moved};
use super::recipe::{Call, Recipe};
use super::{binary, greatest, product, wiring};
use crate::float::{FloatMap, FloatOp};
use crate::functions::Function;
use crate::ops::{Max, Step};

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("ArrayFeatureExtractor", extract),
    Recipe::new("Binarizer", binarize),
    Recipe::new("FeatureVectorizer", together),
    Recipe::new("Imputer", impute),
    Recipe::new("Normalizer", normalize),
    Recipe::new("Scaler", scale),
];

/// `(x − offset) · scale`, by feature.
fn scale(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let shape = draft.shape(x);
    let features = shape.last().copied().unwrap_or(1);
    let len = shape.iter().product::<usize>();
    let list = |name: &str, one: f64| -> Result<Vec<f64>, Refusal> {
        match call.floats(name)? {
            None => Ok(vec![one; features]),
            Some(list) if list.len() == features => Ok(list),
            Some(list) if list.len() == 1 => Ok(vec![list[0]; features]),
            Some(list) => unsupported(format!(
                "its `{name}` has {} values, and a row {features}",
                list.len()
            )),
        }
    };
    let (offset, factor) = (list("offset", 0.0)?, list("scale", 1.0)?);
    let each = |of: &dyn Fn(usize) -> f64| (0..len).map(|at| of(at % features)).collect::<Vec<_>>();
    let bias = each(&|f| -offset[f] * factor[f]);
    let map = affine(vec![each(&|f| factor[f]), bias])?;
    draft.linear(call.name, map, &[x], call.shape)
}

/// 1 where a value is above the threshold, else 0.
fn binarize(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (x, threshold) = (call.computed(0)?, call.float("threshold", 0.0)?);
    let len = draft.shape(x).iter().product::<usize>();
    let map = binary::line(len, vec![1.0], -threshold)?;
    let missing = Some(vec![false; map.bias().len()]);
    draft.node(call.name, FloatOp::Step(Step { map, missing }), &[x], call.shape)
}

/// Places of the last axis.
fn extract(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.is_computed(1) && !call.is_computed(0) {
        let list = call.constant(0)?;
        if list.shape.iter().rev().skip(1).any(|d| *d != 1) {
            return unsupported("computed places of more than one row of constants");
        }
        return greatest::entries(draft, call.name, &list.values, call.computed(1)?, call.shape);
    }
    let (x, Some(places)) = (call.computed(0)?, call.integers(1)?) else {
        return unsupported("its input 1 is missing");
    };
    let shape = draft.shape(x);
    let width = shape.last().copied().unwrap_or(1);
    let rows = shape.iter().product::<usize>() / width.max(1);
    let places: Option<Vec<usize>> = places
        .iter()
        .map(|&p| usize::try_from(p).ok().filter(|p| *p < width))
        .collect();
    let Some(places) = places.filter(|p| rows.saturating_mul(p.len()) <= super::MAX_TENSOR_LEN) else {
        return unsupported(format!("a place outside a row of {width}, or too many places"));
    };
    let sources = (0..rows)
        .flat_map(|row| places.iter().map(move |p| (row * width + p) as u32))
        .collect();
    wiring::emit(draft, call.name, x, call.shape, sources)
}

/// Rows of several tensors, one behind the other.
fn together(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let mut tensors = Vec::new();
    for at in 0..call.len() {
        tensors.push(call.computed(at)?);
    }
    let widths = call.ints("inputdimensions")?.unwrap_or_default();
    let tables = tensors
        .iter()
        .map(|&x| super::ml::table(draft, x))
        .collect::<Result<Vec<_>, _>>()?;
    let rows = tables.first().map_or(0, |t| t[0]);
    let fits = widths.len() == tables.len()
        && tables
            .iter()
            .zip(&widths)
            .all(|(t, &w)| t[0] == rows && usize::try_from(w) == Ok(t[1]));
    if !fits {
        return unsupported("rows of other sizes than its `inputdimensions` says");
    }
    let mut sources = Vec::new();
    for row in 0..rows {
        for (of, table) in tables.iter().enumerate() {
            sources.extend((0..table[1]).map(|at| Source::Of(of, row * table[1] + at)));
        }
    }
    moved(draft, call.name, &tensors, &sources, call.shape)
}

fn impute(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.float("replaced_value_float", 0.0)?.is_nan() {
        let x = call.computed(0)?;
        draft.finite.push(x);
        return Ok(x);
    }
    unsupported("it replaces a value that is a number; only an imputer of missing values is supported")
}

/// Rows divided by their greatest value, the sum of their sizes, or their length. A row of zeros has no proof.
fn normalize(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (x, name) = (call.computed(0)?, call.name);
    let [rows, features] = super::ml::table(draft, x)?;
    let shape = draft.shape(x);
    let by = match call.text("norm", "MAX")?.as_str() {
        "MAX" => {
            let window = |row: usize| (row * features..(row + 1) * features).map(|i| i as u32).collect();
            let windows = (0..rows).map(window).collect();
            draft.node(name, FloatOp::Max(Max { windows }), &[x], &[rows, 1])?
        }
        "L1" => {
            let sizes = function(draft, name, x, Function::abs())?;
            total(draft, name, sizes, [rows, features])?
        }
        "L2" => {
            let squares = product::elements(draft, name, [x, x], &shape)?;
            let sum = total(draft, name, squares, [rows, features])?;
            function(draft, name, sum, Function::sqrt())?
        }
        other => return unsupported(format!("its `norm` is `{other}`")),
    };
    let each = (0..rows * features).map(|at| (at / features) as u32).collect();
    let by = wiring::emit(draft, name, by, &shape, each)?;
    product::quotient(draft, name, [x, by], &shape)
}

/// The sum of each row.
fn total(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    [rows, features]: [usize; 2],
) -> Result<TensorId, Refusal> {
    let [inputs] = small([features])?;
    let map = FloatMap::Dense {
        inputs,
        outputs: 1,
        weight: vec![1.0; features],
        bias: vec![0.0],
    };
    draft.linear(name, map, &[x], &[rows, 1])
}
