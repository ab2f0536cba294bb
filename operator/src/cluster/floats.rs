//! The float model's answer to a request that has succeeded, asked for again for whoever looks at it.
//!
//! Invariant: it is of the model that was proved: where the Model has been compiled anew since, there is none.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::ResourceExt;
use zkinfer_crds::RequestUid;
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport};
use zkinfer_crds::k8s::{InferenceRequest, Model};
use zkml::graph::{TensorInfo, rows};
use zkml::manifest::Manifest;

use super::operator::Operator;
use crate::reference::{Question, ReferenceError};
use crate::runs::{Asker, CompiledModel, Row, floats, input_len};
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

fn uid_of(request: &InferenceRequest) -> Result<RequestUid, NoFloat> {
    let uid = request.uid().and_then(|uid| uid.parse().ok());
    uid.ok_or_else(|| NoFloat::Refused("the request has no uid".to_owned()))
}

async fn answer(ctx: &Operator, request: Arc<InferenceRequest>) -> Result<Vec<FloatOutput>, NoFloat> {
    let name = &request.spec.model_ref.name;
    let refused = |why: String| NoFloat::Refused(why);
    let found = compiled(ctx, &request);
    let (model, report) = found.ok_or_else(|| refused(format!("Model `{name}` is not compiled now")))?;
    let proved = request.status.as_ref().and_then(|status| status.manifest_digest);
    let report = report
        .each()
        .find(|report| Some(report.manifest.digest) == proved);
    let report = report.ok_or_else(|| {
        refused(format!(
            "Model `{name}` was compiled anew since the request was proved"
        ))
    })?;
    let artifacts = &ctx.world.artifacts;
    let manifest = CompiledModel::manifest(artifacts, &report, model.spec.proof_system).await;
    let manifest = manifest.map_err(|e| NoFloat::Unavailable(e.to_string()))?;
    let only = match manifest.inputs.as_slice() {
        [id] => manifest.tensor(*id).map(|tensor| tensor.name.clone()),
        _ => None,
    };
    let namespace = request.namespace().unwrap_or_default();
    let (files, input, values) = (&*ctx.world, &request.spec.input, input_len(&manifest));
    let not_there = |e| match e {
        SourceError::Unavailable(why) => NoFloat::Unavailable(why),
        e => refused(format!(
            "the request's input is not there any more: {}",
            e.into_text()
        )),
    };
    let bytes = sources::input_bytes(files, artifacts, &namespace, input, values).await;
    // On the same account as those of requests at work; whoever looks asks again.
    let asker = Asker {
        uid: uid_of(&request)?,
        namespace: namespace.clone(),
        benchmark: false,
    };
    let room = ctx.world.rooms.take(&asker, bytes.map_err(not_there)?);
    let _room = room.map_err(|error| {
        ctx.world.rooms.leave(asker.uid);
        NoFloat::Unavailable(error.to_string())
    })?;
    let given = sources::input(files, artifacts, &namespace, input, only.as_deref(), values).await;
    let given = given.map_err(not_there)?;
    let inputs = floats(&manifest, &given).map_err(|e| refused(e.to_string()))?;
    said(ctx, &report, &manifest, inputs).await
}

/// What the float model says to these inputs: by output, of several inputs the answers one after the other.
pub(super) async fn said(
    ctx: &Operator,
    report: &CompileReport,
    manifest: &Manifest,
    inputs: Vec<Row>,
) -> Result<Vec<FloatOutput>, NoFloat> {
    let artifacts = &ctx.world.artifacts;
    let count = inputs.len() as u32;
    let infos = manifest.outputs.iter().filter_map(|id| manifest.tensor(*id));
    let infos: Vec<TensorInfo> = infos.map(|info| rows::one(info, manifest.batch)).collect();
    let mut outputs: Vec<Vec<f64>> = vec![Vec::new(); infos.len()];
    for inputs in inputs {
        let question = Question {
            manifest: report.manifest.digest,
            model: manifest.model,
            output_scale: report.accuracy.output_scale.clone(),
            inputs,
        };
        let said = ctx
            .requests
            .reference
            .answer(&Arc::new(question), artifacts)
            .await;
        let said = said.map_err(|e| match e {
            ReferenceError::Refused(why) => NoFloat::Refused(why),
            ReferenceError::Unavailable(why) => NoFloat::Unavailable(why),
        })?;
        for (all, values) in outputs.iter_mut().zip(said.outputs) {
            all.extend(values);
        }
    }
    let told = infos.iter().zip(&outputs);
    Ok(told
        .map(|(info, values)| shown(&info.name, &info.shape, count, values))
        .collect())
}

/// An output as it is shown: of so many inputs the answers are one after the other.
pub(super) fn shown(name: &str, of_one: &[u32], inputs: u32, values: &[f64]) -> FloatOutput {
    let mut shape = of_one.to_vec();
    if let Some(first) = shape.first_mut() {
        *first = first.saturating_mul(inputs);
    }
    FloatOutput {
        name: name.to_owned(),
        shape,
        values: values
            .iter()
            .take(MAX_VALUES)
            .map(|value| value.is_finite().then_some(*value))
            .collect(),
        count: values.len(),
    }
}
