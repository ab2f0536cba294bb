//! Workers that die, stall, run out of memory, are evicted; pools that are drained mid-run.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;
use zkinfer_crds::k8s::request_status::SliceVerdict;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, RequestPhase};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::operator::{Objects, phase, pool_ready};

use crate::world::{LONG, World, worker};

async fn succeeds(objects: &Objects, name: &str) -> InferenceRequest {
    let over = objects.over(name, LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    over
}

#[tokio::test]
async fn a_worker_that_is_evicted_is_replaced_and_costs_nothing() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_pool("evicted").await;
    let suspended = json!({ "suspend": false });
    world
        .cluster
        .apply(&objects.wine_request("one", "wine", &suspended))
        .await
        .unwrap();
    let name = worker(world, &objects, "own").await;
    // It may have finished by then, which is as good.
    let _ = world.node.evict("evicted", &name).await;
    let over = succeeds(&objects, "one").await;
    let rows = over.status.unwrap().recent_slices;
    assert!(
        rows.iter()
            .all(|r| matches!(r.verdict, SliceVerdict::Verified | SliceVerdict::Refused)),
        "{rows:?}"
    );
    let told = |p: &MinerPool| {
        let claims = p.status.as_ref().and_then(|s| s.claims.as_ref());
        claims.is_some_and(|c| c.verified > 0)
    };
    let pool = objects.until("own", LONG, told).await.unwrap();
    assert_eq!(pool.status.unwrap().success_millionths, Some(1_000_000));
}

#[tokio::test]
async fn slices_of_a_stalled_worker_go_to_another_pool_when_its_leases_end() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("stalled").await;
    world
        .cluster
        .apply(&objects.pool("slow", &json!({ "warm": 2 })))
        .await
        .unwrap();
    objects.until("slow", LONG, pool_ready).await.unwrap();
    let stalled = worker(world, &objects, "slow").await;
    // A worker that has claimed and then never moves: stopped before there is work, it claims nothing; so it is stopped
    // as soon as the request is there.
    world
        .cluster
        .apply(&objects.wine_request("one", "wine", &json!({})))
        .await
        .unwrap();
    world.node.stall("stalled", &stalled).unwrap();
    world
        .cluster
        .apply(&objects.pool("quick", &json!({})))
        .await
        .unwrap();
    let over = objects.over("one", Duration::from_secs(120)).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    let _ = world.node.resume("stalled", &stalled);
}

#[tokio::test]
async fn a_worker_out_of_memory_does_not_end_the_request() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_pool("memory").await;
    world
        .cluster
        .apply(&objects.pool("other", &json!({})))
        .await
        .unwrap();
    objects.until("other", LONG, pool_ready).await.unwrap();
    world
        .cluster
        .apply(&objects.wine_request("one", "wine", &json!({})))
        .await
        .unwrap();
    let name = worker(world, &objects, "own").await;
    let _ = world.node.run_out_of_memory("memory", &name);
    succeeds(&objects, "one").await;
}

#[tokio::test]
async fn a_pool_that_is_drained_mid_run_leaves_its_slices_to_another() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("drained").await;
    let nowhere = json!({ "pod": { "nodeSelector": { "there": "is-none" } } });
    world
        .cluster
        .apply(&objects.pool("first", &nowhere))
        .await
        .unwrap();
    objects.until("first", LONG, pool_ready).await.unwrap();
    world
        .cluster
        .apply(&objects.wine_request("one", "wine", &json!({})))
        .await
        .unwrap();
    let proving = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Proving);
    objects.until("one", LONG, proving).await.unwrap();
    let drain = Patch::Merge(json!({ "spec": { "drain": true } }));
    objects
        .api::<MinerPool>()
        .patch("first", &PatchParams::default(), &drain)
        .await
        .unwrap();
    objects
        .until("first", LONG, |p: &MinerPool| !pool_ready(p))
        .await
        .unwrap();
    world
        .cluster
        .apply(&objects.pool("second", &json!({})))
        .await
        .unwrap();
    let over = succeeds(&objects, "one").await;
    let rows = over.status.unwrap().recent_slices;
    assert!(rows.iter().all(|r| r.pool == "drained/second"), "{rows:?}");
}
