//! Linear models.

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, small, unsupported};
use super::ml::{Post, both, labels, table};
use super::recipe::{Call, Recipe};
use crate::float::FloatMap;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("LinearClassifier", classifier),
    Recipe::new("LinearRegressor", regressor),
];

/// The scores of a classifier; its label is not made.
fn classifier(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (classes, post) = (labels(call, "classlabels_ints")?, Post::of(call)?);
    let x = call.computed(0)?;
    let [_, features] = table(draft, x)?;
    let coefficients = call.floats("coefficients")?.unwrap_or_default();
    let scores = coefficients.len() / features.max(1);
    if scores == 1 && classes == 2 {
        let second = dense(draft, call, x, scores, coefficients)?;
        return both(draft, call, second, post, true);
    }
    if scores != classes || classes < 2 {
        return unsupported(format!("{scores} scores of {classes} classes"));
    }
    let made = dense(draft, call, x, scores, coefficients)?;
    post.apply(draft, call.name, made)
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
