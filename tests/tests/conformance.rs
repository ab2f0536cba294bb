//! Of ONNX's own node tests those are proved that `tests/conformance/proved.txt` names, and no answer is wrong.
//! `tests/conformance/run` asks them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::process::Command;

use zkinfer_tests::local::{program, repository};
use zkinfer_tests::{measured, onnx};

#[test]
fn the_node_tests_of_onnx_that_were_proved_are_proved() {
    if onnx::environment().is_none() {
        return;
    }
    let programs = program("prover-worker").parent().unwrap().to_path_buf();
    // Each step of each test has a limit of its own.
    let ran = Command::new(repository().join("tests/conformance/run"))
        .env("ZKINFER_BIN", programs)
        .args(["--floor", "--every", "8", "--check-docs", "--jobs", "2"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    measured(format_args!(
        "conformance, proved ones and every eighth other: {}",
        said.lines().next().unwrap_or_default()
    ));
}

#[test]
fn the_judge_of_conformance_is_as_strict_as_it_says() {
    if onnx::environment().is_none() {
        return;
    }
    let ran = Command::new(repository().join("tests/conformance/run"))
        .env("ZKINFER_BIN", program("prover-worker").parent().unwrap())
        .arg("--selftest")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}");
    assert_eq!(
        said.lines().filter(|l| l.starts_with("ok ")).count(),
        16,
        "{said}"
    );
}

#[test]
fn the_page_of_benchmarks_says_what_was_measured() {
    if onnx::environment().is_none() {
        return;
    }
    let ran = Command::new(repository().join("tests/bench/run"))
        .arg("--check-docs")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
