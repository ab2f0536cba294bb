//! Local mode as a person uses it: the real operator, real worker processes, real proofs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use zkinfer_tests::local::{LocalRuns, Objects, Ran, model_file, program, repository, run};

/// The quickstart of each proof system.
const QUICKSTART: &str = "quickstart";
const HALO2: &str = "quickstart-halo2";

fn manifests(folder: &str) -> String {
    repository().join("manifests").join(folder).display().to_string()
}

/// Every slice of the quickstart's request with the attempts at it.
fn recent(objects: &Objects) -> Vec<Value> {
    objects.get("InferenceRequest", "digit-7")["status"]["recentSlices"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// Runs a quickstart twice in one folder; the first run has everything to make.
fn twice(folder: &str, run: impl Fn(&LocalRuns, &str) -> Objects) -> [Objects; 2] {
    let runs = LocalRuns::new();
    let first = run(&runs, &manifests(folder));
    assert_eq!(first.ran.code, 0, "{}", first.ran.stderr);
    let status = &first.get("InferenceRequest", "digit-7")["status"];
    assert_eq!(status["phase"], "Succeeded");
    assert_eq!(status["output"]["label"], "7");
    assert!(status["slices"]["total"].as_u64() >= Some(4), "{status}");
    assert_eq!(status["slices"]["verified"], status["slices"]["total"]);
    assert!(
        first
            .condition("Model", "digits", "AccuracyWithinBudget")
            .starts_with("True/WithinBudget")
    );
    assert!(
        first.ran.stderr.contains("slice 0  verified"),
        "progress is shown: {}",
        first.ran.stderr
    );
    let second = run(&runs, &manifests(folder));
    assert_eq!(second.ran.code, 0, "{}", second.ran.stderr);
    assert!(second.ran.stderr.contains("found compiled"));
    zkinfer_tests::measured(format_args!(
        "operator local on {folder}: first {:.2} s, second {:.2} s",
        first.ran.took.as_secs_f64(),
        second.ran.took.as_secs_f64()
    ));
    [first, second]
}

/// Sizes of the proofs that count: on a busy machine a slice may have been claimed twice.
fn proof_bytes(objects: &Objects) -> Vec<u64> {
    let rows = recent(objects);
    let bytes: Vec<_> = rows
        .iter()
        .filter(|r| r["verdict"] == "Verified")
        .map(|r| r["bytes"].as_u64().unwrap_or(u64::MAX))
        .collect();
    assert!(bytes.len() >= 4, "{rows:?}");
    bytes
}

#[test]
fn the_quickstart_succeeds_without_a_trusted_setup_and_without_a_flag() {
    let [first, _] = twice(QUICKSTART, |runs, folder| {
        runs.operator_without_flags(&["-f", folder])
    });
    let bytes = proof_bytes(&first);
    assert!(bytes.iter().all(|b| *b <= 140 << 10), "{bytes:?}");
    assert!(
        first
            .condition("Model", "digits", "TrustedSetup")
            .starts_with("True/NotRequired")
    );
    assert!(!first.ran.stderr.contains("FORGEABLE"), "{}", first.ran.stderr);
    // A pipe has no colours.
    assert!(!first.ran.stderr.contains('\x1b'), "{}", first.ran.stderr);
    let model = &first.get("Model", "digits")["status"];
    assert!(model["srsDigest"].is_null(), "{model}");
    assert!(
        model["slices"][0]["measures"]["cells"].as_u64() > Some(0),
        "{model}"
    );
    assert!(model["slices"][0]["files"].is_null(), "{model}");
}

#[test]
fn the_halo2_quickstart_has_small_proofs_and_keeps_its_keys() {
    let [first, second] = twice(HALO2, |runs, folder| runs.operator(&["-f", folder]));
    let rows = recent(&first);
    let pools: std::collections::BTreeSet<_> = rows.iter().filter_map(|r| r["pool"].as_str()).collect();
    assert_eq!(pools.len(), 2, "both pools prove: {rows:?}");
    let bytes = proof_bytes(&first);
    assert!(bytes.iter().all(|b| *b <= 6 << 10), "{bytes:?}");
    assert!(
        first
            .condition("Model", "digits", "TrustedSetup")
            .starts_with("False/DevelopmentSetup")
    );
    assert!(first.ran.stderr.contains("FORGEABLE BY ANYONE"));
    assert!(second.ran.took < first.ran.took, "keys are kept");
}

fn os(text: &'static str) -> &'static std::ffi::OsStr {
    std::ffi::OsStr::new(text)
}

/// `prover-worker verify` with these arguments.
fn verify(arguments: &[&std::ffi::OsStr]) -> Ran {
    run(Command::new(program("prover-worker"))
        .arg("verify")
        .args(arguments))
}

/// A receipt with one other bit.
fn changed(runs: &LocalRuns, receipt: &Path) -> PathBuf {
    let mut bytes = std::fs::read(receipt).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    runs.file("changed.cbor", &bytes)
}

/// Checks a quickstart's receipt at the three depths, with `flags`, and that changed ones do not pass.
fn at_three_depths(folder: &str, flags: &[&'static str]) {
    let runs = LocalRuns::new();
    let objects = runs.operator(&["-f", &manifests(folder)]);
    let receipt = objects.get("InferenceRequest", "digit-7")["status"]["receipt"]["path"]
        .as_str()
        .unwrap()
        .to_owned();
    let manifest = runs.path().join("state/models/default/digits/manifest.cbor");
    let (model, input) = (model_file("digits.onnx"), model_file("data/digit-7.json"));
    let (receipt, manifest) = (std::ffi::OsString::from(receipt), manifest.into_os_string());
    let verify = |arguments: &[&std::ffi::OsStr]| {
        let flags: Vec<_> = flags.iter().map(|f| os(f)).collect();
        verify(&[arguments, &flags].concat())
    };
    let fast = verify(&[&receipt, os("--manifest"), &manifest]);
    assert_eq!(fast.code, 0, "{}{}", fast.stdout, fast.stderr);
    assert!(fast.stdout.contains("not checked"));
    assert_eq!(fast.stdout.contains("FORGEABLE BY ANYONE"), !flags.is_empty());
    let deep = [
        &receipt,
        os("--model"),
        model.as_os_str(),
        os("--input"),
        input.as_os_str(),
    ];
    let deep = verify(&deep);
    assert_eq!(deep.code, 0, "{}{}", deep.stdout, deep.stderr);
    assert!(!deep.stdout.contains("not checked"), "{}", deep.stdout);
    assert!(deep.stdout.contains("greatest error against the float model"));
    let json = verify(&[&receipt, os("--manifest"), &manifest, os("-o"), os("json")]);
    assert_eq!(
        serde_json::from_str::<Value>(&json.stdout).unwrap()["verdict"],
        "valid"
    );
    // With another's model, with another's input, with a changed byte, without the files.
    let wine = model_file("wine.onnx");
    assert_eq!(verify(&[&receipt, os("--model"), wine.as_os_str()]).code, 1);
    let blank = runs.file(
        "blank.json",
        format!("[[{}]]", ["[0,0,0,0,0,0,0,0]"; 8].join(",")),
    );
    let other = verify(&[
        &receipt,
        os("--manifest"),
        &manifest,
        os("--input"),
        blank.as_os_str(),
    ]);
    assert!(
        other.code == 1 && other.stdout.contains("is not your input"),
        "{}",
        other.stdout
    );
    let changed = changed(&runs, receipt.as_ref());
    let changed = verify(&[changed.as_os_str(), os("--manifest"), &manifest]);
    assert_eq!(changed.code, 1, "{}", changed.stdout);
    let nowhere = verify(&[
        &receipt,
        os("--manifest"),
        &manifest,
        os("--files"),
        os("/nowhere"),
    ]);
    assert!(
        nowhere.code == 1 && nowhere.stdout.contains("is not among the files"),
        "{}",
        nowhere.stdout
    );
}

#[test]
fn a_receipt_verifies_offline_at_three_depths_without_any_trusted_setup() {
    at_three_depths(QUICKSTART, &[]);
}

#[test]
fn the_answer_of_a_valid_receipt_is_written_for_numpy_and_of_no_other() {
    let runs = LocalRuns::new();
    let objects = runs.operator(&["-f", &manifests(QUICKSTART)]);
    let receipt = objects.get("InferenceRequest", "digit-7")["status"]["receipt"]["path"].clone();
    let manifest = runs.path().join("state/models/default/digits/manifest.cbor");
    let (receipt, manifest) = (receipt.as_str().unwrap().to_owned(), manifest.into_os_string());
    let written = |receipt: &std::ffi::OsStr, file: &str| {
        let file = runs.path().join(file);
        let by = [os("--manifest"), &manifest, os("-o"), os("json"), os("--values")];
        let ran = verify(&[&[receipt][..], &by, &[file.as_os_str()]].concat());
        (ran, std::fs::read(&file).ok())
    };
    let (ran, one) = written(receipt.as_ref(), "scores.npy");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let scores = zkml::graph::tensor_file::read_npy(&one.unwrap(), 100).unwrap();
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    let (name, said) = json["outputs"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(json!(scores.shape), said["shape"]);
    assert_eq!(json!(scores.values), said["values"]);
    let (ran, all) = written(receipt.as_ref(), "scores.npz");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let member = format!("{name}.npy");
    assert!(
        all.unwrap()
            .windows(member.len())
            .any(|at| at == member.as_bytes())
    );
    let (ran, none) = written(receipt.as_ref(), "scores.csv");
    assert!(
        ran.code == 2 && ran.stdout.contains(".npy or .npz") && none.is_none(),
        "{}",
        ran.stdout
    );
    let changed = changed(&runs, receipt.as_ref());
    let (ran, none) = written(changed.as_os_str(), "of-changed.npz");
    assert!(ran.code == 1 && none.is_none(), "{}", ran.stdout);
}

#[test]
fn a_halo2_receipt_verifies_offline_at_three_depths_and_only_with_its_flag() {
    at_three_depths(HALO2, &["--allow-dev-srs"]);
    let runs = LocalRuns::new();
    let objects = runs.operator(&["-f", &manifests(HALO2)]);
    let status = &objects.get("InferenceRequest", "digit-7")["status"];
    let receipt = std::ffi::OsString::from(status["receipt"]["path"].as_str().unwrap());
    let manifest = runs.path().join("state/models/default/digits/manifest.cbor");
    let without = verify(&[&receipt, os("--manifest"), manifest.as_os_str()]);
    assert!(
        without.code == 1 && without.stdout.contains("FORGEABLE BY ANYONE"),
        "{}",
        without.stdout
    );
    // Wrong use.
    assert_eq!(verify(&[&receipt]).code, 2);
    assert_eq!(
        verify(&[os("/nowhere"), os("--manifest"), manifest.as_os_str()]).code,
        2
    );
}

#[test]
fn one_run_serves_models_of_both_proof_systems() {
    let runs = LocalRuns::new();
    let rename = |text: String| {
        text.replace("name: digits", "name: small")
            .replace("digit-7", "small-7")
    };
    let halo2 = |file: &str| {
        let path = repository().join("manifests").join(HALO2).join(file);
        let name = format!("small-{file}");
        runs.file(&name, rename(std::fs::read_to_string(path).unwrap()))
            .display()
            .to_string()
    };
    let (model, request) = (halo2("model.yaml"), halo2("request.yaml"));
    let objects = runs.operator(&["-f", &manifests(QUICKSTART), "-f", &model, "-f", &request]);
    assert_eq!(objects.ran.code, 0, "{}", objects.ran.stderr);
    for (model, trusted) in [
        ("digits", "True/NotRequired"),
        ("small", "False/DevelopmentSetup"),
    ] {
        assert!(
            objects
                .condition("Model", model, "TrustedSetup")
                .starts_with(trusted)
        );
    }
    let receipt = |name: &str| {
        let path = &objects.get("InferenceRequest", name)["status"]["receipt"]["path"];
        std::ffi::OsString::from(path.as_str().unwrap())
    };
    let manifest = |model: &str| {
        let path = runs.path().join("state/models/default").join(model);
        path.join("manifest.cbor").into_os_string()
    };
    // Each against its own manifest, and not against the other's.
    for (request, model, code) in [
        ("digit-7", "digits", 0),
        ("small-7", "small", 0),
        ("digit-7", "small", 1),
        ("small-7", "digits", 1),
    ] {
        let checked = verify(&[
            &receipt(request),
            os("--manifest"),
            &manifest(model),
            os("--allow-dev-srs"),
        ]);
        assert_eq!(checked.code, code, "{request} {model}: {}", checked.stdout);
    }
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
            .args(["--local", "-o", "json", "--state"])
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
    let halo2 = ["--calibration", &calibration, "--proof-system", "Halo2Kzg"];
    let refused = submit("digits.onnx", "data/digit-7.json", &halo2);
    assert!(
        refused.code == 2 && refused.stderr.contains("srs import"),
        "{}",
        refused.stderr
    );
    let allowed = [&halo2[..], &["--allow-dev-srs"]].concat();
    let ran = submit("digits.onnx", "data/digit-7.json", &allowed);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
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
fn where_a_model_needs_a_trusted_setup_it_says_how_to_get_one() {
    let runs = LocalRuns::new();
    let mut command = Command::new(program("operator"));
    command
        .args(["local", "-f", &manifests(HALO2), "--state"])
        .arg(runs.path().join("state"));
    let ran = run(&mut command);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("srs import") && ran.stderr.contains("FORGEABLE BY ANYONE"),
        "{}",
        ran.stderr
    );
}

/// Runs a quickstart with one pool that misbehaves in this way.
fn misbehaving(runs: &LocalRuns, folder: &str, mode: &str, cause: &str) {
    let rogue = program("rogue").display().to_string();
    // One worker each, which may hold two slices of the four.
    let folder = repository().join("manifests").join(folder);
    let pools = std::fs::read_to_string(folder.join("pools.yaml"))
        .unwrap()
        .replace("parallelism: 2", "parallelism: 1")
        .replace("cpu: 400m", "cpu: 2000m");
    assert_eq!(pools.matches("cpu: 2000m").count(), 2);
    let (pools, model, request) = (
        runs.file("pools.yaml", pools),
        folder.join("model.yaml"),
        folder.join("request.yaml"),
    );
    let [pools, model, request] = [pools, model, request].map(|path| path.display().to_string());
    let prover = format!("miner-alpha/alpha={rogue} {mode}");
    // Both pools' workers are started for the request: the honest ones come when the others hold slices.
    let late = format!(
        "#!/bin/sh\nsleep 1\nexec {} work\n",
        program("prover-worker").display()
    );
    let late = runs.file("late", late);
    std::fs::set_permissions(&late, std::fs::Permissions::from_mode(0o755)).unwrap();
    let honest = format!("miner-beta/beta={}", late.display());
    let files = ["-f", &pools, "-f", &model, "-f", &request];
    let provers = ["--prover", &prover, "--prover", &honest];
    let objects = runs.operator(&[&files[..], &provers].concat());
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

#[test]
fn a_pool_that_misbehaves_is_named_and_the_other_proves() {
    let cases = [
        // The other pool stands in for who never answers, long before the lease ends.
        ("die", "Cancelled"),
        ("stall", "Cancelled"),
        ("vanish", "Cancelled"),
        ("garbage", "InvalidProof"),
        ("empty", "InvalidProof"),
        ("envelope", "InvalidProof"),
        ("other-system", "InvalidProof"),
        ("swap", "InvalidProof"),
        ("replay", "InvalidProof"),
        ("huge", "TooLarge"),
    ];
    let runs = LocalRuns::new();
    for (mode, cause) in cases {
        misbehaving(&runs, QUICKSTART, mode, cause);
    }
}

#[test]
fn a_bad_halo2_proof_is_named_and_the_other_pool_proves() {
    let runs = LocalRuns::new();
    for mode in ["envelope", "other-system", "swap", "replay"] {
        misbehaving(&runs, HALO2, mode, "InvalidProof");
    }
}

#[test]
fn whoever_has_the_ledger_of_a_run_checks_it_and_computes_its_scores() {
    let runs = LocalRuns::new();
    let ran = runs.operator_without_flags(&["-f", &manifests(QUICKSTART)]).ran;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let segments = runs.path().join("state/artifacts/segments");
    let ledger = |words: &[&str]| {
        let mut command = Command::new(program("prover-worker"));
        run(command.args(["-o", "json", "ledger"]).args(words).arg(&segments))
    };
    let json = |ran: &Ran| -> Value { serde_json::from_str(&ran.stdout).unwrap_or_default() };
    let verified = ledger(&["verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let of = json(&verified);
    assert!(
        of["entries"].as_u64() >= Some(4) && of["head"] == true,
        "every slice's claim, and where it ends: {of}"
    );
    let (one, again) = (ledger(&["replay"]), ledger(&["replay"]));
    assert_eq!((one.code, &one.stdout), (0, &again.stdout));
    assert_eq!(json(&one)["rule"], "SpeedSizeAccuracy");
    let first = std::fs::read_dir(&segments)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().is_some_and(|name| name != "head"))
        .unwrap();
    let mut bytes = std::fs::read(&first).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let changed = ledger(&["verify"]);
    assert_eq!(changed.code, 1);
    assert!(changed.stdout.contains("signature"), "{}", changed.stdout);
}
