//! Support vector machines.
//!
//! Invariant: what the definition leaves open is ONNX Runtime's: a classifier of support vectors has a score for each pair of
//! classes, of which each is a vote for one of the two, and of two classes the score's negative before it.

use super::ml::{classes, floats_of, greatest, op, table};
use super::{Call, Made, Operator, Step, Tensor};
use crate::{
    ElementType, Values,
    attribute::{floats, int, ints, text, texts},
    ops::one,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("SVMClassifier", 1, 1, classifier).attributes(&[
        ints("classlabels_ints"),
        texts("classlabels_strings"),
        floats("coefficients"),
        floats("kernel_params"),
        text("kernel_type"),
        text("post_transform"),
        floats("prob_a"),
        floats("prob_b"),
        floats("rho"),
        floats("support_vectors"),
        ints("vectors_per_class"),
    ]),
    op("SVMRegressor", 1, 1, regressor).attributes(&[
        floats("coefficients"),
        floats("kernel_params"),
        text("kernel_type"),
        int("n_supports"),
        int("one_class"),
        text("post_transform"),
        floats("rho"),
        floats("support_vectors"),
    ]),
];

/// The kernel of a row and a vector.
fn kernel(call: &Call, row: &[f64], vector: &[f64]) -> Step<f64> {
    let parameter = |at: usize| call.floats("kernel_params").get(at).copied().unwrap_or(0.0);
    let (gamma, offset, degree) = (parameter(0), parameter(1), parameter(2));
    let pairs = || row.iter().zip(vector);
    let inner: f64 = pairs().map(|(a, b)| a * b).sum();
    Ok(match call.text("kernel_type", "LINEAR") {
        "LINEAR" => inner,
        "POLY" => (gamma * inner + offset).powf(degree),
        "SIGMOID" => (gamma * inner + offset).tanh(),
        "RBF" => (-gamma * pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>()).exp(),
        other => return Err(format!("kernel_type is `{other}`")),
    })
}

fn regressor(call: &Call) -> Made {
    let x = call.input(0)?;
    let (rows, features) = table(x)?;
    super::ml::plain(call)?;
    let coefficients = call.floats("coefficients");
    let rho = call.floats("rho").first().copied().unwrap_or(0.0);
    let supports = crate::ops::size(call.int("n_supports", 0))?;
    // Without support vectors, the model's own vector is the only one, and its coefficient 1.
    let (vectors, weights) = match supports {
        0 => (coefficients, &[1.0][..]),
        _ => (call.floats("support_vectors"), coefficients),
    };
    if weights.len().checked_mul(features) != Some(vectors.len()) || weights.len() != supports.max(1) {
        return Err(format!("{} values of {supports} support vectors", vectors.len()));
    }
    call.room(&[rows, vectors.len()])?;
    let values = floats_of(x);
    let mut made = Vec::with_capacity(rows);
    for row in values.chunks_exact(features.max(1)) {
        let mut sum = rho;
        for (vector, weight) in vectors.chunks_exact(features.max(1)).zip(weights) {
            sum += weight * kernel(call, row, vector)?;
        }
        made.push(match call.flag("one_class", false)? {
            true if sum > 0.0 => 1.0,
            true => -1.0,
            false => sum,
        });
    }
    one(Tensor::make(x.element(), vec![rows, 1], Values::Float(made))?)
}

/// A class's support vectors lie behind those of the classes before it; a vector has a coefficient against each other class, that
/// against a later one in the row before.
fn classifier(call: &Call) -> Made {
    let x = call.input(0)?;
    let (count, features) = table(x)?;
    super::ml::plain(call)?;
    if !call.floats("prob_a").is_empty() || !call.floats("prob_b").is_empty() {
        return Err("`prob_a` and `prob_b`: probabilities by iteration are not evaluated".into());
    }
    let Some(names) = call.ints("classlabels_ints").filter(|names| !names.is_empty()) else {
        return Err("labels that are texts are not evaluated".into());
    };
    let (classes, coefficients, rho) = (
        classes(call, "classlabels_ints")?,
        call.floats("coefficients"),
        call.floats("rho"),
    );
    let sizes = call.ints("vectors_per_class").unwrap_or_default();
    let sizes = sizes
        .iter()
        .map(|&n| crate::ops::size(n))
        .collect::<Step<Vec<_>>>()?;
    let supports = sizes.iter().try_fold(0usize, |all, &n| all.checked_add(n));
    let (Some(supports), vectors) = (supports.filter(|n| *n > 0), call.floats("support_vectors")) else {
        return Err("a classifier without support vectors is not evaluated".into());
    };
    let pairs: Vec<(usize, usize)> = (0..classes)
        .flat_map(|i| (i + 1..classes).map(move |j| (i, j)))
        .collect();
    let fits = sizes.len() == classes
        && classes > 1
        && supports.checked_mul(features) == Some(vectors.len())
        && supports.checked_mul(classes - 1) == Some(coefficients.len())
        && rho.len() == pairs.len();
    if !fits {
        return Err(format!(
            "{} coefficients, {} values of {supports} support vectors and {} of rho for {classes} classes",
            coefficients.len(),
            vectors.len(),
            rho.len()
        ));
    }
    call.room(&[count, vectors.len().max(coefficients.len())])?;
    let first = |class: usize| sizes[..class].iter().sum::<usize>();
    let (mut labels, mut scores) = (Vec::new(), Vec::new());
    for row in floats_of(x).chunks_exact(features.max(1)) {
        let near = vectors
            .chunks_exact(features.max(1))
            .map(|v| kernel(call, row, v));
        let near = near.collect::<Step<Vec<f64>>>()?;
        let mut votes = vec![0.0; classes];
        let mut own = Vec::with_capacity(pairs.len());
        for (&(i, j), rho) in pairs.iter().zip(rho) {
            let of = |class: usize, against: usize| -> f64 {
                let all = first(class)..first(class) + sizes[class];
                all.map(|v| coefficients[against * supports + v] * near[v]).sum()
            };
            let score = rho + of(i, j - 1) + of(j, i);
            votes[if score > 0.0 { i } else { j }] += 1.0;
            own.push(score);
        }
        if let [score] = own[..] {
            own = vec![-score, score];
        }
        labels.push(names[greatest(&votes)]);
        scores.extend(own);
    }
    let columns = if classes == 2 { 2 } else { pairs.len() };
    Ok(vec![
        Tensor::int64(vec![count], labels)?,
        Tensor::make(ElementType::Float32, vec![count, columns], Values::Float(scores))?,
    ])
}
