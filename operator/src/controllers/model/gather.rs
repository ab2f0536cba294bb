//! What is known of a Model: its files, and how far the compiler is.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport};
use zkinfer_crds::k8s::model::ModelSource;
use zkinfer_crds::k8s::{Model, ModelSpec};
use zkinfer_crds::wire::{BlobRef, CompileTask};
use zkinfer_crds::{Digest, ProofSystem, encode};
use zkml::systems;

use super::crash::without_a_pod;
use super::observed::{CompileState, SourceState};
use super::records::{Known, Models};
use super::{changed, magnitudes};
use crate::artifacts::{ArtifactError, CompiledName, CompiledRecord, Kept};
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
    /// Which file is another by now, in a sentence.
    pub(super) changed: Option<String>,
    /// What the next look begins with.
    pub(super) known: Known,
    /// Why what was compiled could not be loaded, which was looked at by this.
    pub(super) broken: Option<(String, bool)>,
    /// What has to be in the store before anything is made of this.
    pub(super) keep: Keep,
}

/// What was found outside of the store.
#[derive(Default)]
pub(super) struct Keep {
    /// Files of the Model's namespace, which may name them from then on.
    pub(super) files: Vec<Bytes>,
    /// Held while a model's file is in memory.
    pub(super) large: Option<OwnedMutexGuard<()>>,
    /// What was compiled for the Model.
    pub(super) compiled: Option<CompiledRecord>,
    /// How its compiler ended, which has reported nothing.
    pub(super) crash: Option<Crash>,
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

/// Looks. What the last look has left in the record is where this one begins; nothing is written.
///
/// # Errors
/// A store that fails; it is looked again.
pub(super) async fn gather(ctx: &Models, object: &Model) -> Result<Gathered, ArtifactError> {
    let uid = object.uid().unwrap_or_default();
    let namespace = object.namespace().unwrap_or_default();
    let (mut known, broken) = {
        let records = ctx.records();
        let record = records.get(&uid);
        let known = record.map(|m| m.known.clone()).unwrap_or_default();
        (known, record.and_then(|m| m.broken.clone()))
    };
    let mut keep = Keep::default();
    find_outcome(ctx, &uid, &mut known).await?;
    if let Some(compiled) = known.outcome.clone() {
        let onnx = compiled.onnx.digest;
        let of = Asked {
            namespace: &namespace,
            system: object.spec.proof_system,
            batch_sizes: &object.spec.batch_sizes,
            output_scale: &object.spec.quantization.output_scale,
        };
        match look(ctx, of, &compiled, &mut known, broken.clone(), false).await? {
            Loaded::Known(outcome) => {
                let last = std::mem::take(&mut known.source_look);
                known.source_look = changed::look(&ctx.world, object, &compiled, last).await;
                return Ok(Gathered {
                    changed: known.source_look.changed.clone(),
                    source: SourceState::Found(onnx),
                    calibration: Ok(()),
                    compile: CompileState::Done(outcome),
                    task: None,
                    known,
                    broken,
                    keep,
                });
            }
            // Keys of another setup, or files that were lost, or another version: the Model is compiled again.
            Loaded::Not { why, old_version } => {
                tracing::warn!(why, "compiling again");
                let calibration = compiled.calibration.map(|b| b.digest);
                again(ctx, &mut known, Some(onnx), calibration, old_version).await?;
            }
        }
    }
    let onnx = match known.onnx.take() {
        Some(blob) => Ok(blob),
        None => model_file(ctx, &namespace, &object.spec.source, &mut keep).await,
    };
    let calibration = match (known.calibration.take(), &object.spec.quantization.calibration) {
        (Some(blob), _) => Ok(Some(blob)),
        (None, None) => Ok(None),
        (None, Some(at)) => {
            let world = &*ctx.world;
            match sources::calibration(world, &world.artifacts, &namespace, at).await {
                Ok((_, bytes)) => Ok(Some(keep.file(bytes))),
                // Version 1 did not write down which data these were. The Model served until the upgrade, and serves
                // again: its accuracy says that its inputs were made up, and why.
                Err(SourceError::NotFound(_)) if known.old_version && onnx.is_ok() => Ok(None),
                Err(e) => Err(e),
            }
        }
    };
    known.onnx = onnx.as_ref().ok().cloned();
    known.calibration = calibration.as_ref().ok().cloned().flatten();
    let (source, onnx) = match onnx {
        Ok(blob) => (SourceState::Found(blob.digest), Some(blob)),
        Err(e) => (e.into(), None),
    };
    let mut gathered = Gathered {
        source,
        calibration: Ok(()),
        compile: CompileState::None,
        task: None,
        changed: None,
        known,
        broken,
        keep,
    };
    match (onnx, calibration) {
        (None, _) => {}
        (Some(_), Err(e)) => gathered.calibration = Err(SourceError::into_text(e)),
        (Some(onnx), Ok(calibration)) => {
            let task = task(ctx, &object.spec, onnx, calibration);
            let key = key(ctx, &task);
            let attempt = attempt(ctx, &key, object.metadata.generation);
            let task = Task { task, key, attempt };
            gathered.compile = compiling(ctx, &uid, &namespace, &task, &mut gathered).await?;
            gathered.task = Some(task);
        }
    }
    Ok(gathered)
}

/// A Model's ONNX file. One that was uploaded is in the store; of the others, which are in memory meanwhile, one is read at
/// a time.
async fn model_file(
    ctx: &Models,
    namespace: &str,
    source: &ModelSource,
    keep: &mut Keep,
) -> Result<BlobRef, SourceError> {
    let world = &*ctx.world;
    if let Some(digest) = &source.artifact {
        return sources::uploaded(world, namespace, &world.artifacts, digest).await;
    }
    let one_at_a_time = Arc::clone(&ctx.large).lock_owned().await;
    let bytes = sources::model(world, &world.artifacts, namespace, source).await?;
    keep.large = Some(one_at_a_time);
    Ok(keep.file(bytes))
}

impl Keep {
    /// A file that came from the Model's namespace.
    fn file(&mut self, bytes: Bytes) -> BlobRef {
        let blob = BlobRef {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        self.files.push(bytes);
        blob
    }
}

/// Looks once for what was compiled for this Model before the operator was started, and what the compiler reported.
async fn find_outcome(ctx: &Models, uid: &str, known: &mut Known) -> Result<(), ArtifactError> {
    if known.outcome.is_some() || known.looked {
        return Ok(());
    }
    let found = ctx.world.artifacts.compiled(CompiledName::Model(uid)).await?;
    match found.map(|json| Kept::read(&json)) {
        None => {}
        Some(Kept::Record(record)) => known.outcome = Some(*record),
        Some(Kept::Old { onnx, calibration }) => again(ctx, known, onnx, calibration, true).await?,
    }
    known.looked = true;
    Ok(())
}

/// What was compiled for this Model counts no more. It is compiled again from the files that it was compiled from, as far
/// as they are in the store, whatever has become of where they came from. What is kept of it stays until it is replaced: it
/// names them.
async fn again(
    ctx: &Models,
    known: &mut Known,
    onnx: Option<Digest>,
    calibration: Option<Digest>,
    old_version: bool,
) -> Result<(), ArtifactError> {
    let mut files = [None, None];
    for (file, digest) in files.iter_mut().zip([onnx, calibration]) {
        if let Some(digest) = digest {
            *file = ctx.world.artifacts.find_blob(&digest).await?;
        }
    }
    [known.onnx, known.calibration] = files;
    (known.outcome, known.good) = (None, false);
    known.old_version = old_version;
    Ok(())
}

/// What the Model asks of what was compiled.
#[derive(Clone, Copy)]
struct Asked<'a> {
    namespace: &'a str,
    system: ProofSystem,
    batch_sizes: &'a [u32],
    output_scale: &'a [f64],
}

impl Asked<'_> {
    /// Whether there is a manifest for each number of inputs that it asks for, and for no other.
    fn sizes_of(self, report: &CompileReport) -> bool {
        let asked: BTreeSet<u32> = self.batch_sizes.iter().copied().collect();
        report.sizes().eq(asked)
    }
}

/// Whether what was compiled can be served. What the compiler has just handed in is loaded, if there is room for it; what
/// was good before is looked at without its weights, which are read when a request needs them.
async fn look(
    ctx: &Models,
    asked: Asked<'_>,
    compiled: &CompiledRecord,
    known: &mut Known,
    broken: Option<(String, bool)>,
    fresh: bool,
) -> Result<Loaded, ArtifactError> {
    let (onnx, outcome) = (compiled.onnx.digest, compiled.outcome.clone());
    let CompileOutcome::Compiled(report) = &outcome else {
        return Ok(Loaded::Known(outcome));
    };
    if let Some((why, old_version)) = broken {
        return Ok(Loaded::Not { why, old_version });
    }
    if known.good {
        return Ok(Loaded::Known(outcome));
    }
    if !asked.sizes_of(report) {
        let sizes: Vec<String> = report.sizes().map(|size| size.to_string()).collect();
        return Ok(Loaded::Not {
            why: format!(
                "what was compiled answers {} inputs at once, and batchSizes asks for others",
                sizes.join(", ")
            ),
            old_version: false,
        });
    }
    for report in report.each() {
        match look_at_one(ctx, asked, &report, fresh).await {
            Ok(of) if of != onnx => {
                return Ok(Loaded::Not {
                    why: format!("what was compiled is of {of}, not of {onnx}"),
                    old_version: false,
                });
            }
            Ok(_) => {}
            // The store will be back.
            Err(LoadError::Artifact(e @ ArtifactError::Store(_))) => return Err(e),
            Err(e) => {
                return Ok(Loaded::Not {
                    why: format!("what was compiled cannot be loaded: {e}"),
                    old_version: e.is_of_another_version(),
                });
            }
        }
    }
    known.good = true;
    Ok(Loaded::Known(outcome))
}

/// Looks at one manifest and its files, and returns of which ONNX file it is.
async fn look_at_one(
    ctx: &Models,
    asked: Asked<'_>,
    report: &CompileReport,
    fresh: bool,
) -> Result<Digest, LoadError> {
    let world = &ctx.world;
    let srs = world.setup.map(|setup| setup.srs);
    let manifest = CompiledModel::look(&world.artifacts, report, asked.system, srs).await?;
    let said = &report.accuracy.output_scale;
    magnitudes::check(said, &manifest, asked.output_scale).map_err(LoadError::Magnitudes)?;
    if fresh {
        match world.compiled(asked.namespace, report, asked.system).await {
            Ok(_) | Err(ShelfError::TooLarge { .. } | ShelfError::Full { .. }) => {}
            Err(ShelfError::Load(e)) => return Err(e),
        }
    }
    Ok(manifest.model)
}

/// See [`look`].
#[allow(clippy::large_enum_variant, reason = "one for each look")]
enum Loaded {
    /// The outcome counts.
    Known(CompileOutcome),
    /// It does not.
    Not { why: String, old_version: bool },
}

/// Is there a result under the key, or a compiler at work?
async fn compiling(
    ctx: &Models,
    uid: &str,
    namespace: &str,
    of: &Task,
    gathered: &mut Gathered,
) -> Result<CompileState, ArtifactError> {
    let artifacts = &ctx.world.artifacts;
    if let Some(json) = artifacts.compiled(CompiledName::Key(&of.key)).await?
        && let Ok(outcome) = serde_json::from_slice::<CompileOutcome>(&json)
        && still_there(ctx, &outcome).await?
    {
        let record = CompiledRecord {
            onnx: of.task.model.clone(),
            calibration: of.task.calibration.clone(),
            outcome,
        };
        let by = Asked {
            namespace,
            system: of.task.proof_system,
            batch_sizes: &of.task.batch_sizes,
            output_scale: &of.task.output_scale,
        };
        match look(ctx, by, &record, &mut gathered.known, None, true).await? {
            // Another image than the operator's compiles: the same again would end the same.
            Loaded::Not { why, .. } => return Ok(CompileState::Crashed(why)),
            Loaded::Known(outcome) => {
                gathered.keep.compiled = Some(record.clone());
                (gathered.known.outcome, gathered.known.old_version) = (Some(record), false);
                return Ok(CompileState::Done(outcome));
            }
        }
    }
    let crashed = match ctx.world.jobs.compiling(uid, &of.attempt.hex()) {
        None => {
            let crash = artifacts.compiled(CompiledName::Crash(uid)).await?;
            let crash = crash.and_then(|json| serde_json::from_slice::<Crash>(&json).ok());
            if let Some(crash) = crash.filter(|crash| crash.attempt == of.attempt) {
                return Ok(CompileState::Crashed(crash.message));
            }
            let refused = ctx.records().get(uid).and_then(|m| m.refused.clone());
            let refused = refused.filter(|refusal| !refusal.is_due(ctx.world.started.elapsed()));
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
            None => {
                let said = ctx.records().get(uid).and_then(|m| m.progress.clone());
                without_a_pod(&why, said.map(|(said, _)| said))
            }
        },
    };
    // The Job will be gone, and the operator may be.
    gathered.keep.crash = Some(Crash {
        attempt: of.attempt,
        message: crashed.clone(),
    });
    Ok(CompileState::Crashed(crashed))
}

/// A compiler that says nothing may not be there.
async fn at_work(ctx: &Models, uid: &str) -> CompileState {
    let progress = ctx.records().get(uid).and_then(|m| m.progress.clone());
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
async fn trouble(ctx: &Models, uid: &str) -> Option<Finding> {
    let world = &ctx.world;
    match fleet::at_compiler(&world.client, &world.jobs, &world.workers.namespace, uid).await {
        Ok(look) => diagnose(&look.seen.evidence, Whose::Compiler),
        Err(error) => {
            tracing::warn!(%error, "the compiler's pods cannot be looked at");
            None
        }
    }
}

/// How a compiler ended that has reported nothing.
#[derive(Serialize, Deserialize)]
pub(super) struct Crash {
    attempt: Digest,
    message: String,
}

/// What the last Model with this key left behind was swept, if it is long gone.
async fn still_there(ctx: &Models, outcome: &CompileOutcome) -> Result<bool, ArtifactError> {
    if let CompileOutcome::Compiled(report) = outcome {
        for blob in report.blobs() {
            if !ctx.world.artifacts.has_blob(&blob).await? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn task(ctx: &Models, spec: &ModelSpec, model: BlobRef, calibration: Option<BlobRef>) -> CompileTask {
    CompileTask {
        model,
        calibration,
        profile: spec.quantization.profile,
        error_budget_millionths: spec.quantization.error_budget_millionths,
        output_scale: spec.quantization.output_scale.clone(),
        compare_top1: spec.quantization.compare_top1,
        dimensions: spec.dimensions.clone(),
        batch_sizes: batch_sizes(spec),
        parallelism: spec.slicing.parallelism,
        memory_mib: spec.slicing.memory_per_worker.as_ref().map(|m| m.bytes() >> 20),
        proof_system: spec.proof_system,
        setup: ctx
            .srs_file
            .clone()
            .filter(|_| systems::of(spec.proof_system).needs_srs()),
    }
}

/// In order, so that the same sizes are the same task.
fn batch_sizes(spec: &ModelSpec) -> Vec<u32> {
    let sizes: BTreeSet<u32> = spec.batch_sizes.iter().copied().collect();
    sizes.into_iter().collect()
}

/// A change of the Model asks for another try, and so do other resources for compilers.
fn attempt(ctx: &Models, key: &Digest, generation: Option<i64>) -> Digest {
    let rules = ctx.world.in_force.get();
    let compile = &rules.compile;
    let resources = (&compile.cpu, &compile.memory, &compile.scratch, compile.seconds);
    let parts = (key, generation, resources);
    Digest::of(&encode(&parts))
}

/// Everything that a result depends on: another compiler may make other keys.
fn key(ctx: &Models, task: &CompileTask) -> Digest {
    let srs = ctx
        .world
        .setup
        .filter(|_| systems::of(task.proof_system).needs_srs())
        .map(|s| s.srs);
    let version = (env!("CARGO_PKG_VERSION"), zkml::manifest::VERSION);
    let parts = (task, srs, &ctx.world.in_force.base().compile.image, version);
    Digest::of(&encode(&parts))
}
