//! What the operator asks for where nobody asks.

use std::process::Command;
use std::time::{Duration, SystemTime};

use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use zkinfer_crds::k8s::inference_request::RequestType;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, RequestPhase, Validator, find_condition};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::local::{program, run};
use zkinfer_tests::operator::{Objects, SYSTEM, phase, pool_ready, reason};

use crate::world::{LONG, World};

/// The wine model in a namespace with a pool that has a worker up, a second owner's pool elsewhere, and a Validator that has the
/// model benchmarked as fast as it can be.
async fn benchmarked(namespace: &str) -> (World, Objects, Objects, Objects) {
    let world = World::new(&[]).await;
    let objects = world.with_model(namespace).await;
    let rival = Objects::new(&world.cluster, "rival").await.unwrap();
    let system = Objects {
        client: objects.client.clone(),
        namespace: SYSTEM.to_owned(),
    };
    let warm = json!({ "warm": 1, "parallelism": 1 });
    let serving = json!({ "warm": 1, "parallelism": 1, "allowedNamespaces": [namespace] });
    let spec = json!({
        "consent": [{ "namespace": "rival" }],
        "scoring": { "coldStart": 1 },
        "benchmarks": {
            "models": [{ "namespace": namespace, "name": "wine" }],
            "workMillisPerMinute": 60_000_000, "maxInFlight": 2, "keep": 100,
        },
    });
    for yaml in [
        objects.pool("own", &warm),
        rival.pool("other", &serving),
        system.object("Validator", "zkinfer", &spec),
    ] {
        world.cluster.apply(&yaml).await.unwrap();
    }
    objects.until("own", LONG, pool_ready).await.unwrap();
    rival.until("other", LONG, pool_ready).await.unwrap();
    (world, objects, rival, system)
}

async fn benchmarks(system: &Objects) -> Vec<InferenceRequest> {
    let list = system
        .api::<InferenceRequest>()
        .list(&ListParams::default())
        .await;
    let all = list.unwrap().items.into_iter();
    all.filter(InferenceRequest::is_benchmark).collect()
}

fn made(validator: &Validator) -> u64 {
    let status = validator.status.as_ref();
    status.and_then(|s| s.benchmarks.as_ref()).map_or(0, |b| b.made)
}

fn benchmarking(validator: &Validator) -> Option<String> {
    let conditions = validator.status.as_ref().map(|s| s.conditions.clone());
    find_condition(&conditions?, "Benchmarking").map(|c| c.reason.clone())
}

/// When claims of a request were granted.
fn granted(world: &World, request: &InferenceRequest) -> Vec<SystemTime> {
    let uid = request.uid().unwrap();
    let folder = world
        .cluster
        .folder()
        .join("artifacts/requests")
        .join(uid)
        .join("claims");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    // One that is being written has another name.
    let whole = files.filter(|file| !file.file_name().to_string_lossy().contains('#'));
    whole
        .map(|file| file.metadata().unwrap().modified().unwrap())
        .collect()
}

#[tokio::test]
async fn where_nobody_asks_benchmarks_give_miners_scores_and_whoever_asks_goes_first() {
    if !can_run() {
        return;
    }
    let (mut world, objects, rival, system) = benchmarked("measured").await;
    let running = |v: &Validator| made(v) >= 3 && benchmarking(v).as_deref() == Some("BenchmarksRun");
    let validator: Validator = system.until("zkinfer", LONG, running).await.unwrap();

    // They are proved, by both owners, and scores follow.
    let done = wait_for("two benchmarks that are proved", LONG, async || {
        let all = benchmarks(&system).await;
        let done: Vec<_> = all
            .into_iter()
            .filter(|b| phase(b) == Some(RequestPhase::Succeeded))
            .collect();
        match done.len() {
            0 | 1 => Err(format!("{} are", done.len())),
            _ => Ok(done),
        }
    });
    let done = done.await.unwrap();
    for benchmark in &done {
        assert_eq!(benchmark.spec.type_, RequestType::Benchmark);
        assert_eq!(benchmark.spec.model_ref.namespace.as_deref(), Some("measured"));
        let owners: Vec<_> = benchmark
            .owner_references()
            .iter()
            .map(|o| o.uid.clone())
            .collect();
        assert_eq!(owners, [validator.uid().unwrap()]);
        let status = benchmark.status.as_ref().unwrap();
        assert!(status.receipt.is_some());
        // Whoever has seed and manifest draws the same input.
        let manifest = status.manifest_digest.unwrap().hex();
        let manifest = world
            .cluster
            .folder()
            .join("artifacts/blobs/sha256")
            .join(manifest);
        let mut sample = Command::new(program("prover-worker"));
        sample.arg("sample").arg(manifest).arg("--seed");
        let drawn = run(sample.arg(status.benchmark_seed.as_ref().unwrap()));
        let input = benchmark.spec.input.artifact.unwrap().to_string();
        assert_eq!(drawn.stdout.trim(), input, "{}", drawn.stderr);
    }
    let inputs: std::collections::BTreeSet<_> = done.iter().map(|b| b.spec.input.artifact).collect();
    assert_eq!(inputs.len(), done.len(), "each has an input of its own");
    let scored = |pool: &MinerPool| {
        let score = pool.status.as_ref().and_then(|s| s.score_millionths);
        score.is_some_and(|score| score > 0)
    };
    objects.until("own", LONG, scored).await.unwrap();
    rival.until("other", LONG, scored).await.unwrap();
    assert!(
        world
            .operator
            .metric("zkinfer_benchmarks_total", "made")
            .await
            .unwrap()
            >= 3.0
    );
    let organic = world.operator.metric("zkinfer_requests_total", "").await.unwrap();
    assert_eq!(organic, 0.0, "nobody has asked");

    // From its first claim to its last no worker is given anything of a benchmark, though there always is one.
    let request = objects.wine_request("asked", "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    let over = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Succeeded);
    let asked: InferenceRequest = objects.until("asked", LONG, over).await.unwrap();
    let own = granted(&world, &asked);
    let (first, last) = (own.iter().min().unwrap(), own.iter().max().unwrap());
    let all = benchmarks(&system).await;
    let others: Vec<SystemTime> = all.iter().flat_map(|b| granted(&world, b)).collect();
    assert!(others.iter().any(|at| at < first), "they were being proved");
    // What was given to another worker just before may be written down just after.
    let settled = *first + Duration::from_millis(100);
    let between = others.iter().filter(|at| (settled..*last).contains(at)).count();
    assert_eq!(between, 0, "of {} claims of benchmarks", others.len());

    // A crash makes no two: the number goes on.
    world.operator.kill().await.unwrap();
    let before = made(&system.api::<Validator>().get("zkinfer").await.unwrap());
    world.operator.start_again().unwrap();
    let goes_on = |v: &Validator| made(v) >= before + 2;
    system.until("zkinfer", LONG, goes_on).await.unwrap();

    // Without them none is made any more.
    let none = system.object(
        "Validator",
        "zkinfer",
        &json!({ "consent": [{ "namespace": "rival" }] }),
    );
    world.cluster.apply(&none).await.unwrap();
    let off = |v: &Validator| benchmarking(v).is_none() && made(v) > 0;
    system.until("zkinfer", LONG, off).await.unwrap();
}

#[tokio::test]
async fn a_request_that_only_says_that_it_is_a_benchmark_is_none() {
    if !can_run() {
        return;
    }
    let (world, objects, _, system) = benchmarked("feigned").await;
    let begun = |v: &Validator| made(v) >= 1;
    system.until("zkinfer", LONG, begun).await.unwrap();
    let refused = |r: &InferenceRequest| reason(r, "Ready").as_deref() == Some("NotABenchmark");

    let elsewhere = objects.wine_request("mine", "wine", &json!({ "type": "Benchmark" }));
    world.cluster.apply(&elsewhere).await.unwrap();
    objects.until("mine", LONG, refused).await.unwrap();

    // Under another name than the one that the operator has sealed.
    let one = wait_for("a benchmark", LONG, async || {
        let all = benchmarks(&system).await;
        all.into_iter().next().ok_or("there is none")
    });
    let mut copy = serde_json::to_value(one.await.unwrap()).unwrap();
    let metadata = copy["metadata"].as_object_mut().unwrap();
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "generation",
    ] {
        metadata.remove(field);
    }
    metadata.insert("name".to_owned(), Value::from("copied"));
    copy.as_object_mut().unwrap().remove("status");
    world.cluster.apply(&copy.to_string()).await.unwrap();
    let copied: InferenceRequest = system.until("copied", LONG, refused).await.unwrap();
    assert!(copied.status.unwrap().benchmark_seed.is_none());

    // What somebody wants the answer of is of a Model beside it.
    let abroad = json!({ "modelRef": { "namespace": "feigned", "name": "wine" } });
    let abroad = system.wine_request("abroad", "wine", &abroad);
    let error = world.cluster.apply(&abroad).await.unwrap_err().to_string();
    assert!(error.contains("modelRef.namespace is of benchmarks"), "{error}");
}
