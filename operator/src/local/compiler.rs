//! Runs `prover-worker compile` as a child process: an ONNX file from outside is parsed there, not here.
//!
//! A compiled model is kept below the state folder under a key of everything that it depends on, so that the next run
//! of the same model starts at once.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport};
use zkinfer_crds::k8s::ModelSpec;
use zkinfer_crds::{Digest, encode};
use zkml::systems;

use crate::artifacts::Artifacts;

/// Longest line of progress, and of a failed compiler's last words.
const MAX_LINE: usize = 500;
/// What is kept of a compiler's standard output: a refusal fits.
const MAX_SAID: u64 = 64 << 10;

/// What `prover-worker -o json` prints of wrong use.
#[derive(serde::Deserialize)]
struct Refusal {
    error: String,
}

/// What compiles.
#[derive(Debug, Clone)]
pub(super) struct Compiler {
    /// The `prover-worker` binary.
    pub(super) worker: PathBuf,
    /// SHA-256 of the binary: other programs make other keys.
    pub(super) worker_digest: Digest,
    /// Flags for the trusted setup, and its digest: for proof systems that have one.
    pub(super) srs: Vec<String>,
    pub(super) srs_digest: Option<Digest>,
}

/// One model to compile.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) onnx: Vec<u8>,
    pub(super) calibration: Option<(&'static str, Vec<u8>)>,
    pub(super) spec: ModelSpec,
    /// Where manifest and files go; people find them here.
    pub(super) dir: PathBuf,
}

impl Compiler {
    fn flags(&self, job: &Job) -> Vec<String> {
        let spec = &job.spec;
        let mut flags = vec![
            "--error-budget".to_owned(),
            spec.quantization.error_budget_millionths.to_string(),
            "--parallelism".to_owned(),
            spec.slicing.parallelism.to_string(),
        ];
        if !spec.quantization.output_scale.is_empty() {
            let scales = spec.quantization.output_scale.iter().map(f64::to_string);
            flags.push(format!("--output-scale={}", scales.collect::<Vec<_>>().join(",")));
        }
        if !spec.quantization.compare_top1 {
            flags.push("--no-top1".to_owned());
        }
        if let Some(profile) = spec.quantization.profile {
            flags.extend(["--profile".to_owned(), profile.to_string()]);
        }
        if let Some(memory) = &spec.slicing.memory_per_worker {
            flags.extend(["--memory-mib".to_owned(), (memory.bytes() >> 20).to_string()]);
        }
        flags.extend(["--proof-system".to_owned(), spec.proof_system.to_string()]);
        if systems::of(spec.proof_system).needs_srs() {
            flags.extend(self.srs.clone());
        }
        flags
    }

    fn key(&self, job: &Job) -> String {
        let calibration = job.calibration.as_ref().map(|(_, bytes)| Digest::of(bytes));
        let parts = (
            Digest::of(&job.onnx),
            calibration,
            self.flags(job),
            self.srs_digest
                .filter(|_| systems::of(job.spec.proof_system).needs_srs()),
            self.worker_digest,
        );
        Digest::of(&encode(&parts)).to_string()
    }

    /// Compiles, or finds what was compiled before; every file is in the store when this succeeds.
    pub(super) async fn run(
        &self,
        job: &Job,
        artifacts: &Artifacts,
        progress: impl Fn(String),
    ) -> Result<CompileOutcome, String> {
        let key = self.key(job);
        if let Some(report) = self.cached(job, artifacts, &key).await {
            progress("found compiled".to_owned());
            return Ok(CompileOutcome::Compiled(report));
        }
        let failed = |what: &str, e: &dyn std::fmt::Display| format!("{what}: {e}");
        let _ = tokio::fs::remove_dir_all(&job.dir).await;
        tokio::fs::create_dir_all(&job.dir)
            .await
            .map_err(|e| failed("cannot make the model's folder", &e))?;
        let model = job.dir.join("model.onnx");
        tokio::fs::write(&model, &job.onnx)
            .await
            .map_err(|e| failed("cannot write the model", &e))?;
        let mut command = Command::new(&self.worker);
        command
            .args(["compile", "-o", "json"])
            .arg(&model)
            .arg("--out")
            .arg(&job.dir)
            .args(self.flags(job));
        if let Some((extension, bytes)) = &job.calibration {
            let path = job.dir.join(format!("calibration.{extension}"));
            tokio::fs::write(&path, bytes)
                .await
                .map_err(|e| failed("cannot write the calibration data", &e))?;
            command.arg("--calibration").arg(path);
        }
        let last = self.watch(command, progress).await?;
        let report = tokio::fs::read(job.dir.join("compile.json")).await;
        let report = report.map_err(|_| format!("the compiler ended without a report: {last}"))?;
        let outcome: CompileOutcome =
            serde_json::from_slice(&report).map_err(|e| failed("the compiler's report is damaged", &e))?;
        if let CompileOutcome::Compiled(report) = &outcome {
            store(&job.dir, report, artifacts).await?;
            tokio::fs::write(job.dir.join("key"), &key)
                .await
                .map_err(|e| failed("cannot keep the key", &e))?;
        }
        Ok(outcome)
    }

    /// Runs the child; its standard error is progress, and a failure stands as JSON on its standard output. Returns the last
    /// line of progress.
    async fn watch(&self, mut command: Command, progress: impl Fn(String)) -> Result<String, String> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", self.worker.display()))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let told = async {
            let mut last = String::new();
            if let Some(stderr) = stderr {
                let mut lines = BufReader::new(stderr).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    last = line.trim().chars().take(MAX_LINE).collect();
                    progress(last.clone());
                }
            }
            last
        };
        let said = async {
            let mut said = Vec::new();
            if let Some(mut stdout) = stdout {
                let _ = (&mut stdout).take(MAX_SAID).read_to_end(&mut said).await;
                let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
            }
            said
        };
        let (last, said) = tokio::join!(told, said);
        let status = child.wait().await.map_err(|e| e.to_string())?;
        match status.code() {
            Some(0 | 1) => Ok(last),
            _ => {
                let error = serde_json::from_slice::<Refusal>(&said).ok().map(|r| r.error);
                let why: String = error.unwrap_or(last).chars().take(MAX_LINE).collect();
                Err(format!("the compiler ended with {status}: {why}"))
            }
        }
    }

    async fn cached(&self, job: &Job, artifacts: &Artifacts, key: &str) -> Option<CompileReport> {
        let kept = tokio::fs::read_to_string(job.dir.join("key")).await.ok()?;
        if kept != key {
            return None;
        }
        let report = tokio::fs::read(job.dir.join("compile.json")).await.ok()?;
        let CompileOutcome::Compiled(report) = serde_json::from_slice(&report).ok()? else {
            return None;
        };
        for blob in report.blobs() {
            if !artifacts.has_blob(&blob).await.ok()? {
                return None;
            }
        }
        Some(report)
    }
}

/// Takes the compiler's files into the store; a digest that is not the file's is an error here.
async fn store(dir: &Path, report: &CompileReport, artifacts: &Artifacts) -> Result<(), String> {
    for blob in report.blobs() {
        let path = dir.join("blobs").join("sha256").join(blob.digest.hex());
        let bytes = tokio::fs::read(&path)
            .await
            .map_err(|e| format!("{}: {e}", path.display()))?;
        let stored = artifacts.put_blob(bytes).await.map_err(|e| e.to_string())?;
        if stored != blob {
            return Err(format!("the compiler's file {} is damaged", path.display()));
        }
    }
    Ok(())
}
