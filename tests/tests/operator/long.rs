//! Fifty pools from one release, and ten minutes without drift: `./check --long` runs these, and nothing else does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{Model, RequestPhase};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::local::repository;
use zkinfer_tests::measured;
use zkinfer_tests::operator::{IMAGE, Objects, model_ready, phase, pool_ready};

use crate::load::until_over;
use crate::world::{LONG, World};

const POOLS: usize = 50;
const REQUESTS: usize = 500;
/// 2,000 slices of some milliseconds each, among processes that share two cores.
const LIMIT: Duration = Duration::from_secs(1200);
/// How long the objects of a repository are compared while requests are at work.
const DRIFT: Duration = Duration::from_secs(600);

/// One release of the miners' chart, in which each pool has a namespace, a quota, and one worker that is kept warm.
async fn fifty_pools(world: &World) {
    let values = json!({
        "defaults": {
            "image": IMAGE, "allowUnpinnedImage": true, "parallelism": 1, "warm": 1, "allowedNamespaces": ["many"],
            "resources": { "cpu": "500m", "memory": "512Mi" },
        },
        "pools": [{ "name": "cpu", "count": POOLS }],
    });
    let file = world.cluster.folder().join("pools.yaml");
    std::fs::write(&file, values.to_string()).unwrap();
    let chart = repository().join("charts/zkinfer-miner").display().to_string();
    let install = [
        "install",
        "miners",
        &chart,
        "--namespace",
        "miners",
        "--create-namespace",
        "--values",
        &file.display().to_string(),
    ];
    world.cluster.helm(&install).await.unwrap();
    wait_for("a worker of each pool", LIMIT, async || {
        let running = world.node.running();
        let places: BTreeSet<&str> = running.iter().map(|r| r.namespace.as_str()).collect();
        let there = places.iter().filter(|p| p.starts_with("miner-cpu-")).count();
        if there == POOLS {
            Ok(())
        } else {
            Err(format!("{there} of {POOLS}"))
        }
    })
    .await
    .unwrap();
}

/// Everybody of these pools may see the model.
fn model(objects: &Objects) -> String {
    let served: Vec<Value> = (1..=POOLS)
        .map(|i| json!({ "namespace": format!("miner-cpu-{i}") }))
        .collect();
    let documents = objects.model_of("wine", "wine.onnx", 4, ProofSystem::SumcheckWhir);
    let (map, model) = documents.split_once("\n---\n").unwrap();
    let mut model: Value = serde_json::from_str(model).unwrap();
    model["spec"]["servedBy"] = served.into();
    format!("{map}\n---\n{model}")
}

#[tokio::test]
#[ignore = "fifty workers at work would be in what other tests measure: ./check --long"]
async fn fifty_pools_of_one_worker_from_one_release_share_five_hundred_requests() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = Objects::new(&world.cluster, "many").await.unwrap();
    world.cluster.apply(&model(&objects)).await.unwrap();
    objects.until::<Model>("wine", LONG, model_ready).await.unwrap();
    fifty_pools(&world).await;
    let requests: Vec<String> = (0..REQUESTS)
        .map(|n| objects.wine_request(&format!("r-{n}"), "wine", &json!({})))
        .collect();
    let began = Instant::now();
    world.cluster.apply(&requests.join("\n---\n")).await.unwrap();
    let slices = tokio::time::timeout(LIMIT, until_over(objects.api(), REQUESTS))
        .await
        .expect("all requests are over in time");
    let slices: u32 = slices.iter().sum();
    let took = began.elapsed().as_secs_f64();
    // Nothing is left at work, and nobody was left out: each pool has proved something.
    let still = world.operator.metric("zkinfer_slices", "").await.unwrap();
    assert_eq!(still, 0.0, "slices are still at work");
    let mut by_pool = Vec::new();
    for i in 1..=POOLS {
        let labels = format!("pool=\"miner-cpu-{i}/cpu-{i}\",verdict=\"Verified\"");
        by_pool.push(
            world
                .operator
                .metric("zkinfer_claims_total", &labels)
                .await
                .unwrap(),
        );
    }
    let verified: f64 = by_pool.iter().sum();
    let (least, most) = (
        by_pool.iter().copied().fold(f64::INFINITY, f64::min),
        by_pool.iter().copied().fold(0.0, f64::max),
    );
    measured(format_args!(
        "{POOLS} pools of one worker: {REQUESTS} requests of {slices} slices in {took:.1} s, {least} to {most} slices a pool"
    ));
    assert!(verified >= f64::from(slices), "{verified} of {slices}");
    assert!(least >= 1.0, "a pool has proved nothing: {by_pool:?}");
}

/// What a repository has, as whoever applies it by the server's side sees it: `kubectl diff` exits with 1 where anything differs.
#[tokio::test]
#[ignore = "ten minutes: ./check --long"]
async fn under_server_side_diff_nothing_drifts_in_ten_minutes_of_work() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = Objects::new(&world.cluster, "steady").await.unwrap();
    let consent = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "zkinfer-consent", "namespace": "steady" },
        "data": { "servedBy": "[]" },
    });
    let validator = json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "Validator",
        "metadata": { "name": "zkinfer", "namespace": "zkinfer-system" }, "spec": { "maxErrorMillionths": 20_000 },
    });
    let folder = world.cluster.folder().join("repository");
    std::fs::create_dir(&folder).unwrap();
    let wine = objects.model_of("wine", "wine.onnx", 4, ProofSystem::SumcheckWhir);
    for (name, text) in [
        ("model.yaml", wine),
        ("pool.yaml", objects.pool("own", &json!({}))),
        (
            "warm.yaml",
            objects.pool("warm", &json!({ "parallelism": 1, "warm": 1 })),
        ),
        ("consent.yaml", consent.to_string()),
        ("validator.yaml", validator.to_string()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let folder = folder.display().to_string();
    let definitions = repository().join("crds/yaml").display().to_string();
    let by = [
        "--server-side",
        "--field-manager=repository",
        "-f",
        &folder,
        "-f",
        &definitions,
    ];
    // What the installation has applied before is taken over once, as by whoever changes to GitOps.
    let apply = ["apply", "--force-conflicts"];
    world.cluster.kubectl(&[&apply[..], &by].concat()).await.unwrap();
    objects.until("wine", LONG, model_ready).await.unwrap();
    objects.until("own", LONG, pool_ready).await.unwrap();
    let (began, mut asked) = (Instant::now(), 0u32);
    while began.elapsed() < DRIFT {
        let name = format!("r-{asked}");
        let request = objects.wine_request(&name, "wine", &json!({}));
        world.cluster.apply(&request).await.unwrap();
        let diff = world.cluster.kubectl(&[&["diff"][..], &by].concat()).await;
        assert!(diff.is_ok(), "while {name} is at work: {}", diff.unwrap_err());
        let over = objects.over(&name, LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{over:?}");
        let diff = world.cluster.kubectl(&[&["diff"][..], &by].concat()).await;
        assert!(diff.is_ok(), "after {name}: {}", diff.unwrap_err());
        asked += 1;
    }
    measured(format_args!(
        "nothing drifted in {:.0} s of {asked} requests",
        began.elapsed().as_secs_f64()
    ));
    assert!(asked >= 20, "{asked} requests are little work");
}
