//! A person with a model file, an input and a kubeconfig.

use std::process::Command;

use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::Value;
use zkinfer_crds::k8s::{InferenceRequest, Model, RequestPhase};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::local::{Ran, model_file, program, run};
use zkinfer_tests::operator::{Objects, SYSTEM, phase};

use crate::world::{LONG, World};

/// `operator submit` with these words, in the namespace of the test; off the threads on which the node runs.
async fn submit(world: &World, words: &[&str]) -> Ran {
    let mut command = Command::new(program("operator"));
    command
        .arg("submit")
        .args(words)
        .args(["--input".into(), model_file("data/digit-7.json")])
        .args(["--namespace", "submits"])
        .env("KUBECONFIG", world.cluster.kubeconfig());
    tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_file_submitted_twice_is_one_model_compiled_once_and_answered_twice() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "submits").await.unwrap();
    world.own_pool(&objects).await;
    let path = |name: &str| model_file(name).display().to_string();
    let (model, calibration) = (path("digits.onnx"), path("data/digits-calibration.npy"));
    let classes = path("data/digits-classes.json");
    let words = [
        &model,
        "--wait",
        "--calibration",
        &calibration,
        "--classes",
        &classes,
        // What was compiled for other tests' Models is not found for this one.
        "--error-budget=9876",
        "--output=yaml",
    ];
    let mut answers = Vec::new();
    for _ in 0..2 {
        let ran = submit(world, &words).await;
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let answer: InferenceRequest = serde_yaml::from_str(&ran.stdout).unwrap();
        let status = answer.status.clone().unwrap();
        assert_eq!(status.phase, RequestPhase::Succeeded);
        assert_eq!(status.output.unwrap().label.as_deref(), Some("7"));
        let name = answer.name_any();
        for step in [
            format!("inferencerequest.zkinfer.dev/{name} created"),
            format!("submits/{name}  Succeeded  ReceiptWritten"),
        ] {
            assert!(ran.stderr.contains(&step), "no {step:?}: {}", ran.stderr);
        }
        answers.push((name, status.receipt.unwrap().digest));
    }
    assert_ne!(answers[0].0, answers[1].0);
    assert_ne!(answers[0].1, answers[1].1, "a receipt is of one request");
    let models = objects.api::<Model>().list(&ListParams::default()).await.unwrap();
    let [model] = &models.items[..] else {
        panic!("{:?}", models.items);
    };
    let jobs = format!("zkinfer.dev/model-uid={}", model.uid().unwrap());
    let jobs = ["get", "jobs", "-n", SYSTEM, "-l", &jobs, "-o", "json"];
    let jobs: Value = serde_json::from_str(&world.cluster.kubectl(&jobs).await.unwrap()).unwrap();
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1, "{jobs}");

    // By the Model's name, and without waiting: the request is made, and answered all the same.
    let ran = submit(world, &[&model.name_any()]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let over = objects.over(ran.stdout.trim(), LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    // Waited for, people are told the answer and how to check it.
    let ran = submit(world, &[&model.name_any(), "--wait"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for words in [
        "  answer   7  (logits [1, 10]: ",
        "  fetch it operator receipt ",
        "  check it prover-worker verify ",
    ] {
        assert!(ran.stdout.contains(words), "no {words:?}: {}", ran.stdout);
    }
    let ran = submit(world, &["nowhere.onnx"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr
            .contains("`nowhere.onnx` is neither a file nor a Model in namespace submits"),
        "{}",
        ran.stderr
    );
}
