//! What `Succeeded` means, in local mode: the answer is near enough to the float model's, and the command in the status
//! accepts the receipt. Also whose pools are whose.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

mod batches;
mod classes;
mod forests;
mod joined;

use std::process::Command;

use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_tests::local::{LocalRuns, Objects, Ran, model_file, program, repository, run};
use zkinfer_tests::onnx;
use zkml::accuracy::top1;
use zkml::graph::Profile;
use zkml::graph::tensor_file::{FloatInput, dequantise, quantise_input, read_npy};
use zkml_compile::compile::{CompileOptions, plan};
use zkml_compile::float_model::FloatModel;
use zkml_compile::slice::SlicingOptions;

/// Runs a command of a status as a person would: by a shell that finds the programs.
fn shell(line: &str) -> Ran {
    let programs = program("prover-worker").parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", programs.display());
    run(Command::new("sh").args(["-c", line]).env("PATH", path))
}

/// The command that a request's status gives; the receipt is accepted by it.
fn checked(objects: &Objects, request: &str) -> String {
    let status = &objects.get("InferenceRequest", request)["status"];
    assert_eq!(status["phase"], "Succeeded", "{status}\n{}", objects.ran.stderr);
    assert!(status["errorVsFloatMillionths"].is_u64(), "{status}");
    let command = status["verify"].as_str().unwrap().to_owned();
    let ran = shell(&command);
    assert_eq!(ran.code, 0, "{command}\n{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("The receipt is valid"), "{}", ran.stdout);
    command
}

/// The wine model's objects: a Model with this quantisation, two pools, and a request with this input.
fn wine(quantization: &Value, input: &[f64]) -> String {
    let onnx = std::fs::read(model_file("wine.onnx")).unwrap();
    let data = std::fs::read(model_file("data/wine-calibration.npy")).unwrap();
    let input = json!({ "inline": { "features": { "shape": [1, 13], "data": input } } });
    documents("wine", (onnx, Some(data)), quantization, &input)
}

/// A Model of these files (ONNX, calibration data) with this quantisation, two pools, and a request with this input.
fn documents(name: &str, files: (Vec<u8>, Option<Vec<u8>>), quantization: &Value, input: &Value) -> String {
    let bytes = |bytes: Vec<u8>| serde_json::to_value(k8s_openapi::ByteString(bytes)).unwrap();
    let object = |kind: &str, name: &str, spec: Value| json!({ "apiVersion": "zkinfer.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec });
    let pool =
        json!({ "image": "prover-worker", "allowUnpinnedImage": true, "resources": { "memory": "1Gi" } });
    let (onnx, data) = files;
    let mut map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "files" },
        "binaryData": { "model.onnx": bytes(onnx) },
    });
    if let Some(data) = data {
        map["binaryData"]["calibration.npy"] = bytes(data);
    }
    let model = json!({
        "source": { "configMap": { "name": "files", "key": "model.onnx" } },
        "quantization": quantization, "slicing": { "parallelism": 2 },
    });
    let request = json!({ "modelRef": { "name": name }, "deadline": "100s", "input": input });
    let documents = [
        map,
        object("Model", name, model),
        object("MinerPool", "alpha", pool.clone()),
        object("MinerPool", "beta", pool),
        object("InferenceRequest", "one", request),
    ];
    documents.map(|d| d.to_string()).join("\n---\n")
}

fn with_calibration(mut quantization: Value) -> Value {
    quantization["calibration"] = json!({ "configMap": { "name": "files", "key": "calibration.npy" } });
    quantization
}

fn samples() -> Vec<Vec<f64>> {
    let bytes = std::fs::read(model_file("data/wine-calibration.npy")).unwrap();
    let all = read_npy(&bytes, 1 << 20).unwrap();
    all.values.chunks(13).map(<[f64]>::to_vec).collect()
}

/// An input within the calibrated range for which the integers of profile P8 name another class than the float model:
/// where two classes are nearly as great.
fn misjudged() -> Vec<f64> {
    let onnx = std::fs::read(model_file("wine.onnx")).unwrap();
    let samples = samples();
    let options = CompileOptions {
        profile: Some(Profile::P8),
        output_scale: Some(vec![1000.0]),
        slicing: SlicingOptions::at_least(2),
        ..CompileOptions::new(ProofSystem::SumcheckWhir)
    };
    let given: Vec<_> = samples.iter().map(|s| vec![s.clone()]).collect();
    let plan = plan(&onnx, Some(&given), &options).unwrap();
    let reference = FloatModel::read(&onnx).unwrap();
    let float = |x: &[f64]| top1(&reference.outputs_of(&plan.float, &[x.to_vec()]).unwrap()[0]).unwrap();
    let integers = |x: &[f64]| {
        let info = |id: &zkml::graph::TensorId| &plan.graph.tensors[id.0 as usize];
        let input = FloatInput::new(vec![1, 13], x.to_vec()).unwrap();
        let input = quantise_input(info(&plan.graph.inputs[0]), &input).ok()?;
        let all = plan.graph.evaluate(&[input]).ok()?;
        let output = plan.graph.outputs[0];
        top1(&dequantise(info(&output), &all[output.0 as usize].values))
    };
    let between = |a: &[f64], b: &[f64], t: f64| -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| a + t * (b - a)).collect()
    };
    let first = &samples[0];
    let others = samples.iter().filter(|s| float(s) != float(first));
    for other in others {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..50 {
            let middle = f64::midpoint(low, high);
            if float(&between(first, other, middle)) == float(first) {
                low = middle;
            } else {
                high = middle;
            }
        }
        for step in -40..=40 {
            let x = between(first, other, low + 1e-3 * f64::from(step));
            if integers(&x).is_some_and(|class| class != float(&x)) {
                return x;
            }
        }
    }
    panic!("the integers agree with the float model everywhere");
}

#[test]
fn a_right_answer_has_its_error_and_a_command_that_accepts_it() {
    let runs = LocalRuns::new();
    let folder = repository().join("manifests/quickstart").display().to_string();
    let command = checked(&runs.operator_without_flags(&["-f", &folder]), "digit-7");
    // Nothing that is looser than what `verify` takes by itself.
    assert!(
        !command.contains("--max-error") && !command.contains("--no-top1"),
        "{command}"
    );
    let halo2 = repository()
        .join("manifests/quickstart-halo2")
        .display()
        .to_string();
    let command = checked(&runs.operator(&["-f", &halo2]), "digit-7");
    assert!(command.ends_with("--allow-dev-srs"), "{command}");
}

/// `(x + 16384) - 16384`: in the file's own 32 bits 41/4096 comes back as 40/4096, which is a lot of the answer and nothing of the
/// outputs' natural magnitude; the integers have it exactly.
#[test]
fn an_answer_that_only_its_outputs_magnitude_keeps_from_hanging_on_rounding_has_a_command_that_says_it() {
    let onnx = onnx::file(
        &[
            ("Add", &["x", "c"], "h"),
            ("Sub", &["h", "c"], "d"),
            ("Relu", &["d"], "y"),
        ],
        &[("c", &[], &[16384.0])],
        &[("x", &[1, 1])],
        &[("y", &[1, 1])],
    );
    let input = json!({ "inline": { "x": { "shape": [1, 1], "data": [41.0 / 4096.0] } } });
    let runs = LocalRuns::new();
    let yaml = documents(
        "there-and-back",
        (onnx, None),
        &json!({ "profile": "P16" }),
        &input,
    );
    let command = checked(&runs.yaml(&yaml, &[]), "one");
    assert!(command.contains("--output-scale="), "{command}");
    let bare: Vec<&str> = command
        .split(' ')
        .filter(|w| !w.starts_with("--output-scale="))
        .collect();
    let ran = shell(&bare.join(" "));
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("hangs on how floats are rounded"),
        "{}",
        ran.stdout
    );
}

#[test]
fn submit_names_the_persons_own_files_in_the_command() {
    let runs = LocalRuns::new();
    let mut submit = Command::new(program("operator"));
    let (model, input) = (model_file("digits.onnx"), model_file("data/digit-7.json"));
    submit.arg("submit").arg(&model).arg("--input").arg(&input);
    submit
        .arg("--calibration")
        .arg(model_file("data/digits-calibration.npy"));
    submit
        .arg("--local")
        .arg("--state")
        .arg(runs.path().join("state"));
    let ran = run(&mut submit);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let of = |what: &str| {
        lines
            .iter()
            .find_map(|line| line.trim().strip_prefix(what))
            .map(str::trim)
    };
    let answer = of("answer").expect("an answer");
    assert!(
        answer.starts_with("class 7  (logits [1, 10]: greatest at 7 with "),
        "{answer}"
    );
    assert!(
        of("error").is_some_and(|e| e.ends_with("at most 0.10 % is accepted")),
        "{lines:?}"
    );
    assert_eq!(of("proved"), Some("4 slices with SumcheckWhir, each verified"));
    assert!(lines.len() <= 10, "{lines:?}");
    let command = of("check it").expect("the command");
    let own = format!("--model {} --input {}", model.display(), input.display());
    assert!(command.contains(&own), "{command}");
    assert_eq!(shell(command).code, 0, "{command}");
}

#[test]
fn another_class_than_the_float_models_is_no_success_unless_outputs_are_no_classes() {
    let input = misjudged();
    let coarse = json!({ "profile": "P8", "outputScale": [1000], "errorBudgetMillionths": 10_000 });
    let runs = LocalRuns::new();
    let objects = runs.yaml(&wine(&with_calibration(coarse.clone()), &input), &[]);
    assert_eq!(objects.ran.code, 1, "{}", objects.ran.stderr);
    let failed = objects.condition("InferenceRequest", "one", "Failed");
    let expected = "True/AccuracyExceeded: output `";
    assert!(
        failed.starts_with(expected)
            && failed.contains("greatest at")
            && failed.contains("the float model's at"),
        "{failed}"
    );
    let status = &objects.get("InferenceRequest", "one")["status"];
    assert!(status["receipt"].is_null(), "{status}");
    assert!(status["errorVsFloatMillionths"].is_u64(), "{status}");

    let mut regression = with_calibration(coarse);
    regression["compareTop1"] = json!(false);
    let objects = runs.yaml(&wine(&regression, &input), &[]);
    let command = checked(&objects, "one");
    assert!(command.contains("--no-top1"), "{command}");
}

#[test]
fn a_model_that_allows_more_than_the_operator_or_keeps_no_budget_is_not_served() {
    let (runs, input) = (LocalRuns::new(), samples().remove(0));
    let loose = wine(
        &with_calibration(json!({ "errorBudgetMillionths": 20_000 })),
        &input,
    );
    let objects = runs.yaml(&loose, &[]);
    assert_eq!(objects.ran.code, 1, "{}", objects.ran.stderr);
    let ready = objects.condition("Model", "wine", "Ready");
    assert!(ready.starts_with("False/BudgetAboveOperator"), "{ready}");
    let failed = objects.condition("InferenceRequest", "one", "Failed");
    assert!(failed.starts_with("True/ModelFailed"), "{failed}");
    checked(&runs.yaml(&loose, &["--max-error", "0.02"]), "one");
    // Also where only made-up inputs were looked at.
    for quantization in [
        with_calibration(json!({ "errorBudgetMillionths": 1 })),
        json!({ "errorBudgetMillionths": 1 }),
    ] {
        let objects = runs.yaml(&wine(&quantization, &input), &[]);
        let ready = objects.condition("Model", "wine", "Ready");
        assert!(ready.starts_with("False/OverBudget: no profile keeps"), "{ready}");
    }
}

#[test]
fn a_pool_proves_its_identity_by_a_signature_over_itself() {
    let runs = LocalRuns::new();
    let key = runs.path().join("miner.key").display().to_string();
    let operator = |words: &[&str]| {
        let ran = run(Command::new(program("operator")).args(words));
        assert_eq!(ran.code, 0, "{words:?}: {}", ran.stderr);
        ran.stdout.trim().to_owned()
    };
    let identity = operator(&["identity", "new", "--key", &key]);
    assert_eq!(operator(&["identity", "show", "--key", &key]), identity);
    let again = run(Command::new(program("operator")).args(["identity", "new", "--key", &key]));
    assert_eq!(again.code, 1, "a key is not replaced");

    let pool = |name: &str, more: &str| {
        format!(
            "apiVersion: zkinfer.dev/v1alpha1\nkind: MinerPool\nmetadata: {{name: {name}, namespace: miners}}\n\
             spec: {{image: x, allowUnpinnedImage: true{more}}}\n"
        )
    };
    let alone = runs.yaml(&pool("alpha", &format!(", identity: \"{identity}\"")), &[]);
    let ready = alone.condition("MinerPool", "alpha", "Ready");
    assert!(
        ready.starts_with("False/IdentityNotProven: spec.possession is not there yet"),
        "{ready}"
    );
    let status = &alone.get("MinerPool", "alpha")["status"];
    assert_ne!(status["identity"], identity, "it is not in use");
    // The message says how.
    let uid = alone.get("MinerPool", "alpha")["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let command = ready.split('`').nth(1).unwrap().replace("FILE", &key);
    assert!(command.contains(&uid), "{command}");
    let signature = shell(&command).stdout.trim().to_owned();
    let proven = format!(", identity: \"{identity}\", possession: \"{signature}\"");
    // Another pool with the same signature, and one that states the derived identity of a third.
    let objects = runs.yaml(
        &[pool("alpha", &proven), pool("beta", &proven), pool("gamma", "")].join("---\n"),
        &[],
    );
    assert_eq!(
        objects.condition("MinerPool", "alpha", "Ready"),
        "True/Serving: the pool may be given slices"
    );
    assert_eq!(objects.get("MinerPool", "alpha")["status"]["identity"], identity);
    let ready = objects.condition("MinerPool", "beta", "Ready");
    assert!(
        ready.starts_with("False/IdentityNotProven: spec.possession is no signature"),
        "{ready}"
    );
    let derived = objects.get("MinerPool", "gamma")["status"]["identity"]
        .as_str()
        .unwrap()
        .to_owned();
    let claimed = format!(", identity: \"{derived}\", possession: \"{signature}\"");
    let objects = runs.yaml(&[pool("gamma", ""), pool("thief", &claimed)].join("---\n"), &[]);
    let ready = objects.condition("MinerPool", "thief", "Ready");
    assert!(ready.starts_with("False/IdentityNotProven"), "{ready}");
    assert!(
        objects
            .condition("MinerPool", "gamma", "Ready")
            .starts_with("True/Serving")
    );
}
