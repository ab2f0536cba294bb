//! How much the model's outputs change with each tensor's values: by that, what the rounding of each costs.
//!
//! Invariant: nothing but an order hangs on it. It is of the first order and of few samples; whatever is chosen by it is measured
//! before it is taken.
//!
//! Why one pass backwards a sample is enough. Rounding adds to each value something of mean 0 and of variance `step² / 12`,
//! independent of the others'. With a sign `u_o = ±1` by chance for each output value `y_o`, the square of `∂(Σ u_o · y_o)/∂x` has
//! the mean `Σ_o (∂y_o/∂x)²`: what that variance at `x` comes to, summed up over all outputs.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::calibrate::Tensors;
use crate::float::{FloatError, FloatGraph};

/// Samples that are looked at.
const LOOKED_AT: usize = 4;
/// The same signs for everybody who compiles the model.
const SEED: u64 = 2;

/// By tensor, the mean over its values and over the samples of `Σ_o (∂y_o/∂x)²`, of outputs in units of their natural magnitude.
/// Outputs of whole numbers have no slope and count as 0.
///
/// # Errors
/// Samples that do not fit the graph.
pub(crate) fn of(graph: &FloatGraph, samples: &[Tensors], scales: &[f64]) -> Result<Vec<f64>, FloatError> {
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    let mut means = vec![0f64; graph.tensors.len()];
    let looked_at = samples.len().min(LOOKED_AT);
    for sample in samples.iter().take(looked_at) {
        let values = graph.evaluate(sample)?;
        let mut signs: Vec<Vec<f64>> = vec![Vec::new(); graph.outputs.len()];
        for (at, id) in graph.outputs.iter().enumerate() {
            if graph.exact.get(at) == Some(&true) {
                continue;
            }
            let scale = scales.get(at).copied().filter(|s| *s > 0.0).unwrap_or(1.0);
            let sign = |_| {
                if rng.gen_bool(0.5) {
                    1.0 / scale
                } else {
                    -1.0 / scale
                }
            };
            signs[at] = (0..values[id.0 as usize].len()).map(sign).collect();
        }
        let changes = pulled_back(graph, &values, signs);
        for (mean, of) in means.iter_mut().zip(&changes) {
            let squares: f64 = of.iter().map(|c| c * c).sum();
            *mean += squares / (of.len() * looked_at).max(1) as f64;
        }
    }
    Ok(means)
}

/// By tensor, how `Σ of_o · y_o` over the outputs changes with each of its values; empty where no output hangs on it. `values` are
/// the graph's, and `of` has nothing for an output that is left out.
pub(crate) fn pulled_back(graph: &FloatGraph, values: &[Vec<f64>], of: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut changes: Vec<Vec<f64>> = vec![Vec::new(); graph.tensors.len()];
    for (id, of) in graph.outputs.iter().zip(of) {
        add(&mut changes[id.0 as usize], of);
    }
    for node in graph.nodes.iter().rev() {
        let made = node.output.0 as usize;
        if changes[made].is_empty() {
            continue;
        }
        let inputs = node.inputs.iter().map(|id| values[id.0 as usize].as_slice());
        let x: Vec<&[f64]> = inputs.collect();
        let read = node.op.pull_back(&x, &values[made], &changes[made]);
        for (id, of) in node.inputs.iter().zip(read) {
            add(&mut changes[id.0 as usize], of);
        }
    }
    changes
}

/// A tensor that several nodes read changes what each of them makes.
fn add(sum: &mut Vec<f64>, of: Vec<f64>) {
    if sum.is_empty() {
        *sum = of;
    } else {
        sum.iter_mut().zip(of).for_each(|(sum, c)| *sum += c);
    }
}
