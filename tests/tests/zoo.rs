//! Public models are proved, or refused, as they were: each outcome of `tests/zoo/floor.tsv`. `tests/zoo/run` runs all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::process::Command;

use serde_json::Value;
use zkinfer_tests::local::{program, repository, run};
use zkinfer_tests::{measured, onnx};

#[test]
fn public_models_have_the_outcomes_of_the_floor() {
    if onnx::environment().is_none() {
        return;
    }
    let zoo = repository().join("tests/zoo");
    let out = tempfile::tempdir().unwrap();
    let programs = program("prover-worker").parent().unwrap().to_path_buf();
    let mut command = Command::new(zoo.join("run"));
    command.env("ZKINFER_BIN", programs);
    command.arg("--floor").arg(zoo.join("floor.tsv"));
    let ran = run(command.arg("--out").arg(out.path()));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let results = std::fs::read(out.path().join("results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    let count = |key: &str| results[key].as_u64().unwrap();
    measured(format_args!(
        "zoo: {} of {} models right in {:.0} s",
        count("right"),
        count("total"),
        ran.took.as_secs_f64()
    ));
    // A floor of refusals alone would hold a program that proves nothing.
    assert!(count("right") * 2 >= count("total"), "{results:#}");
    assert_eq!(count("wrong"), 0, "{results:#}");
}
