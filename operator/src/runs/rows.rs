//! The inputs of a request, as rows of what is proved.
//!
//! Invariant: row `i` of every tensor is the `i`-th input as it was given, and each row behind the last input is that input again;
//! so whoever has the inputs makes the same tensors. An input that is wrong is named by its row, counted from 0, as `verify` does.

use std::collections::{BTreeMap, BTreeSet};

use zkinfer_crds::compile_report::CompileReport;
use zkinfer_crds::float_wire::Input;
use zkinfer_crds::k8s::inference_request::InlineTensor;
use zkml::graph::tensor_file::{FloatInput, quantise_input};
use zkml::graph::{IntGraph, IntTensor, TensorInfo, rows};
use zkml::manifest::Manifest;

use super::prepare::PrepareError;

/// What one input has of each of the model's inputs.
fn one_of_each(manifest: &Manifest) -> Vec<TensorInfo> {
    let infos = manifest.inputs.iter().filter_map(|id| manifest.tensor(*id));
    infos.map(|info| rows::one(info, manifest.batch)).collect()
}

/// The tensors in the order of the model's inputs.
fn in_order(
    manifest: &Manifest,
    given: &BTreeMap<String, InlineTensor>,
) -> Result<Vec<FloatInput>, PrepareError> {
    let infos = manifest.inputs.iter().filter_map(|id| manifest.tensor(*id));
    let names: Vec<&str> = infos.map(|info| info.name.as_str()).collect();
    let found: Vec<(&str, &InlineTensor)> = names
        .iter()
        .filter_map(|name| Some((*name, given.get(*name)?)))
        .collect();
    if given.len() != names.len() || found.len() != names.len() {
        let got: Vec<&str> = given.keys().map(String::as_str).collect();
        return Err(PrepareError::Names {
            expected: names.join(", "),
            got: got.join(", "),
        });
    }
    let tensor = |(name, tensor): (&str, &InlineTensor)| {
        if !tensor.is_consistent() {
            return Err(PrepareError::Inconsistent {
                name: name.to_owned(),
                expected: tensor.shape.iter().map(|&d| u64::from(d)).product(),
                got: tensor.data.len(),
            });
        }
        Ok(FloatInput {
            shape: tensor.shape.iter().map(|&d| d as usize).collect(),
            values: tensor.data.clone(),
        })
    };
    found.into_iter().map(tensor).collect()
}

/// The report on the manifest that answers the inputs: the least that holds them. `manifest` is the first of the report.
///
/// # Errors
/// Tensors that are not the model's, or more inputs than any holds.
pub fn choose(
    report: &CompileReport,
    manifest: &Manifest,
    given: &BTreeMap<String, InlineTensor>,
) -> Result<CompileReport, PrepareError> {
    // Of one input at a time nothing is counted: what has another shape is refused as such.
    if report.sizes().eq([1]) {
        return Ok(report.clone());
    }
    let tensors = in_order(manifest, given)?;
    let tensors: Vec<&FloatInput> = tensors.iter().collect();
    let inputs = rows::count(&one_of_each(manifest), &tensors).map_err(PrepareError::Rows)?;
    report
        .least_that_holds(inputs)
        .ok_or_else(|| PrepareError::TooMany {
            inputs,
            sizes: report.sizes().collect(),
        })
}

/// The inputs, each in the order of the model's inputs.
fn given_rows(
    manifest: &Manifest,
    given: &BTreeMap<String, InlineTensor>,
) -> Result<Vec<Vec<FloatInput>>, PrepareError> {
    let tensors = in_order(manifest, given)?;
    if manifest.batch == 1 {
        return Ok(vec![tensors]);
    }
    let (each, tensors) = (one_of_each(manifest), tensors.iter().collect::<Vec<_>>());
    let inputs = rows::count(&each, &tensors).map_err(PrepareError::Rows)?;
    if inputs > manifest.batch as usize {
        return Err(PrepareError::TooMany {
            inputs,
            sizes: vec![manifest.batch],
        });
    }
    rows::split(&each, &tensors).map_err(PrepareError::Rows)
}

/// The tensors of one input, as floats.
pub type Row = Vec<(Input, Vec<f64>)>;

/// By input: its tensors as floats, in the model's order and in the shapes that one input has.
///
/// # Errors
/// Tensors that are not the model's.
pub fn floats(manifest: &Manifest, given: &BTreeMap<String, InlineTensor>) -> Result<Vec<Row>, PrepareError> {
    let each = one_of_each(manifest);
    let row = |tensors: Vec<FloatInput>| {
        let named = |(info, tensor): (&TensorInfo, FloatInput)| {
            let (name, shape) = (info.name.clone(), info.shape.clone());
            (Input { name, shape }, tensor.values)
        };
        each.iter().zip(tensors).map(named).collect()
    };
    Ok(given_rows(manifest, given)?.into_iter().map(row).collect())
}

/// Whether the inputs are the model's, as far as their names, shapes, numbers and ranges say.
///
/// # Errors
/// What is wrong with them; the error names it.
pub fn check_input(manifest: &Manifest, given: &BTreeMap<String, InlineTensor>) -> Result<(), PrepareError> {
    quantise(manifest, given).map(|_| ())
}

/// The inputs as the integer graph takes them, filled up with the last.
pub(super) fn quantise(
    manifest: &Manifest,
    given: &BTreeMap<String, InlineTensor>,
) -> Result<Vec<IntTensor>, PrepareError> {
    let (each, inputs) = (one_of_each(manifest), given_rows(manifest, given)?);
    let mut all: Vec<Vec<i64>> = vec![Vec::new(); each.len()];
    for (at, input) in inputs.iter().enumerate() {
        for ((info, tensor), all) in each.iter().zip(input).zip(&mut all) {
            let integers = quantise_input(info, tensor).map_err(|source| {
                let wrong = PrepareError::Input {
                    name: info.name.clone(),
                    source,
                };
                match inputs.len() {
                    1 => wrong,
                    rows => PrepareError::Row {
                        row: at,
                        rows,
                        source: Box::new(wrong),
                    },
                }
            })?;
            all.extend_from_slice(&integers.values);
        }
    }
    let infos = manifest.inputs.iter().filter_map(|id| manifest.tensor(*id));
    let filled = infos.zip(all).map(|(info, mut values)| {
        let last = rows::row(&values, inputs.len() as u32, inputs.len().saturating_sub(1)).to_vec();
        for _ in inputs.len()..manifest.batch as usize {
            values.extend_from_slice(&last);
        }
        let shape = info.shape.clone();
        IntTensor { shape, values }
    });
    Ok(filled.collect())
}

/// Whether each of so many inputs has the answer that it has alone, which `verify` asks too. `tensors` are those of the graph, its
/// inputs and outputs at least.
///
/// # Errors
/// The first input that has another, or that the graph refuses alone.
pub(super) fn check_alone(
    graph: &IntGraph,
    batch: u32,
    inputs: usize,
    tensors: &[IntTensor],
) -> Result<(), PrepareError> {
    // One input stands in every row already.
    if inputs <= 1 {
        return Ok(());
    }
    let tensor = |id: &zkml::graph::TensorId| tensors.get(id.0 as usize);
    let input: Vec<&IntTensor> = graph.inputs.iter().filter_map(tensor).collect();
    let outputs: BTreeSet<_> = graph.outputs.iter().copied().collect();
    let row = |tensor: &IntTensor, at| rows::row(&tensor.values, batch, at).to_vec();
    for at in 0..inputs {
        let same = |before: usize| input.iter().all(|t| row(t, at) == row(t, before));
        let everywhere = input.iter().map(|tensor| IntTensor {
            shape: tensor.shape.clone(),
            values: rows::repeated(&row(tensor, at), batch),
        });
        // The same input again has the same answer again, which is looked at below.
        let alone = match at.checked_sub(1).filter(|before| same(*before)) {
            Some(_) => None,
            None => Some(graph.evaluate_for(&outputs, &everywhere.collect::<Vec<_>>())?),
        };
        for id in &graph.outputs {
            let Some(got) = tensor(id) else { continue };
            let expected = match &alone {
                Some(alone) => alone.get(id.0 as usize).map(|t| row(t, at)),
                None => at.checked_sub(1).map(|before| row(got, before)),
            };
            if expected.is_none_or(|expected| expected != row(got, at)) {
                let info = graph.tensors.get(id.0 as usize);
                return Err(PrepareError::Mixed {
                    row: at,
                    output: info.map(|info| info.name.clone()).unwrap_or_default(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
