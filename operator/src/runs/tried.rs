//! What the integers give to an input that somebody tries: no statement, no run and no proof is made of it, and nothing is stored.
//!
//! Invariant: it is what a request with the same input would have proved, by the same code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zkinfer_crds::k8s::inference_request::InlineTensor;

use super::judge::Output;
use super::model::CompiledModel;
use super::prepare::PrepareError;
use super::rows::{self, Row};
use super::run::outputs;

/// The model's outputs for each input, and the inputs as the float model takes them.
///
/// # Errors
/// An input that the model does not take, or that leaves its calibrated range; the error names it.
pub async fn tried(
    model: &Arc<CompiledModel>,
    given: &BTreeMap<String, InlineTensor>,
) -> Result<(Vec<Vec<Output>>, Vec<Row>), PrepareError> {
    let quantised = rows::quantise(&model.manifest, given)?;
    let floats = rows::floats(&model.manifest, given)?;
    let (model, count) = (Arc::clone(model), floats.len());
    let evaluate = move || {
        let ends = model.manifest.inputs.iter().chain(&model.manifest.outputs);
        let ends: BTreeSet<_> = ends.copied().collect();
        let tensors = model.graph.evaluate_for(&ends, &quantised)?;
        rows::check_alone(&model.graph, model.manifest.batch, count, &tensors)?;
        Ok::<_, PrepareError>((0..count).map(|at| outputs(&model, &tensors, at)).collect())
    };
    let answers = tokio::task::spawn_blocking(evaluate).await;
    Ok((answers.map_err(|_| PrepareError::Stopped)??, floats))
}
