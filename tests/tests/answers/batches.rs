//! Requests of several inputs: one receipt, the answer that each input has alone, and what is refused with the batch sizes.

use std::process::Command;

use serde_json::{Value, json};
use zkinfer_tests::local::{LocalRuns, model_file, program, run};
use zkinfer_tests::onnx;

use crate::{checked, samples, shell, wine, with_calibration};

/// The wine model with these batch sizes, and requests by name with so many of the samples as they are given.
fn batched(sizes: &Value, requests: &[(&str, Value)]) -> String {
    let yaml = wine(&with_calibration(json!({})), &samples()[0]);
    let mut documents: Vec<Value> = yaml
        .split("\n---\n")
        .map(|document| serde_json::from_str(document).unwrap())
        .collect();
    documents[1]["spec"]["batchSizes"] = sizes.clone();
    documents[1]["spec"]["classes"] = json!(["class_0", "class_1", "class_2"]);
    let request = documents.pop().unwrap();
    for (name, tensor) in requests {
        let mut request = request.clone();
        request["metadata"]["name"] = json!(name);
        request["spec"]["input"] = json!({ "inline": { "features": tensor } });
        documents.push(request);
    }
    let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
    texts.join("\n---\n")
}

/// So many samples along the first axis.
fn rows(count: usize) -> Value {
    let samples = samples();
    let data: Vec<f64> = (0..count)
        .flat_map(|at| samples[at % samples.len()].clone())
        .collect();
    json!({ "shape": [count, 13], "data": data })
}

#[test]
fn a_request_of_several_inputs_has_one_receipt_with_the_answer_that_each_has_alone() {
    let runs = LocalRuns::new();
    let requests = [("one", rows(1)), ("three", rows(3))];
    let objects = runs.yaml(&batched(&json!([4, 1]), &requests), &[]);
    assert_eq!(objects.ran.code, 0, "{}", objects.ran.stderr);
    let model = &objects.get("Model", "wine")["status"];
    let batches = model["batches"].as_array().unwrap();
    let of = |field: &str| batches.iter().map(|b| b[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("size"), [json!(1), json!(4)]);
    assert_eq!(of("manifestDigest")[0], model["manifestDigest"]);
    assert!(of("predictedMillis").iter().all(Value::is_u64), "{model}");
    let one = &objects.get("InferenceRequest", "one")["status"];
    let three = &objects.get("InferenceRequest", "three")["status"];
    // Each by the least manifest that holds it.
    assert_eq!(one["manifestDigest"], batches[0]["manifestDigest"]);
    assert_eq!(three["manifestDigest"], batches[1]["manifestDigest"]);
    assert!(one["batch"].is_null() && one["answers"].is_null(), "{one}");
    assert_eq!(three["batch"], json!({ "size": 4, "inputs": 3 }));
    assert_eq!(three["output"]["shape"], json!([1, 3]));
    let answers = three["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 3, "what fills the batch up is no answer");
    assert_eq!(answers[0]["label"], one["output"]["label"]);
    let first = |of: &Value| -> Vec<f64> { serde_json::from_value(of["values"].clone()).unwrap() };
    for (alone, beside) in first(&one["output"]).iter().zip(first(&answers[0])) {
        assert!(
            (alone - beside).abs() < 0.3,
            "{alone} alone, {beside} beside others"
        );
    }
    let errors = answers.iter().map(|a| a["errorVsFloatMillionths"].as_u64());
    assert_eq!(errors.max().flatten(), three["errorVsFloatMillionths"].as_u64());
    checked(&objects, "one");
    let command = checked(&objects, "three");
    let told: Value = serde_json::from_str(&shell(&format!("{command} -o json")).stdout).unwrap();
    assert_eq!(told["batch"], json!({ "size": 4, "inputs": 3 }), "{told}");
    // The receipt is of these inputs in this order, and of no fewer.
    let (first, second) = (samples().remove(0), samples().remove(1));
    let input = three["verify"].as_str().unwrap();
    let input = input
        .split(" --input ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    for other in [json!([second, first, samples()[2]]), json!([first, second])] {
        std::fs::write(input, other.to_string()).unwrap();
        let ran = shell(&command);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
    }
    // What was compiled for either lies as `prove` takes it.
    let folder = runs.path().join("state/models/default/wine");
    assert!(folder.join("manifest.cbor").is_file() && folder.join("batch-4/manifest.cbor").is_file());
}

#[test]
fn inputs_that_are_too_many_or_of_another_shape_are_refused_with_the_sizes() {
    let runs = LocalRuns::new();
    let mixed = json!({ "shape": [2, 12], "data": vec![0.0; 24] });
    let mut far = rows(3);
    far["data"][13] = json!(1e6);
    let requests = [
        ("five", rows(5)),
        ("many", rows(65)),
        ("shape", mixed),
        ("far", far),
    ];
    let objects = runs.yaml(&batched(&json!([1, 4]), &requests), &[]);
    assert_eq!(objects.ran.code, 1, "{}", objects.ran.stderr);
    for (name, reason, said) in [
        (
            "five",
            "InvalidInput",
            "5 inputs were given at once, and the Model answers 1 or 4 at once",
        ),
        (
            "many",
            "InvalidInput",
            "65 inputs were given at once, and the Model answers 1 or 4 at once",
        ),
        ("shape", "InvalidInput", "has the shape [1, 13] for one"),
        (
            "far",
            "OutOfCalibratedRange",
            "row 1 of the 3 inputs, from 0: input `features`",
        ),
    ] {
        let failed = objects.condition("InferenceRequest", name, "Failed");
        assert!(failed.starts_with(&format!("True/{reason}")), "{failed}");
        assert!(failed.contains(said), "{failed}");
    }
}

#[test]
fn batch_sizes_that_are_none_are_refused_by_name() {
    let runs = LocalRuns::new();
    for (sizes, said) in [
        (json!([4, 4]), "batchSizes names a size twice"),
        (json!([0]), "batchSizes"),
        (json!([65]), "batchSizes"),
        (json!([]), "batchSizes"),
        (json!([1, 2, 3, 4, 5]), "batchSizes"),
    ] {
        let ran = runs.yaml(&batched(&sizes, &[]), &[]).ran;
        assert_eq!(ran.code, 2, "{sizes}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{sizes}: {}", ran.stderr);
    }
    let none = json!({ "shape": [0, 13], "data": [] });
    let ran = runs.yaml(&batched(&json!([1, 4]), &[("none", none)]), &[]).ran;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("shape"), "{}", ran.stderr);
}

#[test]
fn a_model_that_mixes_its_inputs_is_compiled_for_one_and_refused_by_node_for_several() {
    let runs = LocalRuns::new();
    let sum = onnx::file(
        &[("ReduceSum", &["x"], "s"), ("Add", &["x", "s"], "y")],
        &[],
        &[("x", &[1, 4])],
        &[("y", &[1, 4])],
    );
    let sum = runs.file("sum.onnx", sum);
    let input = runs.file("x.json", "[0.5, -0.25, 0.125, 0.25]");
    let submit = |more: &[&str]| {
        let mut submit = Command::new(program("operator"));
        submit
            .arg("submit")
            .arg(&sum)
            .arg("--input")
            .arg(&input)
            .args(more);
        submit.arg("--no-top1").arg("--local").arg("--state");
        run(submit.arg(runs.path().join("state")))
    };
    let ran = submit(&[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = submit(&["--batch-sizes=1,4"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    for said in [
        "ModelFailed",
        "UnsupportedModel",
        "mixes the inputs of a batch: with 4 at once",
    ] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn submit_takes_several_inputs_and_tells_each_answer_and_the_command_with_all_of_them() {
    let runs = LocalRuns::new();
    let files: Vec<String> = (0..3)
        .map(|at| {
            let text = json!([samples()[at]]).to_string();
            runs.file(&format!("{at}.json"), text).display().to_string()
        })
        .collect();
    let mut submit = Command::new(program("operator"));
    submit.arg("submit").arg(model_file("wine.onnx"));
    submit.args(files.iter().flat_map(|file| ["--input", file]));
    submit
        .arg("--calibration")
        .arg(model_file("data/wine-calibration.npy"));
    submit
        .arg("--local")
        .arg("--state")
        .arg(runs.path().join("state"));
    let ran = run(&mut submit);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().map(str::trim).collect();
    assert!(
        lines.contains(&"answers  3 inputs, proved 3 at once"),
        "{lines:?}"
    );
    for at in 0..3 {
        let own = format!("input {at}  class ");
        assert!(lines.iter().any(|line| line.starts_with(&own)), "{lines:?}");
    }
    let command = lines.iter().find_map(|line| line.strip_prefix("check it "));
    let command = command.expect("the command");
    for file in &files {
        assert!(command.contains(&format!("--input {file}")), "{command}");
    }
    let ran = shell(command);
    assert_eq!(ran.code, 0, "{command}\n{}{}", ran.stdout, ran.stderr);
}
