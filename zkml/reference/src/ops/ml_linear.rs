//! Linear models.

use super::ml::{classes, classified, greatest, op, table};
use super::{Call, Made, Operator, Step, Tensor};
use crate::{
    Values,
    attribute::{floats, int, ints, text, texts},
    ops::one,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("LinearClassifier", 1, 1, classifier).attributes(&[
        ints("classlabels_ints"),
        texts("classlabels_strings"),
        floats("coefficients"),
        floats("intercepts"),
        int("multi_class"),
        text("post_transform"),
    ]),
    op("LinearRegressor", 1, 1, regressor).attributes(&[
        floats("coefficients"),
        floats("intercepts"),
        text("post_transform"),
        int("targets"),
    ]),
];

/// Rows of `x · coefficientsᵀ + intercepts`.
fn rows(call: &Call, targets: Option<usize>) -> Step<Vec<Vec<f64>>> {
    let x = call.input(0)?;
    let (rows, features) = table(x)?;
    let coefficients = call.floats("coefficients");
    let targets = targets.unwrap_or(coefficients.len() / features.max(1));
    let intercepts = call.floats("intercepts");
    if targets == 0
        || targets.checked_mul(features) != Some(coefficients.len())
        || ![0, targets].contains(&intercepts.len())
    {
        return Err(format!(
            "{} coefficients and {} intercepts of {features} features",
            coefficients.len(),
            intercepts.len()
        ));
    }
    call.room(&[rows, coefficients.len()])?;
    let values = super::ml::floats_of(x);
    let made = |row: &[f64]| {
        let one = |t: usize| {
            let weights = &coefficients[t * features..(t + 1) * features];
            let sum: f64 = row.iter().zip(weights).map(|(x, w)| x * w).sum();
            sum + intercepts.get(t).copied().unwrap_or(0.0)
        };
        (0..targets).map(one).collect()
    };
    Ok(values.chunks_exact(features).map(made).collect())
}

fn regressor(call: &Call) -> Made {
    let targets = crate::ops::size(call.int("targets", 1))?;
    super::ml::plain(call)?;
    let rows = rows(call, Some(targets))?;
    let shape = vec![rows.len(), targets];
    one(Tensor::make(
        call.input(0)?.element(),
        shape,
        Values::Float(rows.concat()),
    )?)
}

fn classifier(call: &Call) -> Made {
    let (rows, classes) = (rows(call, None)?, classes(call, "classlabels_ints")?);
    let plain = call.text("post_transform", "NONE") == "NONE";
    let name = "classlabels_ints";
    match rows.first().map_or(classes, Vec::len) {
        n if n == classes && n > 1 => classified(call, name, rows, &greatest),
        // The first class has what is missing to 1, or the score's negative before the logistic function.
        1 if classes == 2 && (plain || call.text("post_transform", "NONE") == "LOGISTIC") => {
            let both = |row: &Vec<f64>| vec![if plain { 1.0 - row[0] } else { -row[0] }, row[0]];
            let rows = rows.iter().map(both).collect();
            classified(call, name, rows, &|row| usize::from(row[1] > 0.0))
        }
        n => Err(format!("{n} scores of {classes} classes")),
    }
}
