//! What is known of a request's Model, pools and run.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::model::{condition, reason};
use zkinfer_crds::k8s::request_status::SliceCounts;
use zkinfer_crds::k8s::{InferenceRequest, ModelStatus, find_condition, holds, is_true};
use zkinfer_crds::{Digest, RequestUid};

use super::end::{Ends, ends};
use super::observed::{ModelState, PoolView, RunState};
use super::records::Requests;
use crate::controllers::pool::identity_of;
use crate::dispatch::PoolId;
use crate::runs::Run;
use crate::world::Part;

/// The Model, as far as requests are concerned; unknown while the operator, just started, has not looked at it yet: what
/// its status says is not known to be true before that.
pub(super) fn model(ctx: &Requests, object: &InferenceRequest) -> ModelState {
    let namespace = object.model_namespace();
    let found = ctx.world.model(&namespace, &object.spec.model_ref.name);
    let Some(model) = found.filter(|m| m.metadata.deletion_timestamp.is_none()) else {
        // Before every Model is known, one that is not known may be there; nothing would wake the request later.
        return if ctx.world.ready.is(Part::Model) {
            ModelState::NotFound(others(ctx, &namespace))
        } else {
            ModelState::Unknown
        };
    };
    // Nobody may be taken for one who may not see it only because the lists are not read yet.
    if !ctx.world.ready.is(Part::Consents) {
        return ModelState::Unknown;
    }
    let models = ctx.models.records();
    let Some(record) = models.get(model.uid().as_deref().unwrap_or_default()) else {
        return ModelState::Unknown;
    };
    let none = ModelStatus::default();
    let written = record.written.as_ref().map(|(s, _)| s);
    let status = written.or(model.status.as_ref()).unwrap_or(&none);
    let ready = find_condition(&status.conditions, condition::READY);
    let message = ready.map_or_else(
        || "it is being looked at".to_owned(),
        |c| format!("{}: {}", c.reason, c.message),
    );
    let is_ready = ready.is_some_and(holds);
    let compiled = record
        .known
        .outcome
        .as_ref()
        .and_then(|known| match &known.outcome {
            CompileOutcome::Compiled(report) if record.known.good => Some((known.onnx.digest, report)),
            _ => None,
        });
    match compiled {
        _ if record.failed => ModelState::Failed(message),
        None if is_true(&status.conditions, condition::RECOMPILING) => ModelState::Recompiling(message),
        Some((onnx, report)) if is_ready => ModelState::ready(onnx, report),
        // Its status is about to say so.
        Some(_) => ModelState::Unknown,
        None if is_ready => ModelState::Unknown,
        None if ready.is_some_and(|c| c.reason == reason::COMPILING) => {
            ModelState::Compiling(ready.map(|c| c.message.clone()).unwrap_or_default())
        }
        None => ModelState::NotReady(message),
    }
}

/// The names of a namespace's Models, in order.
fn others(ctx: &Requests, namespace: &str) -> Vec<String> {
    let models = ctx.world.stores.models.state();
    let own = models
        .iter()
        .filter(|m| m.namespace().as_deref() == Some(namespace) && m.metadata.deletion_timestamp.is_none());
    let mut names: Vec<String> = own.map(|m| m.name_any()).collect();
    names.sort();
    names
}

/// The manifest that answers the input, if it was looked at beside what the Model is now.
pub(super) fn looked(ctx: &Requests, uid: RequestUid, model: &ModelState) -> Option<Digest> {
    let looked = ctx.looked.lock().get(&uid).copied();
    looked.filter(|looked| model.manifests().iter().any(|view| view.manifest == *looked))
}

/// Every pool; whom they serve and who may serve is asked of the Model's namespace, which is the request's own but for benchmarks.
pub(super) fn pools(ctx: &Requests, object: &InferenceRequest) -> Vec<PoolView> {
    let namespace = object.model_namespace();
    let model = ctx.world.model(&namespace, &object.spec.model_ref.name);
    let consent = ctx.consent_for(object, model.as_deref());
    let pools = ctx.world.stores.pools.state();
    let records = ctx.pools.records();
    let view = |pool: &std::sync::Arc<zkinfer_crds::k8s::MinerPool>| {
        let own = pool.namespace().unwrap_or_default();
        let id = PoolId::from(&**pool);
        let written = records.get(&id).and_then(|r| r.written.as_ref());
        let status = written.map(|(s, _)| s).or(pool.status.as_ref());
        PoolView {
            labels: pool.labels().clone(),
            ready: status.is_some_and(|s| is_true(&s.conditions, condition::READY)),
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
pub(super) fn unseen(ctx: &Requests, object: &InferenceRequest) -> Option<String> {
    // Where everything is watched nothing need be looked for.
    ctx.world.scope.namespaces()?;
    let namespace = object.model_namespace();
    let model = ctx.world.model(&namespace, &object.spec.model_ref.name);
    ctx.world.unseen(&ctx.consent_for(object, model.as_deref()))
}

/// How a run is.
pub(super) enum Seen {
    /// As it was, or as it ended.
    Is(RunState),
    /// At work until now.
    AtWork {
        /// The run.
        run: Arc<Run>,
        /// Its request.
        key: ObjectRef<InferenceRequest>,
        /// Slices by state; absent where the queue does not know it.
        counts: Option<SliceCounts>,
        /// Whether it ends now.
        ends: Ends,
    },
}

/// How the run is.
pub(super) fn run(ctx: &Requests, uid: RequestUid) -> Seen {
    let (run, key) = {
        let runs = ctx.runs();
        let Some(record) = runs.get(&uid) else {
            return Seen::Is(RunState::None);
        };
        match (&record.run, &record.state) {
            (Some(run), RunState::Active(_)) => (Arc::clone(run), record.key.clone()),
            _ => return Seen::Is(record.state.clone()),
        }
    };
    let queue = &ctx.world.dispatcher;
    let counts = queue.counts(uid);
    let ends = ends(&run, queue.failure(uid), queue.all_verified(uid));
    Seen::AtWork {
        run,
        key,
        counts,
        ends,
    }
}
