//! What is known of a Model: its files, and how far the compiler is.

use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::model::ModelSource;
use zkinfer_crds::k8s::{Model, ModelSpec};
use zkinfer_crds::wire::{BlobRef, CompileTask};
use zkinfer_crds::{Digest, ProofSystem};
use zkml::backend::needs_srs;

use super::changed;
use super::observed::{CompileState, SourceState};
use crate::artifacts::{ArtifactError, CompiledName, CompiledRecord, Kept};
use crate::cluster::Context;
use crate::fleet::{self, Finding, JobState, Whose, diagnose};
use crate::runs::{CompiledModel, LoadError, ShelfError};
use crate::sources::{self, SourceError};

/// A compiler at work says something every few seconds.
const SILENT: std::time::Duration = std::time::Duration::from_secs(15);

/// What [`gather`] found, with what a compiler would be told.
pub(super) struct Gathered {
    pub(super) source: SourceState,
    pub(super) calibration: Result<(), String>,
    pub(super) compile: CompileState,
    /// What a compiler would be started with; once both files are there.
    pub(super) task: Option<Task>,
    /// What was compiled before is of another version.
    pub(super) old_version: bool,
    /// Which file is another by now, in a sentence.
    pub(super) changed: Option<String>,
}

/// What a compiler is started with.
pub(super) struct Task {
    /// What to compile.
    pub(super) task: CompileTask,
    /// Of all that the result depends on.
    pub(super) key: Digest,
    /// Of all that may make it end otherwise than it did: the same again would end the same.
    pub(super) attempt: Digest,
}

/// Looks.
///
/// # Errors
/// A store that fails; it is looked again.
pub(super) async fn gather(ctx: &Context, object: &Model) -> Result<Gathered, ArtifactError> {
    let uid = object.uid().unwrap_or_default();
    let namespace = object.namespace().unwrap_or_default();
    if let Some(known) = known(ctx, &uid).await? {
        let onnx = known.onnx.digest;
        let of = (namespace.as_str(), object.spec.proof_system);
        match look(ctx, &uid, of, &known, false).await? {
            Loaded::Known(outcome) => {
                let changed = changed::look(ctx, object, &known).await;
                return Ok(Gathered {
                    changed,
                    source: SourceState::Found(onnx),
                    calibration: Ok(()),
                    compile: CompileState::Done(outcome),
                    task: None,
                    old_version: false,
                });
            }
            // Keys of another setup, or files that were lost, or another version: the Model is compiled again.
            Loaded::Not { why, old_version } => {
                tracing::warn!(model = object.name_any(), why, "compiling again");
                let calibration = known.calibration.map(|b| b.digest);
                again(ctx, &uid, Some(onnx), calibration, old_version).await?;
            }
        }
    }
    // Guards end with their statements: nothing is awaited under a lock.
    let (onnx, calibration) = {
        let models = ctx.models();
        let record = models.get(&uid);
        (
            record.and_then(|m| m.onnx.clone()),
            record.and_then(|m| m.calibration.clone()),
        )
    };
    let old_version = ctx.models().get(&uid).is_some_and(|m| m.old_version);
    let onnx = match onnx {
        Some(blob) => Ok(blob),
        None => model_file(ctx, &namespace, &object.spec.source).await?,
    };
    let calibration = match (calibration, &object.spec.quantization.calibration) {
        (Some(blob), _) => Ok(Some(blob)),
        (None, None) => Ok(None),
        (None, Some(at)) => match sources::calibration(ctx, &ctx.artifacts, &namespace, at).await {
            Ok((_, bytes)) => Ok(Some(keep(ctx, &namespace, bytes).await?)),
            // Version 1 did not write down which data these were. The Model served until the upgrade, and serves again: its
            // accuracy says that its inputs were made up, and why.
            Err(SourceError::NotFound(_)) if old_version && onnx.is_ok() => Ok(None),
            Err(e) => Err(e),
        },
    };
    {
        let mut models = ctx.models();
        let record = models.entry(uid.clone()).or_default();
        record.onnx = onnx.as_ref().ok().cloned();
        record.calibration = calibration.as_ref().ok().cloned().flatten();
    }
    let mut gathered = Gathered {
        source: match &onnx {
            Ok(blob) => SourceState::Found(blob.digest),
            Err(_) => SourceState::NotFound(String::new()),
        },
        calibration: Ok(()),
        compile: CompileState::None,
        task: None,
        old_version,
        changed: None,
    };
    match (onnx, calibration) {
        (Err(e), _) => gathered.source = e.into(),
        (Ok(_), Err(e)) => gathered.calibration = Err(SourceError::into_text(e)),
        (Ok(onnx), Ok(calibration)) => {
            let task = task(ctx, &object.spec, onnx, calibration);
            let key = key(ctx, &task);
            let attempt = attempt(ctx, &key, object.metadata.generation);
            let task = Task { task, key, attempt };
            gathered.compile = compiling(ctx, &uid, &namespace, &task).await?;
            gathered.task = Some(task);
        }
    }
    Ok(gathered)
}

/// A Model's ONNX file, in the store. One that was uploaded is there; of the others, which are in memory meanwhile, one is
/// read at a time.
async fn model_file(
    ctx: &Context,
    namespace: &str,
    source: &ModelSource,
) -> Result<Result<BlobRef, SourceError>, ArtifactError> {
    if let Some(digest) = &source.artifact {
        return Ok(sources::uploaded(ctx, namespace, &ctx.artifacts, digest).await);
    }
    let _one_at_a_time = ctx.large.lock().await;
    Ok(
        match sources::model(ctx, &ctx.artifacts, namespace, source).await {
            Ok(bytes) => Ok(keep(ctx, namespace, bytes).await?),
            Err(e) => Err(e),
        },
    )
}

/// Stores a file that came from a namespace, which may name it from then on.
async fn keep(ctx: &Context, namespace: &str, bytes: Vec<u8>) -> Result<BlobRef, ArtifactError> {
    let blob = ctx.artifacts.put_blob(bytes).await?;
    ctx.artifacts.grant_blob(&blob.digest, namespace).await?;
    Ok(blob)
}

/// What was compiled for this Model and what the compiler reported, now or before the operator was started.
async fn known(ctx: &Context, uid: &str) -> Result<Option<CompiledRecord>, ArtifactError> {
    let looked = {
        let models = ctx.models();
        let record = models.get(uid);
        if let Some(outcome) = record.and_then(|m| m.outcome.clone()) {
            return Ok(Some(outcome));
        }
        record.is_some_and(|m| m.looked)
    };
    if looked {
        return Ok(None);
    }
    let found = ctx.artifacts.compiled(CompiledName::Model(uid)).await?;
    let outcome = match found.map(|json| Kept::read(&json)) {
        None => None,
        Some(Kept::Record(record)) => Some(*record),
        Some(Kept::Old { onnx, calibration }) => {
            again(ctx, uid, onnx, calibration, true).await?;
            None
        }
    };
    let mut models = ctx.models();
    let record = models.entry(uid.to_owned()).or_default();
    record.looked = true;
    record.outcome = outcome.clone();
    Ok(outcome)
}

/// What was compiled for this Model counts no more. It is compiled again from the files that it was compiled from, as far
/// as they are in the store, whatever has become of where they came from. What is kept of it stays until it is replaced: it
/// names them.
async fn again(
    ctx: &Context,
    uid: &str,
    onnx: Option<Digest>,
    calibration: Option<Digest>,
    old_version: bool,
) -> Result<(), ArtifactError> {
    let mut files = [None, None];
    for (file, digest) in files.iter_mut().zip([onnx, calibration]) {
        if let Some(digest) = digest {
            *file = ctx.artifacts.find_blob(&digest).await?;
        }
    }
    let mut models = ctx.models();
    let record = models.entry(uid.to_owned()).or_default();
    [record.onnx, record.calibration] = files;
    (record.outcome, record.good) = (None, false);
    record.old_version = old_version;
    Ok(())
}

/// Whether what was compiled can be served. What the compiler has just handed in is loaded, if there is room for it; what
/// was good before is looked at without its weights, which are read when a request needs them.
async fn look(
    ctx: &Context,
    uid: &str,
    (namespace, system): (&str, ProofSystem),
    known: &CompiledRecord,
    fresh: bool,
) -> Result<Loaded, ArtifactError> {
    let (onnx, outcome) = (known.onnx.digest, known.outcome.clone());
    let CompileOutcome::Compiled(report) = &outcome else {
        return Ok(Loaded::Known(outcome));
    };
    let (good, broken) = {
        let mut models = ctx.models();
        let record = models.entry(uid.to_owned()).or_default();
        (record.good, record.broken.take())
    };
    if let Some((why, old_version)) = broken {
        return Ok(Loaded::Not { why, old_version });
    }
    if good {
        return Ok(Loaded::Known(outcome));
    }
    let srs = ctx.setup.map(|setup| setup.srs);
    let mut found = CompiledModel::look(&ctx.artifacts, report, system, srs)
        .await
        .map(|manifest| manifest.model);
    if fresh && found.is_ok() {
        match ctx.compiled(namespace, report, system).await {
            Ok(_) | Err(ShelfError::TooLarge { .. } | ShelfError::Full { .. }) => {}
            Err(ShelfError::Load(e)) => found = Err(e),
        }
    }
    Ok(match found {
        Ok(of) if of != onnx => Loaded::Not {
            why: format!("what was compiled is of {of}, not of {onnx}"),
            old_version: false,
        },
        Ok(_) => {
            ctx.models().entry(uid.to_owned()).or_default().good = true;
            Loaded::Known(outcome)
        }
        // The store will be back.
        Err(LoadError::Artifact(e @ ArtifactError::Store(_))) => return Err(e),
        Err(e) => Loaded::Not {
            why: format!("what was compiled cannot be loaded: {e}"),
            old_version: e.is_of_another_version(),
        },
    })
}

/// See [`look`].
enum Loaded {
    /// The outcome counts.
    Known(CompileOutcome),
    /// It does not.
    Not { why: String, old_version: bool },
}

/// Is there a result under the key, or a compiler at work?
async fn compiling(
    ctx: &Context,
    uid: &str,
    namespace: &str,
    of: &Task,
) -> Result<CompileState, ArtifactError> {
    if let Some(json) = ctx.artifacts.compiled(CompiledName::Key(&of.key)).await?
        && let Ok(outcome) = serde_json::from_slice::<CompileOutcome>(&json)
        && still_there(ctx, &outcome).await?
    {
        let record = CompiledRecord {
            onnx: of.task.model.clone(),
            calibration: of.task.calibration.clone(),
            outcome,
        };
        match look(ctx, uid, (namespace, of.task.proof_system), &record, true).await? {
            // Another image than the operator's compiles: the same again would end the same.
            Loaded::Not { why, .. } => return Ok(CompileState::Crashed(why)),
            Loaded::Known(outcome) => {
                let json = serde_json::to_vec(&record).unwrap_or_default();
                ctx.artifacts.put_compiled(CompiledName::Model(uid), json).await?;
                let mut models = ctx.models();
                let known = models.entry(uid.to_owned()).or_default();
                (known.outcome, known.old_version) = (Some(record), false);
                return Ok(CompileState::Done(outcome));
            }
        }
    }
    let crashed = match ctx.jobs.compiling(uid, &of.attempt.hex()) {
        None => {
            let crash = ctx.artifacts.compiled(CompiledName::Crash(uid)).await?;
            let crash = crash.and_then(|json| serde_json::from_slice::<Crash>(&json).ok());
            if let Some(crash) = crash.filter(|crash| crash.attempt == of.attempt) {
                return Ok(CompileState::Crashed(crash.message));
            }
            let refused = ctx.models().get(uid).and_then(|m| m.refused.clone());
            let refused = refused.filter(|refusal| !refusal.is_due(ctx.started.elapsed()));
            return Ok(refused.map_or(CompileState::None, |refusal| CompileState::refused(&refusal)));
        }
        Some(JobState::Removed) => {
            return Ok(CompileState::Running(
                "the compiler's Job is being removed".to_owned(),
            ));
        }
        Some(JobState::Running | JobState::Lost) => return Ok(at_work(ctx, uid).await),
        // It exits well only after its report: the store has lost it since, or will show it again. Once the Job is removed
        // the Model is compiled anew.
        Some(JobState::Ended) => {
            let lost = "the compiler's Job ended, and its report is not in the artifact store: if it does not come back, the \
                        Model is compiled again when the Job is removed, 10 min after its end";
            return Ok(CompileState::Running(lost.to_owned()));
        }
        Some(JobState::Failed(why)) => match trouble(ctx, uid).await {
            Some(finding) => format!("the compiler's Job failed: {why}. {}", finding.message),
            None => format!("the compiler's Job failed: {why}"),
        },
    };
    // The Job will be gone, and the operator may be.
    let crash = Crash {
        attempt: of.attempt,
        message: crashed.clone(),
    };
    let json = serde_json::to_vec(&crash).unwrap_or_default();
    ctx.artifacts.put_compiled(CompiledName::Crash(uid), json).await?;
    Ok(CompileState::Crashed(crashed))
}

/// A compiler that says nothing may not be there.
async fn at_work(ctx: &Context, uid: &str) -> CompileState {
    let progress = ctx.models().get(uid).and_then(|m| m.progress.clone());
    let said = match progress {
        Some((said, at)) if at.elapsed() < SILENT => return CompileState::Running(said),
        other => other.map(|(said, _)| said),
    };
    match (trouble(ctx, uid).await, said) {
        (Some(finding), _) => CompileState::Blocked(finding),
        (None, Some(said)) => CompileState::Silent(format!(
            "the compiler says nothing any more; it last said: {said}"
        )),
        (None, None) => CompileState::Silent("the compiler's pod is starting".to_owned()),
    }
}

/// What is wrong with the compiler's pods.
async fn trouble(ctx: &Context, uid: &str) -> Option<Finding> {
    match fleet::at_compiler(ctx, uid).await {
        Ok(look) => diagnose(&look.seen.evidence, Whose::Compiler),
        Err(error) => {
            tracing::warn!(uid, %error, "the compiler's pods cannot be looked at");
            None
        }
    }
}

/// How a compiler ended that has reported nothing.
#[derive(Serialize, Deserialize)]
struct Crash {
    attempt: Digest,
    message: String,
}

/// What the last Model with this key left behind was swept, if it is long gone.
async fn still_there(ctx: &Context, outcome: &CompileOutcome) -> Result<bool, ArtifactError> {
    if let CompileOutcome::Compiled(report) = outcome {
        for blob in report.blobs() {
            if !ctx.artifacts.has_blob(blob).await? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn task(ctx: &Context, spec: &ModelSpec, model: BlobRef, calibration: Option<BlobRef>) -> CompileTask {
    CompileTask {
        model,
        calibration,
        profile: spec.quantization.profile.map(|p| format!("{p:?}").to_lowercase()),
        error_budget_millionths: spec.quantization.error_budget_millionths,
        output_scale: spec.quantization.output_scale.clone(),
        compare_top1: spec.quantization.compare_top1,
        parallelism: spec.slicing.parallelism,
        memory_mib: spec.slicing.memory_per_worker.as_ref().map(|m| m.bytes() >> 20),
        proof_system: spec.proof_system,
        srs: ctx.srs_file.clone().filter(|_| needs_srs(spec.proof_system)),
    }
}

/// A change of the Model asks for another try, and so do other resources for compilers.
fn attempt(ctx: &Context, key: &Digest, generation: Option<i64>) -> Digest {
    let compile = &ctx.compile;
    let resources = (&compile.cpu, &compile.memory, &compile.scratch, compile.seconds);
    let parts = (key, generation, resources);
    Digest::new(Sha256::digest(serde_json::to_vec(&parts).unwrap_or_default()).into())
}

/// Everything that a result depends on: another compiler may make other keys.
fn key(ctx: &Context, task: &CompileTask) -> Digest {
    let srs = ctx.setup.filter(|_| needs_srs(task.proof_system)).map(|s| s.srs);
    let version = (env!("CARGO_PKG_VERSION"), zkml::manifest::VERSION);
    let parts = (task, srs, &ctx.compile.image, version);
    Digest::new(Sha256::digest(serde_json::to_vec(&parts).unwrap_or_default()).into())
}
