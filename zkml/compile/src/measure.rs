//! The integer graph against the float model, on the samples.
//!
//! Invariant: the integers are evaluated exactly, as they are proved, and compared with the answers of the model as it stands in its
//! file, by the rule by which answers are judged ([`accuracy`]). Nothing here chooses anything.

use rayon::prelude::*;
use zkinfer_crds::compile_report::Outcome;
use zkml::accuracy::{self, Answer, Rule, names_classes, output_error, top_margin};
use zkml::graph::evaluate::{EvaluateError, Evaluator};
use zkml::graph::scale::power_of_two;
use zkml::graph::tensor_file::dequantise;
use zkml::graph::{IntGraph, IntTensor, Node, Profile, TensorInfo, rows};

use crate::calibrate::{CalibrateError, SampleRows, Tensors};
use crate::float::FloatGraph;
use crate::progress::Counter;

/// The share of samples whose whole numbers must be the float model's: of a Model with less every tenth answer would be
/// refused.
const EXACT: f64 = 0.9;

/// Samples that are looked at node by node: floats and integers of all tensors are in memory at once.
const BY_NODE: usize = 8;

/// The integer graph against the float model, over the samples.
#[derive(Debug, Clone, PartialEq)]
pub struct AccuracyReport {
    /// Number of samples.
    pub samples: usize,
    /// Greatest error of any output of any sample, as [`accuracy::output_error`] measures it with `output_scale`.
    pub max_error: f64,
    /// Mean over the samples of their greatest error.
    pub mean_error: f64,
    /// The outputs' power over that of their errors, in decibels, each output in units of its natural magnitude; none where there is
    /// no error.
    pub sqnr: Option<f64>,
    /// Share of samples each of whose outputs of classes has its greatest value in the same place.
    pub top1_agreement: f64,
    /// The least [`top_margin`] of the float model's outputs of classes; none where there are no such outputs.
    pub top_margin: Option<f64>,
    /// Values of all tensors that stood at the end of their range, beyond which an input is refused.
    pub saturations: u64,
    /// By output: the natural magnitude that errors were measured with.
    pub output_scale: Vec<f64>,
    /// Share of samples all of whose outputs of whole numbers are the float model's.
    pub exact_agreement: f64,
    /// Whether `max_error` is within the budget, and nearly every sample has the float model's whole numbers.
    pub within_budget: bool,
    /// How many tensors have more bits than the profile gives them.
    pub widened: usize,
    /// What was tried, in its order.
    pub tried: Vec<Tried>,
    /// Node by node, in the graph's order.
    pub nodes: Vec<NodeAccuracy>,
}

/// One way to hold the model in integers, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Whose widths tensors have.
    pub profile: Profile,
    /// How many tensors have more.
    pub widened: usize,
    /// How far beyond the samples' greatest values a tensor reaches: 2 is one bit of headroom.
    pub headroom: f64,
    /// Whether weights give up bits whose products cost a limb.
    pub short: bool,
    /// Greatest error, of the samples that were looked at before it was given up; none where it was refused.
    pub max_error: Option<f64>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused.
    pub refused: Option<String>,
}

/// A node's tensor against the float graph's, over a few samples.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeAccuracy {
    /// The node's name.
    pub node: String,
    /// Bits of its integers.
    pub bits: u8,
    /// Greatest error, as a share of the greatest value that the tensor reached on any sample.
    pub max_error: f64,
    /// Mean absolute error, as a share of the same.
    pub mean_error: f64,
    /// The tensor's power over that of its errors, in decibels; none where there is no error.
    pub sqnr: Option<f64>,
    /// Values that stood at the end of its range, over all samples.
    pub saturations: u64,
}

/// What integers are measured against.
pub(crate) struct Against<'a> {
    pub(crate) graph: &'a FloatGraph,
    pub(crate) samples: &'a [Tensors],
    /// The float model's answers.
    pub(crate) expected: &'a [Tensors],
    pub(crate) rows: SampleRows,
    pub(crate) rule: &'a Rule,
    /// By tensor, the greatest absolute value over the samples.
    pub(crate) magnitudes: &'a [f64],
}

/// What was found, without what it was chosen from.
pub(crate) struct Measured {
    pub(crate) report: AccuracyReport,
    /// By tensor.
    saturations: Vec<u64>,
}

/// One sample's answers.
struct Seen {
    rows: Vec<Row>,
    /// By tensor.
    saturations: Vec<u64>,
}

/// What an input's answer is.
struct Row {
    error: f64,
    same: bool,
    exact: bool,
    margin: Option<f64>,
    /// Of the floats and of the errors, in units of the outputs' magnitudes.
    power: [f64; 2],
}

impl Against<'_> {
    /// Measures on the first samples, so many.
    ///
    /// # Errors
    /// A sample that the integer graph refuses.
    pub(crate) fn measure(
        &self,
        int: &IntGraph,
        count: usize,
        counter: &Counter<'_>,
    ) -> Result<Measured, CalibrateError> {
        let evaluator = int
            .evaluator()
            .map_err(|source| CalibrateError::Evaluate { index: 0, source })?;
        let ends = self.ends(int);
        let answered = self.samples.par_iter().zip(self.expected).take(count).enumerate();
        let seen = answered.map(|(index, (sample, expected))| {
            let values = self
                .run(int, &evaluator, sample)
                .map_err(|source| CalibrateError::Evaluate { index, source })?;
            counter.add(1);
            Ok::<_, CalibrateError>(self.seen(int, &values, expected, &ends))
        });
        let seen: Vec<Seen> = seen.collect::<Result<_, _>>()?;
        Ok(self.sum(&seen))
    }

    fn run(
        &self,
        int: &IntGraph,
        evaluator: &Evaluator<'_>,
        sample: &Tensors,
    ) -> Result<Vec<IntTensor>, EvaluateError> {
        let inputs = self.graph.inputs.iter().zip(sample);
        let inputs: Vec<IntTensor> = inputs.map(|(id, x)| nearest(int, id.0, x)).collect();
        evaluator.run(&inputs)
    }

    /// By tensor, the least and the greatest integer where a value beyond would be refused: of requantised values, and of inputs. All
    /// others have the values that there are.
    fn ends(&self, int: &IntGraph) -> Vec<Option<[i64; 2]>> {
        let graph = self.graph;
        let mut ends: Vec<Option<[i64; 2]>> = vec![None; int.tensors.len()];
        let made = graph.nodes.iter().filter(|node| node.op.requantises());
        let held = graph.inputs.iter().copied().chain(made.map(|node| node.output));
        for id in held {
            let at = id.0 as usize;
            if graph.tensors[at].whole || graph.tensors[at].bound.is_some() {
                continue;
            }
            let range = int.tensors[at].range;
            // A rectified value is 0 for many reasons.
            let least = if range.signed { range.lo() } else { i64::MIN };
            ends[at] = Some([least, range.hi()]);
        }
        ends
    }

    fn seen(
        &self,
        int: &IntGraph,
        values: &[IntTensor],
        expected: &Tensors,
        ends: &[Option<[i64; 2]>],
    ) -> Seen {
        let (graph, batch) = (self.graph, self.rows.batch);
        // Classes are compared, and counted, whether or not the rule asks for it.
        let comparing = Rule {
            compare_top1: true,
            ..self.rule.clone()
        };
        let outputs = graph.outputs.iter().map(|id| id.0 as usize);
        let outputs: Vec<(TensorInfo, Vec<f64>)> = outputs
            .map(|at| {
                let info = &int.tensors[at];
                (rows::one(info, batch), dequantise(info, &values[at].values))
            })
            .collect();
        let of_row = |row: usize| {
            let each = outputs.iter().zip(expected).enumerate();
            let answers: Vec<Answer<'_>> = each
                .map(|(at, ((info, got), float))| Answer {
                    name: &info.name,
                    shape: &info.shape,
                    got: rows::row(got, batch, row),
                    float: rows::row(float, batch, row),
                    exact: graph.exact.get(at).copied().unwrap_or(false),
                })
                .collect();
            let verdict = accuracy::judge(&comparing, &answers);
            let exact = verdict.other_value.is_none();
            let (mut margin, mut power) = (None::<f64>, [0f64; 2]);
            for (at, answer) in answers.iter().enumerate().filter(|(_, a)| !a.exact) {
                let scale = self.rule.output_scale.get(at).copied().unwrap_or(0.0);
                if names_classes(answer.shape)
                    && let Some(of) = top_margin(answer.float, scale)
                {
                    margin = Some(margin.map_or(of, |m| m.min(of)));
                }
                let unit = if scale > 0.0 { scale } else { 1.0 };
                let of = powers(answer.got, answer.float, unit);
                power = [power[0] + of[0], power[1] + of[1]];
            }
            Row {
                error: verdict.error,
                same: verdict.other_class.is_none() && exact,
                exact,
                margin,
                power,
            }
        };
        let stood = |(values, ends): (&IntTensor, &Option<[i64; 2]>)| match ends {
            Some(ends) => values.values.iter().filter(|v| ends.contains(v)).count() as u64,
            None => 0,
        };
        Seen {
            rows: (0..batch as usize).map(of_row).collect(),
            saturations: values.iter().zip(ends).map(stood).collect(),
        }
    }

    fn sum(&self, seen: &[Seen]) -> Measured {
        let rows = || seen.iter().flat_map(|s| &s.rows).take(self.rows.count);
        let count = rows().count().max(1) as f64;
        let max_error = rows().fold(0f64, |m, row| m.max(row.error));
        let exact_agreement = rows().filter(|row| row.exact).count() as f64 / count;
        let power = rows().fold([0f64; 2], |sum, row| {
            [sum[0] + row.power[0], sum[1] + row.power[1]]
        });
        let mut saturations = vec![0u64; self.graph.tensors.len()];
        for of in seen {
            saturations
                .iter_mut()
                .zip(&of.saturations)
                .for_each(|(sum, n)| *sum += n);
        }
        let report = AccuracyReport {
            samples: rows().count(),
            max_error,
            mean_error: rows().map(|row| row.error).sum::<f64>() / count,
            sqnr: decibels(power),
            top1_agreement: rows().filter(|row| row.same).count() as f64 / count,
            top_margin: rows().filter_map(|row| row.margin).reduce(f64::min),
            saturations: saturations.iter().sum(),
            output_scale: self.rule.output_scale.clone(),
            exact_agreement,
            within_budget: max_error <= self.rule.max_error && exact_agreement >= EXACT,
            widened: 0,
            tried: Vec::new(),
            nodes: Vec::new(),
        };
        Measured { report, saturations }
    }

    /// Each node's tensor against the float graph's, on a few samples.
    ///
    /// # Errors
    /// A sample that a graph refuses.
    pub(crate) fn nodes(
        &self,
        int: &IntGraph,
        measured: &Measured,
    ) -> Result<Vec<NodeAccuracy>, CalibrateError> {
        let evaluator = int
            .evaluator()
            .map_err(|source| CalibrateError::Evaluate { index: 0, source })?;
        // Far apart, where there are more: samples often come in the order of their classes.
        let every = self.samples.len().div_ceil(BY_NODE).max(1);
        let looked_at = self.samples.par_iter().enumerate().step_by(every);
        let each = looked_at.map(|(index, sample)| {
            let floats = self
                .graph
                .evaluate(sample)
                .map_err(|source| CalibrateError::Sample { index, source })?;
            let values = self
                .run(int, &evaluator, sample)
                .map_err(|source| CalibrateError::Evaluate { index, source })?;
            let of_tensor =
                |(at, (info, (floats, ints))): (usize, (&TensorInfo, (&Vec<f64>, &IntTensor)))| {
                    let got = dequantise(info, &ints.values);
                    Off {
                        greatest: output_error(&got, floats, self.magnitudes.get(at).copied().unwrap_or(0.0)),
                        sum: got.iter().zip(floats).map(|(a, b)| (a - b).abs()).sum(),
                        values: got.len(),
                        power: powers(&got, floats, 1.0),
                    }
                };
            let tensors = int.tensors.iter().zip(floats.iter().zip(&values));
            Ok::<Vec<Off>, CalibrateError>(tensors.enumerate().map(of_tensor).collect())
        });
        let each: Vec<Vec<Off>> = each.collect::<Result<_, CalibrateError>>()?;
        let mut offs = vec![Off::default(); int.tensors.len()];
        for of in &each {
            offs.iter_mut().zip(of).for_each(|(sum, off)| sum.add(off));
        }
        let one = |node: &Node| {
            let at = node.output.0 as usize;
            let off = offs.get(at)?;
            let scale = self.magnitudes.get(at).copied().filter(|m| *m > 0.0);
            Some(NodeAccuracy {
                node: node.name.clone(),
                bits: int.tensors.get(at)?.range.bits,
                max_error: off.greatest,
                mean_error: off.sum / off.values.max(1) as f64 / scale.unwrap_or(1.0),
                sqnr: decibels(off.power),
                saturations: measured.saturations.get(at).copied().unwrap_or(0),
            })
        };
        Ok(int.nodes.iter().filter_map(one).collect())
    }
}

/// How far a tensor's integers are off.
#[derive(Debug, Clone, Copy, Default)]
struct Off {
    /// As a share of the tensor's magnitude.
    greatest: f64,
    /// All differences added up, in the tensor's units, of so many values.
    sum: f64,
    values: usize,
    /// Of the floats and of the differences.
    power: [f64; 2],
}

impl Off {
    fn add(&mut self, of: &Self) {
        self.greatest = self.greatest.max(of.greatest);
        self.sum += of.sum;
        self.values += of.values;
        self.power = [self.power[0] + of.power[0], self.power[1] + of.power[1]];
    }
}

/// Squares of floats and of differences, added up.
fn powers(got: &[f64], float: &[f64], unit: f64) -> [f64; 2] {
    got.iter().zip(float).fold([0.0; 2], |sum, (got, float)| {
        let (float, off) = (float / unit, (got - float) / unit);
        [sum[0] + float * float, sum[1] + off * off]
    })
}

/// A ratio of powers; none where there is no error.
fn decibels([signal, noise]: [f64; 2]) -> Option<f64> {
    (noise > 0.0).then(|| 10.0 * (signal / noise).log10())
}

/// The integers of a sample: in range, because the scale was chosen from it, and ranks, which were looked at before.
fn nearest(int: &IntGraph, tensor: u32, values: &[f64]) -> IntTensor {
    let info = &int.tensors[tensor as usize];
    let factor = power_of_two(info.exponent.into());
    let integer = |(at, value): (usize, &f64)| match &info.ranks {
        Some(ranks) => ranks.rank(at, *value).unwrap_or_default(),
        None => (value * factor).round() as i64,
    };
    IntTensor {
        shape: info.shape.clone(),
        values: values.iter().enumerate().map(integer).collect(),
    }
}
