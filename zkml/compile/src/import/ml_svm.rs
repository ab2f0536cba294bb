//! Support vector machines: kernels of a row and each support vector, added up; of a classifier for each pair of classes.
//!
//! Invariant: a distance is the sum of the squares of differences, so that nothing is left of the difference of two greater sums.

use zkml::graph::{Activation, TensorId};

use super::binary::combination;
use super::compare::{step, whole};
use super::draft::{Draft, Refusal, small, unsupported};
use super::function::function;
use super::greatest::label;
use super::ml::{Post, both, classified, labels, table};
use super::recipe::{Call, Recipe};
use super::{product, wiring};
use crate::float::{FloatMap, FloatOp, Interval};
use crate::functions::Function;
use crate::ops::Linear;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::several("SVMClassifier", classifier),
    Recipe::new("SVMRegressor", regressor),
];

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
    if supports == 0 {
        if call.text("kernel_type", "LINEAR")? != "LINEAR" || coefficients.len() != features {
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
    let made = kernels(draft, call, x, [rows, features, supports], vectors)?;
    dense(
        draft,
        call.name,
        made,
        [rows, supports, 1],
        coefficients,
        vec![rho],
    )
}

/// The kernel of each row and each support vector.
fn kernels(
    draft: &mut Draft,
    call: &Call<'_>,
    x: TensorId,
    sizes: [usize; 3],
    vectors: Vec<f64>,
) -> Result<TensorId, Refusal> {
    let (supports, kernel) = (sizes[2], call.text("kernel_type", "LINEAR")?);
    let parameters = call.floats("kernel_params")?.unwrap_or_default();
    let parameter = |at: usize| parameters.get(at).copied().unwrap_or(0.0);
    let (gamma, offset, degree) = (parameter(0), parameter(1), parameter(2));
    match kernel.as_str() {
        "LINEAR" => dense(draft, call.name, x, sizes, vectors, vec![0.0; supports]),
        "POLY" | "SIGMOID" => {
            let scaled = vectors.iter().map(|v| gamma * v).collect();
            let inner = dense(draft, call.name, x, sizes, scaled, vec![offset; supports])?;
            if kernel == "SIGMOID" {
                function(draft, call.name, inner, Function::tanh())
            } else {
                power(draft, call.name, inner, degree)
            }
        }
        "RBF" => near(draft, call.name, x, sizes, &vectors, gamma),
        other => unsupported(format!("its `kernel_type` is `{other}`")),
    }
}

/// A score for each pair of classes, by the support vectors of both, which is a vote for the first where it is above 0 and for the
/// second elsewhere; the label is that of the class with most votes, the first of those with equally many.
fn classifier(draft: &mut Draft, call: &Call<'_>) -> Result<Vec<Option<TensorId>>, Refusal> {
    let list = |name: &str| -> Result<Vec<f64>, Refusal> { Ok(call.floats(name)?.unwrap_or_default()) };
    if Post::of(call)? != Post::Nothing {
        return unsupported("its `post_transform`: of a support vector machine only NONE is supported");
    }
    if !list("prob_a")?.is_empty() || !list("prob_b")?.is_empty() {
        return unsupported(
            "its `prob_a` and `prob_b`: probabilities are found by an iteration that ends where little changes, and only \
             scores are supported",
        );
    }
    let names = call.ints("classlabels_ints")?.unwrap_or_default();
    let classes = labels(call, "classlabels_ints")?;
    let x = call.computed(0)?;
    let [rows, features] = table(draft, x)?;
    let (coefficients, vectors, rho) = (list("coefficients")?, list("support_vectors")?, list("rho")?);
    let counts = super::recipe::sizes(&call.ints("vectors_per_class")?.unwrap_or_default())?;
    let supports = counts
        .iter()
        .try_fold(0usize, |all, &n| all.checked_add(n))
        .unwrap_or(0);
    let pairs: Vec<[usize; 2]> = (0..classes)
        .flat_map(|i| (i + 1..classes).map(move |j| [i, j]))
        .collect();
    let fits = classes > 1
        && counts.len() == classes
        && supports > 0
        && supports.checked_mul(features) == Some(vectors.len())
        && supports.checked_mul(classes - 1) == Some(coefficients.len())
        && rho.len() == pairs.len();
    if !fits {
        return unsupported(format!(
            "{} coefficients, {} values of {supports} support vectors of {features} features and {} of `rho` for {classes} classes",
            coefficients.len(),
            vectors.len(),
            rho.len()
        ));
    }
    if pairs.len().saturating_mul(supports) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    // By support vector, its class.
    let class: Vec<usize> = (0..classes)
        .flat_map(|c| std::iter::repeat_n(c, counts[c]))
        .collect();
    let weight = |&[i, j]: &[usize; 2]| {
        let of = |v: usize| match class[v] {
            // A row for each other class, its own left out.
            own if own == i => coefficients[(j - 1) * supports + v],
            own if own == j => coefficients[i * supports + v],
            _ => 0.0,
        };
        (0..supports).map(of).collect::<Vec<f64>>()
    };
    let weight = pairs.iter().flat_map(weight).collect();
    let near = kernels(draft, call, x, [rows, features, supports], vectors)?;
    let scores = dense(draft, call.name, near, [rows, supports, pairs.len()], weight, rho)?;
    let told = if classes == 2 {
        both(draft, call, scores, Post::Nothing, false)?
    } else {
        scores
    };
    classified(draft, call, told, |draft| {
        let votes = votes(draft, call.name, scores, &pairs, [rows, classes])?;
        label(draft, call.name, votes, [rows, classes], &names)
    })
}

/// How many pairs of classes each class wins.
fn votes(
    draft: &mut Draft,
    name: &str,
    scores: TensorId,
    pairs: &[[usize; 2]],
    [rows, classes]: [usize; 2],
) -> Result<TensorId, Refusal> {
    let map = combination(rows * pairs.len(), vec![1.0])?;
    let first = step(draft, name, map, &[scores], &[rows, pairs.len()])?;
    let [inputs, outputs] = small([pairs.len(), classes])?;
    let of = |class: usize| {
        pairs
            .iter()
            .map(move |[i, j]| f64::from(u8::from(*i == class)) - f64::from(u8::from(*j == class)))
    };
    let map = FloatMap::Dense {
        inputs,
        outputs,
        weight: (0..classes).flat_map(of).collect(),
        // Of as many pairs as there are classes before it a class is the second.
        bias: (0..classes).map(|class| class as f64).collect(),
    };
    let most = Interval::new(0, classes as i64 - 1);
    whole(draft, name, map, &[first], &[rows, classes], most)
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
