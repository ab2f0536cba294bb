//! Carries a Model's plan out: starts the compiler, writes the status, then tells of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::controller::Action as Requeue;
use zkinfer_crds::k8s::model::condition;
use zkinfer_crds::k8s::{Model, ModelStatus, Truth, find_condition};
use zkinfer_crds::{Digest, encode};

use super::changed;
use super::gather::{Gathered, Keep, Task, gather};
use super::news::{news, progress_only};
use super::observed::{CompileState, Observed, SourceState};
use super::plan::{Action, Plan, plan};
use super::records::Models;
use super::slo::{self, Answered, Objectives};
use crate::artifacts::{ArtifactError, CompiledName};
use crate::clock::now;
use crate::dispatch::CompileToken;
use crate::fleet::{JobView, Refusal};
use crate::specs::{CompileJob, compile_job, compile_secret};
use crate::world::{Part, ReconcileError};

/// What is not there yet is looked for again after this.
const AGAIN: Duration = Duration::from_secs(3);
/// A compiler that has said nothing for so long is looked for.
const SILENCE: Duration = Duration::from_secs(10);

/// One reconciliation.
///
/// # Errors
/// The API server or the store; it is tried again.
pub async fn reconcile(object: Arc<Model>, ctx: Arc<Models>) -> Result<Requeue, ReconcileError> {
    let uid = object.uid().unwrap_or_default();
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Requeue::await_change());
    }
    let gathered = match look(&ctx, &object).await {
        Ok(gathered) => gathered,
        Err(error @ ArtifactError::Store(_)) => {
            ctx.world.store.failed();
            without_store(&ctx, &object, &error).await?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    let written = ctx.records().get(&uid).and_then(|m| m.written.clone());
    let old = written
        .as_ref()
        .map(|(status, _)| status.clone())
        .or_else(|| object.status.clone())
        .unwrap_or_default();
    let observed = Observed {
        spec: &object.spec,
        generation: object.metadata.generation,
        status: &old,
        source: gathered.source,
        calibration: gathered.calibration,
        compile: gathered.compile,
        setup: ctx.world.allowed_setup(),
        max_error: ctx.world.in_force.get().max_error,
        old_version: gathered.known.old_version,
        model_memory: ctx.world.shelf.memory().bytes,
        bad_consent: ctx.world.consent_of(&object).problem(),
        unseen: ctx.world.unseen(&ctx.world.consent_of(&object)),
        changed: gathered.changed,
        objectives: objectives(&ctx, &object, &old),
    };
    let mut observed = observed;
    let waiting = !matches!(observed.source, SourceState::Found(_)) || observed.calibration.is_err();
    let mut planned = plan(&observed, &now());
    if let (Some(Action::Compile), Some(Task { task, key, attempt })) = (planned.action, gathered.task) {
        let token = CompileToken {
            model: (object.namespace().unwrap_or_default(), object.name_any()),
            uid: uid.clone(),
            key,
            task,
        };
        if let Some(refusal) = start(&ctx, &token, &attempt).await? {
            observed.compile = CompileState::refused(&refusal);
            planned = plan(&observed, &now());
        }
    }
    let again = match &observed.compile {
        _ if waiting => Some(AGAIN),
        CompileState::Running(_) => Some(SILENCE),
        CompileState::Silent(_) | CompileState::Blocked(_) => {
            let refused = ctx.records().get(&uid).and_then(|m| m.refused.clone());
            Some(refused.map_or(AGAIN, |refusal| refusal.pause()))
        }
        CompileState::None => Some(SILENCE),
        CompileState::Done(_) if changed::has_config_maps(&object) => Some(changed::EVERY),
        CompileState::Done(_) | CompileState::Crashed(_) => None,
    };
    let again = match object.spec.slo {
        Some(_) => Some(again.map_or(slo::EVERY, |again| again.min(slo::EVERY))),
        None => again,
    };
    let Plan { status, failed, .. } = planned;
    ctx.records().entry(uid.clone()).or_default().failed = failed;
    let met = find_condition(&status.conditions, condition::SLO_MET).and_then(Truth::of);
    ctx.world.metrics.slo(&model_of(&object), met);
    let progress_only = progress_only(&old, &status);
    let since = written.map_or(Duration::MAX, |(_, at)| at.elapsed());
    let pace = ctx.world.pace.compiler;
    if status != old && progress_only && since < pace {
        return Ok(Requeue::requeue(pace - since));
    }
    if status != old && ctx.world.write_status(&*object, &status).await? {
        ctx.records().entry(uid).or_default().written = Some((status.clone(), Instant::now()));
        if !progress_only {
            ctx.world.events.tell_all(&*object, news(&old, &status)).await;
            let (namespace, name) = (object.namespace(), object.name_any());
            ctx.world
                .wake_requests(|r| Some(r.model_namespace()) == namespace && r.spec.model_ref.name == name);
        }
    }
    Ok(again.map_or_else(Requeue::await_change, Requeue::requeue))
}

/// How its requests of the window were answered.
fn objectives(ctx: &Models, object: &Model, old: &ModelStatus) -> Objectives {
    let Some(slo) = &object.spec.slo else {
        return Objectives::None;
    };
    if !ctx.world.ready.is(Part::InferenceRequest) {
        return Objectives::Unseen;
    }
    let (namespace, name) = model_of(object);
    let now = now().0.as_second();
    let requests = ctx.world.stores.requests.state();
    let own = requests
        .iter()
        .filter(|r| r.spec.model_ref.name == name && r.model_namespace() == namespace);
    let window: Vec<Answered> = own
        .filter_map(|request| Answered::of(request, now, slo.window_hours))
        .collect();
    let before = find_condition(&old.conditions, condition::SLO_MET);
    let missed = before.filter(|c| Truth::of(c) == Some(Truth::False));
    Objectives::Told(slo::judge(slo, &window, missed.map(|c| c.reason.as_str())))
}

/// Its namespace and its name.
pub(super) fn model_of(object: &Model) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Looks, and keeps what was found.
async fn look(ctx: &Models, object: &Model) -> Result<Gathered, ArtifactError> {
    let mut gathered = gather(ctx, object).await?;
    let uid = object.uid().unwrap_or_default();
    let namespace = object.namespace().unwrap_or_default();
    keep(ctx, &uid, &namespace, std::mem::take(&mut gathered.keep)).await?;
    let mut records = ctx.records();
    let record = records.entry(uid).or_default();
    record.known = gathered.known.clone();
    if record.broken == gathered.broken {
        record.broken = None;
    }
    Ok(gathered)
}

/// Puts what was found outside of the store into it.
async fn keep(ctx: &Models, uid: &str, namespace: &str, keep: Keep) -> Result<(), ArtifactError> {
    let artifacts = &ctx.world.artifacts;
    for bytes in keep.files {
        let blob = artifacts.put_blob(bytes).await?;
        artifacts.grant_blob(&blob.digest, namespace).await?;
    }
    drop(keep.large);
    if let Some(record) = keep.compiled {
        artifacts
            .put_compiled(CompiledName::Model(uid), encode(&record))
            .await?;
    }
    // The Job will be gone, and the operator may be.
    if let Some(crash) = keep.crash {
        artifacts
            .put_compiled(CompiledName::Crash(uid), encode(&crash))
            .await?;
    }
    Ok(())
}

/// The store cannot be asked now. A Model that is ready stays so, as far as anybody knows.
async fn without_store(ctx: &Models, object: &Model, error: &ArtifactError) -> Result<(), ReconcileError> {
    let uid = object.uid().unwrap_or_default();
    let written = ctx.records().get(&uid).and_then(|m| m.written.clone());
    let old = written
        .map(|(status, _)| status)
        .or_else(|| object.status.clone())
        .unwrap_or_default();
    if zkinfer_crds::k8s::is_true(&old.conditions, condition::READY) {
        return Ok(());
    }
    let observed = Observed {
        spec: &object.spec,
        generation: object.metadata.generation,
        status: &old,
        source: SourceState::Unavailable(error.to_string()),
        calibration: Ok(()),
        compile: CompileState::None,
        setup: ctx.world.allowed_setup(),
        max_error: ctx.world.in_force.get().max_error,
        old_version: false,
        model_memory: ctx.world.shelf.memory().bytes,
        bad_consent: ctx.world.consent_of(object).problem(),
        unseen: ctx.world.unseen(&ctx.world.consent_of(object)),
        changed: None,
        objectives: Objectives::Unseen,
    };
    let status = plan(&observed, &now()).status;
    if status != old && ctx.world.write_status(object, &status).await? {
        ctx.records().entry(uid).or_default().written = Some((status.clone(), Instant::now()));
        ctx.world.events.tell_all(object, news(&old, &status)).await;
    }
    Ok(())
}

/// Makes the compile Job. The same attempt has the same name: two starts of the operator make one Job. What the API server
/// refuses is kept, and returned.
async fn start(
    ctx: &Models,
    token: &CompileToken,
    attempt: &Digest,
) -> Result<Option<Refusal>, ReconcileError> {
    let sealed = ctx.world.dispatcher.seal_compile(token);
    let model = (token.model.0.as_str(), token.model.1.as_str());
    let job = CompileJob {
        model,
        uid: &token.uid,
        token: &sealed,
        attempt,
    };
    let job = compile_job(&job, &ctx.world.in_force.get().compile, &ctx.world.workers);
    let api: Api<Job> = Api::namespaced(ctx.world.client.clone(), &ctx.world.workers.namespace);
    let made = match api.create(&PostParams::default(), &job).await {
        Ok(made) => made,
        // Made before a restart; what follows may not have been.
        Err(kube::Error::Api(status)) if status.code == 409 => match api.get_opt(&job.name_any()).await? {
            Some(there) => there,
            None => return Ok(None),
        },
        Err(error) => {
            let Some(words) = Refusal::words_of(&error).map(str::to_owned) else {
                return Err(error.into());
            };
            let mut models = ctx.records();
            let record = models.entry(token.uid.clone()).or_default();
            let old = record.refused.take();
            if old.as_ref().is_none_or(|old| old.words != words) {
                tracing::warn!(words, "the compiler's Job cannot be made");
            }
            record.refused = Some(Refusal::after(old.as_ref(), words, ctx.world.started.elapsed()));
            return Ok(record.refused.clone());
        }
    };
    let secrets: Api<Secret> = Api::namespaced(ctx.world.client.clone(), &ctx.world.workers.namespace);
    match secrets
        .create(&PostParams::default(), &compile_secret(&made, &sealed))
        .await
    {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        // Without it the pod would wait for ever.
        Err(e) => {
            api.delete(&made.name_any(), &DeleteParams::background()).await?;
            return Err(e.into());
        }
    }
    if let Some(view) = JobView::of(&made) {
        ctx.world.jobs.insert(view, ctx.world.started.elapsed());
    }
    let mut models = ctx.records();
    let record = models.entry(token.uid.clone()).or_default();
    // What another compiler said is no word of this one.
    (record.refused, record.progress) = (None, None);
    Ok(None)
}
