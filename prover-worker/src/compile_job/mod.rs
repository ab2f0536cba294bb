//! `compile-job`: what `compile` does, for an operator: the task, the model and its calibration data come from the
//! gateway by digest, and everything that was made goes there, the report last.
//!
//! Invariant: exit 0 means that the operator has a report, a good one or the reasons why there is none. Everything else
//! is a failure of the machine, which the operator's Job tries again.

mod client;
mod progress;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinError;
use zkinfer_client::CallError;
use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::{CompileFailure, CompileOutcome, CompileReport, FailureKind};
use zkinfer_crds::wire::{BlobRef, CompileTask};
use zkml::graph::tensor_file::ending;
use zkml::setup::{Srs, SrsSource};
use zkml::systems;

use self::client::Client;
use crate::args::{CompileJobArgs, ModelArgs};
use crate::by_hand::compile::compile_to;
use crate::exit::{Exit, UsageError};
use crate::files;

/// Whoever waits hears of a compiler at least so often.
const STILL: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &CompileJobArgs) -> Result<Exit, UsageError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(UsageError::new)?;
    let token = match (&args.token_file, &args.token) {
        (Some(path), _) => std::fs::read_to_string(path)
            .map_err(|e| UsageError::new(format!("--token-file {}: {e}", path.display())))?,
        (None, token) => token.clone().unwrap_or_default(),
    };
    let client = Client::new(&args.gateway, token.trim())?;
    match runtime.block_on(compile_for(&client, &args.scratch)) {
        Ok(()) => Ok(Exit::Done),
        Err(JobError::Usage(e)) => Err(e),
        Err(JobError::Call(e)) => {
            eprintln!("error: {e}");
            Ok(Exit::Bad)
        }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Call(#[from] CallError),
}

async fn compile_for(client: &Client, scratch: &Path) -> Result<(), JobError> {
    let task = client.task().await?;
    let (progress, lines) = mpsc::unbounded_channel::<String>();
    let telling = {
        let client = client.clone();
        tokio::spawn(progress::relay(STILL, lines, move |line| {
            let client = client.clone();
            async move {
                eprintln!("{line}");
                if let Err(e) = client.progress(line).await {
                    eprintln!("progress was not taken: {e}");
                }
            }
        }))
    };
    let srs = match &task.setup {
        _ if !systems::of(task.proof_system).needs_srs() => None,
        None => Some(SrsSource::Development),
        Some(blob) => {
            let bytes = fetch(client, blob).await?;
            let srs = Srs::read(&bytes).map_err(|e| UsageError::new(format!("the trusted setup: {e}")))?;
            Some(SrsSource::Points(Box::new(srs)))
        }
    };
    // Large keys take their time to be handed in: that is told of too.
    let handing = progress.clone();
    let outcome = match model(client, &task, scratch).await? {
        Ok(args) => {
            let (out, task) = (scratch.join("out"), task.clone());
            let compile = move || {
                sizes(&args, &task, srs.as_ref(), &out, &|line| {
                    let _ = progress.send(line);
                })
            };
            let compiled = tokio::task::spawn_blocking(compile).await;
            compiled.unwrap_or_else(|ended| Ok(failed(FailureKind::Other, &panicked(ended))))?
        }
        Err(failure) => {
            drop(progress);
            failure
        }
    };
    if let CompileOutcome::Compiled(report) = &outcome {
        for (n, blob) in report.blobs().enumerate() {
            let _ = handing.send(format!("handing in file {}", n + 1));
            client
                .put_blob(&blob, &files::blob_path(&scratch.join("out"), &blob.digest))
                .await?;
        }
    }
    // The last lines are told before the report, so that none comes after it.
    drop(handing);
    let _ = telling.await;
    client.report(&outcome).await?;
    Ok(())
}

/// Compiles for each number of inputs at once, the fewest first. The first that fails is what is said of the model.
fn sizes(
    args: &ModelArgs,
    task: &CompileTask,
    srs: Option<&SrsSource>,
    out: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> Result<CompileOutcome, UsageError> {
    let asked: BTreeSet<u32> = task.batch_sizes.iter().copied().collect();
    let mut made = Vec::new();
    for &batch in &asked {
        let args = ModelArgs {
            batch,
            ..args.clone()
        };
        let told = |line: String| match asked.len() {
            1 => progress(line),
            _ => progress(format!("batch {batch}: {}", line.trim_start())),
        };
        match compile_to(&args, task.proof_system, srs, out, &told)? {
            CompileOutcome::Compiled(report) => made.push(report),
            failed @ CompileOutcome::Failed(_) => return Ok(failed),
        }
    }
    Ok(match CompileReport::joined(made) {
        Some(report) => CompileOutcome::Compiled(report),
        None => failed(FailureKind::Other, "the task names no batch size"),
    })
}

/// What a compiler that did not come to its end said.
fn panicked(ended: JoinError) -> String {
    let Ok(panic) = ended.try_into_panic() else {
        return "the compiler was stopped".to_owned();
    };
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the compiler panicked: {}", text.unwrap_or("it did not say why"))
}

fn failed(kind: FailureKind, message: &str) -> CompileOutcome {
    CompileOutcome::Failed(CompileFailure {
        kind,
        message: message.to_owned(),
        unsupported: Vec::new(),
        outline: None,
    })
}

/// Puts the model and its calibration data where `compile` finds them. A calibration file that is none is the model's
/// fault, not the machine's.
async fn model(
    client: &Client,
    task: &CompileTask,
    scratch: &Path,
) -> Result<Result<ModelArgs, CompileOutcome>, JobError> {
    let model = scratch.join("model.onnx");
    files::write(&model, &fetch(client, &task.model).await?)?;
    let calibration = match &task.calibration {
        None => None,
        Some(blob) => {
            let bytes = fetch(client, blob).await?;
            let path = scratch.join(format!("calibration.{}", ending(&bytes)));
            files::write(&path, &bytes)?;
            if let Err(e) = files::inputs(&path) {
                // Where it lies here is of no interest to whoever wrote it.
                let said = e.to_string();
                let said = said
                    .trim_start_matches(&path.display().to_string())
                    .trim_start_matches([':', ' ']);
                let message = format!("the calibration data: {said}");
                return Ok(Err(failed(FailureKind::InvalidCalibration, &message)));
            }
            Some(path)
        }
    };
    Ok(Ok(ModelArgs {
        model,
        calibration,
        profile: task.profile,
        error_budget: task.error_budget_millionths,
        output_scale: task.output_scale.clone(),
        no_top1: !task.compare_top1,
        bind: task.dimensions.clone().into_iter().collect(),
        batch: 1,
        parallelism: task.parallelism,
        memory_mib: task.memory_mib,
    }))
}

async fn fetch(client: &Client, blob: &BlobRef) -> Result<Vec<u8>, JobError> {
    let bytes = client.blob(blob).await?;
    let got = Digest::of(&bytes);
    if got == blob.digest {
        Ok(bytes)
    } else {
        Err(CallError::Unexpected(format!("blob {} arrived as {got}", blob.digest)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_compiler_that_panics_says_is_in_the_message() {
        let ended = |panic: fn()| async move {
            let ended = tokio::task::spawn_blocking(panic).await;
            panicked(ended.unwrap_err())
        };
        let index = ended(|| panic!("no tensor {}", 7)).await;
        assert_eq!(index, "the compiler panicked: no tensor 7");
        let plain = ended(|| panic!("no room")).await;
        assert_eq!(plain, "the compiler panicked: no room");
        let other = ended(|| std::panic::panic_any(7)).await;
        assert_eq!(other, "the compiler panicked: it did not say why");
    }
}
