//! Operators of the domain ai.onnx.ml, each from its definition there.
//!
//! Invariant: values are numbers, so that a missing one is a NaN and nothing else. Where the definition leaves open what the
//! scores of two classes are, they are ONNX Runtime's, and a form of which it makes something else for each row is refused.

use super::{
    Call, Made, Operator, Step, Tensor, ml_labels, ml_linear, ml_scaling, ml_svm, ml_trees, unary::sigmoid,
};
use crate::{ElementType, Values, attribute::Value};

const FAMILIES: &[&[Operator]] = &[
    ml_trees::OPERATORS,
    ml_labels::OPERATORS,
    ml_linear::OPERATORS,
    ml_scaling::OPERATORS,
    ml_svm::OPERATORS,
];

/// The domain.
pub(crate) const DOMAIN: &str = "ai.onnx.ml";

pub(super) fn all() -> impl Iterator<Item = &'static Operator> {
    FAMILIES.iter().flat_map(|f| f.iter())
}

/// Whether its first output is a label, beside scores.
pub(crate) fn has_label(operator: &Operator) -> bool {
    operator.name.ends_with("Classifier")
}

/// An operator of the domain since its version 1.
pub(super) const fn op(name: &'static str, least: usize, most: usize, run: fn(&Call) -> Made) -> Operator {
    super::op(name, least, most, run).since(1)
}

impl<'a> Call<'a> {
    pub(super) fn floats(&self, name: &str) -> &'a [f64] {
        match self.operation.attributes.get(name) {
            Some(Value::Floats(list)) => list,
            _ => &[],
        }
    }

    pub(super) fn texts(&self, name: &str) -> &'a [String] {
        match self.operation.attributes.get(name) {
            Some(Value::Texts(list)) => list,
            _ => &[],
        }
    }

    /// A list of floats, or a tensor of doubles under the longer name.
    pub(super) fn numbers(&self, name: &str) -> Step<&'a [f64]> {
        match self.tensor(&format!("{name}_as_tensor")) {
            Some(tensor) => tensor.floats(),
            None => Ok(self.floats(name)),
        }
    }
}

/// `(rows, features)` of an input of one or two dimensions.
pub(super) fn table(x: &Tensor) -> Step<(usize, usize)> {
    match x.shape() {
        [features] => Ok((1, *features)),
        [rows, features] => Ok((*rows, *features)),
        shape => Err(format!("an input of shape {shape:?}")),
    }
}

/// Numbers as floats, whatever the tensor holds.
pub(super) fn floats_of(x: &Tensor) -> Vec<f64> {
    (0..x.len()).map(|i| x.number(i)).collect()
}

/// What follows scores, on a row.
pub(super) fn post(call: &Call, row: &mut [f64]) -> Step<()> {
    match call.text("post_transform", "NONE") {
        "NONE" => {}
        "LOGISTIC" => row.iter_mut().for_each(|v| *v = sigmoid(*v)),
        "SOFTMAX" => {
            let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|v| *v = (*v - greatest).exp());
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|v| *v /= sum);
        }
        other => return Err(format!("post_transform is `{other}`")),
    }
    Ok(())
}

/// That nothing follows what a regressor makes: of one target, ONNX Runtime passes over what is stated.
pub(super) fn plain(call: &Call) -> Step<()> {
    match call.text("post_transform", "NONE") {
        "NONE" => Ok(()),
        other => Err(format!(
            "post_transform is `{other}`: of a regressor only NONE is evaluated"
        )),
    }
}

/// How many classes there are; their labels under one of two names.
pub(super) fn classes(call: &Call, integers: &str) -> Step<usize> {
    let lists = (
        call.ints(integers).unwrap_or_default().len(),
        call.texts("classlabels_strings").len(),
    );
    match lists {
        (n, 0) | (0, n) if n > 0 => Ok(n),
        _ => Err("its labels are not one list".into()),
    }
}

/// Labels and scores, from rows of scores before what follows; `labels` says which class such a row has, as ONNX Runtime does.
pub(super) fn classified(
    call: &Call,
    integers: &str,
    rows: Vec<Vec<f64>>,
    labels: &dyn Fn(&[f64]) -> usize,
) -> Made {
    let count = rows.len();
    let classes = classes(call, integers)?;
    let (mut scores, mut found) = (Vec::new(), Vec::new());
    for mut row in rows {
        found.push(labels(&row));
        post(call, &mut row)?;
        scores.extend(row);
    }
    let scores = Tensor::make(ElementType::Float32, vec![count, classes], Values::Float(scores))?;
    let asked = call.operation.outputs.first().is_some_and(Option::is_some);
    let label = match call.ints(integers) {
        Some(names) if !names.is_empty() => {
            let name = |&at: &usize| names.get(at).copied().unwrap_or_default();
            Tensor::int64(vec![count], found.iter().map(name).collect())?
        }
        // Nobody reads it, so that its place alone counts.
        _ if !asked => Tensor::int64(vec![count], vec![0; count])?,
        _ => return Err("labels that are texts are not evaluated".into()),
    };
    Ok(vec![label, scores])
}

/// The first place of the greatest.
pub(super) fn greatest(row: &[f64]) -> usize {
    let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (1..row.len()).fold(0, better)
}
