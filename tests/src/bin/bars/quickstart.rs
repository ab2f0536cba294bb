//! The quickstart of each proof system as a person runs it: everything to be made, and once more.

use std::error::Error;
use std::process::Command;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;
use zkinfer_crds::ProofSystem;
use zkinfer_tests::local::{LocalRuns, program, repository, run};

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quickstart {
    pub(crate) system: ProofSystem,
    /// First request: compilation, keys, proofs; wall.
    pub(crate) first_seconds: f64,
    /// Second request, with what is kept; wall.
    pub(crate) second_seconds: f64,
    pub(crate) slices: u64,
    /// The largest of a slice.
    pub(crate) proof_bytes: u64,
    /// The whole program `verify`, per slice; best of five.
    pub(crate) verify_milliseconds: f64,
    /// The greatest of any process so far: operator, compiler, workers.
    pub(crate) rss_mib: f64,
}

/// SumcheckWhir first: what memory is measured after it is the greater of both.
pub(crate) fn both() -> Result<Vec<Quickstart>, Box<dyn Error>> {
    [
        ("quickstart", ProofSystem::SumcheckWhir),
        ("quickstart-halo2", ProofSystem::Halo2Kzg),
    ]
    .into_iter()
    .map(|(folder, system)| quickstart(folder, system))
    .collect()
}

fn quickstart(folder: &str, system: ProofSystem) -> Result<Quickstart, Box<dyn Error>> {
    eprintln!("manifests/{folder} ...");
    let runs = LocalRuns::new();
    let folder = repository().join("manifests").join(folder).display().to_string();
    let first = runs.operator(&["-f", &folder]);
    let second = runs.operator(&["-f", &folder]);
    if first.ran.code != 0 || second.ran.code != 0 {
        return Err(format!("{}{}", first.ran.stderr, second.ran.stderr).into());
    }
    let status = &second.get("InferenceRequest", "digit-7")["status"];
    let rows = status["recentSlices"].as_array().cloned().unwrap_or_default();
    let slices = status["slices"]["total"].as_u64().unwrap_or(0);
    let receipt = status["receipt"]["path"].as_str().unwrap_or_default();
    let manifest = runs.path().join("state/models/default/digits/manifest.cbor");
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let mut command = Command::new(program("prover-worker"));
        command
            .args(["verify", receipt, "--allow-dev-srs", "--manifest"])
            .arg(&manifest);
        let started = Instant::now();
        let ran = run(&mut command);
        if ran.code != 0 {
            return Err(format!("the receipt of {folder} is not valid: {}", ran.stdout).into());
        }
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(Quickstart {
        system,
        first_seconds: first.ran.took.as_secs_f64(),
        second_seconds: second.ran.took.as_secs_f64(),
        slices,
        proof_bytes: rows
            .iter()
            .filter_map(|r| r["bytes"].as_u64())
            .max()
            .unwrap_or(u64::MAX),
        verify_milliseconds: 1e3 * best / slices.max(1) as f64,
        rss_mib: getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() as f64 / 1024.0,
    })
}
