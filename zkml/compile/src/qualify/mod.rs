//! Judges a manifest once, on the verifier's own data, so that its receipts need no model from then on.
//!
//! Invariant: a qualification is of one manifest, by digest, and rests on the ONNX file, on data and on a rule that the
//! verifier brought: graph, boundary and keys are derived from the file and compared, and the integer graph's answer to
//! every sample is judged against the float model's. Of a manifest that answers several inputs at once, each sample is judged
//! by itself, in every row. What the manifest promises of itself is not looked at.

#[cfg(test)]
mod tests;

use rayon::prelude::*;
use zkml::accuracy::{Rule, names_classes};
use zkml::graph::tensor_file::quantise_input;
use zkml::graph::{FloatInput, InputError, Inputs, IntTensor, TensorInfo, rows};
use zkml::manifest::Manifest;
use zkml::qualification::{InputRange, Qualification, TensorRow, VERSION};
use zkml::receipt::judge_outputs;
use zkml::setup::SrsSource;
use zkml::systems::SYSTEMS;

use crate::compile::{CompileError, Derived, derive};
use crate::fidelity::Fidelity;
use crate::float::FloatError;
use crate::float_model::{FloatModel, FloatModelError};

/// Why a manifest was not judged, or not one that follows from the model.
#[derive(Debug, thiserror::Error)]
pub enum QualifyError {
    /// The manifest does not follow from the file.
    #[error(transparent)]
    Derive(#[from] CompileError),
    /// The data are no inputs of the model.
    #[error("the data: {0}")]
    Data(InputError),
    /// A sample is not one of the model's inputs.
    #[error("sample {index}: {reason}")]
    Sample {
        /// Which.
        index: usize,
        /// Why.
        reason: String,
    },
    /// Another number of output scales than outputs.
    #[error("there are {got} output scales, the model has {expected} outputs")]
    OutputScale {
        /// The model's outputs.
        expected: usize,
        /// The scales given.
        got: usize,
    },
}

/// What one sample showed.
struct Seen {
    /// The float model's outputs.
    answer: Vec<Vec<f64>>,
    /// The integers, by output, and every tensor's fidelity; or why the integer graph takes no such input.
    ints: Result<(Vec<Vec<i64>>, Fidelity), String>,
}

/// Judges `manifest` against the model on `data`, whose first axis counts samples. Without output scales in the rule each
/// output's is its greatest float magnitude over the data. `srs` is as for [`derive`](fn@crate::compile::derive).
///
/// # Errors
/// A manifest that does not follow from the model, or data that are no inputs of it.
pub fn qualify(
    onnx: &[u8],
    manifest: &Manifest,
    srs: Option<&SrsSource>,
    data: &Inputs,
    rule: &Rule,
) -> Result<Qualification, QualifyError> {
    let derived = derive(onnx, manifest, srs, SYSTEMS)?;
    let graph = &derived.graph;
    let infos: Vec<&TensorInfo> = graph
        .inputs
        .iter()
        .filter_map(|id| graph.tensors.get(id.0 as usize))
        .collect();
    let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
    let samples = data.samples(&names).map_err(QualifyError::Data)?;
    if !rule.output_scale.is_empty() && rule.output_scale.len() != graph.outputs.len() {
        return Err(QualifyError::OutputScale {
            expected: graph.outputs.len(),
            got: rule.output_scale.len(),
        });
    }
    let model = FloatModel::read(onnx).map_err(|e| QualifyError::Sample {
        index: 0,
        reason: e.to_string(),
    })?;
    let seen: Vec<Seen> = samples
        .par_iter()
        .enumerate()
        .map(|(index, sample)| {
            see(&derived, &model, (manifest.batch, &infos), sample)
                .map_err(|reason| QualifyError::Sample { index, reason })
        })
        .collect::<Result<_, _>>()?;
    let mut rule = rule.clone();
    if rule.output_scale.is_empty() {
        rule.output_scale = (0..graph.outputs.len()).map(|at| magnitude(&seen, at)).collect();
    }
    Ok(report(manifest, &derived, &samples, &seen, &model.exact(), &rule))
}

/// Evaluates one sample on both sides.
fn see(
    derived: &Derived,
    model: &FloatModel,
    (batch, infos): (u32, &[&TensorInfo]),
    sample: &[FloatInput],
) -> Result<Seen, String> {
    let graph = &derived.graph;
    let floats: Vec<Vec<f64>> = sample.iter().map(|t| t.values.clone()).collect();
    let mut quantised = Vec::with_capacity(sample.len());
    let mut refused = None;
    for (info, tensor) in infos.iter().zip(sample) {
        match quantise_input(&rows::one(info, batch), tensor) {
            Ok(integers) => quantised.push(IntTensor {
                shape: info.shape.clone(),
                values: rows::repeated(&integers.values, batch),
            }),
            Err(e @ InputError::OutOfCalibratedRange { .. }) => {
                refused = Some(format!("input `{}`: {e}", info.name))
            }
            Err(e) => return Err(format!("input `{}`: {e}", info.name)),
        }
    }
    let answer = model
        .row(graph, batch, &floats)
        .map_err(|e: FloatModelError| e.to_string())?;
    if let Some(why) = refused {
        return Ok(Seen {
            answer,
            ints: Err(why),
        });
    }
    let values = match graph.evaluate(&quantised) {
        Ok(values) => values,
        Err(e) => {
            let ints = Err(e.to_string());
            return Ok(Seen { answer, ints });
        }
    };
    let floats: Vec<Vec<f64>> = floats.iter().map(|v| rows::repeated(v, batch)).collect();
    let fidelity =
        Fidelity::new(&derived.float, graph, &floats, &values).map_err(|e: FloatError| e.to_string())?;
    let outputs = graph.outputs.iter().filter_map(|id| values.get(id.0 as usize));
    let outputs = outputs
        .map(|t: &IntTensor| rows::row(&t.values, batch, 0).to_vec())
        .collect();
    Ok(Seen {
        answer,
        ints: Ok((outputs, fidelity)),
    })
}

/// Greatest float magnitude of an output over the samples.
fn magnitude(seen: &[Seen], output: usize) -> f64 {
    let values = seen.iter().filter_map(|s| s.answer.get(output)).flatten();
    values.filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(v.abs()))
}

fn report(
    manifest: &Manifest,
    derived: &Derived,
    samples: &[Vec<FloatInput>],
    seen: &[Seen],
    exact: &[bool],
    rule: &Rule,
) -> Qualification {
    let graph = &derived.graph;
    let outputs: Vec<TensorInfo> = graph
        .outputs
        .iter()
        .filter_map(|id| graph.tensors.get(id.0 as usize))
        .map(|info| rows::one(info, manifest.batch))
        .collect();
    // Classes are counted whatever this rule asks for: a later one may.
    let counting = Rule {
        compare_top1: true,
        ..rule.clone()
    };
    let (mut refused, mut errors, mut same_class) = (Vec::new(), Vec::new(), 0u32);
    let mut worst_sample = None;
    for (index, one) in seen.iter().enumerate() {
        let (ints, _) = match &one.ints {
            Ok(ints) => ints,
            Err(why) => {
                refused.push(format!("sample {index}: {why}"));
                continue;
            }
        };
        let got: Vec<(&TensorInfo, &[i64])> = outputs.iter().zip(ints.iter().map(Vec::as_slice)).collect();
        let verdict = judge_outputs(&counting, &got, &one.answer, exact);
        same_class += u32::from(verdict.other_class.is_none() && verdict.other_value.is_none());
        if worst_sample.is_none_or(|(_, e)| verdict.error > e) {
            worst_sample = Some((index, verdict.error));
        }
        errors.push(verdict.error);
    }
    let greatest_error = errors.iter().copied().fold(0f64, f64::max);
    let inputs = graph.inputs.iter().enumerate().filter_map(|(at, id)| {
        let values = samples.iter().filter_map(|s| s.get(at)).flat_map(|t| &t.values);
        Some(InputRange {
            name: graph.tensors.get(id.0 as usize)?.name.clone(),
            magnitude: values.filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(v.abs())),
        })
    });
    let names_class = outputs.iter().any(|info| names_classes(&info.shape)) || exact.contains(&true);
    let mut made = Qualification {
        version: VERSION,
        manifest: manifest.digest(),
        model: manifest.model,
        qualified: false,
        max_error: rule.max_error,
        compare_top1: rule.compare_top1,
        samples: seen.len() as u32,
        out_of_range: refused.len() as u32,
        first_out_of_range: refused.into_iter().next(),
        greatest_error,
        worst_sample: worst_sample.map_or(0, |(index, _)| index as u32),
        mean_error: errors.iter().sum::<f64>() / (errors.len().max(1) as f64),
        same_class: names_class.then_some(same_class),
        output_scale: rule.output_scale.clone(),
        inputs: inputs.collect(),
        tensors: tensor_rows(derived, seen),
    };
    made.qualified = made.refusal(rule).is_none();
    made
}

/// One row per tensor, inputs first, then in the nodes' order.
fn tensor_rows(derived: &Derived, seen: &[Seen]) -> Vec<TensorRow> {
    let graph = &derived.graph;
    let made = graph.nodes.iter().map(|n| (n.output, Some(n.name.clone())));
    let all = graph.inputs.iter().map(|id| (*id, None)).chain(made);
    let row = |(id, node): (zkml::graph::TensorId, Option<String>)| {
        let at = id.0 as usize;
        let info = graph.tensors.get(at)?;
        let measured = seen
            .iter()
            .filter_map(|s| s.ints.as_ref().ok()?.1.tensors.get(at));
        let (mut magnitude, mut greatest, mut sum, mut count) = (0f64, 0f64, 0f64, 0f64);
        for tensor in measured {
            magnitude = magnitude.max(tensor.magnitude);
            greatest = greatest.max(tensor.deviation);
            sum += tensor.deviation;
            count += 1.0;
        }
        let of_magnitude = |v: f64| match (v, magnitude) {
            (0.0, _) => 0.0,
            (v, m) if m > 0.0 && m.is_finite() => v / m,
            _ => f64::INFINITY,
        };
        let (lo, hi) = (info.range.lo() as f64, info.range.hi() as f64);
        let unit = zkml::graph::dequantise(info, &[1])
            .first()
            .copied()
            .unwrap_or(1.0);
        Some(TensorRow {
            tensor: info.name.clone(),
            node,
            exponent: info.exponent,
            magnitude,
            range: magnitude / (unit * hi.max(-lo)),
            greatest_error: of_magnitude(greatest),
            mean_error: of_magnitude(sum / count.max(1.0)),
        })
    };
    all.filter_map(row).collect()
}
