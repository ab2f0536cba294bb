//! Support vector machines.

use super::ml::{floats_of, op, table};
use super::{Call, Made, Operator, Tensor};
use crate::{
    Values,
    attribute::{floats, int, text},
    ops::one,
};

pub(super) const OPERATORS: &[Operator] = &[op("SVMRegressor", 1, 1, regressor).attributes(&[
    floats("coefficients"),
    floats("kernel_params"),
    text("kernel_type"),
    int("n_supports"),
    int("one_class"),
    text("post_transform"),
    floats("rho"),
    floats("support_vectors"),
])];

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
    let parameter = |at: usize| call.floats("kernel_params").get(at).copied().unwrap_or(0.0);
    let (gamma, offset, degree) = (parameter(0), parameter(1), parameter(2));
    let kernel = call.text("kernel_type", "LINEAR");
    let values = floats_of(x);
    let mut made = Vec::with_capacity(rows);
    for row in values.chunks_exact(features.max(1)) {
        let mut sum = rho;
        for (vector, weight) in vectors.chunks_exact(features.max(1)).zip(weights) {
            let pairs = || row.iter().zip(vector);
            let inner: f64 = pairs().map(|(a, b)| a * b).sum();
            sum += weight
                * match kernel {
                    "LINEAR" => inner,
                    "POLY" => (gamma * inner + offset).powf(degree),
                    "SIGMOID" => (gamma * inner + offset).tanh(),
                    "RBF" => (-gamma * pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>()).exp(),
                    other => return Err(format!("kernel_type is `{other}`")),
                };
        }
        made.push(match call.flag("one_class", false)? {
            true if sum > 0.0 => 1.0,
            true => -1.0,
            false => sum,
        });
    }
    one(Tensor::make(x.element(), vec![rows, 1], Values::Float(made))?)
}
