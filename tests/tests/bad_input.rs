//! Bad input of every kind gives a condition or an error that names the thing; nothing crashes, nothing retries for ever.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::process::Command;

use zkinfer_tests::local::{LocalRuns, Objects, model_file, program, repository, run};

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32, at: u32| char::from(ALPHABET[(bits >> (18 - 6 * at) & 63) as usize]);
    bytes
        .chunks(3)
        .flat_map(|c| {
            let bits = c.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - c.len()));
            (0..4u32).map(move |at| {
                if at as usize <= c.len() {
                    digit(bits, at)
                } else {
                    '='
                }
            })
        })
        .collect()
}

/// A Model `m`, a request `r` for it and a pool.
fn objects(onnx: &[u8], model: &str, input: &str) -> String {
    let onnx = base64(onnx);
    format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: files}}
binaryData: {{model.onnx: "{onnx}"}}
---
apiVersion: zkinfer.dev/v1alpha1
kind: Model
metadata: {{name: m}}
spec: {{source: {{configMap: {{name: files, key: model.onnx}}}}, proofSystem: SumcheckWhir {model}}}
---
apiVersion: zkinfer.dev/v1alpha1
kind: InferenceRequest
metadata: {{name: r}}
spec: {{modelRef: {{name: m}}, input: {input}}}
---
apiVersion: zkinfer.dev/v1alpha1
kind: MinerPool
metadata: {{name: p}}
spec: {{image: worker, allowUnpinnedImage: true, resources: {{memory: 2Gi}}}}
"#
    )
}

fn wine() -> Vec<u8> {
    std::fs::read(model_file("wine.onnx")).unwrap()
}

fn features(values: &str) -> String {
    format!("{{inline: {{features: {{shape: [1, 13], data: [{values}]}}}}}}")
}

const ZEROS: &str = "0,0,0,0,0,0,0,0,0,0,0,0,0";

/// Runs the objects: the request does not succeed, and its Ready condition says this.
fn ready_says(onnx: &[u8], model: &str, input: &str, expected: &[&str]) -> Objects {
    let runs = LocalRuns::new();
    let objects = runs.yaml(&objects(onnx, model, input), &[]);
    let said = objects.condition("InferenceRequest", "r", "Ready");
    assert!(
        expected.iter().all(|e| said.contains(e)),
        "{said}\n{}",
        objects.ran.stderr
    );
    assert_eq!(objects.ran.code, 1);
    // What is refused was not accepted first, and nobody is told that it is proved.
    let accepted = objects.condition("InferenceRequest", "r", "Accepted");
    assert!(accepted.starts_with("False/"), "{accepted}");
    let status = &objects.get("InferenceRequest", "r")["status"];
    for field in ["startedAt", "modelDigest", "manifestDigest"] {
        assert!(status[field].is_null(), "{field}: {status}");
    }
    assert!(!objects.ran.stderr.contains("Proving"), "{}", objects.ran.stderr);
    objects
}

/// The file is refused before anything runs, and this is said.
fn refused(yaml: &str, expected: &[&str]) {
    let runs = LocalRuns::new();
    let ran = runs.yaml(yaml, &[]).ran;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(expected.iter().all(|e| ran.stderr.contains(e)), "{}", ran.stderr);
}

#[test]
fn a_malformed_model_is_named() {
    let objects = ready_says(
        b"this is not ONNX",
        "",
        &features(ZEROS),
        &["False/ModelFailed", "Model `m`"],
    );
    assert!(
        objects
            .condition("Model", "m", "Ready")
            .starts_with("False/InvalidModel")
    );
    let mut cut = wine();
    cut.truncate(600);
    ready_says(&cut, "", &features(ZEROS), &["False/ModelFailed"]);
}

#[test]
fn an_unsupported_operator_is_named_with_its_node() {
    // The same length, so that the file stays well-formed: Relu becomes Xelu, which nobody has.
    let onnx = wine();
    let text: Vec<u8> = onnx
        .windows(4)
        .position(|w| w == b"Relu")
        .map(|at| [&onnx[..at], b"Xelu", &onnx[at + 4..]].concat())
        .expect("the model has a Relu");
    let objects = ready_says(&text, "", &features(ZEROS), &["False/ModelFailed", "Xelu"]);
    assert!(
        objects
            .condition("Model", "m", "Ready")
            .starts_with("False/UnsupportedNodes")
    );
    let unsupported = &objects.get("Model", "m")["status"]["unsupported"];
    assert_eq!(unsupported[0]["op"], "Xelu");
    assert!(unsupported[0]["node"].as_str().is_some_and(|n| !n.is_empty()));
}

#[test]
fn a_missing_model_and_a_missing_file_are_waited_for_by_name() {
    let runs = LocalRuns::new();
    let yaml = objects(&wine(), "", &features(ZEROS));
    let other = runs.yaml(
        &yaml.replace("modelRef: {name: m}", "modelRef: {name: absent}"),
        &[],
    );
    assert!(
        other
            .condition("InferenceRequest", "r", "Ready")
            .contains("ModelNotFound: there is no Model `absent`")
    );
    assert_eq!(other.get("InferenceRequest", "r")["status"]["phase"], "Pending");
    let runs = LocalRuns::new();
    let other = runs.yaml(&yaml.replace("key: model.onnx", "key: other.onnx"), &[]);
    assert!(
        other.condition("Model", "m", "Ready").contains("SourceNotFound"),
        "{}",
        other.ran.stderr
    );
}

#[test]
fn a_wrong_shape_name_or_length_of_the_input_is_named() {
    let shape = "{inline: {features: {shape: [13, 1], data: [0,0,0,0,0,0,0,0,0,0,0,0,0]}}}";
    ready_says(
        &wine(),
        "",
        shape,
        &["False/InvalidInput", "`features`", "[1, 13]", "[13, 1]"],
    );
    let name = features(ZEROS).replace("features", "pixels");
    ready_says(&wine(), "", &name, &["False/InvalidInput", "features", "pixels"]);
    let length = "{inline: {features: {shape: [1, 13], data: [0, 1]}}}";
    ready_says(
        &wine(),
        "",
        length,
        &["False/InvalidInput", "13 values, it has 2"],
    );
}

#[test]
fn an_input_outside_the_calibrated_range_is_refused_before_anything_is_queued() {
    let far = features(&ZEROS.replacen('0', "1e6", 1));
    let objects = ready_says(
        &wine(),
        "",
        &far,
        &["False/OutOfCalibratedRange", "`features`", "1000000"],
    );
    assert!(objects.get("InferenceRequest", "r")["status"]["recentSlices"].is_null());
}

#[test]
fn a_value_that_is_not_a_number_is_refused() {
    refused(
        &objects(&wine(), "", &features(&ZEROS.replacen('0', ".nan", 1))),
        &["document 3", "features.data[0]"],
    );
    refused(
        &objects(&wine(), "", &features(&ZEROS.replacen('0', "\"x\"", 1))),
        &["InferenceRequest r", "data"],
    );
}

#[test]
fn an_oversize_tensor_is_refused() {
    let big = format!(
        "{{inline: {{features: {{shape: [1, 300000], data: [{}]}}}}}}",
        vec!["0"; 300_000].join(",")
    );
    refused(
        &objects(&wine(), "", &big),
        &["InferenceRequest r", "spec.input.inline"],
    );
}

#[test]
fn an_unknown_field_a_wrong_type_and_two_sources_are_refused_by_name() {
    let good = objects(&wine(), "", &features(ZEROS));
    refused(
        &objects(&wine(), ", colour: red", &features(ZEROS)),
        &["Model m", "colour"],
    );
    refused(
        &good.replace("proofSystem: SumcheckWhir", "proofSystem: Magic"),
        &["Model m", "proofSystem"],
    );
    refused(
        &good.replace("source: {", "source: {url: 'https://a/b', "),
        &["Model m", "exactly one of"],
    );
    refused(&good.replace("kind: Model", "kind: Modell"), &["Modell"]);
    refused("a: [b", &["document 1", "not YAML"]);
}

#[test]
fn a_digest_that_is_not_the_files_fails() {
    let pinned = format!(", sha256: \"sha256:{}\"", "0".repeat(64));
    let objects = ready_says(&wine(), &pinned, &features(ZEROS), &["False/ModelFailed"]);
    assert!(
        objects
            .condition("Model", "m", "Ready")
            .starts_with("False/DigestMismatch")
    );
}

#[test]
fn no_fitting_pool_is_waited_for() {
    let runs = LocalRuns::new();
    let yaml = objects(&wine(), "", &features(ZEROS)).replace("memory: 2Gi", "memory: 1Mi");
    let objects = runs.yaml(&yaml, &[]);
    assert!(
        objects
            .condition("InferenceRequest", "r", "Ready")
            .starts_with("False/NoFittingPool")
    );
}

#[test]
fn inspect_shows_the_cut_or_every_unsupported_node() {
    let worker = || Command::new(program("prover-worker"));
    let digits = run(worker()
        .arg("inspect")
        .arg(model_file("digits.onnx"))
        .args(["--parallelism", "4"]));
    assert_eq!(digits.code, 0, "{}", digits.stderr);
    let shown = [
        "relu1",
        "CPU ms",
        "with SumcheckWhir",
        "cells",
        "with Halo2Kzg",
        "rows",
    ];
    assert!(
        shown.iter().all(|s| digits.stdout.contains(s)),
        "{}",
        digits.stdout
    );
    let drawn = run(worker().arg("inspect").arg(model_file("digits.onnx")).args([
        "--parallelism",
        "4",
        "-o",
        "json",
    ]));
    let drawn: serde_json::Value = serde_json::from_str(&drawn.stdout).unwrap();
    let nodes = drawn["graph"]["nodes"].as_array().unwrap();
    assert_eq!(nodes[0]["op"], "Input");
    assert_eq!(nodes.len(), drawn["nodes"].as_array().unwrap().len() + 1);
    assert_eq!(nodes.last().unwrap()["slice"], 3);
    let absent = run(worker().arg("inspect").arg("/nowhere.onnx"));
    assert!(absent.code == 2 && absent.stderr.contains("/nowhere.onnx"));
    let readme = run(worker().arg("inspect").arg(repository().join("LICENSE")));
    assert_eq!(readme.code, 1, "{}", readme.stderr);
}

/// Compiles, proves and verifies a model by hand in one proof system, with these flags where a setup is asked for.
fn by_hand(system: &str, flags: &[&str]) {
    let runs = LocalRuns::new();
    let (out, receipt) = (runs.path().join("compiled"), runs.path().join("receipt.cbor"));
    let worker = || Command::new(program("prover-worker"));
    let calibration = model_file("data/wine-calibration.npy");
    let compile = |flags: &[&str]| {
        run(worker()
            .arg("compile")
            .arg(model_file("wine.onnx"))
            .arg("--calibration")
            .arg(&calibration)
            .args(["--proof-system", system, "--out"])
            .arg(&out)
            .args(flags))
    };
    if !flags.is_empty() {
        let refused = compile(&[]);
        assert!(
            refused.code == 2 && refused.stderr.contains("srs import"),
            "{}",
            refused.stderr
        );
    }
    let compiled = compile(flags);
    assert_eq!(compiled.code, 0, "{}", compiled.stderr);
    let input = runs.file("input.json", format!("[[{ZEROS}]]"));
    let proved = run(worker()
        .arg("prove")
        .arg(&out)
        .arg("--input")
        .arg(&input)
        .arg("--out")
        .arg(&receipt));
    assert_eq!(proved.code, 0, "{}", proved.stderr);
    let verified = run(worker()
        .arg("verify")
        .arg(&receipt)
        .arg("--manifest")
        .arg(out.join("manifest.cbor"))
        .args(flags)
        .arg("--input")
        .arg(&input));
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    assert!(verified.stdout.contains(system), "{}", verified.stdout);
}

#[test]
fn a_model_is_compiled_proved_and_verified_by_hand_without_a_trusted_setup() {
    by_hand("SumcheckWhir", &[]);
}

#[test]
fn a_halo2_model_is_compiled_proved_and_verified_by_hand_with_a_trusted_setup() {
    by_hand("Halo2Kzg", &["--allow-dev-srs"]);
}

#[test]
fn the_flag_for_the_development_setup_changes_nothing_where_there_is_no_setup() {
    let runs = LocalRuns::new();
    let compile = |name: &str, flags: &[&str]| {
        let out = runs.path().join(name);
        let ran = run(Command::new(program("prover-worker"))
            .arg("compile")
            .arg(model_file("wine.onnx"))
            .arg("--out")
            .arg(&out)
            .args(flags));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        std::fs::read(out.join("manifest.cbor")).unwrap()
    };
    assert_eq!(compile("plain", &[]), compile("flag", &["--allow-dev-srs"]));
}

#[test]
fn a_proof_system_that_is_none_is_refused_by_name() {
    let ran = run(Command::new(program("prover-worker"))
        .arg("compile")
        .arg(model_file("wine.onnx"))
        .args(["--proof-system", "Groth16", "--out", "/nowhere"]));
    assert!(
        ran.code == 2 && ran.stderr.contains("Groth16") && ran.stderr.contains("SumcheckWhir"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_srs_is_made_checked_and_refused_when_damaged() {
    let runs = LocalRuns::new();
    let path = runs.path().join("srs.bin");
    let srs = |arguments: &[&str]| run(Command::new(program("prover-worker")).arg("srs").args(arguments));
    let file = path.display().to_string();
    assert_eq!(
        srs(&["make", "--k", "6", "--out", &file]).code,
        2,
        "the flag is required"
    );
    assert_eq!(
        srs(&["make", "--k", "6", "--out", &file, "--allow-dev-srs"]).code,
        0
    );
    let good = srs(&["verify", &file]);
    assert!(
        good.code == 0 && good.stdout.contains("sha256:"),
        "{}{}",
        good.stdout,
        good.stderr
    );
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4 + 64 * 9 + 3] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(srs(&["verify", &file]).code, 1);
    let ceremony = srs(&["import", &file, "--k", "6", "--out", "/dev/null"]);
    assert!(
        ceremony.code == 1 && !ceremony.stderr.is_empty(),
        "{}",
        ceremony.stderr
    );
}

#[test]
fn several_inputs_are_compiled_proved_and_verified_at_once_by_hand() {
    let runs = LocalRuns::new();
    let (out, receipt) = (runs.path().join("compiled"), runs.path().join("receipt.cbor"));
    let worker = || Command::new(program("prover-worker"));
    let compile = |batch: &str| {
        run(worker()
            .arg("compile")
            .arg(model_file("wine.onnx"))
            .arg("--calibration")
            .arg(model_file("data/wine-calibration.npy"))
            .args(["--batch", batch, "--out"])
            .arg(&out))
    };
    for none in ["0", "65", "many"] {
        assert_eq!(compile(none).code, 2, "{none}");
    }
    let compiled = compile("4");
    assert_eq!(compiled.code, 0, "{}", compiled.stderr);
    assert!(
        compiled.stdout.contains("4 inputs at once"),
        "{}",
        compiled.stdout
    );
    // One file of one input, and one whose first axis counts two.
    let one = runs.file("one.json", format!("[[{ZEROS}]]"));
    let ones = ZEROS.replace('0', "0.5");
    let two = runs.file("two.json", format!("[[{ones}], [{ZEROS}]]"));
    let inputs = |command: &mut Command, files: &[&std::path::PathBuf]| {
        for file in files {
            command.arg("--input").arg(file);
        }
        run(command)
    };
    let prove = |files: &[&std::path::PathBuf]| {
        let mut command = worker();
        command
            .args(["prove", "-o", "json", "--out"])
            .arg(&receipt)
            .arg(&out);
        inputs(&mut command, files)
    };
    let proved = prove(&[&one, &two]);
    assert_eq!(proved.code, 0, "{}{}", proved.stdout, proved.stderr);
    let said: serde_json::Value = serde_json::from_str(&proved.stdout).unwrap();
    assert_eq!(said["batch"], serde_json::json!({ "size": 4, "inputs": 3 }));
    let answers = said["output"][0].as_array().unwrap();
    let each = answers.len() / 3;
    assert_eq!(
        answers[..each],
        answers[2 * each..],
        "the same input has the same answer"
    );
    let verify = |files: &[&std::path::PathBuf]| {
        let mut command = worker();
        command.args(["verify", "-o", "json"]).arg(&receipt);
        command.arg("--model").arg(model_file("wine.onnx"));
        inputs(&mut command, files)
    };
    let verified = verify(&[&one, &two]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    let said: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(said["batch"], serde_json::json!({ "size": 4, "inputs": 3 }));
    let outputs = said["outputs"].as_object().unwrap();
    assert!(
        outputs.values().all(|output| output["shape"][0] == 3),
        "{outputs:?}"
    );
    // In another order, or not all of them, it is another's receipt; so many are not held.
    for others in [&[&two, &one][..], &[&one], &[&two]] {
        assert_eq!(verify(others).code, 1);
    }
    let refused = prove(&[&two, &two, &one]);
    assert_eq!(refused.code, 1);
    assert!(
        refused
            .stdout
            .contains("5 inputs were given, and the batch holds at most 4"),
        "{}",
        refused.stdout
    );
}
