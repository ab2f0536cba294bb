//! From samples to a [`QuantisationPlan`]: what they must be, how far each tensor goes on them; widths are chosen in `choose`, and
//! measured in `measure`.
//!
//! Invariant: whatever is chosen here is integers in the plan; nothing of a measurement reaches the integer graph any
//! other way. The accuracy is always that of the integer graph, evaluated exactly, against the model as it stands in its
//! file: the answers to the samples are the caller's, from the reference.

use rayon::prelude::*;
use zkml::accuracy::Rule;
use zkml::graph::evaluate::EvaluateError;
use zkml::graph::{InputError, Profile, QuantisationPlan, TensorId};

use crate::choose::choose;
use crate::differs::{Differs, same_answers};
use crate::float::{FloatError, FloatGraph, FloatNode};
use crate::measure::Against;
pub use crate::measure::{AccuracyReport, NodeAccuracy, Tried};
use crate::progress::{Counter, Listener, Stage};
use crate::quantise::QuantiseError;
pub use crate::samples::synthetic_samples;

/// The most samples that are looked at.
pub const MAX_SAMPLES: usize = 4096;

/// One sample or its outputs: flat values by tensor.
pub(crate) type Tensors = Vec<Vec<f64>>;

/// What calibration aims at.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationOptions {
    /// Absent: the cheapest widths that keep the budget with room to spare, or those with the least error (`choose`).
    pub profile: Option<Profile>,
    /// The first that is tried where a rounded number decides a whole one, [`zkml::backend::System::deciding`].
    pub deciding: Profile,
    /// Greatest error of any output, as [`output_error`](zkml::accuracy::output_error) measures it.
    pub error_budget: f64,
    /// By output: its natural magnitude. Absent: the greatest of the float model's values over the samples.
    pub output_scale: Option<Vec<f64>>,
    /// Whether an output of classes must have its greatest value where the float model has it.
    pub compare_top1: bool,
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
    /// Whether nobody gave them: then nothing says that inputs to come reach no farther.
    pub made_up: bool,
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
        made_up: false,
    };
    calibrate_rows(graph, samples, expected, rows, options, listener)
}

/// As [`calibrate`], of a graph that takes several inputs at once, or of samples that nobody gave.
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
    let against = Against {
        graph,
        samples,
        expected,
        rows,
        rule: &rule,
        magnitudes: &observed,
    };
    choose(&against, options, listener)
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
