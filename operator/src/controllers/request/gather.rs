//! What is known of a request's Model, pools and run.

use kube::ResourceExt;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::inference_request::reason;
use zkinfer_crds::k8s::request_status::ReceiptRef;
use zkinfer_crds::k8s::{InferenceRequest, find_condition, is_true};

use super::plan::{ModelState, PoolView, RunEnd, RunState};
use crate::cluster::{Context, Part};
use crate::dispatch::PoolId;
use crate::runs::Run;

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
    let models = ctx.models();
    let Some(record) = models.get(model.uid().as_deref().unwrap_or_default()) else {
        return ModelState::Unknown;
    };
    let status = record
        .written
        .as_ref()
        .map(|(s, _)| s.clone())
        .or_else(|| model.status.clone())
        .unwrap_or_default();
    let ready = find_condition(&status.conditions, "Ready");
    let message = ready.map_or_else(
        || "it is being looked at".to_owned(),
        |c| format!("{}: {}", c.reason, c.message),
    );
    let is_ready = ready.is_some_and(|c| c.status == "True");
    match &record.compiled {
        _ if record.failed => ModelState::Failed(message),
        Some(compiled) if is_ready => ModelState::ready(compiled),
        Some(_) => ModelState::Failed(message),
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
    let pools = ctx.stores.pools.state();
    let records = ctx.pools();
    let view = |pool: &std::sync::Arc<zkinfer_crds::k8s::MinerPool>| {
        let own = pool.namespace().unwrap_or_default();
        let id = PoolId::new(&own, &pool.name_any());
        let written = records.get(&id).and_then(|r| r.written.as_ref());
        let status = written.map(|(s, _)| s).or(pool.status.as_ref());
        PoolView {
            labels: pool.labels().clone(),
            ready: status.is_some_and(|s| is_true(&s.conditions, "Ready")),
            draining: pool.spec.drain || pool.metadata.deletion_timestamp.is_some(),
            serves: pool.spec.serves(&own, &namespace),
            memory_bytes: pool.spec.resources.memory.bytes(),
            score_millionths: status.and_then(|s| s.score_millionths).unwrap_or_default(),
            id,
        }
    };
    pools.iter().map(view).collect()
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
    let end = if let Some(message) = ctx.dispatcher.failure(uid) {
        Some(RunEnd::Failed {
            reason: reason::TOO_MANY_ATTEMPTS,
            message,
        })
    } else if ctx.dispatcher.all_verified(uid) {
        let written = receipt(ctx, &run, key.namespace.as_deref().unwrap_or_default()).await;
        Some(written.unwrap_or_else(|message| RunEnd::Failed {
            reason: reason::INTERNAL_ERROR,
            message,
        }))
    } else {
        None
    };
    let mut runs = ctx.runs();
    let Some(record) = runs.get_mut(&uid) else {
        return RunState::None;
    };
    if let Some(end) = end {
        record.state = RunState::Ended(record.view.clone(), end);
    }
    record.state.clone()
}

async fn receipt(ctx: &Context, run: &Run, namespace: &str) -> Result<RunEnd, String> {
    let bytes = run.finish().map_err(|e| e.to_string())?.to_bytes();
    let size = bytes.len() as u64;
    let digest = ctx
        .artifacts
        .put_receipt(bytes.into(), namespace)
        .await
        .map_err(|e| e.to_string())?;
    Ok(RunEnd::Receipt {
        receipt: ReceiptRef {
            digest,
            bytes: size,
            path: None,
        },
        output: run.output().clone(),
    })
}
