//! Local mode as a person uses it: the real operator, real worker processes, real proofs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::process::Command;

use serde_json::Value;
use zkinfer_tests::local::{LocalRuns, Objects, model_file, program, repository, run};

fn quickstart() -> String {
    repository().join("manifests/quickstart").display().to_string()
}

/// Every slice of the quickstart's request with the attempts at it.
fn recent(objects: &Objects) -> Vec<Value> {
    objects.get("InferenceRequest", "digit-7")["status"]["recentSlices"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[test]
fn the_quickstart_succeeds_within_its_bounds_and_again_faster() {
    let runs = LocalRuns::new();
    let first = runs.operator(&["-f", &quickstart()]);
    assert_eq!(first.ran.code, 0, "{}", first.ran.stderr);
    let status = &first.get("InferenceRequest", "digit-7")["status"];
    assert_eq!(status["phase"], "Succeeded");
    assert_eq!(status["output"]["label"], "7");
    assert!(status["slices"]["total"].as_u64() >= Some(4), "{status}");
    assert_eq!(status["slices"]["verified"], status["slices"]["total"]);
    let rows = recent(&first);
    let pools: std::collections::BTreeSet<_> = rows.iter().filter_map(|r| r["pool"].as_str()).collect();
    assert_eq!(pools.len(), 2, "both pools prove: {rows:?}");
    assert!(
        rows.iter()
            .all(|r| r["bytes"].as_u64().is_some_and(|b| b <= 6 << 10)),
        "{rows:?}"
    );
    assert!(
        first
            .condition("Model", "digits", "TrustedSetup")
            .starts_with("False/DevelopmentSetup")
    );
    assert!(
        first
            .condition("Model", "digits", "AccuracyWithinBudget")
            .starts_with("True/WithinBudget")
    );
    assert!(first.ran.stderr.contains("FORGEABLE BY ANYONE"));
    assert!(
        first.ran.stderr.contains("slice 0  verified"),
        "progress is shown: {}",
        first.ran.stderr
    );
    let second = runs.operator(&["-f", &quickstart()]);
    assert_eq!(second.ran.code, 0, "{}", second.ran.stderr);
    println!(
        "first {:.2} s, second {:.2} s",
        first.ran.took.as_secs_f64(),
        second.ran.took.as_secs_f64()
    );
    assert!(second.ran.stderr.contains("found compiled"));
    assert!(second.ran.took < first.ran.took, "keys are kept");
}

#[test]
fn the_receipt_verifies_offline_at_three_depths_and_a_changed_one_does_not() {
    let runs = LocalRuns::new();
    let objects = runs.operator(&["-f", &quickstart()]);
    let receipt = objects.get("InferenceRequest", "digit-7")["status"]["receipt"]["path"]
        .as_str()
        .unwrap()
        .to_owned();
    let manifest = runs.path().join("state/models/default/digits/manifest.cbor");
    let (model, input) = (model_file("digits.onnx"), model_file("data/digit-7.json"));
    let verify = |arguments: &[&std::ffi::OsStr]| {
        run(Command::new(program("prover-worker"))
            .arg("verify")
            .args(arguments))
    };
    let os = |text: &'static str| std::ffi::OsStr::new(text);
    let (receipt, manifest) = (std::ffi::OsString::from(receipt), manifest.into_os_string());
    let fast = verify(&[&receipt, os("--manifest"), &manifest, os("--allow-dev-srs")]);
    assert_eq!(fast.code, 0, "{}{}", fast.stdout, fast.stderr);
    assert!(fast.stdout.contains("not checked") && fast.stdout.contains("FORGEABLE BY ANYONE"));
    let deep = [
        &receipt,
        os("--model"),
        model.as_os_str(),
        os("--input"),
        input.as_os_str(),
        os("--allow-dev-srs"),
    ];
    let deep = verify(&deep);
    assert_eq!(deep.code, 0, "{}{}", deep.stdout, deep.stderr);
    assert!(!deep.stdout.contains("not checked"), "{}", deep.stdout);
    assert!(deep.stdout.contains("greatest error against the float model"));
    let json = verify(&[
        &receipt,
        os("--manifest"),
        &manifest,
        os("--allow-dev-srs"),
        os("-o"),
        os("json"),
    ]);
    assert_eq!(
        serde_json::from_str::<Value>(&json.stdout).unwrap()["verdict"],
        "valid"
    );
    // Without the flag, with another's model, with another's input, with a changed byte.
    assert_eq!(verify(&[&receipt, os("--manifest"), &manifest]).code, 1);
    let wine = model_file("wine.onnx");
    assert_eq!(
        verify(&[&receipt, os("--model"), wine.as_os_str(), os("--allow-dev-srs")]).code,
        1
    );
    let blank = runs.file(
        "blank.json",
        format!("[[{}]]", ["[0,0,0,0,0,0,0,0]"; 8].join(",")),
    );
    let other = verify(&[
        &receipt,
        os("--manifest"),
        &manifest,
        os("--allow-dev-srs"),
        os("--input"),
        blank.as_os_str(),
    ]);
    assert!(
        other.code == 1 && other.stdout.contains("is not your input"),
        "{}",
        other.stdout
    );
    let mut bytes = std::fs::read(&receipt).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let changed = runs.file("changed.cbor", &bytes);
    assert_eq!(
        verify(&[
            changed.as_os_str(),
            os("--manifest"),
            &manifest,
            os("--allow-dev-srs")
        ])
        .code,
        1
    );
    // Wrong use.
    assert_eq!(verify(&[&receipt]).code, 2);
    assert_eq!(verify(&[os("/nowhere"), os("--manifest"), &manifest]).code, 2);
}

#[test]
fn any_model_is_proved_in_one_line() {
    let runs = LocalRuns::new();
    let submit = |model: &str, input: &str, more: &[&str]| {
        let mut command = Command::new(program("operator"));
        command
            .arg("submit")
            .arg(model_file(model))
            .arg("--input")
            .arg(model_file(input));
        command
            .args(["--local", "--allow-dev-srs", "-o", "json", "--state"])
            .arg(runs.path().join("state"))
            .args(more);
        run(&mut command)
    };
    let calibration = model_file("data/digits-calibration.npy").display().to_string();
    for model in ["digits.onnx", "digits-residual.onnx"] {
        let ran = submit(model, "data/digit-7.json", &["--calibration", &calibration]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains("\"Succeeded\""), "{}", ran.stdout);
        assert!(ran.stdout.contains("\"class\": 7"), "{}", ran.stdout);
    }
}

#[test]
fn the_examples_succeed() {
    let runs = LocalRuns::new();
    let folder = repository().join("manifests");
    let pools = folder.join("quickstart/pools.yaml").display().to_string();
    let examples = folder.join("examples").display().to_string();
    let objects = runs.operator(&["-f", &pools, "-f", &examples]);
    assert_eq!(
        objects.ran.code, 0,
        "{}\n{}",
        objects.ran.stderr, objects.ran.stdout
    );
}

#[test]
fn without_a_trusted_setup_it_says_how_to_get_one() {
    let runs = LocalRuns::new();
    let mut command = Command::new(program("operator"));
    command
        .args(["local", "-f", &quickstart(), "--state"])
        .arg(runs.path().join("state"));
    let ran = run(&mut command);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("srs import") && ran.stderr.contains("FORGEABLE BY ANYONE"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_pool_that_misbehaves_is_named_and_the_other_proves() {
    let rogue = program("rogue").display().to_string();
    let cases = [
        ("die", "LeaseExpired"),
        ("stall", "LeaseExpired"),
        ("vanish", "LeaseExpired"),
        ("garbage", "InvalidProof"),
        ("empty", "InvalidProof"),
        ("envelope", "InvalidProof"),
        ("swap", "InvalidProof"),
        ("replay", "InvalidProof"),
        ("huge", "TooLarge"),
    ];
    let runs = LocalRuns::new();
    // One worker each, so that a worker can hold two slices of the four.
    let folder = repository().join("manifests/quickstart");
    let pools = std::fs::read_to_string(folder.join("pools.yaml"))
        .unwrap()
        .replace("parallelism: 2", "parallelism: 1");
    let (pools, model, request) = (
        runs.file("pools.yaml", pools),
        folder.join("model.yaml"),
        folder.join("request.yaml"),
    );
    let [pools, model, request] = [pools, model, request].map(|path| path.display().to_string());
    for (mode, cause) in cases {
        let prover = format!("miner-alpha/alpha={rogue} {mode}");
        // Who never answers is found out by the end of the lease; the others need time to prove something first.
        let lease = if cause == "LeaseExpired" { "2" } else { "15" };
        let files = ["-f", &pools, "-f", &model, "-f", &request];
        let objects = runs.operator(&[&files[..], &["--prover", &prover, "--least-lease", lease]].concat());
        assert_eq!(objects.ran.code, 0, "{mode}: {}", objects.ran.stderr);
        let rows = recent(&objects);
        let bad = rows
            .iter()
            .filter(|r| r["pool"] == "miner-alpha/alpha" && r["verdict"] != "Verified");
        let causes: Vec<_> = bad.filter_map(|r| r["message"].as_str()).collect();
        assert!(causes.iter().any(|c| c.starts_with(cause)), "{mode}: {causes:?}");
        let good = rows.iter().filter(|r| r["verdict"] == "Verified");
        assert!(
            good.into_iter().all(|r| r["pool"] == "miner-beta/beta"),
            "{mode}: {rows:?}"
        );
        let failures = &objects.get("MinerPool", "alpha")["status"]["failures"];
        assert!(
            failures[cause].as_u64() >= Some(1),
            "{mode}: the pool's status counts it: {failures}"
        );
    }
}
