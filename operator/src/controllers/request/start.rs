//! Begins a request: looks at its input, evaluates the model on it, and queues the slices.
//!
//! Invariants: what is wrong with an input is the end of its request, and so is what the operator's memory never holds, and nothing
//! else is; no input is read without room for it; a look takes nothing of the operator's memory for models, and stores nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::RequestUid;
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport};
use zkinfer_crds::k8s::inference_request::{InlineTensor, reason};
use zkinfer_crds::k8s::{InferenceRequest, InferenceRequestStatus, Model};
use zkml::manifest::Manifest;

use super::observed::{RunState, RunView};
use super::records::{Requests, RunRecord};
use crate::artifacts::ArtifactError;
use crate::dispatch::PoolId;
use crate::runs::{
    CompiledModel, LoadError, Needs, PrepareError, Room, Run, ShelfError, Terms, check_input, choose, follow,
    input_len,
};
use crate::sources::{self, SourceError};
use crate::traces;
use crate::world::ReconcileError;

/// The request's Model, and what its compiler reported; nothing where either went away between the plan and here: that
/// change wakes the request.
fn model(ctx: &Requests, object: &InferenceRequest) -> Option<(Arc<Model>, CompileReport)> {
    let namespace = object.model_namespace();
    let model = ctx.world.model(&namespace, &object.spec.model_ref.name)?;
    let records = ctx.models.records();
    let known = &records.get(model.uid().as_deref().unwrap_or_default())?.known;
    match &known.outcome.as_ref()?.outcome {
        CompileOutcome::Compiled(report) => Some((Arc::clone(&model), report.clone())),
        CompileOutcome::Failed(_) => None,
    }
}

/// What was compiled cannot be loaded: the Model is compiled again, unless only the store fails.
fn not_loaded(ctx: &Requests, model: &Model, error: LoadError) -> Result<RunState, ReconcileError> {
    if let LoadError::Artifact(error @ ArtifactError::Store(_)) = error {
        return Err(error.into());
    }
    if let Some(record) = ctx
        .models
        .records()
        .get_mut(model.uid().as_deref().unwrap_or_default())
    {
        record.broken = Some((
            format!("what was compiled cannot be loaded: {error}"),
            error.is_of_another_version(),
        ));
    }
    ctx.world.wake.model(ObjectRef::from_obj(model));
    Ok(RunState::None)
}

/// A request's input tensors by name.
type Tensors = BTreeMap<String, InlineTensor>;

/// The most values that an input of the model has: of its largest manifest. `manifest` is one of the report's.
fn values(manifest: &Manifest, report: &CompileReport) -> u64 {
    let all = input_len(manifest);
    let most = report.sizes().max().unwrap_or(1);
    (all / u64::from(manifest.batch.max(1))).saturating_mul(u64::from(most))
}

/// What reading the request's input takes of the operator's memory, or why there is none.
async fn reading(
    ctx: &Requests,
    object: &InferenceRequest,
    values: u64,
) -> Result<Result<u64, RunState>, ReconcileError> {
    let namespace = object.namespace().unwrap_or_default();
    let (world, input) = (&*ctx.world, &object.spec.input);
    let bytes = sources::input_bytes(world, &world.artifacts, &namespace, input, values);
    bytes
        .await
        .map_or_else(|error| not_given(error).map(Err), |bytes| Ok(Ok(bytes)))
}

/// The request's input tensors by name, or why there are none. There is room for them: see [`reading`].
async fn given(
    ctx: &Requests,
    object: &InferenceRequest,
    manifest: &Manifest,
    values: u64,
) -> Result<Result<Tensors, RunState>, ReconcileError> {
    let namespace = object.namespace().unwrap_or_default();
    let only = match manifest.inputs.as_slice() {
        [id] => manifest.tensor(*id).map(|t| t.name.clone()),
        _ => None,
    };
    let given = sources::input(
        &*ctx.world,
        &ctx.world.artifacts,
        &namespace,
        &object.spec.input,
        only.as_deref(),
        values,
    )
    .await;
    given.map_or_else(|error| not_given(error).map(Err), |given| Ok(Ok(given)))
}

/// What becomes of a request whose input was not read.
fn not_given(error: SourceError) -> Result<RunState, ReconcileError> {
    match error {
        SourceError::NotFound(message) => Ok(RunState::InputNotFound(message)),
        SourceError::Unavailable(message) => Err(ReconcileError::Source(message)),
        error => Ok(RunState::Refused {
            reason: reason::INVALID_INPUT,
            message: error.into_text(),
        }),
    }
}

/// The request's input tensors, in room of their own, with so much `beside`.
async fn read(
    ctx: &Requests,
    object: &InferenceRequest,
    uid: RequestUid,
    manifest: &Manifest,
    (values, beside): (u64, u64),
) -> Result<Result<(Tensors, Room), RunState>, ReconcileError> {
    let bytes = match reading(ctx, object, values).await? {
        Ok(bytes) => bytes,
        Err(state) => return Ok(Err(state)),
    };
    let room = match ctx.room(object, uid, bytes.saturating_add(beside)) {
        Ok(room) => room,
        Err(state) => return Ok(Err(state)),
    };
    Ok(given(ctx, object, manifest, values)
        .await?
        .map(|given| (given, room)))
}

/// An input that cannot be run ends its request; whatever is ours is tried again.
fn refused(error: &PrepareError) -> Result<RunState, ReconcileError> {
    match error.reason() {
        reason::INTERNAL_ERROR => Err(ReconcileError::Source(error.to_string())),
        reason => Ok(RunState::Refused {
            reason,
            message: error.to_string(),
        }),
    }
}

/// Looks at the input beside the Model's manifest: names, shapes, numbers and ranges need neither a pool nor the graph.
pub(super) async fn look(
    ctx: &Requests,
    object: &InferenceRequest,
    uid: RequestUid,
) -> Result<RunState, ReconcileError> {
    let Some((model, report)) = model(ctx, object) else {
        return Ok(RunState::None);
    };
    let manifest = CompiledModel::manifest(&ctx.world.artifacts, &report, model.spec.proof_system).await;
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(error) => return not_loaded(ctx, &model, error),
    };
    let values = values(&manifest, &report);
    let (given, _room) = match read(ctx, object, uid, &manifest, (values, 0)).await? {
        Ok(read) => read,
        Err(state) => return Ok(state),
    };
    let chosen = match choose(&report, &manifest, &given) {
        Ok(chosen) => chosen,
        Err(error) => return refused(&error),
    };
    let manifest = if chosen.manifest == report.manifest {
        manifest
    } else {
        let manifest = CompiledModel::manifest(&ctx.world.artifacts, &chosen, model.spec.proof_system);
        match manifest.await {
            Ok(manifest) => manifest,
            Err(error) => return not_loaded(ctx, &model, error),
        }
    };
    match check_input(&manifest, &given) {
        Ok(()) => {
            ctx.looked.lock().insert(uid, chosen.manifest.digest);
            // Who was told before this that it is gone is not told again.
            if ctx
                .world
                .stores
                .requests
                .get(&ObjectRef::from_obj(object))
                .is_none()
            {
                ctx.looked.lock().remove(&uid);
            }
            Ok(RunState::None)
        }
        Err(error) => refused(&error),
    }
}

/// The report on the manifest that answers the request, which was chosen when its input was looked at, and the input, where it had
/// to be read for that. One that has another number of inputs by now is looked at again.
async fn chosen(
    ctx: &Requests,
    object: &InferenceRequest,
    uid: RequestUid,
    model: &Model,
    report: CompileReport,
) -> Result<Result<(CompileReport, Option<(Tensors, Room)>), RunState>, ReconcileError> {
    if report.batches.is_empty() {
        return Ok(Ok((report, None)));
    }
    let manifest = CompiledModel::manifest(&ctx.world.artifacts, &report, model.spec.proof_system).await;
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(error) => return not_loaded(ctx, model, error).map(Err),
    };
    // Where it is known what the request will need, its turn comes for all of that at once.
    let planned = ctx.looked.lock().get(&uid).copied();
    let known = planned.and_then(|planned| ctx.needs.lock().get(&planned).copied());
    let beside = known.map_or(0, |needs| needs.beginning);
    let values = values(&manifest, &report);
    let (given, room) = match read(ctx, object, uid, &manifest, (values, beside)).await? {
        Ok(read) => read,
        Err(state) => return Ok(Err(state)),
    };
    let report = match choose(&report, &manifest, &given) {
        Ok(report) => report,
        Err(error) => return refused(&error).map(Err),
    };
    if planned != Some(report.manifest.digest) {
        ctx.looked.lock().remove(&uid);
        return Ok(Err(RunState::None));
    }
    Ok(Ok((report, Some((given, room)))))
}

/// The compiled model, loaded where it is not in memory, or why it is not there.
async fn loaded(
    ctx: &Requests,
    uid: RequestUid,
    model: &Model,
    report: &CompileReport,
) -> Result<Result<Arc<CompiledModel>, RunState>, ReconcileError> {
    let namespace = model.namespace().unwrap_or_default();
    let loading = ctx.world.compiled(&namespace, report, model.spec.proof_system);
    match traces::part_of_request("load", uid, loading).await {
        Ok(compiled) => Ok(Ok(compiled)),
        Err(e @ (ShelfError::Full { .. } | ShelfError::TooLarge { .. })) => {
            // Whatever holds memory for models is a request at work.
            ctx.make_way(uid, |_| true);
            Ok(Err(RunState::NoRoom {
                reason: reason::MODEL_MEMORY_FULL,
                message: format!("Model `{}`: {e}", model.name_any()),
            }))
        }
        Err(ShelfError::Load(error)) => not_loaded(ctx, model, error).map(Err),
    }
}

/// The request's room while it is begun: taken before its input is read, or where that was read already what there is for it grows.
async fn begin_in(
    ctx: &Requests,
    object: &InferenceRequest,
    uid: RequestUid,
    needs: &Needs,
    read: Option<Room>,
) -> Result<Result<Room, RunState>, ReconcileError> {
    let bytes = match reading(ctx, object, needs.inputs).await? {
        Ok(bytes) => needs.beginning.saturating_add(bytes),
        Err(state) => return Ok(Err(state)),
    };
    let Some(mut room) = read else {
        return Ok(ctx.room(object, uid, bytes));
    };
    Ok(match room.grow(bytes) {
        Ok(()) => Ok(room),
        Err(error) => Err(ctx.no_room(object, uid, error)),
    })
}

/// Evaluates the model on the input and queues the slices.
pub(super) async fn start(
    ctx: &Arc<Requests>,
    object: &InferenceRequest,
    uid: RequestUid,
    pools: Vec<PoolId>,
    status: &InferenceRequestStatus,
) -> Result<RunState, ReconcileError> {
    let namespace = object.model_namespace();
    let name = &object.spec.model_ref.name;
    let Some((model, report)) = model(ctx, object) else {
        return Ok(RunState::None);
    };
    if let Err(reached) = ctx.may_begin(object, status) {
        return Ok(RunState::NoRoom {
            reason: reason::QUOTA_REACHED,
            message: reached.to_string(),
        });
    }
    let (report, read) = match chosen(ctx, object, uid, &model, report).await? {
        Ok(chosen) => chosen,
        Err(state) => return Ok(state),
    };
    // What it needs is known of a model that was in memory once: nothing is loaded for a request that there is no room for.
    let known = ctx.needs.lock().get(&report.manifest.digest).copied();
    let (needs, compiled) = match known {
        Some(needs) => (needs, None),
        None => match loaded(ctx, uid, &model, &report).await? {
            Ok(compiled) => (ctx.needs_of(&compiled), Some(compiled)),
            Err(state) => return Ok(state),
        },
    };
    let (read, room) = read.unzip();
    let room = match begin_in(ctx, object, uid, &needs, room).await? {
        Ok(room) => room,
        Err(state) => return Ok(state),
    };
    let compiled = match compiled {
        Some(compiled) => compiled,
        None => match loaded(ctx, uid, &model, &report).await? {
            Ok(compiled) => compiled,
            Err(state) => return Ok(state),
        },
    };
    let given = match read {
        Some(read) => read,
        None => match given(ctx, object, &compiled.manifest, needs.inputs).await? {
            Ok(given) => given,
            Err(state) => return Ok(state),
        },
    };
    let rules = ctx.world.in_force.get();
    // Statements of a run from before a restart name the network that was theirs.
    let network = ctx.world.artifacts.network_of(uid, &rules.network).await?;
    let quantization = &model.spec.quantization;
    let terms = Terms::new(
        quantization.error_budget_millionths,
        rules.max_error,
        &compiled.report.accuracy.output_scale,
        quantization.compare_top1,
    );
    let classes = &model.spec.classes;
    let beginning = ctx.beginning.read().await;
    let evaluating = Run::prepare(
        uid,
        &network,
        compiled,
        &given,
        classes,
        terms,
        &ctx.world.artifacts,
    );
    let run = traces::part_of_request("evaluate", uid, evaluating).await;
    drop(given);
    let run = match run {
        Ok(run) => {
            room.shrink(needs.kept);
            Arc::new(run.in_room(room))
        }
        Err(error) => return refused(&error),
    };
    ctx.world.artifacts.put_inputs_of(uid, run.blobs()).await?;
    let priority = (object.spec.priority, object.is_benchmark());
    let redundancy = object.spec.redundancy;
    // The record comes first: attempts that end at once are put into it. Of one that has made way the last ones are there.
    let mut view = {
        let mut runs = ctx.runs();
        let before = runs.remove(&uid);
        let (written, recent) = before.map(|r| (r.written, r.view.recent)).unzip();
        let view = RunView {
            pools: pools.clone(),
            recent: recent.unwrap_or_else(|| status.recent_slices.clone()),
            ..RunView::default()
        };
        let record = RunRecord {
            key: ObjectRef::from_obj(object),
            model: name.clone(),
            model_namespace: namespace.clone(),
            served_by: model.spec.served_by.clone(),
            run: Some(Arc::clone(&run)),
            state: RunState::Active(view.clone()),
            view: view.clone(),
            moved: Instant::now(),
            written: written.flatten(),
        };
        runs.insert(uid, record);
        view
    };
    ctx.parked.lock().remove(&uid);
    drop(beginning);
    let (waking, key) = (Arc::clone(ctx), ObjectRef::from_obj(object));
    follow(&ctx.reference, &run, &ctx.world.artifacts, move || {
        waking.world.wake.request(key.clone());
    });
    ctx.consent_to(uid);
    ctx.world
        .dispatcher
        .resume(run, priority, redundancy, pools)
        .await?;
    view.counts = ctx.world.dispatcher.counts(uid).unwrap_or_default();
    ctx.world.fleet.notify_one();
    Ok(RunState::Active(view))
}
