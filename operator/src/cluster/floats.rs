//! The float model's answer to a request that has succeeded, asked for again for whoever looks at it.
//!
//! Invariant: it is of the model that was proved: where the Model has been compiled anew since, there is none.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::ResourceExt;
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport};
use zkinfer_crds::k8s::{InferenceRequest, Model};

use super::operator::Operator;
use crate::reference::{Question, ReferenceError};
use crate::runs::{CompiledModel, floats};
use crate::sources::{self, SourceError};
use crate::web::{FloatOutput, Floats, MAX_VALUES, NoFloat};

/// See the module.
pub(super) struct FloatModel(pub(super) Arc<Operator>);

impl Floats for FloatModel {
    fn answer(&self, request: Arc<InferenceRequest>) -> BoxFuture<'_, Result<Vec<FloatOutput>, NoFloat>> {
        answer(&self.0, request).boxed()
    }
}

/// The request's Model, and what was compiled of it.
fn compiled(ctx: &Operator, request: &InferenceRequest) -> Option<(Arc<Model>, CompileReport)> {
    let model = ctx
        .world
        .model(&request.model_namespace(), &request.spec.model_ref.name)?;
    let records = ctx.models.records();
    match &records.get(&model.uid()?)?.known.outcome.as_ref()?.outcome {
        CompileOutcome::Compiled(report) => Some((Arc::clone(&model), report.clone())),
        CompileOutcome::Failed(_) => None,
    }
}

async fn answer(ctx: &Operator, request: Arc<InferenceRequest>) -> Result<Vec<FloatOutput>, NoFloat> {
    let name = &request.spec.model_ref.name;
    let refused = |why: String| NoFloat::Refused(why);
    let found = compiled(ctx, &request);
    let (model, report) = found.ok_or_else(|| refused(format!("Model `{name}` is not compiled now")))?;
    let proved = request.status.as_ref().and_then(|status| status.manifest_digest);
    if proved != Some(report.manifest.digest) {
        let message = format!("Model `{name}` was compiled anew since the request was proved");
        return Err(refused(message));
    }
    let artifacts = &ctx.world.artifacts;
    let manifest = CompiledModel::manifest(artifacts, &report, model.spec.proof_system).await;
    let manifest = manifest.map_err(|e| NoFloat::Unavailable(e.to_string()))?;
    let only = match manifest.inputs.as_slice() {
        [id] => manifest.tensor(*id).map(|tensor| tensor.name.clone()),
        _ => None,
    };
    let namespace = request.namespace().unwrap_or_default();
    let given = sources::input(
        &*ctx.world,
        artifacts,
        &namespace,
        &request.spec.input,
        only.as_deref(),
    )
    .await;
    let given = given.map_err(|e| match e {
        SourceError::Unavailable(why) => NoFloat::Unavailable(why),
        e => refused(format!(
            "the request's input is not there any more: {}",
            e.into_text()
        )),
    })?;
    let question = Question {
        manifest: report.manifest.digest,
        model: manifest.model,
        output_scale: report.accuracy.output_scale.clone(),
        inputs: floats(&manifest, &given),
    };
    let said = ctx
        .requests
        .reference
        .answer(&Arc::new(question), artifacts)
        .await;
    let said = said.map_err(|e| match e {
        ReferenceError::Refused(why) => refused(why),
        ReferenceError::Unavailable(why) => NoFloat::Unavailable(why),
    })?;
    let infos = manifest.outputs.iter().filter_map(|id| manifest.tensor(*id));
    let told = infos.zip(&said.outputs).map(|(info, values)| FloatOutput {
        name: info.name.clone(),
        shape: info.shape.clone(),
        values: values
            .iter()
            .take(MAX_VALUES)
            .map(|value| value.is_finite().then_some(*value))
            .collect(),
        count: values.len(),
    });
    Ok(told.collect())
}
