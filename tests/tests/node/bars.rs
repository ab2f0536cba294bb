//! How long an answer takes on a node: the bars of a cluster with two cores that has nothing else to do.
//!
//! Every run is within the bar, not the run in the middle only; what was measured is said also where all is well.

use std::collections::BTreeMap;
use std::time::Instant;

use kube::api::{Api, PostParams};
use zkinfer_crds::k8s::InferenceRequest;
use zkinfer_tests::measured;

use crate::world::{LONG, World, file, request};

/// Seconds from apply to Succeeded where every pod has yet to be started.
const COLD: f64 = 8.0;
/// Seconds that warm workers' answer takes beyond what the busiest of them has its slices in hand.
const BEYOND_PROVING: f64 = 0.5;

#[tokio::test]
async fn cold_pods_and_warm_workers_answer_within_their_bars() {
    let Some(world) = World::new().await else { return };
    world.install().await;
    for name in ["model.yaml", "pools.yaml"] {
        world
            .kubectl(&format!("apply -f {}", file(name).display()))
            .await
            .unwrap();
    }
    let limit = LONG.as_secs();
    let ready = format!("wait --for=condition=Ready model/digits --timeout={limit}s");
    world.kubectl(&ready).await.unwrap();
    let cold = cold(&world).await;
    let warm = warm(&world).await;
    measured(format_args!("cold pods, apply to Succeeded: {}", seconds(&cold)));
    measured(format_args!(
        "warm workers, create to Succeeded beyond proving: {}",
        seconds(&warm)
    ));
    assert!(cold.iter().all(|s| *s < COLD), "{}", seconds(&cold));
    assert!(warm.iter().all(|s| *s < BEYOND_PROVING), "{}", seconds(&warm));
}

/// Three times, each with pods of its own.
async fn cold(world: &World) -> Vec<f64> {
    let mut all = Vec::new();
    for name in ["cold-1", "cold-2", "cold-3"] {
        let began = Instant::now();
        world.cluster.apply(&request(name)).await.unwrap();
        world.until_succeeded(name).await;
        all.push(began.elapsed().as_secs_f64());
        world
            .kubectl(&format!("delete inferencerequest {name}"))
            .await
            .unwrap();
        world.until_none("pods", "zkinfer.dev/request-uid").await;
    }
    all
}

/// Eight times with workers that run already, each request once the one before is over.
async fn warm(world: &World) -> Vec<f64> {
    let pools = std::fs::read_to_string(file("pools.yaml")).unwrap();
    let warm = pools.replace("  parallelism: 2\n", "  parallelism: 1\n  warm: 1\n");
    world.cluster.apply(&warm).await.unwrap();
    for (namespace, pool) in [("miner-alpha", "alpha"), ("miner-beta", "beta")] {
        let up = format!(
            "-n {namespace} wait --for=condition=Available deployment -l zkinfer.dev/pool={pool} --timeout={}s",
            LONG.as_secs()
        );
        zkinfer_tests::cluster::wait_for("warm workers", LONG, async || world.kubectl(&up).await)
            .await
            .unwrap();
    }
    let api: Api<InferenceRequest> = Api::namespaced(world.client.clone(), "default");
    // A Deployment is available when its containers run, and a worker is warm when it has asked for work: one that has
    // answered has.
    world.cluster.apply(&request("first")).await.unwrap();
    world.until_succeeded("first").await;
    let mut all = Vec::new();
    for n in 0..8 {
        let name = format!("warm-{n}");
        let object: InferenceRequest = serde_yaml::from_str(&request(&name)).unwrap();
        let began = Instant::now();
        api.create(&PostParams::default(), &object).await.unwrap();
        let request = world.until_succeeded(&name).await;
        let took = began.elapsed().as_secs_f64();
        let proving = proving(&request);
        measured(format_args!(
            "{name}: {took:.3} s, of which proving {proving:.3} s"
        ));
        all.push(took - proving);
    }
    let jobs = world
        .kubectl("get jobs -A -l app.kubernetes.io/component=worker -o name")
        .await;
    assert_eq!(
        jobs.unwrap().trim(),
        "",
        "warm workers leave no Job anything to do"
    );
    all
}

/// Seconds that the busiest worker had its slices in hand; each pool has one worker. By the gateway's clock, from claim to
/// proof: to fetch what is not in the worker's cache and to upload the proof is part of it, to wait for a claim and to verify
/// is not.
fn proving(request: &InferenceRequest) -> f64 {
    let mut by_pool: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &request.status.as_ref().unwrap().recent_slices {
        *by_pool.entry(&row.pool).or_default() += row.millis;
    }
    by_pool.values().max().copied().unwrap_or(0) as f64 / 1e3
}

fn seconds(all: &[f64]) -> String {
    let all: Vec<String> = all.iter().map(|s| format!("{s:.3} s")).collect();
    all.join(", ")
}
