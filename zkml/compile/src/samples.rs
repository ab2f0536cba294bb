//! Samples that are made up where none are given, and what is asked of those that are.
//!
//! Invariant: the same for a seed everywhere, and inputs that the model takes: whole numbers where its input is of them, within
//! what the model says of it; a value is missing or infinite only where the input is ranked, and its ranks have a place for it.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use zkml::graph::{FloatInput, Inputs, TensorId};

use crate::calibrate::CalibrateError;
use crate::compile::Sample;
use crate::float::{FloatError, FloatGraph, FloatTensor, Interval};

/// Samples that calibrate a model without calibration data.
const SYNTHETIC_SAMPLES: usize = 64;
/// Values of such samples and of the answers to them, all together: fewer samples of a model that has more. All of them are in
/// memory at once.
const SYNTHETIC_VALUES: usize = 1 << 24;
/// But no fewer than these.
const FEWEST_SYNTHETIC_SAMPLES: usize = 4;
const SYNTHETIC_SEED: u64 = 1;

/// Samples for a model without calibration data.
///
/// # Errors
/// An input of which nothing says how far its numbers go.
pub(crate) fn made_up(float: &FloatGraph) -> Result<Vec<Sample>, CalibrateError> {
    match unbounded(float) {
        Some(input) => Err(CalibrateError::Unbounded {
            input: input.to_owned(),
        }),
        None => Ok(synthetic_samples(float, synthetic_count(float), SYNTHETIC_SEED)),
    }
}

/// How many samples are made up for a model.
pub(crate) fn synthetic_count(float: &FloatGraph) -> usize {
    let len = |id: &TensorId| float.tensors.get(id.0 as usize).map_or(0, |t| t.len());
    let values: usize = float.inputs.iter().chain(&float.outputs).map(len).sum();
    (SYNTHETIC_VALUES / values.max(1)).clamp(FEWEST_SYNTHETIC_SAMPLES, SYNTHETIC_SAMPLES)
}

/// The samples of calibration data, in the order of the model's inputs.
pub(crate) fn of(float: &FloatGraph, data: &Inputs) -> Result<Vec<Sample>, CalibrateError> {
    let tensors = float
        .inputs
        .iter()
        .filter_map(|id| float.tensors.get(id.0 as usize));
    let names: Vec<&str> = tensors.map(|t| t.name.as_str()).collect();
    let samples = data.samples_in_place(&names).map_err(CalibrateError::Data)?;
    let values = |sample: Vec<FloatInput>| sample.into_iter().map(|tensor| tensor.values).collect();
    Ok((0..samples.len()).map(|at| values(samples.get(at))).collect())
}

/// Samples are inputs of the model.
pub(crate) fn check(float: &FloatGraph, samples: &[Sample]) -> Result<(), CalibrateError> {
    let inputs = float
        .inputs
        .iter()
        .filter_map(|id| float.tensors.get(id.0 as usize));
    let inputs: Vec<_> = inputs.collect();
    for (index, sample) in samples.iter().enumerate() {
        if sample.len() != inputs.len() {
            return Err(CalibrateError::Inputs {
                index,
                expected: inputs.len(),
                got: sample.len(),
            });
        }
        if let Some((input, values)) = inputs.iter().zip(sample).find(|(i, v)| i.len() != v.len()) {
            let source = FloatError::InputLength {
                name: input.name.clone(),
                expected: input.len(),
                got: values.len(),
            };
            return Err(CalibrateError::Sample { index, source });
        }
        for (input, values) in inputs.iter().zip(sample) {
            let taken = |(at, value): (usize, &f64)| match &input.ranks {
                Some(ranks) => ranks.rank(at, *value).is_some(),
                None => value.is_finite(),
            };
            if let Some(at) = values.iter().enumerate().position(|value| !taken(value)) {
                let name = input.name.clone();
                let source = FloatError::NotFinite { name, index: at };
                return Err(CalibrateError::Sample { index, source });
            }
        }
        if let Some((input, value)) = fraction(float, sample) {
            let input = input.to_owned();
            return Err(CalibrateError::Fraction { index, input, value });
        }
    }
    Ok(())
}

/// Standard-normal inputs; whole numbers, each as likely as any other, where an input is of them.
#[must_use]
pub fn synthetic_samples(graph: &FloatGraph, count: usize, seed: u64) -> Vec<Vec<Vec<f64>>> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut values = |tensor: &FloatTensor| -> Vec<f64> {
        let each = 0..tensor.len();
        if !tensor.takes_whole() {
            return each.map(|_| normal(&mut rng)).collect();
        }
        let of = tensor.bound.unwrap_or(Interval::new(-1, 0));
        each.map(|_| rng.gen_range(of.least()..=of.most()) as f64)
            .collect()
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

/// Whether samples can be made up.
pub(crate) fn bounded(graph: &FloatGraph) -> bool {
    unbounded(graph).is_none()
}

/// An input of whole numbers of which nothing says how far they go: no sample can be made up for it.
fn unbounded(graph: &FloatGraph) -> Option<&str> {
    let mut inputs = inputs(graph);
    let found = inputs.find(|tensor| tensor.whole && tensor.bound.is_none());
    found.map(|tensor| tensor.name.as_str())
}

/// The first fraction in a sample of an input of whole numbers: the input's name, and the value.
fn fraction<'g>(graph: &'g FloatGraph, sample: &[Vec<f64>]) -> Option<(&'g str, f64)> {
    let mut given = inputs(graph)
        .zip(sample)
        .filter(|(tensor, _)| tensor.takes_whole());
    given.find_map(|(tensor, values)| {
        let value = values.iter().find(|v| v.fract() != 0.0)?;
        Some((tensor.name.as_str(), *value))
    })
}
