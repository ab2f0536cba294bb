//! Support vector machines that regress: kernels of a row and each support vector, added up.
//!
//! Invariant: a distance is the sum of the squares of differences, so that nothing is left of the difference of two greater sums.

use zkml::graph::{Activation, TensorId};

use super::draft::{Draft, Refusal, small, unsupported};
use super::function::function;
use super::ml::{Post, table};
use super::recipe::{Call, Recipe};
use super::{product, wiring};
use crate::float::{FloatMap, FloatOp};
use crate::functions::Function;
use crate::ops::Linear;

pub(super) const RECIPES: &[Recipe] = &[Recipe::new("SVMRegressor", regressor)];

/// The greatest degree of a polynomial.
const MAX_DEGREE: f64 = 8.0;

fn regressor(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if Post::of(call)? != Post::Nothing || call.int("one_class", 0)? != 0 {
        return unsupported("its `post_transform` or `one_class`: only NONE and 0 are supported");
    }
    let x = call.computed(0)?;
    let [rows, features] = table(draft, x)?;
    let supports = usize::try_from(call.int("n_supports", 0)?).unwrap_or(0);
    let list = |name: &str| -> Result<Vec<f64>, Refusal> { Ok(call.floats(name)?.unwrap_or_default()) };
    let (coefficients, vectors, rho) = (list("coefficients")?, list("support_vectors")?, list("rho")?);
    let rho = rho.first().copied().unwrap_or(0.0);
    let kernel = call.text("kernel_type", "LINEAR")?;
    if supports == 0 {
        if kernel != "LINEAR" || coefficients.len() != features {
            return unsupported("no support vectors, and no linear model of all features");
        }
        return dense(draft, call.name, x, [rows, features, 1], coefficients, vec![rho]);
    }
    if coefficients.len() != supports || supports.checked_mul(features) != Some(vectors.len()) {
        return unsupported(format!(
            "{} coefficients and {} values of {supports} support vectors of {features} features",
            coefficients.len(),
            vectors.len()
        ));
    }
    let parameters = list("kernel_params")?;
    let parameter = |at: usize| parameters.get(at).copied().unwrap_or(0.0);
    let (gamma, offset, degree) = (parameter(0), parameter(1), parameter(2));
    let sizes = [rows, features, supports];
    let made = match kernel.as_str() {
        "LINEAR" => dense(draft, call.name, x, sizes, vectors, vec![0.0; supports])?,
        "POLY" | "SIGMOID" => {
            let scaled = vectors.iter().map(|v| gamma * v).collect();
            let inner = dense(draft, call.name, x, sizes, scaled, vec![offset; supports])?;
            if kernel == "SIGMOID" {
                function(draft, call.name, inner, Function::tanh())?
            } else {
                power(draft, call.name, inner, degree)?
            }
        }
        "RBF" => near(draft, call.name, x, sizes, &vectors, gamma)?,
        other => return unsupported(format!("its `kernel_type` is `{other}`")),
    };
    dense(
        draft,
        call.name,
        made,
        [rows, supports, 1],
        coefficients,
        vec![rho],
    )
}

fn dense(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    [rows, inputs, outputs]: [usize; 3],
    weight: Vec<f64>,
    bias: Vec<f64>,
) -> Result<TensorId, Refusal> {
    let shape = [rows, outputs];
    let [inputs, outputs] = small([inputs, outputs])?;
    let map = FloatMap::Dense {
        inputs,
        outputs,
        weight,
        bias,
    };
    draft.linear(name, map, &[x], &shape)
}

/// A whole power, by products.
fn power(draft: &mut Draft, name: &str, x: TensorId, degree: f64) -> Result<TensorId, Refusal> {
    if degree.fract() != 0.0 || !(1.0..=MAX_DEGREE).contains(&degree) {
        return unsupported(format!(
            "a polynomial of degree {degree}: whole ones from 1 to {MAX_DEGREE} are supported"
        ));
    }
    let shape = draft.shape(x);
    let mut made = x;
    for _ in 1..degree as usize {
        made = product::elements(draft, name, [made, x], &shape)?;
    }
    Ok(made)
}

/// `e^(−gamma · distance²)` of each row and each support vector.
fn near(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    [rows, features, supports]: [usize; 3],
    vectors: &[f64],
    gamma: f64,
) -> Result<TensorId, Refusal> {
    let width = supports * features;
    if rows.saturating_mul(width) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let shape = [rows * supports, features];
    let each = (0..rows * width).map(|at| (at / width * features + at % features) as u32);
    let each = wiring::emit(draft, name, x, &shape, each.collect())?;
    let [outer, channels] = small([rows, width])?;
    let map = FloatMap::Affine {
        outer,
        channels,
        inner: 1,
        scale: vec![1.0; width],
        bias: vectors.iter().map(|v| -v).collect(),
    };
    let away = FloatOp::Linear(Linear {
        map,
        activation: Activation::Identity,
    });
    let away = draft.node(name, away, &[each], &shape)?;
    let squares = product::elements(draft, name, [away, away], &shape)?;
    let sums = [rows * supports, features, 1];
    let exponents = dense(draft, name, squares, sums, vec![-gamma; features], vec![0.0])?;
    let exponents = wiring::reshape(draft, name, exponents, &[rows, supports])?;
    function(draft, name, exponents, Function::exp())
}
