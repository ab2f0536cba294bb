//! Linear models.

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, small, unsupported};
use super::greatest::{label, label_of_two};
use super::ml::{Post, both, classified, labels, table};
use super::recipe::{Call, Recipe};
use crate::float::FloatMap;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::several("LinearClassifier", classifier),
    Recipe::new("LinearRegressor", regressor),
];

fn classifier(draft: &mut Draft, call: &Call<'_>) -> Result<Vec<Option<TensorId>>, Refusal> {
    let names = call.ints("classlabels_ints")?.unwrap_or_default();
    let (classes, post) = (labels(call, "classlabels_ints")?, Post::of(call)?);
    let x = call.computed(0)?;
    let [rows, features] = table(draft, x)?;
    let coefficients = call.floats("coefficients")?.unwrap_or_default();
    let scores = coefficients.len() / features.max(1);
    if scores == 1 && classes == 2 {
        let second = dense(draft, call, x, scores, coefficients)?;
        let made = both(draft, call, second, post, true)?;
        // The logistic function is above a half where the score is above 0.
        return classified(draft, call, made, |draft| {
            label_of_two(draft, call.name, second, 0.0, &names)
        });
    }
    if scores != classes || classes < 2 {
        return unsupported(format!("{scores} scores of {classes} classes"));
    }
    let made = dense(draft, call, x, scores, coefficients)?;
    let told = post.apply(draft, call.name, made)?;
    classified(draft, call, told, |draft| {
        label(draft, call.name, made, [rows, classes], &names)
    })
}

fn regressor(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let targets = usize::try_from(call.int("targets", 1)?).unwrap_or(0);
    let (x, post) = (call.computed(0)?, Post::of(call)?);
    if post != Post::Nothing {
        return unsupported("its `post_transform`: of a regressor only NONE is supported");
    }
    let coefficients = call.floats("coefficients")?.unwrap_or_default();
    dense(draft, call, x, targets, coefficients)
}

/// `x · coefficientsᵀ + intercepts`.
fn dense(
    draft: &mut Draft,
    call: &Call<'_>,
    x: TensorId,
    targets: usize,
    weight: Vec<f64>,
) -> Result<TensorId, Refusal> {
    let [rows, features] = table(draft, x)?;
    let mut bias = call.floats("intercepts")?.unwrap_or_default();
    if bias.is_empty() {
        bias = vec![0.0; targets];
    }
    if targets == 0 || bias.len() != targets || targets.checked_mul(features) != Some(weight.len()) {
        return unsupported(format!(
            "{} coefficients and {} intercepts for {targets} results of {features} features",
            weight.len(),
            bias.len()
        ));
    }
    let [inputs, outputs] = small([features, targets])?;
    let map = FloatMap::Dense {
        inputs,
        outputs,
        weight,
        bias,
    };
    draft.linear(call.name, map, &[x], &[rows, targets])
}
