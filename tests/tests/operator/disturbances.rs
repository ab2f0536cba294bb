//! Workers that die, stall, run out of memory, are evicted; pools that are drained and requests that are suspended mid-run.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::request_status::{RecentSlice, SliceVerdict};
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, RequestPhase, is_true};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::operator::{Objects, phase, pool_ready, reason};

use crate::requests::{patch, until_jobs};
use crate::world::{Claim, LONG, World, claims, digits_request, stall_at_work, worker};

async fn succeeds(objects: &Objects, name: &str) -> InferenceRequest {
    let over = objects.over(name, LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    over
}

/// One slow worker at a time, and slices that take long enough to be disturbed.
fn one_worker(more: Value) -> Value {
    let mut spec = json!({ "parallelism": 1, "resources": { "cpu": "1", "memory": "2Gi" } });
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    spec
}

async fn with_pool(world: &World, namespace: &str, pool: &str, more: Value) -> Objects {
    let objects = world.with_digits(namespace, ProofSystem::Halo2Kzg).await;
    let pool_yaml = objects.pool(pool, &one_worker(more));
    world.cluster.apply(&pool_yaml).await.unwrap();
    objects.until(pool, LONG, pool_ready).await.unwrap();
    objects
}

/// A request for the digits model; its uid.
async fn asked(world: &World, objects: &Objects) -> String {
    let request = digits_request("one", &objects.namespace);
    world.cluster.apply(&request).await.unwrap();
    let request = objects.api::<InferenceRequest>().get("one").await.unwrap();
    request.uid().unwrap()
}

/// What the ledger says of a claim, once it has ended: that of a request that is over may still be open.
async fn ledger(world: &World, claim: &Claim) -> Value {
    let path = world.cluster.folder().join("artifacts/ledger").join(&claim.id);
    let json = wait_for("the claim's end", LONG, async || std::fs::read(&path)).await;
    serde_json::from_slice(&json.unwrap()).unwrap()
}

#[tokio::test]
async fn a_worker_that_is_evicted_hands_its_slice_back_and_is_replaced_and_costs_nothing() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = with_pool(world, "evicted", "own", json!({})).await;
    let uid = asked(world, &objects).await;
    let (name, held) = stall_at_work(world, &objects, "own", &uid).await;
    world.node.evict("evicted", &name).await.unwrap();
    world.node.resume("evicted", &name).await.unwrap();
    let over = succeeds(&objects, "one").await;
    let rows = over.status.unwrap().recent_slices;
    let refused = rows.iter().filter(|r| r.verdict == SliceVerdict::Refused).count();
    let verified = rows
        .iter()
        .filter(|r| r.verdict == SliceVerdict::Verified)
        .count();
    assert!(refused > 0 && refused + verified == rows.len(), "{rows:?}");
    let entry = ledger(world, &held).await;
    assert_eq!(
        (&entry["cause"], &entry["minersFault"]),
        (&json!("Draining"), &json!(false))
    );
    let workers: BTreeSet<_> = claims(world, &uid).into_iter().map(|c| c.worker).collect();
    assert!(workers.len() > 1, "{workers:?}");
    let told = |p: &MinerPool| {
        let claims = p.status.as_ref().and_then(|s| s.claims.as_ref());
        claims.is_some_and(|c| c.verified > 0)
    };
    let pool = objects.until("own", LONG, told).await.unwrap();
    assert_eq!(pool.status.unwrap().success_millionths, Some(1_000_000));
}

#[tokio::test]
async fn slices_of_a_stalled_worker_go_to_another_pool_and_its_lease_ends_all_the_same() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = with_pool(world, "stalled", "slow", json!({ "warm": 1 })).await;
    worker(world, &objects, "slow").await;
    let uid = asked(world, &objects).await;
    let (name, held) = stall_at_work(world, &objects, "slow", &uid).await;
    let quick = objects.pool("quick", &one_worker(json!({})));
    world.cluster.apply(&quick).await.unwrap();
    let over = objects.over("one", Duration::from_secs(180)).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    assert_eq!(ledger(world, &held).await["cause"], "LeaseExpired");
    let rows = over.status.unwrap().recent_slices;
    let proved = |r: &RecentSlice| {
        (r.slice.0, r.pool.as_str(), r.verdict) == (held.slice, "stalled/quick", SliceVerdict::Verified)
    };
    assert!(rows.iter().any(proved), "{rows:?}");
    world.node.resume("stalled", &name).await.unwrap();
}

#[tokio::test]
async fn a_worker_out_of_memory_does_not_end_the_request() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = with_pool(world, "memory", "own", json!({})).await;
    let other = objects.pool("other", &one_worker(json!({})));
    world.cluster.apply(&other).await.unwrap();
    objects.until("other", LONG, pool_ready).await.unwrap();
    let uid = asked(world, &objects).await;
    let (name, held) = stall_at_work(world, &objects, "own", &uid).await;
    world.node.run_out_of_memory("memory", &name).unwrap();
    let pods = objects.api::<Pod>();
    wait_for("the pod's end", LONG, async || {
        let pod = pods.get(&name).await.map_err(|e| e.to_string())?;
        let containers = pod.status.and_then(|s| s.container_statuses).unwrap_or_default();
        let ended = containers.into_iter().find_map(|c| c.state?.terminated);
        match ended.and_then(|t| t.reason) {
            Some(reason) if reason == "OOMKilled" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    let over = succeeds(&objects, "one").await;
    let rows = over.status.unwrap().recent_slices;
    let again = rows
        .iter()
        .any(|r| r.slice.0 == held.slice && r.verdict == SliceVerdict::Verified);
    assert!(again, "{rows:?}");
    assert_ne!(ledger(world, &held).await["verified"], true);
}

#[tokio::test]
async fn a_pool_that_is_drained_mid_run_gets_no_new_slices_and_leaves_them_to_another() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = with_pool(world, "drained", "first", json!({})).await;
    let second = objects.pool("second", &one_worker(json!({ "drain": true })));
    world.cluster.apply(&second).await.unwrap();
    let draining = |p: &MinerPool| {
        let status = p.status.as_ref();
        status.is_some_and(|s| is_true(&s.conditions, "Draining"))
    };
    objects.until("second", LONG, draining).await.unwrap();
    let uid = asked(world, &objects).await;
    let (name, _) = stall_at_work(world, &objects, "first", &uid).await;
    drain(&objects, "first", true).await;
    objects.until("first", LONG, draining).await.unwrap();
    let held = claims(world, &uid).len();
    assert!(held < 4, "slices are left");
    let waits = |r: &InferenceRequest| reason(r, "Ready").as_deref() == Some("NoFittingPool");
    objects.until("one", LONG, waits).await.unwrap();

    // What the worker holds it ends; then it is sent home, although three slices are left and nobody else is there.
    world.node.resume("drained", &name).await.unwrap();
    wait_for("the worker's end", LONG, async || {
        let running = world.node.running().iter().any(|r| r.name == name);
        if running { Err("it runs") } else { Ok(()) }
    })
    .await
    .unwrap();
    let ended = |r: &InferenceRequest| {
        let slices = r.status.as_ref().and_then(|s| s.slices);
        slices.is_some_and(|s| s.verified as usize == held)
    };
    let request = objects.until("one", LONG, ended).await.unwrap();
    assert_eq!(phase(&request), Some(RequestPhase::Proving));
    assert!(waits(&request), "{:?}", request.status);
    assert_eq!(claims(world, &uid).len(), held, "none was given after the drain");

    drain(&objects, "second", false).await;
    let over = succeeds(&objects, "one").await;
    let rows = over.status.unwrap().recent_slices;
    let by = |pool: &str| rows.iter().filter(|r| r.pool == pool).count();
    assert_eq!(
        (by("drained/first"), by("drained/second")),
        (held, 4 - held),
        "{rows:?}"
    );
}

#[tokio::test]
async fn suspending_a_request_mid_run_removes_its_workers() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = with_pool(world, "suspend-late", "own", json!({})).await;
    let uid = asked(world, &objects).await;
    // Stopped, so that the request is not over before it is suspended.
    stall_at_work(world, &objects, "own", &uid).await;
    patch(&objects, "one", &json!({ "suspend": true })).await;
    until_jobs(&objects.api::<Job>(), 0).await;
    patch(&objects, "one", &json!({ "suspend": false })).await;
    let over = objects.over("one", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    let status = over.status.unwrap();
    assert_eq!(status.observed_generation, Some(3));
    let old: Vec<_> = status
        .conditions
        .iter()
        .filter(|c| c.observed_generation != Some(3))
        .collect();
    assert!(old.is_empty(), "{old:?}");
}

async fn drain(objects: &Objects, pool: &str, drain: bool) {
    let patch = Patch::Merge(json!({ "spec": { "drain": drain } }));
    let api = objects.api::<MinerPool>();
    api.patch(pool, &PatchParams::default(), &patch).await.unwrap();
}
