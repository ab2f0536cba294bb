//! The operator is killed at twenty moments of a run and started again: every run ends well, nothing is scored twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{MinerPool, RequestPhase};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::operator::{phase, pool_ready};

use crate::world::{LONG, World, digits_request};

const MOMENTS: u32 = 20;

#[tokio::test]
async fn runs_survive_kills_of_the_operator_at_twenty_moments() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    // These slices take long enough to be killed in the middle of.
    let objects = world.with_digits("restart", ProofSystem::Halo2Kzg).await;
    for pool in ["alpha", "beta"] {
        let spec = json!({ "warm": 1, "resources": { "cpu": "1", "memory": "2Gi" } });
        world.cluster.apply(&objects.pool(pool, &spec)).await.unwrap();
        objects.until(pool, LONG, pool_ready).await.unwrap();
    }
    let request = |name: &str| digits_request(name, "restart");
    world.cluster.apply(&request("calm")).await.unwrap();
    let began = Instant::now();
    objects.over("calm", LONG).await.unwrap();
    let run = began.elapsed();
    for moment in 0..MOMENTS {
        let name = format!("killed-{moment}");
        world.cluster.apply(&request(&name)).await.unwrap();
        tokio::time::sleep(run * moment / MOMENTS).await;
        world.operator.kill().await.unwrap();
        world.operator.start_again().unwrap();
        let over = objects.over(&name, LONG).await.unwrap();
        assert_eq!(
            phase(&over),
            Some(RequestPhase::Succeeded),
            "moment {moment}: {:?}",
            over.status
        );
    }
    let mut verified: BTreeMap<(String, u64), u32> = BTreeMap::new();
    let mut ledger = 0u64;
    for entry in std::fs::read_dir(world.cluster.folder().join("artifacts/ledger")).unwrap() {
        let entry: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        assert_ne!(
            entry["minersFault"], true,
            "nobody is to blame for a kill: {entry}"
        );
        if entry["verified"] == true {
            ledger += 1;
            let key = (
                entry["request"].as_str().unwrap().to_owned(),
                entry["slice"].as_u64().unwrap(),
            );
            *verified.entry(key).or_default() += 1;
        }
    }
    assert_eq!(
        verified.len() as u32,
        (MOMENTS + 1) * 4,
        "every slice of every run is in the ledger"
    );
    assert!(verified.values().all(|&n| n == 1), "none twice: {verified:?}");
    let sum = async || {
        let mut sum = 0;
        for pool in ["alpha", "beta"] {
            let all = |p: &MinerPool| p.status.as_ref().is_some_and(|s| s.claims.is_some());
            let pool = objects.until(pool, LONG, all).await.unwrap();
            sum += pool.status.unwrap().claims.unwrap().verified;
        }
        sum
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while sum().await != ledger && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(sum().await, ledger, "the pools' status counts each once");
    assert_eq!(
        world.operator.stop().await.unwrap(),
        Some(0),
        "told to stop, it stops"
    );
}
