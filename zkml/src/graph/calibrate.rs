//! Chooses a [`QuantisationPlan`] from samples, and measures what it costs in accuracy.
//!
//! Invariant: whatever is chosen here is integers in the plan; nothing of a measurement reaches the integer graph any
//! other way. The accuracy is always that of the integer graph, evaluated exactly, against the float model.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::evaluate::EvaluateError;
use super::float::{FloatError, FloatGraph, FloatNode, FloatOp};
use super::quantise::{self, QuantiseError, power_of_two};
use super::tensor_file::{dequantise, relative_error};
use super::{IntGraph, IntTensor, Profile, QuantisationPlan, TensorScale};

/// The most samples that are looked at.
pub const MAX_SAMPLES: usize = 4096;

/// One sample or its outputs: flat values by tensor.
type Tensors = Vec<Vec<f64>>;

/// What calibration aims at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationOptions {
    /// Absent: the cheapest profile whose error is within the budget, or the most precise one.
    pub profile: Option<Profile>,
    /// Greatest error against the float model, relative to max(1, max |y|).
    pub error_budget: f64,
}

/// The integer graph against the float model, over the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccuracyReport {
    /// Number of samples.
    pub samples: usize,
    /// Greatest error of any output, relative to max(1, max |y|) of its sample.
    pub max_error: f64,
    /// Mean over the samples of their greatest error.
    pub mean_error: f64,
    /// Share of samples whose first output has its greatest value in the same place.
    pub top1_agreement: f64,
    /// Whether `max_error` is within the budget.
    pub within_budget: bool,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrateError {
    /// Neither none nor more than the engine looks at.
    #[error("{0} calibration samples; 1 to {MAX_SAMPLES} are looked at")]
    Count(usize),
    /// A sample is not one of the model's inputs.
    #[error("calibration sample {index}: {source}")]
    Sample {
        /// Which.
        index: usize,
        /// Why.
        source: FloatError,
    },
    /// The model or a sample is not finite.
    #[error("calibration sample {index}: tensor `{tensor}` takes a value that is not finite")]
    NonFinite {
        /// Which.
        index: usize,
        /// Where.
        tensor: String,
    },
    /// No plan of the profile fits the model.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// The integer graph refuses a sample.
    #[error("calibration sample {index}: {source}")]
    Evaluate {
        /// Which.
        index: usize,
        /// Why.
        source: EvaluateError,
    },
}

/// Chooses a plan.
///
/// # Errors
/// Samples that are not inputs of the model, or a model whose numbers no plan can hold.
pub fn calibrate(
    graph: &FloatGraph,
    samples: &[Vec<Vec<f64>>],
    options: &CalibrationOptions,
) -> Result<(QuantisationPlan, AccuracyReport), CalibrateError> {
    if samples.is_empty() || samples.len() > MAX_SAMPLES {
        return Err(CalibrateError::Count(samples.len()));
    }
    let observed = observe(graph, samples)?;
    let profiles = match &options.profile {
        Some(profile) => std::slice::from_ref(profile),
        None => &[Profile::P8, Profile::P12, Profile::P16],
    };
    let mut last = None;
    for profile in profiles {
        let plan = plan(graph, &observed.magnitudes, *profile);
        let int = quantise::apply(graph, &plan)?;
        let accuracy = measure(graph, &int, samples, &observed.outputs, options.error_budget)?;
        if accuracy.within_budget {
            return Ok((plan, accuracy));
        }
        last = Some((plan, accuracy));
    }
    last.ok_or(CalibrateError::Count(0))
}

/// Standard-normal inputs, the same for a seed everywhere.
#[must_use]
pub fn synthetic_samples(graph: &FloatGraph, count: usize, seed: u64) -> Vec<Vec<Vec<f64>>> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    // Box–Muller: two uniform numbers, the first not 0, give one normal one.
    let mut normal = || {
        let (u, v): (f64, f64) = (1.0 - rng.gen_range(0.0..1.0), rng.gen_range(0.0..1.0));
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    let lengths: Vec<usize> = graph
        .inputs
        .iter()
        .map(|id| graph.tensors[id.0 as usize].len())
        .collect();
    (0..count)
        .map(|_| {
            lengths
                .iter()
                .map(|&len| (0..len).map(|_| normal()).collect())
                .collect()
        })
        .collect()
}

/// What the float model does on the samples.
struct Observed {
    /// Greatest absolute value of each tensor, before the activation of the node that makes it.
    magnitudes: Vec<f64>,
    /// By sample: the outputs.
    outputs: Vec<Vec<Vec<f64>>>,
}

fn observe(graph: &FloatGraph, samples: &[Vec<Vec<f64>>]) -> Result<Observed, CalibrateError> {
    let one = |(index, sample): (usize, &Vec<Vec<f64>>)| {
        let mut magnitudes = vec![0f64; graph.tensors.len()];
        // A maximum forgets a NaN: it counts as infinite.
        let size = |v: &f64| if v.is_finite() { v.abs() } else { f64::INFINITY };
        let greatest = |values: &[f64]| values.iter().fold(0f64, |m, v| m.max(size(v)));
        let see = |node: &FloatNode, values: &[f64]| magnitudes[node.output.0 as usize] = greatest(values);
        let values = graph
            .evaluate_seeing(sample, see)
            .map_err(|source| CalibrateError::Sample { index, source })?;
        for (magnitude, values) in magnitudes.iter_mut().zip(&values) {
            *magnitude = magnitude.max(greatest(values));
        }
        match magnitudes.iter().position(|m| !m.is_finite()) {
            Some(at) => Err(CalibrateError::NonFinite {
                index,
                tensor: graph.tensors[at].name.clone(),
            }),
            None => Ok((
                magnitudes,
                graph
                    .outputs
                    .iter()
                    .map(|id| values[id.0 as usize].clone())
                    .collect(),
            )),
        }
    };
    let all: Vec<(Vec<f64>, _)> = samples
        .par_iter()
        .enumerate()
        .map(one)
        .collect::<Result<_, _>>()?;
    let mut magnitudes = vec![0f64; graph.tensors.len()];
    let mut outputs = Vec::with_capacity(all.len());
    for (seen, output) in all {
        magnitudes.iter_mut().zip(seen).for_each(|(m, s)| *m = m.max(s));
        outputs.push(output);
    }
    Ok(Observed { magnitudes, outputs })
}

impl Profile {
    /// Width that the greatest coefficient of a linear map is given, sign included.
    const fn weight_bits(self) -> i32 {
        match self {
            Self::P8 => 8,
            Self::P12 => 12,
            Self::P16 => 16,
        }
    }
}

/// The greatest exponent at which `magnitude` stays below `2^bits`.
fn exponent_below(magnitude: f64, bits: i32) -> i32 {
    // 2^(e + log2) < 2^bits; the loop ends the doubt that rounding of the logarithm leaves.
    let mut exponent = bits - magnitude.log2().floor() as i32;
    while exponent > -200 && magnitude * power_of_two(exponent) >= power_of_two(bits) {
        exponent -= 1;
    }
    exponent
}

/// One scale per tensor from its magnitude, one shift per linear node from its coefficients. One bit of headroom:
/// the error of a value just beyond the calibrated range is far greater than what the bit costs.
fn plan(graph: &FloatGraph, magnitudes: &[f64], profile: Profile) -> QuantisationPlan {
    let limits = profile.limits();
    let bits = profile.activation_bits();
    let scale = |magnitude: f64| {
        // A tensor of zeros takes any scale.
        let exponent = if magnitude == 0.0 {
            0
        } else {
            exponent_below(magnitude, i32::from(bits) - 2)
        };
        TensorScale {
            exponent: exponent.clamp(limits.min_exponent.into(), limits.max_exponent.into()) as i16,
            bits,
        }
    };
    let mut tensors: Vec<TensorScale> = magnitudes.iter().map(|&m| scale(m)).collect();
    let mut shifts = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let shift = match &node.op {
            FloatOp::Linear { map, .. } => {
                let output = i32::from(tensors[node.output.0 as usize].exponent);
                let affine = matches!(map, super::LinearMap::Affine { .. });
                let per_input = if affine {
                    map.bias().len()
                } else {
                    map.weight().len()
                };
                let of_input = |(k, weights): (usize, &[f64])| {
                    let greatest = weights.iter().fold(0f64, |m, w| m.max(w.abs()));
                    let input = i32::from(tensors[node.inputs.get(k)?.0 as usize].exponent);
                    // greatest · 2^(output + shift − input) just below 2^(weight bits − 1).
                    (greatest > 0.0)
                        .then(|| exponent_below(greatest, profile.weight_bits() - 1) - output + input)
                };
                let wanted = map
                    .weight()
                    .chunks(per_input.max(1))
                    .enumerate()
                    .filter_map(of_input)
                    .max();
                wanted.unwrap_or(0).clamp(0, limits.max_shift.into()) as u8
            }
            FloatOp::Max { .. } | FloatOp::Wiring { .. } => {
                tensors[node.output.0 as usize] = tensors[node.inputs[0].0 as usize];
                0
            }
        };
        shifts.push(shift);
    }
    QuantisationPlan {
        profile,
        tensors,
        shifts,
    }
}

/// Index of the greatest value, the lowest on ties.
fn top1(values: &[f64]) -> Option<usize> {
    (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best })
}

fn measure(
    graph: &FloatGraph,
    int: &IntGraph,
    samples: &[Vec<Vec<f64>>],
    expected: &[Vec<Vec<f64>>],
    budget: f64,
) -> Result<AccuracyReport, CalibrateError> {
    let one = |(index, (sample, expected)): (usize, (&Tensors, &Tensors))| {
        let inputs: Vec<IntTensor> = graph
            .inputs
            .iter()
            .zip(sample)
            .map(|(id, x)| nearest(int, id.0, x))
            .collect();
        let values = int
            .evaluate_validated(&inputs)
            .map_err(|source| CalibrateError::Evaluate { index, source })?;
        let (mut error, mut agrees) = (0f64, true);
        for (at, (id, expected)) in graph.outputs.iter().zip(expected).enumerate() {
            let got = dequantise(&int.tensors[id.0 as usize], &values[id.0 as usize].values);
            error = error.max(relative_error(&got, expected));
            agrees &= at > 0 || top1(&got) == top1(expected);
        }
        Ok::<_, CalibrateError>((error, agrees))
    };
    let all: Vec<(f64, bool)> = samples
        .par_iter()
        .zip(expected)
        .enumerate()
        .map(one)
        .collect::<Result<_, _>>()?;
    let count = all.len() as f64;
    let max_error = all.iter().fold(0f64, |m, (e, _)| m.max(*e));
    Ok(AccuracyReport {
        samples: all.len(),
        max_error,
        mean_error: all.iter().map(|(e, _)| e).sum::<f64>() / count,
        top1_agreement: all.iter().filter(|(_, a)| *a).count() as f64 / count,
        within_budget: max_error <= budget,
    })
}

/// The integers of a sample: in range, because the scale was chosen from it.
fn nearest(int: &IntGraph, tensor: u32, values: &[f64]) -> IntTensor {
    let info = &int.tensors[tensor as usize];
    let factor = power_of_two(info.exponent.into());
    IntTensor {
        shape: info.shape.clone(),
        values: values.iter().map(|v| (v * factor).round() as i64).collect(),
    }
}
