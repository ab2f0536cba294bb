//! Measures the quickstart against its bars: a first request with everything to be made, and a second one.
//!
//! Exit 0 when every bar is met. Wall times need an idle machine with two cores.

use std::process::{Command, ExitCode};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use zkinfer_tests::local::{LocalRuns, Objects, program, repository, run};

struct Bars {
    met: bool,
}

impl Bars {
    fn row(&mut self, what: &str, got: f64, bar: f64, unit: &str) {
        self.met &= got < bar;
        let verdict = if got < bar { "met" } else { "NOT MET" };
        println!("{what:<44} {got:>9.2} {unit:<4} bar {bar:>6} {unit:<4} {verdict}");
    }
}

fn succeeded(objects: &Objects) -> bool {
    objects.ran.code == 0
}

fn main() -> ExitCode {
    let runs = LocalRuns::new();
    let folder = repository().join("manifests/quickstart").display().to_string();
    let mut bars = Bars { met: true };
    let first = runs.operator(&["-f", &folder]);
    let second = runs.operator(&["-f", &folder]);
    if !succeeded(&first) || !succeeded(&second) {
        eprintln!("{}{}", first.ran.stderr, second.ran.stderr);
        return ExitCode::FAILURE;
    }
    bars.row(
        "first request: compile, SRS, keys, proofs",
        first.ran.took.as_secs_f64(),
        5.0,
        "s",
    );
    bars.row(
        "second request, keys kept",
        second.ran.took.as_secs_f64(),
        2.0,
        "s",
    );
    let status = &second.get("InferenceRequest", "digit-7")["status"];
    let rows = status["recentSlices"].as_array().cloned().unwrap_or_default();
    let largest = rows
        .iter()
        .filter_map(|r| r["bytes"].as_u64())
        .max()
        .unwrap_or(u64::MAX);
    bars.row("largest proof of a slice", largest as f64 / 1024.0, 6.0, "KiB");
    let slices = status["slices"]["total"].as_u64().unwrap_or(0);
    bars.met &= slices >= 4;
    println!("{:<44} {slices:>9}", "slices");
    let receipt = status["receipt"]["path"].as_str().unwrap_or_default();
    let manifest = runs.path().join("state/models/default/digits/manifest.cbor");
    let verify = || {
        let mut command = Command::new(program("prover-worker"));
        command
            .args(["verify", receipt, "--allow-dev-srs", "--manifest"])
            .arg(&manifest);
        let started = Instant::now();
        (run(&mut command).code, started.elapsed().as_secs_f64())
    };
    let times: Vec<(i32, f64)> = (0..5).map(|_| verify()).collect();
    bars.met &= times.iter().all(|(code, _)| *code == 0);
    let best = times.iter().map(|(_, t)| *t).fold(f64::INFINITY, f64::min);
    bars.row(
        "verify, whole program, per slice (best of 5)",
        1e3 * best / slices.max(1) as f64,
        10.0,
        "ms",
    );
    // The greatest of all processes that were waited for: operator, compiler, workers.
    match getrusage(UsageWho::RUSAGE_CHILDREN) {
        Ok(usage) => bars.row(
            "peak memory of any process",
            usage.max_rss() as f64 / 1024.0,
            250.0,
            "MiB",
        ),
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::FAILURE;
        }
    }
    if bars.met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
