//! What is known of a request's Model, pools and run.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::RequestUid;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::inference_request::reason;
use zkinfer_crds::k8s::model::condition;
use zkinfer_crds::k8s::request_status::{INPUT_FILE, MODEL_FILE, ReceiptRef};
use zkinfer_crds::k8s::{InferenceRequest, ModelStatus, find_condition, is_true};

use zkml::receipt::BuildError;

use super::end::{Ends, ends};
use super::observed::{ModelState, PoolView, RunEnd, RunState};
use crate::artifacts::ArtifactError;
use crate::cluster::{Context, Part};
use crate::controllers::pool::identity_of;
use crate::dispatch::PoolId;
use crate::runs::{Judgement, Run, verify_command};

/// The Model, as far as requests are concerned; unknown while the operator, just started, has not looked at it yet: what
/// its status says is not known to be true before that.
pub(super) fn model(ctx: &Context, object: &InferenceRequest) -> ModelState {
    let namespace = object.namespace();
    let name = &object.spec.model_ref.name;
    let found = ctx
        .stores
        .models
        .find(|m| m.metadata.namespace == namespace && m.metadata.name.as_ref() == Some(name));
    let Some(model) = found.filter(|m| m.metadata.deletion_timestamp.is_none()) else {
        // Before every Model is known, one that is not known may be there; nothing would wake the request later.
        return if ctx.ready.is(Part::Models) {
            ModelState::NotFound
        } else {
            ModelState::Unknown
        };
    };
    // Nobody may be taken for one who may not see it only because the lists are not read yet.
    if !ctx.ready.is(Part::Consents) {
        return ModelState::Unknown;
    }
    let models = ctx.models();
    let Some(record) = models.get(model.uid().as_deref().unwrap_or_default()) else {
        return ModelState::Unknown;
    };
    let none = ModelStatus::default();
    let written = record.written.as_ref().map(|(s, _)| s);
    let status = written.or(model.status.as_ref()).unwrap_or(&none);
    let ready = find_condition(&status.conditions, "Ready");
    let message = ready.map_or_else(
        || "it is being looked at".to_owned(),
        |c| format!("{}: {}", c.reason, c.message),
    );
    let is_ready = ready.is_some_and(|c| c.status == "True");
    let compiled = record.outcome.as_ref().and_then(|known| match &known.outcome {
        CompileOutcome::Compiled(report) if record.good => Some((known.onnx.digest, report)),
        _ => None,
    });
    match compiled {
        _ if record.failed => ModelState::Failed(message),
        None if is_true(&status.conditions, condition::RECOMPILING) => ModelState::Recompiling(message),
        Some((onnx, report)) if is_ready => ModelState::ready(onnx, report),
        // Its status is about to say so.
        Some(_) => ModelState::Unknown,
        None if is_ready => ModelState::Unknown,
        None if ready.is_some_and(|c| c.reason == "Compiling") => {
            ModelState::Compiling(ready.map(|c| c.message.clone()).unwrap_or_default())
        }
        None => ModelState::NotReady(message),
    }
}

/// Every pool.
pub(super) fn pools(ctx: &Context, object: &InferenceRequest) -> Vec<PoolView> {
    let namespace = object.namespace().unwrap_or_default();
    let name = &object.spec.model_ref.name;
    let model = ctx.stores.models.find(|m| {
        m.metadata.namespace == object.metadata.namespace && m.metadata.name.as_ref() == Some(name)
    });
    let consent = ctx.consent_for(object, model.as_deref());
    let pools = ctx.stores.pools.state();
    let records = ctx.pools();
    let view = |pool: &std::sync::Arc<zkinfer_crds::k8s::MinerPool>| {
        let own = pool.namespace().unwrap_or_default();
        let id = PoolId::from(&**pool);
        let written = records.get(&id).and_then(|r| r.written.as_ref());
        let status = written.map(|(s, _)| s).or(pool.status.as_ref());
        PoolView {
            labels: pool.labels().clone(),
            ready: status.is_some_and(|s| is_true(&s.conditions, "Ready")),
            draining: pool.spec.drain || pool.metadata.deletion_timestamp.is_some(),
            serves: pool.spec.serves(&own, &namespace),
            barred: consent.refusal(&own, || identity_of(pool)),
            memory_bytes: pool.spec.resources.memory.bytes(),
            because: status.and_then(|s| PoolView::because(&s.conditions)),
            id,
        }
    };
    pools.iter().map(view).collect()
}

/// Which namespaces that its Model's side lets serve it are not watched, in a sentence.
pub(super) fn unseen(ctx: &Context, object: &InferenceRequest) -> Option<String> {
    // Where everything is watched nothing need be looked for.
    ctx.scope.namespaces()?;
    let name = &object.spec.model_ref.name;
    let model = ctx.stores.models.find(|m| {
        m.metadata.namespace == object.metadata.namespace && m.metadata.name.as_ref() == Some(name)
    });
    ctx.unseen(&ctx.consent_for(object, model.as_deref()))
}

/// How the run is; one whose slices are all verified gets its receipt here.
pub(super) async fn run(ctx: &Context, uid: RequestUid) -> RunState {
    let (run, key) = {
        let mut runs = ctx.runs();
        let Some(record) = runs.get_mut(&uid) else {
            return RunState::None;
        };
        let run = match (&record.run, &record.state) {
            (Some(run), RunState::Active(_)) => run.clone(),
            _ => return record.state.clone(),
        };
        if let Some(counts) = ctx.dispatcher.counts(uid) {
            record.view.counts = counts;
        }
        record.state = RunState::Active(record.view.clone());
        (run, record.key.clone())
    };
    let mut no_float = None;
    let end = match ends(
        &run,
        ctx.dispatcher.failure(uid),
        ctx.dispatcher.all_verified(uid),
    ) {
        Ends::No(why) => {
            no_float = why;
            None
        }
        Ends::Failed(end) => Some(end),
        Ends::Receipt(judgement) => {
            match receipt(ctx, &run, &key, &judgement).await {
                Ok(end) => Some(end),
                Err(NoReceipt::Build(e)) => Some(RunEnd::failed(reason::INTERNAL_ERROR, e.to_string())),
                // It will be back, and everything that the receipt is made of is here.
                Err(NoReceipt::Store(error)) => {
                    tracing::warn!(request = %key, %error, "the receipt was not written, trying again");
                    ctx.store.failed();
                    None
                }
            }
        }
    };
    let mut runs = ctx.runs();
    let Some(record) = runs.get_mut(&uid) else {
        return RunState::None;
    };
    record.view.no_float = no_float;
    record.state = match end {
        Some(end) => RunState::Ended(record.view.clone(), end),
        None => RunState::Active(record.view.clone()),
    };
    record.state.clone()
}

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
enum NoReceipt {
    /// It cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It cannot be stored now.
    #[error(transparent)]
    Store(#[from] ArtifactError),
}

async fn receipt(
    ctx: &Context,
    run: &Run,
    key: &ObjectRef<InferenceRequest>,
    judgement: &Judgement,
) -> Result<RunEnd, NoReceipt> {
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let bytes = run.finish()?.to_bytes();
    let size = bytes.len() as u64;
    let digest = ctx.artifacts.put_receipt(bytes.into(), namespace).await?;
    Ok(RunEnd::Receipt {
        receipt: ReceiptRef {
            digest,
            bytes: size,
            path: None,
        },
        output: run.output().clone(),
        error_millionths: judgement.error_millionths,
        verify: verify_command(
            &format!("{}.cbor", key.name),
            (MODEL_FILE, INPUT_FILE),
            &judgement.flags,
            run.model.manifest.proof_system,
            ctx.setup,
        ),
    })
}
