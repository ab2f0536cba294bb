//! Random valid ONNX graphs, proved by the built programs, answer as onnxruntime does. `tests/generator/run` makes them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use zkinfer_tests::local::{program, repository, run_within};
use zkinfer_tests::{measured, onnx, tell};

/// Graphs before a run is ended once.
const FIRST: &str = "20";
/// Graphs of a run, of these with Halo2Kzg, and the time after which no more are made.
const GRAPHS: &str = "300";
const HALO2: &str = "12";
const SECONDS: &str = "75";
/// A run takes a minute and a half where it has two cores to itself.
const LIMIT: Duration = Duration::from_secs(400);

#[test]
fn the_generator_makes_valid_graphs_and_judges_as_it_says() {
    if onnx::environment().is_none() {
        return;
    }
    // Beside the graphs that are proved at the same time.
    let ran = run_within(
        LIMIT,
        Command::new(repository().join("tests/generator/run")).arg("--selftest"),
    );
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(
        ran.stdout.lines().filter(|l| l.starts_with("ok ")).count(),
        22,
        "{}",
        ran.stdout
    );
}

#[test]
fn random_graphs_answer_as_onnxruntime_does() {
    if onnx::environment().is_none() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let programs = program("operator").parent().unwrap().to_path_buf();
    assert_eq!(program("prover-worker").parent(), Some(programs.as_path()));
    let generator = |rest: &[&str]| {
        let mut command = Command::new(repository().join("tests/generator/run"));
        command.env("ZKINFER_BIN", &programs).arg("--out").arg(out.path());
        run_within(LIMIT, command.args(rest))
    };
    // A run that has ended goes on, and its counts with it.
    let ran = generator(&["--graphs", FIRST]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let ran = generator(&[
        "--graphs",
        GRAPHS,
        "--halo2",
        HALO2,
        "--seconds",
        SECONDS,
        "--resume",
    ]);
    // The seed above all: a new one each run, and the one way back to what failed.
    tell(format_args!("{}", ran.stdout.trim()));
    let results = std::fs::read(out.path().join("results.json"));
    let results: Value =
        serde_json::from_slice(&results.unwrap_or_else(|e| panic!("{e}\n{}", ran.stderr))).unwrap();
    assert_eq!(
        ran.code, 0,
        "{}{}\n{:#}",
        ran.stdout, ran.stderr, results["failures"]
    );
    let proved = |system: &str| results["outcomes"][system]["proved"].as_u64().unwrap_or(0);
    let graphs = results["graphs"].as_u64().unwrap();
    let all = proved("SumcheckWhir") + proved("Halo2Kzg");
    measured(format_args!(
        "random graphs: {graphs} in {:.0} s, {all} proved, none wrong, seed {}",
        ran.took.as_secs_f64(),
        results["seed"]
    ));
    // Nothing was shown by graphs that were all refused, or never made.
    assert!(
        graphs >= 100 && all * 2 > graphs && proved("Halo2Kzg") > 0,
        "{:#}",
        results["outcomes"]
    );
    assert!(results["receiptsVerified"]["valid"].as_u64() > Some(0));
    assert_eq!(results["notMade"], serde_json::json!([]));
}
