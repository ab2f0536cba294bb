//! Compiled models in the operator's memory: within its budget, in turn, and whoever does not fit is told.

use std::process::Command;
use std::time::Instant;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, Model, RequestPhase, find_condition};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::local::{program, run};
use zkinfer_tests::operator::{Objects, model_ready, peak_resident, phase, pool_ready};
use zkinfer_tests::{measured, onnx};

use crate::world::{LONG, World};

/// A container that has no more is killed.
const LIMIT: u64 = 512 << 20;

fn why_not_ready(model: &Model) -> (String, String) {
    let conditions = model
        .status
        .iter()
        .flat_map(|s| s.conditions.clone())
        .collect::<Vec<_>>();
    find_condition(&conditions, "Ready")
        .map_or_else(Default::default, |c| (c.reason.clone(), c.message.clone()))
}

#[tokio::test]
async fn models_take_turns_in_the_memory_that_there_is() {
    if !can_run() {
        return;
    }
    // Room for one of these, and for no two.
    let world = World::new(&["--model-memory=7Mi"]).await;
    let objects = Objects::new(&world.cluster, "turns").await.unwrap();
    for (slices, name) in ["one", "two", "three"].iter().enumerate() {
        let model = objects.model(name, "wine.onnx", slices as u32 + 1);
        world.cluster.apply(&model).await.unwrap();
    }
    world
        .cluster
        .apply(&objects.pool("own", &json!({})))
        .await
        .unwrap();
    for name in ["one", "two", "three"] {
        objects.until(name, LONG, model_ready).await.unwrap();
    }
    objects.until("own", LONG, pool_ready).await.unwrap();
    for (n, model) in ["one", "two", "one", "three"].iter().enumerate() {
        let name = format!("{model}-{n}");
        world
            .cluster
            .apply(&objects.wine_request(&name, model, &json!({})))
            .await
            .unwrap();
        let over = objects.over(&name, LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
        let bytes = world
            .operator
            .metric("zkinfer_model_memory_bytes", "")
            .await
            .unwrap();
        assert!(bytes > 0.0 && bytes <= f64::from(7 << 20), "{bytes}");
    }
}

#[tokio::test]
async fn a_model_that_is_too_large_for_the_operator_says_so_and_others_are_served() {
    if !can_run() {
        return;
    }
    let world = World::new(&["--model-memory=4Mi"]).await;
    let objects = Objects::new(&world.cluster, "large").await.unwrap();
    world
        .cluster
        .apply(&objects.model("wine", "wine.onnx", 1))
        .await
        .unwrap();
    let told = |m: &Model| why_not_ready(m).0 == "TooLargeForOperator";
    let model = objects.until("wine", LONG, told).await.unwrap();
    let (_, message) = why_not_ready(&model);
    assert!(
        message.contains("4 MiB") && message.contains("--model-memory="),
        "{message}"
    );
}

/// A file of 54.8 MB, for input `x` of [`WIDTH`] values: four layers of 3.4 million weights, of which a layer may have 4.2.
fn large_model(seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut weight = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (f64::from(state) / f64::from(u32::MAX) - 0.5) as f32 * 0.08
    };
    let values: Vec<Vec<f32>> = (0..4)
        .map(|_| std::iter::repeat_with(&mut weight).take(WIDTH * WIDTH).collect())
        .collect();
    let (width, names) = (WIDTH as u64, ["a", "b", "c", "d"]);
    let sizes = [width, width];
    let weights: Vec<onnx::Weights<'_>> = names
        .iter()
        .zip(&values)
        .map(|(name, values)| (*name, &sizes[..], &values[..]))
        .collect();
    let nodes: &[(&str, &[&str], &str)] = &[
        ("MatMul", &["x", "a"], "ha"),
        ("Relu", &["ha"], "ra"),
        ("MatMul", &["ra", "b"], "hb"),
        ("Relu", &["hb"], "rb"),
        ("MatMul", &["rb", "c"], "hc"),
        ("Relu", &["hc"], "rc"),
        ("MatMul", &["rc", "d"], "y"),
    ];
    let row = [1, width];
    onnx::file(nodes, &weights, &[("x", &row)], &[("y", &row)])
}

const WIDTH: usize = 1850;

/// Uploads such a file, and makes a Model of it: `large-SEED`.
pub async fn large(world: &World, objects: &Objects, seed: u32) {
    let file = world.cluster.folder().join(format!("large-{seed}.onnx"));
    std::fs::write(&file, large_model(seed)).unwrap();
    let uploaded = run(Command::new(program("operator"))
        .args([
            "upload",
            "-n",
            &objects.namespace,
            "--gateway",
            &world.operator.gateway,
        ])
        .arg(&file)
        .env("KUBECONFIG", world.cluster.kubeconfig()));
    assert_eq!(uploaded.code, 0, "{}", uploaded.stderr);
    std::fs::remove_file(file).unwrap();
    let spec = json!({ "source": { "artifact": uploaded.stdout.trim() }, "proofSystem": "SumcheckWhir" });
    let model = objects.object("Model", &format!("large-{seed}"), &spec);
    world.cluster.apply(&model).await.unwrap();
}

/// A request to that Model.
pub fn large_request(objects: &Objects, name: &str, seed: u32) -> String {
    let input: Vec<Value> = (0..WIDTH).map(|n| json!((n % 7) as f64 / 8.0 - 0.375)).collect();
    let spec = json!({
        "modelRef": { "name": format!("large-{seed}") },
        "input": { "inline": { "x": { "shape": [1, WIDTH], "data": input } } },
    });
    objects.object("InferenceRequest", name, &spec)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_models_of_54_megabytes_are_compiled_and_answer_in_turn() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = Objects::new(&world.cluster, "three").await.unwrap();
    let pool = json!({ "resources": { "cpu": "1", "memory": "3Gi" }, "parallelism": 1, "warm": 1 });
    world.cluster.apply(&objects.pool("own", &pool)).await.unwrap();
    let began = Instant::now();
    for seed in 0..3 {
        large(&world, &objects, seed).await;
    }
    for seed in 0..3 {
        let name = format!("large-{seed}");
        objects.until(&name, 4 * LONG, model_ready).await.unwrap();
    }
    let compiled = began.elapsed();
    let began = Instant::now();
    for turn in 0..6 {
        let name = format!("turn-{turn}");
        let request = large_request(&objects, &name, turn % 3);
        world.cluster.apply(&request).await.unwrap();
        let over = objects.over(&name, 2 * LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    }
    let peak = peak_resident(world.operator.pid().unwrap()).unwrap();
    measured(format_args!(
        "three models of 54 MB were compiled in {:.0} s and answered six requests in {:.0} s, by an operator of at most {} MiB",
        compiled.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        peak >> 20
    ));
    assert!(peak < LIMIT, "{} MiB", peak >> 20);
}

/// Why a request is over, or waits.
fn why(request: &InferenceRequest) -> (String, String) {
    let conditions = request.status.iter().flat_map(|s| s.conditions.clone());
    find_condition(&conditions.collect::<Vec<_>>(), "Ready")
        .map_or_else(Default::default, |c| (c.reason.clone(), c.message.clone()))
}

/// An operator with so much memory for requests at work, a Model, and a pool.
async fn with_run_memory(flag: &str) -> (World, Objects) {
    let world = World::new(&[flag]).await;
    let objects = Objects::new(&world.cluster, "room").await.unwrap();
    let model = objects.model("wine", "wine.onnx", 2);
    world.cluster.apply(&model).await.unwrap();
    let pool = objects.pool("own", &json!({}));
    world.cluster.apply(&pool).await.unwrap();
    objects.until("wine", LONG, model_ready).await.unwrap();
    objects.until("own", LONG, pool_ready).await.unwrap();
    (world, objects)
}

#[tokio::test]
async fn requests_take_turns_in_the_memory_that_there_is_and_one_that_never_fits_says_so() {
    if !can_run() {
        return;
    }
    let (world, objects) = with_run_memory("--run-memory=16Ki").await;
    let request = objects.wine_request("large", "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    let over = objects.over("large", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Failed), "{:?}", over.status);
    let (reason, message) = why(&over);
    assert_eq!(reason, "TooLargeForOperator");
    let asks = message
        .split_whitespace()
        .find(|word| word.starts_with("--run-memory="));
    let flag = asks.expect("the message names the flag").to_owned();
    drop((world, objects));
    // With what it asks for there is room for one of them, and all have their turn.
    let (world, objects) = with_run_memory(&flag).await;
    let budget = f64::from(
        flag["--run-memory=".len()..]
            .trim_end_matches("Mi")
            .parse::<u32>()
            .unwrap(),
    );
    let names: Vec<String> = (0..12).map(|n| format!("turn-{n}")).collect();
    for name in &names {
        let request = objects.wine_request(name, "wine", &json!({}));
        world.cluster.apply(&request).await.unwrap();
    }
    for name in &names {
        let over = objects.over(name, LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
        let taken = world
            .operator
            .metric("zkinfer_run_memory_bytes", "")
            .await
            .unwrap();
        assert!(taken <= budget * f64::from(1 << 20), "{taken}");
    }
}

#[tokio::test]
async fn a_suspended_request_holds_no_model_and_no_room() {
    if !can_run() {
        return;
    }
    let (world, objects) = with_run_memory("--run-memory=64Mi").await;
    let asked = json!({ "suspend": true });
    let request = objects.wine_request("rests", "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    let patch = Patch::Merge(json!({ "spec": asked }));
    let api = objects.api::<InferenceRequest>();
    api.patch("rests", &PatchParams::default(), &patch).await.unwrap();
    let rests = |r: &InferenceRequest| why(r).0 == "Suspended" || phase(r).is_some_and(|p| p.is_over());
    objects.until("rests", LONG, rests).await.unwrap();
    let began = Instant::now();
    while world
        .operator
        .metric("zkinfer_run_memory_bytes", "")
        .await
        .unwrap()
        > 0.0
    {
        assert!(began.elapsed() < LONG, "it is held");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let patch = Patch::Merge(json!({ "spec": { "suspend": false } }));
    api.patch("rests", &PatchParams::default(), &patch).await.unwrap();
    let over = objects.over("rests", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
}
