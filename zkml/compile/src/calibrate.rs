//! Chooses a [`QuantisationPlan`] from samples, and measures what it costs in accuracy.
//!
//! Invariant: whatever is chosen here is integers in the plan; nothing of a measurement reaches the integer graph any
//! other way. The accuracy is always that of the integer graph, evaluated exactly, against the model as it stands in its
//! file: the answers to the samples are the caller's, from the reference.

use std::cmp::Ordering;

use rayon::prelude::*;
use zkml::accuracy::{self, Answer, Rule};
use zkml::graph::evaluate::EvaluateError;
use zkml::graph::scale::power_of_two;
use zkml::graph::tensor_file::dequantise;
use zkml::graph::{
    InputError, IntGraph, IntTensor, Profile, ProfileLimits, QuantisationPlan, TensorId, TensorInfo, rows,
};

use crate::differs::{Differs, same_answers};
use crate::float::{FloatError, FloatGraph, FloatNode, FloatTensor};
use crate::functions::EXPONENTS_OUT;
use crate::ops::Scales;
use crate::progress::{Counter, Listener, Stage};
use crate::quantise::{self, QuantiseError};
use crate::reach;
pub use crate::samples::synthetic_samples;
use crate::widths::widths;

/// The most samples that are looked at.
pub const MAX_SAMPLES: usize = 4096;

/// One sample or its outputs: flat values by tensor.
pub(crate) type Tensors = Vec<Vec<f64>>;

/// What calibration aims at.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationOptions {
    /// Absent: the cheapest profile that keeps the budget with room to spare, or the one with the least error.
    pub profile: Option<Profile>,
    /// The first that is tried where a rounded number decides a whole one, [`zkml::backend::System::deciding`].
    pub deciding: Profile,
    /// Greatest error of any output, as [`accuracy::output_error`] measures it.
    pub error_budget: f64,
    /// By output: its natural magnitude. Absent: the greatest of the float model's values over the samples.
    pub output_scale: Option<Vec<f64>>,
    /// Whether an output of classes must have its greatest value where the float model has it.
    pub compare_top1: bool,
}

/// The share of samples whose whole numbers must be the float model's: of a Model with less every tenth answer would be
/// refused.
const EXACT: f64 = 0.9;

/// Of the budget, what calibration leaves to inputs that it has not seen: their errors are greater than the samples'.
const ROOM: f64 = 0.5;

/// The integer graph against the float model, over the samples.
#[derive(Debug, Clone, PartialEq)]
pub struct AccuracyReport {
    /// Number of samples.
    pub samples: usize,
    /// Greatest error of any output of any sample, as [`accuracy::output_error`] measures it with `output_scale`.
    pub max_error: f64,
    /// Mean over the samples of their greatest error.
    pub mean_error: f64,
    /// Share of samples each of whose outputs of classes has its greatest value in the same place.
    pub top1_agreement: f64,
    /// By output: the natural magnitude that errors were measured with.
    pub output_scale: Vec<f64>,
    /// Share of samples all of whose outputs of whole numbers are the float model's.
    pub exact_agreement: f64,
    /// Whether `max_error` is within the budget, and nearly every sample has the float model's whole numbers.
    pub within_budget: bool,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrateError {
    /// Neither none nor more than the engine looks at.
    #[error("{0} calibration samples; 1 to {MAX_SAMPLES} are looked at")]
    Count(usize),
    /// A sample has another number of tensors than the model has inputs.
    #[error("calibration sample {index} has {got} tensors, the model has {expected} inputs")]
    Inputs {
        /// Which.
        index: usize,
        /// The model's.
        expected: usize,
        /// The sample's.
        got: usize,
    },
    /// The data does not go to the model's inputs.
    #[error("the calibration data: {0}")]
    Data(InputError),
    /// A sample is not one of the model's inputs.
    #[error("calibration sample {index}: {source}")]
    Sample {
        /// Which.
        index: usize,
        /// Why.
        source: FloatError,
    },
    /// A sample has a fraction where the model takes whole numbers.
    #[error("calibration sample {index}: input `{input}` takes whole numbers, and the sample has {value}")]
    Fraction {
        /// Which.
        index: usize,
        /// The input.
        input: String,
        /// The value.
        value: f64,
    },
    /// Nothing says how far an input's numbers go.
    #[error(
        "input `{input}` is of whole numbers, and nothing in the model says how far they go: give calibration data, whose \
         greatest, rounded up to a power of two, is the greatest that is taken"
    )]
    Unbounded {
        /// The input.
        input: String,
    },
    /// The model or a sample is not finite.
    #[error("calibration sample {index}: tensor `{tensor}` takes a value that is not finite")]
    NonFinite {
        /// Which.
        index: usize,
        /// Where.
        tensor: String,
    },
    /// The model's own answer is no number in the file's own types.
    #[error(
        "calibration sample {index}: output `{output}` is no number where each node rounds to the file's own type: numbers go \
         beyond what that type holds, so that no program has an answer; are the samples what the model is made for?"
    )]
    Overflow {
        /// Which.
        index: usize,
        /// The output.
        output: String,
    },
    /// The expected answers are not those of the samples, or the output scales not one finite positive number each.
    #[error("{0}")]
    Answers(&'static str),
    /// The graph that was read from the file computes something else than the file.
    #[error(transparent)]
    Differs(#[from] Differs),
    /// The model's own answer is a matter of rounding.
    #[error(
        "calibration sample {index}: output `{output}` hangs on rounding: where every tensor changes by 2^-24 of its greatest \
         value it changes by {moved:.1e} of its own; is something divided by nearly 0?"
    )]
    Unstable {
        /// Which.
        index: usize,
        /// The output.
        output: String,
        /// By how much it moves.
        moved: f64,
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

/// The rows of samples: each of them is judged by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleRows {
    /// How many inputs there are in each sample.
    pub batch: u32,
    /// How many in all: what is behind them in the last sample fills it up.
    pub count: usize,
}

/// Chooses a plan. `expected` is the float model's answer to each sample: by output, flat. `listener` hears of each sample.
///
/// # Errors
/// Samples that are not inputs of the model, a graph whose own answers are not the expected ones, or a model whose
/// numbers no plan can hold.
pub fn calibrate(
    graph: &FloatGraph,
    samples: &[Vec<Vec<f64>>],
    expected: &[Vec<Vec<f64>>],
    options: &CalibrationOptions,
    listener: Listener<'_>,
) -> Result<(QuantisationPlan, AccuracyReport), CalibrateError> {
    let rows = SampleRows {
        batch: 1,
        count: samples.len(),
    };
    calibrate_rows(graph, samples, expected, rows, options, listener)
}

/// As [`calibrate`], of a graph that takes several inputs at once.
///
/// # Errors
/// As [`calibrate`].
pub fn calibrate_rows(
    graph: &FloatGraph,
    samples: &[Vec<Vec<f64>>],
    expected: &[Vec<Vec<f64>>],
    rows: SampleRows,
    options: &CalibrationOptions,
    listener: Listener<'_>,
) -> Result<(QuantisationPlan, AccuracyReport), CalibrateError> {
    if samples.is_empty() || samples.len() > MAX_SAMPLES {
        return Err(CalibrateError::Count(samples.len()));
    }
    if expected.len() != samples.len() || expected.iter().any(|e| e.len() != graph.outputs.len()) {
        return Err(CalibrateError::Answers("not one answer per sample and output"));
    }
    let count = samples.len() as u64;
    let observed = observe(
        graph,
        samples,
        expected,
        &Counter::new(Stage::Observing, count, listener),
    )?;
    let rule = Rule {
        max_error: options.error_budget,
        output_scale: output_scale(graph, expected, options)?,
        compare_top1: options.compare_top1,
    };
    let profiles = match options.profile {
        Some(profile) => vec![profile],
        None => in_order(reach::decides(graph).then_some(options.deciding)),
    };
    let one = |profile: Profile| {
        let plan = plan(graph, &observed, profile)?;
        let int = quantise::apply(graph, &plan)?;
        let counter = Counter::new(Stage::Measuring(profile), count, listener);
        let accuracy = measure(graph, &int, (samples, expected, rows), &rule, &counter)?;
        Ok::<_, CalibrateError>((plan, accuracy))
    };
    let exact = graph.exact.contains(&true);
    // A profile that cannot hold the model says nothing about the next.
    let (mut best, mut refused) = (None::<(QuantisationPlan, AccuracyReport)>, None);
    for profile in profiles {
        match one(profile) {
            Ok((plan, accuracy)) => {
                let compared = options.compare_top1 || exact;
                let comfortable = accuracy.max_error <= ROOM * options.error_budget
                    && (!compared || accuracy.top1_agreement >= 1.0);
                if comfortable {
                    return Ok((plan, accuracy));
                }
                // Whole numbers have no error: they are the same, or the answer is refused.
                let better = |b: &AccuracyReport| {
                    let more = accuracy.top1_agreement.total_cmp(&b.top1_agreement);
                    match more {
                        Ordering::Greater if exact => true,
                        Ordering::Less if exact => false,
                        _ => accuracy.max_error < b.max_error,
                    }
                };
                if best.as_ref().is_none_or(|(_, b)| better(b)) {
                    best = Some((plan, accuracy));
                }
            }
            Err(why) => refused = Some(why),
        }
    }
    best.ok_or_else(|| refused.unwrap_or(CalibrateError::Count(0)))
}

/// The profiles from a first one on, and then what is coarser, the finest first: it is better than none.
fn in_order(first: Option<Profile>) -> Vec<Profile> {
    let coarser = |p: &Profile| first.is_some_and(|first| *p < first);
    let (coarser, mut order): (Vec<Profile>, Vec<Profile>) = Profile::ALL.iter().partition(|p| coarser(p));
    order.extend(coarser.into_iter().rev());
    order
}

/// The outputs' natural magnitudes: given, or the greatest that the float model's values reach.
fn output_scale(
    graph: &FloatGraph,
    expected: &[Vec<Vec<f64>>],
    options: &CalibrationOptions,
) -> Result<Vec<f64>, CalibrateError> {
    let Some(given) = &options.output_scale else {
        let greatest = |at: usize| {
            let values = expected.iter().filter_map(|e| e.get(at)).flatten();
            values.fold(0f64, |m, v| m.max(v.abs()))
        };
        return Ok((0..graph.outputs.len()).map(greatest).collect());
    };
    if given.len() != graph.outputs.len() || given.iter().any(|s| !s.is_finite() || *s <= 0.0) {
        return Err(CalibrateError::Answers(
            "the output scales are not one positive number per output",
        ));
    }
    Ok(given.clone())
}

/// The greatest absolute value of each tensor over the samples, before the activation of the node that makes it. The
/// graph's answers must be the expected ones.
fn observe(
    graph: &FloatGraph,
    samples: &[Vec<Vec<f64>>],
    expected: &[Vec<Vec<f64>>],
    counter: &Counter<'_>,
) -> Result<Vec<f64>, CalibrateError> {
    let one = |(index, sample): (usize, &Tensors)| {
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
        if let Some(at) = magnitudes.iter().position(|m| !m.is_finite()) {
            let tensor = graph.tensors[at].name.clone();
            return Err(CalibrateError::NonFinite { index, tensor });
        }
        let output = |id: &TensorId| values[id.0 as usize].clone();
        counter.add(1);
        Ok((magnitudes, graph.outputs.iter().map(output).collect()))
    };
    let all: Vec<(Vec<f64>, Tensors)> = samples
        .par_iter()
        .enumerate()
        .map(one)
        .collect::<Result<_, _>>()?;
    let mut magnitudes = vec![0f64; graph.tensors.len()];
    for (seen, _) in &all {
        magnitudes.iter_mut().zip(seen).for_each(|(m, s)| *m = m.max(*s));
    }
    let answers: Vec<Tensors> = all.into_iter().map(|(_, outputs)| outputs).collect();
    same_answers(graph, samples, &answers, expected, &magnitudes)?;
    Ok(magnitudes)
}

/// One scale per tensor from its magnitude, one shift per linear node from its coefficients.
fn plan(graph: &FloatGraph, magnitudes: &[f64], profile: Profile) -> Result<QuantisationPlan, QuantiseError> {
    // What cannot leave its bound needs no bit of headroom, and has room up to there whatever the samples were.
    let magnitude = |(m, tensor): (&f64, &FloatTensor)| match tensor.bound {
        Some(bound) => bound.magnitude() as f64 / 2.0,
        None => *m,
    };
    let wholes = reach::of(graph, magnitudes, ProfileLimits::of(profile).max_bits);
    let magnitudes: Vec<f64> = magnitudes.iter().zip(&graph.tensors).map(magnitude).collect();
    let mut scales = Scales::new(&magnitudes, &widths(graph, &ProfileLimits::of(profile)), profile);
    for (id, of) in (0..).map(TensorId).zip(&wholes) {
        if let Some(of) = of {
            scales.whole(id, *of, graph.inputs.contains(&id));
        }
    }
    let mut shift = |node: &FloatNode| {
        let shift = node.op.scale(&node.inputs, node.output, &mut scales);
        if scales.too_small {
            return Err(QuantiseError::Small {
                node: node.name.clone(),
                finest: *EXPONENTS_OUT.end(),
                resolution: ProfileLimits::of(profile).resolution,
            });
        }
        Ok(shift)
    };
    let shifts = graph.nodes.iter().map(&mut shift).collect::<Result<_, _>>()?;
    Ok(QuantisationPlan {
        profile,
        tensors: scales.tensors,
        shifts,
    })
}

fn measure(
    graph: &FloatGraph,
    int: &IntGraph,
    (samples, expected, rows): (&[Tensors], &[Tensors], SampleRows),
    rule: &Rule,
    counter: &Counter<'_>,
) -> Result<AccuracyReport, CalibrateError> {
    let evaluator = int
        .evaluator()
        .map_err(|source| CalibrateError::Evaluate { index: 0, source })?;
    // Classes are compared, and counted, whether or not the rule asks for it.
    let comparing = Rule {
        compare_top1: true,
        ..rule.clone()
    };
    let infos: Vec<TensorInfo> = graph
        .outputs
        .iter()
        .map(|id| rows::one(&int.tensors[id.0 as usize], rows.batch))
        .collect();
    let one = |(index, (sample, expected)): (usize, (&Tensors, &Tensors))| {
        let inputs: Vec<IntTensor> = graph
            .inputs
            .iter()
            .zip(sample)
            .map(|(id, x)| nearest(int, id.0, x))
            .collect();
        let values = evaluator
            .run(&inputs)
            .map_err(|source| CalibrateError::Evaluate { index, source })?;
        let got: Vec<Vec<f64>> = graph
            .outputs
            .iter()
            .map(|id| dequantise(&int.tensors[id.0 as usize], &values[id.0 as usize].values))
            .collect();
        let of_row = |row: usize| {
            let outputs = got.iter().zip(expected).zip(&infos).enumerate();
            let answers = outputs.map(|(at, ((got, float), info))| Answer {
                name: &info.name,
                shape: &info.shape,
                got: rows::row(got, rows.batch, row),
                float: rows::row(float, rows.batch, row),
                exact: graph.exact.get(at).copied().unwrap_or(false),
            });
            let verdict = accuracy::judge(&comparing, &answers.collect::<Vec<_>>());
            let exact = verdict.other_value.is_none();
            let same = verdict.other_class.is_none() && exact;
            (verdict.error, same, exact)
        };
        counter.add(1);
        Ok::<_, CalibrateError>((0..rows.batch as usize).map(of_row).collect())
    };
    let all: Vec<Vec<(f64, bool, bool)>> = samples
        .par_iter()
        .zip(expected)
        .enumerate()
        .map(one)
        .collect::<Result<_, _>>()?;
    let all: Vec<(f64, bool, bool)> = all.into_iter().flatten().take(rows.count).collect();
    let count = all.len() as f64;
    let max_error = all.iter().fold(0f64, |m, (e, ..)| m.max(*e));
    let top1_agreement = all.iter().filter(|(_, same, _)| *same).count() as f64 / count;
    let exact_agreement = all.iter().filter(|(.., exact)| *exact).count() as f64 / count;
    Ok(AccuracyReport {
        samples: all.len(),
        max_error,
        mean_error: all.iter().map(|(e, ..)| e).sum::<f64>() / count,
        top1_agreement,
        exact_agreement,
        output_scale: rule.output_scale.clone(),
        within_budget: max_error <= rule.max_error && exact_agreement >= EXACT,
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
