//! A graph that takes several inputs at once: made from the file, and held against the graph of one.
//!
//! Invariant: each row of a batch's answer is the answer that its input has alone. That is looked at here, on the samples and on
//! inputs that differ in every row, so that a model whose inputs mix is refused by the node where they do; and again of each
//! request, by whoever judges its answer ([`verify`](crate::verify)), whatever was found here.

use zkinfer_crds::dimensions::Dimensions;
use zkml::accuracy::output_error;
use zkml::manifest::MAX_BATCH;

use crate::compile::Sample;
use crate::float::{FloatError, FloatGraph, FloatTensor};
use crate::import::{ImportError, Sizes, import_sized};
use crate::samples;

/// How far a row may be from what its input makes alone: the same sums in f64, perhaps in another order.
const SAME: f64 = 1e-6;
/// The seed of the inputs that are made up for this.
const SEED: u64 = 2;

/// Why a model takes no batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Neither one nor more than the engine takes.
    #[error("a batch of {0} inputs; 1 to {MAX_BATCH} are taken")]
    Size(u32),
    /// The file alone is taken, with several inputs at once it is not.
    #[error("with {batch} inputs at once, along the first axis of every input: {source}")]
    Import {
        /// How many inputs.
        batch: u32,
        /// Where it ends.
        source: ImportError,
    },
    /// An output that has no row for each input.
    #[error(
        "output `{output}` has the shape {got:?} for {batch} inputs at once and {alone:?} for one: its first axis does not \
         count the inputs"
    )]
    Output {
        /// How many inputs.
        batch: u32,
        /// The output.
        output: String,
        /// With several inputs.
        got: Vec<u32>,
        /// With one.
        alone: Vec<u32>,
    },
    /// A node whose values for one input hang on the others.
    #[error(
        "node `{node}` mixes the inputs of a batch: with {batch} at once its values are not those that each input has alone"
    )]
    Mixed {
        /// How many inputs.
        batch: u32,
        /// The node.
        node: String,
    },
    /// The graph does not run on a sample.
    #[error("with {batch} inputs at once: {source}")]
    Evaluate {
        /// How many inputs.
        batch: u32,
        /// Why.
        source: FloatError,
    },
}

/// The graph of `batch` inputs at once, each of which has the answer that `alone`, the graph of one, gives it.
///
/// # Errors
/// A model whose inputs cannot be put side by side, by the node or the name where they cannot.
pub(crate) fn import(
    onnx: &[u8],
    dimensions: &Dimensions,
    batch: u32,
    alone: &FloatGraph,
    given: &[Sample],
) -> Result<FloatGraph, BatchError> {
    let wide = import_sized(onnx, Sizes::Batch(dimensions, batch))
        .map_err(|source| BatchError::Import { batch, source })?;
    check_outputs(alone, &wide, batch)?;
    // What is asked of all rows alike is seen only where the rows differ.
    let made_up = samples::bounded(alone).then(|| samples::synthetic_samples(alone, batch as usize, SEED));
    for rows in made_up.into_iter().chain([unlike(alone, given, batch as usize)]) {
        check_rows(alone, &wide, batch, &rows)?;
    }
    Ok(wide)
}

/// The samples of a batch: so many in each, in their order, the last of them again where the last batch has fewer.
pub(crate) fn join(samples: &[Sample], batch: u32) -> Vec<Sample> {
    let one = |rows: &[Sample]| {
        let filled = (0..batch as usize).filter_map(|at| rows.get(at).or(rows.last()));
        side_by_side(&filled.collect::<Vec<_>>())
    };
    samples.chunks(batch.max(1) as usize).map(one).collect()
}

/// By tensor, all rows one after the other.
fn side_by_side(rows: &[&Sample]) -> Sample {
    let tensors = rows.first().map_or(0, |row| row.len());
    let all = |at: usize| {
        let values = rows.iter().filter_map(|row| row.get(at)).flatten();
        values.copied().collect()
    };
    (0..tensors).map(all).collect()
}

/// So many inputs out of those given, no two of them the same as far as floats go.
fn unlike(alone: &FloatGraph, given: &[Sample], count: usize) -> Vec<Sample> {
    let whole: Vec<bool> = inputs(alone).map(FloatTensor::takes_whole).collect();
    let row = |at: usize| {
        let mut sample = given.get(at % given.len().max(1)).cloned().unwrap_or_default();
        let factor = 1.0 - at as f64 / (2 * count) as f64;
        let floats = sample.iter_mut().zip(&whole).filter(|(_, whole)| !**whole);
        floats.for_each(|(values, _)| values.iter_mut().for_each(|v| *v *= factor));
        sample
    };
    (0..count).map(row).collect()
}

fn inputs(graph: &FloatGraph) -> impl Iterator<Item = &FloatTensor> {
    let tensor = |id: &zkml::graph::TensorId| graph.tensors.get(id.0 as usize);
    graph.inputs.iter().filter_map(tensor)
}

/// The first axis of each output has as many times more as there are inputs, and the rest is the same.
fn check_outputs(alone: &FloatGraph, wide: &FloatGraph, batch: u32) -> Result<(), BatchError> {
    for (one, all) in alone.outputs.iter().zip(&wide.outputs) {
        let (Some(one), Some(all)) = (
            alone.tensors.get(one.0 as usize),
            wide.tensors.get(all.0 as usize),
        ) else {
            continue;
        };
        let mut expected = one.shape.clone();
        let counts = expected.first_mut().map(|first| *first *= batch);
        if counts.is_none() || expected != all.shape {
            return Err(BatchError::Output {
                batch,
                output: all.name.clone(),
                got: all.shape.clone(),
                alone: one.shape.clone(),
            });
        }
    }
    Ok(())
}

/// Every output's rows are what each input makes alone, or the node that is to blame.
fn check_rows(alone: &FloatGraph, wide: &FloatGraph, batch: u32, rows: &[Sample]) -> Result<(), BatchError> {
    let evaluate = |source| BatchError::Evaluate { batch, source };
    let apart: Vec<Vec<Vec<f64>>> = rows
        .iter()
        .map(|row| alone.evaluate(row))
        .collect::<Result<_, _>>()
        .map_err(evaluate)?;
    let joined = side_by_side(&rows.iter().collect::<Vec<_>>());
    let together = wide.evaluate(&joined).map_err(evaluate)?;
    let same = |one: &zkml::graph::TensorId, all: &zkml::graph::TensorId| {
        let each: Vec<&[f64]> = of(&apart, one.0 as usize);
        let all = together.get(all.0 as usize).map(Vec::as_slice);
        all.is_some_and(|all| carried(all, &each, 1))
    };
    let outputs = alone.outputs.iter().zip(&wide.outputs);
    let wrong = outputs.clone().find(|(one, all)| !same(one, all));
    let Some((_, wrong)) = wrong else { return Ok(()) };
    let output = || wide.tensors.get(wrong.0 as usize).map(|t| t.name.clone());
    let node = first_mixed(alone, wide, &apart, &together).or_else(output);
    Err(BatchError::Mixed {
        batch,
        node: node.unwrap_or_default(),
    })
}

fn of(apart: &[Vec<Vec<f64>>], tensor: usize) -> Vec<&[f64]> {
    let values = apart.iter().filter_map(|values| values.get(tensor));
    values.map(Vec::as_slice).collect()
}

/// The first node of which no axis holds what its node of the same name makes of each input alone. Nodes without a counterpart
/// are passed over.
fn first_mixed(
    alone: &FloatGraph,
    wide: &FloatGraph,
    apart: &[Vec<Vec<f64>>],
    together: &[Vec<f64>],
) -> Option<String> {
    // Of nodes that share a name, the last makes what the file's node makes.
    let last = |graph: &FloatGraph, name: &str| {
        let node = graph.nodes.iter().rev().find(|node| node.name == name)?;
        Some(node.output)
    };
    let mixes = |name: &str| {
        let (one, all) = last(alone, name).zip(last(wide, name))?;
        let each = of(apart, one.0 as usize);
        let (all, shape) = (
            together.get(all.0 as usize)?,
            &alone.tensors.get(one.0 as usize)?.shape,
        );
        // Everything in front of an axis: where the batch may have come to stand.
        let fronts = (0..=shape.len()).map(|axis| shape.iter().take(axis).map(|&d| d as usize).product());
        let constant = each.iter().all(|row| carried(all, &[row], 1));
        let somewhere = fronts.into_iter().any(|front: usize| carried(all, &each, front));
        Some(!constant && !somewhere)
    };
    let nodes = wide.nodes.iter().map(|node| node.name.as_str());
    nodes
        .into_iter()
        .find(|name| mixes(name) == Some(true))
        .map(str::to_owned)
}

/// Whether `all` are these rows side by side, along an axis that has so many values in front of it.
fn carried(all: &[f64], each: &[&[f64]], front: usize) -> bool {
    let Some(len) = each.first().map(|row| row.len()) else {
        return false;
    };
    if front == 0 || len % front != 0 || all.len() != len * each.len() {
        return false;
    }
    let inner = len / front;
    each.iter().enumerate().all(|(at, row)| {
        let part = |outer: usize| {
            let from = (outer * each.len() + at) * inner;
            all.get(from..from + inner).unwrap_or_default()
        };
        let mine: Vec<f64> = (0..front).flat_map(part).copied().collect();
        output_error(&mine, row, f64::MIN_POSITIVE) <= SAME
    })
}
