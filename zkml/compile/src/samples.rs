//! Samples that are made up where none are given, and what is asked of those that are.
//!
//! Invariant: the same for a seed everywhere, and inputs that the model takes: whole numbers where its input is of them, within
//! what the model says of it.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use zkml::graph::TensorId;

use crate::float::{FloatGraph, FloatTensor};

/// Samples that calibrate a model without calibration data.
pub const SYNTHETIC_SAMPLES: usize = 64;
/// Values of such samples and of the answers to them, all together: fewer samples of a model that has more. All of them are in
/// memory at once.
const SYNTHETIC_VALUES: usize = 1 << 24;
/// But no fewer than these.
const FEWEST_SYNTHETIC_SAMPLES: usize = 4;

/// How many samples are made up for a model.
pub(crate) fn synthetic_count(float: &FloatGraph) -> usize {
    let len = |id: &TensorId| float.tensors.get(id.0 as usize).map_or(0, |t| t.len());
    let values: usize = float.inputs.iter().chain(&float.outputs).map(len).sum();
    (SYNTHETIC_VALUES / values.max(1)).clamp(FEWEST_SYNTHETIC_SAMPLES, SYNTHETIC_SAMPLES)
}

/// Standard-normal inputs; whole numbers, each as likely as any other, where an input is of them.
#[must_use]
pub fn synthetic_samples(graph: &FloatGraph, count: usize, seed: u64) -> Vec<Vec<Vec<f64>>> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut values = |tensor: &FloatTensor| -> Vec<f64> {
        let each = 0..tensor.len();
        if !tensor.whole {
            return each.map(|_| normal(&mut rng)).collect();
        }
        let bound = i64::from(tensor.bound.unwrap_or(1));
        // A place in a table is below its number of rows; those below 0 count from the end.
        let (least, most) = match (tensor.unsigned, tensor.bound) {
            (true, _) => (0, bound),
            (false, _) => (-bound, bound - 1),
        };
        each.map(|_| rng.gen_range(least..=most) as f64).collect()
    };
    let sample = |_| inputs(graph).map(&mut values).collect();
    (0..count).map(sample).collect()
}

/// Box–Muller: two uniform numbers, the first not 0, give one normal one.
fn normal(rng: &mut ChaCha20Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.gen_range(0.0..1.0), rng.gen_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn inputs(graph: &FloatGraph) -> impl Iterator<Item = &FloatTensor> {
    let tensor = |id: &TensorId| graph.tensors.get(id.0 as usize);
    graph.inputs.iter().filter_map(tensor)
}

/// An input of whole numbers of which nothing says how far they go: no sample can be made up for it.
pub(crate) fn unbounded(graph: &FloatGraph) -> Option<&str> {
    let mut inputs = inputs(graph);
    let found = inputs.find(|tensor| tensor.whole && tensor.bound.is_none());
    found.map(|tensor| tensor.name.as_str())
}

/// The first fraction in a sample of an input of whole numbers: the input's name, and the value.
pub(crate) fn fraction<'g>(graph: &'g FloatGraph, sample: &[Vec<f64>]) -> Option<(&'g str, f64)> {
    let mut given = inputs(graph).zip(sample).filter(|(tensor, _)| tensor.whole);
    given.find_map(|(tensor, values)| {
        let value = values.iter().find(|v| v.fract() != 0.0)?;
        Some((tensor.name.as_str(), *value))
    })
}
