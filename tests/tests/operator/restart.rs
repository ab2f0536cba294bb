//! The operator is killed and started again: at twenty moments of a run, after which every run ends well and nothing is
//! scored twice; and while something else goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::files::until_no_files;
use zkinfer_tests::operator::{model_ready, phase, pool_ready, reason};

use crate::world::{LONG, World, digits_request};

const MOMENTS: u32 = 20;
const CALM: u32 = 3;

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
    // In the first run the workers fetch what the others find.
    let mut run = Duration::MAX;
    for calm in 0..CALM {
        let name = format!("calm-{calm}");
        world.cluster.apply(&request(&name)).await.unwrap();
        let began = Instant::now();
        objects.over(&name, LONG).await.unwrap();
        run = run.min(began.elapsed());
    }
    let mut in_time = 0;
    for moment in 0..MOMENTS {
        let name = format!("killed-{moment}");
        world.cluster.apply(&request(&name)).await.unwrap();
        tokio::time::sleep(run * moment / MOMENTS).await;
        world.operator.kill().await.unwrap();
        let killed = objects.api::<InferenceRequest>().get(&name).await.unwrap();
        if phase(&killed).is_some_and(RequestPhase::is_over) {
            // Runs are shorter than they were; the later moments shall be within them.
            run = run * 4 / 5;
        } else {
            in_time += 1;
        }
        world.operator.start_again().unwrap();
        let over = objects.over(&name, LONG).await.unwrap();
        assert_eq!(
            phase(&over),
            Some(RequestPhase::Succeeded),
            "moment {moment}: {:?}",
            over.status
        );
    }
    assert!(
        in_time >= 15,
        "only {in_time} of {MOMENTS} kills came before the end"
    );
    let mut verified: BTreeMap<(String, u64), u32> = BTreeMap::new();
    let mut ledger = 0u64;
    for entry in std::fs::read_dir(world.cluster.folder().join("artifacts/ledger")).unwrap() {
        let path = entry.unwrap().path();
        // Half of an entry, of an operator that was killed in the middle of it, counts for nothing.
        if path.to_string_lossy().contains('#') {
            continue;
        }
        let entry: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
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
        (MOMENTS + CALM) * 4,
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

#[tokio::test]
async fn requests_that_get_no_run_for_now_do_not_shut_the_gateway_after_a_restart() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let objects = world.with_model("rest").await;
    let gone = objects.model("gone", "wine.onnx", 4);
    // No node fits it, so that everything stays at work.
    let nobody = json!({ "pod": { "nodeSelector": { "there": "is-none" } } });
    for object in [
        gone,
        objects.pool("nobody", &nobody),
        objects.wine_request("suspended", "wine", &json!({})),
        objects.wine_request("without-model", "gone", &json!({})),
    ] {
        world.cluster.apply(&object).await.unwrap();
    }
    objects.until("gone", LONG, model_ready).await.unwrap();
    let proving = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Proving);
    for name in ["suspended", "without-model"] {
        objects.until(name, LONG, proving).await.unwrap();
    }
    let suspend = Patch::Merge(json!({ "spec": { "suspend": true } }));
    let requests = objects.api::<InferenceRequest>();
    let params = PatchParams::default();
    requests.patch("suspended", &params, &suspend).await.unwrap();
    let models = objects.api::<Model>();
    models.delete("gone", &DeleteParams::default()).await.unwrap();
    let waits = |r: &InferenceRequest| reason(r, "Ready").as_deref() == Some("Suspended");
    objects.until("suspended", LONG, waits).await.unwrap();

    world.operator.kill().await.unwrap();
    let began = Instant::now();
    world.operator.start_again().unwrap();
    let ready = format!("{}/readyz", world.operator.health);
    wait_for("the gateway", LONG, async || match reqwest::get(&ready).await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "shut for {took:?}");
    // It goes on as soon as it may.
    let resume = Patch::Merge(json!({ "spec": { "suspend": false } }));
    requests.patch("suspended", &params, &resume).await.unwrap();
    let own = objects.pool("own", &json!({}));
    world.cluster.apply(&own).await.unwrap();
    let over = objects.over("suspended", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
}

#[tokio::test]
async fn what_was_deleted_while_the_operator_was_away_is_swept() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let objects = world.with_pool("swept").await;
    let request = objects.wine_request("one", "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    let over = objects.over("one", LONG).await.unwrap();
    let models = objects.api::<Model>();
    let model = models.get("wine").await.unwrap();
    let artifacts = world.cluster.folder().join("artifacts");
    let kept = [
        artifacts.join("requests").join(over.uid().unwrap()),
        artifacts.join("models").join(model.uid().unwrap()),
    ];
    assert!(kept.iter().all(|path| path.exists()), "{kept:?}");
    let receipt = over.status.unwrap().receipt.unwrap().digest;

    world.operator.kill().await.unwrap();
    let requests = objects.api::<InferenceRequest>();
    requests.delete("one", &DeleteParams::default()).await.unwrap();
    models.delete("wine", &DeleteParams::default()).await.unwrap();
    world.operator.start_again().unwrap();
    until_no_files("the sweep", LONG, &kept).await.unwrap();
    assert!(artifacts.join("receipts").join(receipt.hex()).is_file());
}
