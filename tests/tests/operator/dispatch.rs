//! Pools that share, hoard, hand back, crash or cannot be scheduled, and one that asks itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, RequestPhase, find_condition, is_true};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::measured;
use zkinfer_tests::operator::{Objects, model_ready, phase, pool_ready};

use crate::world::{LONG, World, digits_request, worker};

/// How much longer a request may take because of a pool that does not do its part.
const DELAY: Duration = Duration::from_secs(2);

fn warm(more: Value) -> Value {
    let mut spec = json!({ "warm": 1, "parallelism": 1, "resources": { "cpu": "1", "memory": "1Gi" } });
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    spec
}

async fn with_pools(world: &World, objects: &Objects, pools: &[&str]) {
    for name in pools {
        let yaml = objects.pool(name, &warm(json!({})));
        world.cluster.apply(&yaml).await.unwrap();
    }
    for name in pools {
        objects.until(name, LONG, pool_ready).await.unwrap();
        worker(world, objects, name).await;
    }
}

/// Verified slices by pool of a namespace, as the ledger has it.
fn proved(world: &World, namespace: &str) -> BTreeMap<String, u32> {
    let mut proved = BTreeMap::new();
    let ledger = world.cluster.folder().join("artifacts/ledger");
    for file in std::fs::read_dir(ledger).into_iter().flatten().flatten() {
        let json = std::fs::read(file.path()).unwrap_or_default();
        let Ok(entry) = serde_json::from_slice::<Value>(&json) else {
            continue;
        };
        let pool = entry["pool"].as_str().unwrap_or_default();
        if entry["verified"] == true && pool.split('/').next() == Some(namespace) {
            *proved.entry(pool.to_owned()).or_default() += 1;
        }
    }
    proved
}

/// A slice takes a fraction of a millisecond, so that whose worker comes first is a matter of chance: of 600 slices a fair share is 30 %
/// off once in thousands of times, of 240 once in ten.
const ASKED: u32 = 150;

#[tokio::test]
async fn five_warm_pools_share_what_is_asked() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_digits("shared-work", ProofSystem::SumcheckWhir).await;
    let pools = ["alpha", "beta", "p1", "p2", "p3"];
    with_pools(world, &objects, &pools).await;
    let all: Vec<String> = (0..ASKED)
        .map(|n| digits_request(&format!("r-{n}"), "shared-work"))
        .collect();
    world.cluster.apply(&all.join("\n---\n")).await.unwrap();
    for n in 0..ASKED {
        let over = objects.over(&format!("r-{n}"), LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    }
    let proved = wait_for("the ledger", LONG, async || {
        let proved = proved(world, "shared-work");
        let all: u32 = proved.values().sum();
        if all >= 4 * ASKED {
            Ok(proved)
        } else {
            Err(format!("{all} of {}", 4 * ASKED))
        }
    })
    .await
    .unwrap();
    measured(format_args!(
        "slices of {ASKED} requests by five equal pools: {proved:?}"
    ));
    let share = proved.values().sum::<u32>() / 5;
    assert_eq!(proved.len(), 5, "{proved:?}");
    let near = share * 7 / 10..=share * 13 / 10;
    assert!(proved.values().all(|n| near.contains(n)), "{proved:?}");
}

/// How long requests take, one after the other.
async fn times(world: &World, objects: &Objects, prefix: &str, requests: u32) -> Vec<Duration> {
    let mut times = Vec::new();
    for n in 0..requests {
        let name = format!("{prefix}-{n}");
        let request = objects.wine_request(&name, "wine", &json!({}));
        let began = Instant::now();
        world.cluster.apply(&request).await.unwrap();
        let over = objects.over(&name, LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
        times.push(began.elapsed());
    }
    times
}

/// A namespace with a small model, an honest pool, and one that this adds; then requests.
async fn beside(namespace: &str, rogue: Value, requests: u32) -> Objects {
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, namespace).await.unwrap();
    let model = objects.model_of("wine", "wine.onnx", 1, ProofSystem::SumcheckWhir);
    world.cluster.apply(&model).await.unwrap();
    objects.until("wine", LONG, model_ready).await.unwrap();
    with_pools(world, &objects, &["honest"]).await;
    let mut alone = times(world, &objects, "alone", 5).await;
    alone.sort();
    let pool = objects.pool("a-rogue", &warm(rogue));
    world.cluster.apply(&pool).await.unwrap();
    objects.until("a-rogue", LONG, pool_ready).await.unwrap();
    // Time for its workers to come.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let beside = times(world, &objects, "beside", requests).await;
    let worst = beside.iter().max().copied().unwrap_or_default();
    measured(format_args!(
        "{namespace}: a request takes {:.2} s alone, at most {:.2} s beside the pool",
        alone[2].as_secs_f64(),
        worst.as_secs_f64()
    ));
    assert!(worst <= alone[2] + DELAY, "{worst:?}, alone {:?}", alone[2]);
    objects
}

fn image(mode: &str) -> Value {
    json!({ "image": format!("zkinfer.dev/rogue-{mode}:test") })
}

#[tokio::test]
async fn a_pool_that_hoards_delays_a_request_by_two_seconds_at_most() {
    if !can_run() {
        return;
    }
    let objects = beside("hoards", image("stall"), 8).await;
    // It is held to what it claimed, although the requests are over.
    let late = |p: &MinerPool| {
        let claims = p.status.as_ref().and_then(|s| s.claims);
        claims.is_some_and(|c| c.late > 0)
    };
    objects.until("a-rogue", LONG, late).await.unwrap();
}

#[tokio::test]
async fn a_pool_that_hands_back_delays_no_request_and_is_paused() {
    if !can_run() {
        return;
    }
    let objects = beside("hands-back", image("hand-back"), 12).await;
    let paused = |p: &MinerPool| {
        let status = p.status.as_ref();
        status.is_some_and(|s| is_true(&s.conditions, "Paused"))
    };
    let pool = objects.until("a-rogue", LONG, paused).await.unwrap();
    let conditions = pool.status.unwrap().conditions;
    let said = find_condition(&conditions, "Paused").unwrap();
    assert_eq!(said.reason, "TooManyHandBacks", "{}", said.message);
    assert!(
        is_true(&conditions, "Ready"),
        "it may still be given what nobody else can take"
    );
}

#[tokio::test]
async fn a_pool_that_crashes_delays_a_request_by_two_seconds_at_most() {
    if !can_run() {
        return;
    }
    beside("crashes", image("die"), 8).await;
}

#[tokio::test]
async fn a_pool_that_cannot_be_scheduled_delays_no_request() {
    if !can_run() {
        return;
    }
    let nowhere = json!({ "warm": 0, "pod": { "nodeSelector": { "nowhere": "true" } } });
    beside("unscheduled", nowhere, 4).await;
}

#[tokio::test]
async fn forty_requests_of_ones_own_change_no_score() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "self-made").await.unwrap();
    let model = objects.model_of("wine", "wine.onnx", 1, ProofSystem::SumcheckWhir);
    world.cluster.apply(&model).await.unwrap();
    objects.until("wine", LONG, model_ready).await.unwrap();
    with_pools(world, &objects, &["farm"]).await;
    let all: Vec<String> = (0..40)
        .map(|n| objects.wine_request(&format!("r-{n}"), "wine", &json!({})))
        .collect();
    world.cluster.apply(&all.join("\n---\n")).await.unwrap();
    for n in 0..40 {
        let over: InferenceRequest = objects.over(&format!("r-{n}"), LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    }
    let counted = |p: &MinerPool| {
        let claims = p.status.as_ref().and_then(|s| s.claims);
        claims.is_some_and(|c| c.verified >= 40)
    };
    let pool = objects.until("farm", LONG, counted).await.unwrap();
    let status = pool.status.unwrap();
    assert_eq!(status.score_millionths, Some(0));
    assert_eq!(status.success_millionths, Some(1_000_000), "they are counted");
}
