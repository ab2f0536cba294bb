//! From apply to a verified answer, and the other ends of a request.

use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase, find_condition, is_true};
use zkinfer_crds::slice_files::Measure;
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::files::until_no_files;
use zkinfer_tests::local::{model_file, program, run};
use zkinfer_tests::operator::{Objects, phase, pool_ready, reason};

use crate::world::{LONG, World};

#[tokio::test]
async fn a_request_is_proved_by_jobs_of_two_pools_and_a_stranger_verifies_its_receipt() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("proved").await;
    let miner = Objects::new(&world.cluster, "proved-miner").await.unwrap();
    let consent = json!({ "spec": { "servedBy": [{ "namespace": "proved-miner" }] } });
    let api = objects.api::<Model>();
    api.patch("wine", &PatchParams::default(), &Patch::Merge(consent))
        .await
        .unwrap();
    for pool in [
        objects.pool("near", &json!({})),
        miner.pool("far", &json!({ "allowedNamespaces": ["proved"] })),
    ] {
        world.cluster.apply(&pool).await.unwrap();
    }
    objects.until("near", LONG, pool_ready).await.unwrap();
    miner.until("far", LONG, pool_ready).await.unwrap();
    world
        .cluster
        .apply(&objects.wine_request("one", "wine", &json!({ "redundancy": 2 })))
        .await
        .unwrap();
    let request = objects.over("one", LONG).await.unwrap();
    let status = request.status.clone().unwrap();
    assert_eq!(phase(&request), Some(RequestPhase::Succeeded), "{status:?}");
    for condition in ["Ready", "Accepted", "Planned", "Verified", "Complete"] {
        assert!(is_true(&status.conditions, condition), "{condition}: {status:?}");
    }
    assert!(status.conditions.iter().all(|c| c.observed_generation == Some(1)));
    let slices = status.slices.unwrap();
    assert!(slices.total >= 2 && slices.verified == slices.total);
    let pools: std::collections::BTreeSet<_> = status.recent_slices.iter().map(|r| r.pool.as_str()).collect();
    assert_eq!(
        pools,
        ["proved-miner/far", "proved/near"].into(),
        "both pools proved slices"
    );
    // The Jobs are in their pools' namespaces, and owned there.
    for (of, pool) in [(&objects, "near"), (&miner, "far")] {
        let jobs = of.api::<Job>().list(&ListParams::default()).await.unwrap();
        assert_eq!(jobs.items.len(), 1);
        let owner = &jobs.items[0].owner_references()[0];
        assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("MinerPool", pool));
    }
    // Told by events, without logs.
    let events = world
        .cluster
        .kubectl(&["events", "-n", "proved", "--for", "inferencerequest/one"])
        .await
        .unwrap();
    assert!(events.contains("ReceiptWritten"), "{events}");

    a_stranger_verifies(world, "proved", &["--allow-dev-srs"]);
}

#[tokio::test]
async fn a_model_without_a_trusted_setup_is_proved_and_its_receipt_verified_without_a_flag() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "transparent").await.unwrap();
    let model = objects.model_of("wine", "wine.onnx", 2, ProofSystem::SumcheckWhir);
    for object in [
        model,
        objects.pool("pool", &json!({})),
        objects.wine_request("one", "wine", &json!({})),
    ] {
        world.cluster.apply(&object).await.unwrap();
    }
    let request = objects.over("one", LONG).await.unwrap();
    assert_eq!(
        phase(&request),
        Some(RequestPhase::Succeeded),
        "{:?}",
        request.status
    );
    let model: Model = objects.api().get("wine").await.unwrap();
    let status = model.status.unwrap();
    let trusted = find_condition(&status.conditions, "TrustedSetup").unwrap();
    assert_eq!(
        (trusted.status.as_str(), trusted.reason.as_str()),
        ("True", "NotRequired")
    );
    assert_eq!(status.srs_digest, None);
    assert!(
        status
            .slices
            .iter()
            .all(|s| s.measures.get(Measure::Cells).is_some() && s.files.is_empty())
    );

    let told = a_stranger_verifies(world, "transparent", &[]);
    assert!(!told.contains("FORGEABLE"), "{told}");
}

/// Fetches the receipt of the namespace's request `one` of the wine model, and verifies it with the model and with the
/// manifest's files; what was said.
fn a_stranger_verifies(world: &World, namespace: &str, flags: &[&str]) -> String {
    let out = world.cluster.folder().join(format!("{namespace}.cbor"));
    let files = world.cluster.folder().join(format!("{namespace}.files"));
    let fetched = run(Command::new(program("operator"))
        .env("KUBECONFIG", world.cluster.kubeconfig())
        .args(["receipt", "one", "-n", namespace, "--gateway"])
        .arg(&world.operator.gateway)
        .arg("-o")
        .arg(&out)
        .arg("--files")
        .arg(&files));
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    let mut told = String::new();
    for how in [
        ["--model".into(), model_file("wine.onnx")],
        ["--manifest".into(), files.join("manifest.cbor")],
    ] {
        let verified = run(Command::new(program("prover-worker"))
            .arg("verify")
            .arg(&out)
            .args(how)
            .args(flags));
        assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
        told += &verified.stdout;
    }
    told
}

#[tokio::test]
async fn a_second_request_reuses_the_keys_and_warm_workers_need_no_job() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("warm").await;
    world
        .cluster
        .apply(&objects.pool("warm", &json!({ "warm": 2 })))
        .await
        .unwrap();
    objects.until("warm", LONG, pool_ready).await.unwrap();
    world
        .cluster
        .kubectl(&[
            "rollout",
            "status",
            "-n",
            "warm",
            "deployment/zkinfer-miner-warm",
            "--timeout=60s",
        ])
        .await
        .unwrap();
    // The operator may learn of it a moment after kubectl.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for name in ["first", "second"] {
        world
            .cluster
            .apply(&objects.wine_request(name, "wine", &json!({})))
            .await
            .unwrap();
        let request = objects.over(name, LONG).await.unwrap();
        assert_eq!(
            phase(&request),
            Some(RequestPhase::Succeeded),
            "{:?}",
            request.status
        );
    }
    let jobs = objects.api::<Job>().list(&ListParams::default()).await.unwrap();
    assert!(
        jobs.items.is_empty(),
        "{:?}",
        jobs.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    );
    let compilers = kube::Api::<Job>::namespaced(objects.client.clone(), "zkinfer-system")
        .list(&ListParams::default())
        .await
        .unwrap();
    let of_this = compilers
        .items
        .iter()
        .filter(|j| j.annotations().values().any(|v| v == "warm/wine"));
    assert!(of_this.count() <= 1, "compiled at most once");
}

#[tokio::test]
async fn a_request_waits_for_its_model_and_its_pool_in_any_order() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "any-order").await.unwrap();
    world
        .cluster
        .apply(&objects.wine_request("early", "wine", &json!({})))
        .await
        .unwrap();
    let waits = |why: &'static str| move |r: &InferenceRequest| reason(r, "Ready").as_deref() == Some(why);
    let early = objects
        .until("early", LONG, waits("ModelNotFound"))
        .await
        .unwrap();
    assert_eq!(phase(&early), Some(RequestPhase::Pending));
    assert_eq!(early.status.unwrap().observed_generation, Some(1));
    world
        .cluster
        .apply(&objects.model("wine", "wine.onnx", 4))
        .await
        .unwrap();
    objects
        .until("early", LONG, waits("NoFittingPool"))
        .await
        .unwrap();
    world
        .cluster
        .apply(&objects.pool("late", &json!({})))
        .await
        .unwrap();
    let done = objects.over("early", LONG).await.unwrap();
    assert_eq!(phase(&done), Some(RequestPhase::Succeeded), "{:?}", done.status);
}

/// A pool that no node can serve: its slices are queued and nobody comes.
fn nobody(objects: &Objects) -> String {
    objects.pool(
        "nobody",
        &json!({ "pod": { "nodeSelector": { "there": "is-none" } } }),
    )
}

#[tokio::test]
async fn cancel_ends_a_request_and_removes_its_jobs() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("cancel").await;
    world.cluster.apply(&nobody(&objects)).await.unwrap();
    world
        .cluster
        .apply(&objects.wine_request("long", "wine", &json!({})))
        .await
        .unwrap();
    let proving = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Proving);
    objects.until("long", LONG, proving).await.unwrap();
    let jobs = objects.api::<Job>();
    until_jobs(&jobs, 1).await;
    patch(&objects, "long", &json!({ "cancel": true })).await;
    let over = objects.over("long", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Cancelled));
    assert_eq!(reason(&over, "Failed").as_deref(), Some("Cancelled"));
    until_jobs(&jobs, 0).await;
}

#[tokio::test]
async fn a_suspended_request_gets_no_workers_until_it_is_resumed() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_pool("suspend").await;
    let suspended = objects.wine_request("later", "wine", &json!({ "suspend": true }));
    world.cluster.apply(&suspended).await.unwrap();
    let waits = |r: &InferenceRequest| reason(r, "Ready").as_deref() == Some("Suspended");
    objects.until("later", LONG, waits).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let jobs = objects.api::<Job>();
    assert!(jobs.list(&ListParams::default()).await.unwrap().items.is_empty());
    patch(&objects, "later", &json!({ "suspend": false })).await;
    let over = objects.over("later", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    assert_eq!(over.status.unwrap().observed_generation, Some(2));
}

#[tokio::test]
async fn a_deadline_ends_a_request_that_nobody_proves() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("deadline").await;
    world.cluster.apply(&nobody(&objects)).await.unwrap();
    let request = objects.wine_request("short", "wine", &json!({ "deadline": "3s" }));
    world.cluster.apply(&request).await.unwrap();
    let over = objects.over("short", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Failed));
    assert_eq!(reason(&over, "Failed").as_deref(), Some("DeadlineExceeded"));
    let status = over.status.unwrap();
    let took =
        status.finished_at.unwrap().0.as_second() - over.metadata.creation_timestamp.unwrap().0.as_second();
    assert!((3..=5).contains(&took), "{took} s");
}

#[tokio::test]
async fn a_request_is_deleted_when_its_time_after_the_end_is_over() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_pool("ttl").await;
    let request = objects.wine_request("gone", "wine", &json!({ "ttlSecondsAfterFinished": 2 }));
    world.cluster.apply(&request).await.unwrap();
    let over = objects.over("gone", LONG).await.unwrap();
    let receipt = over.status.unwrap().receipt.unwrap();
    let api = objects.api::<InferenceRequest>();
    wait_for("the request's end", LONG, async || {
        match api.get_opt("gone").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    let kept = world
        .cluster
        .folder()
        .join("artifacts/receipts")
        .join(receipt.digest.hex());
    assert!(kept.is_file(), "the receipt stays");
}

#[tokio::test]
async fn deleting_a_request_removes_its_jobs_and_artifacts_and_not_its_receipt() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_pool("delete").await;
    world
        .cluster
        .apply(&objects.wine_request("one", "wine", &json!({})))
        .await
        .unwrap();
    let over = objects.over("one", LONG).await.unwrap();
    let uid = over.uid().unwrap();
    let receipt = over.status.unwrap().receipt.unwrap();
    let artifacts = world.cluster.folder().join("artifacts");
    assert!(artifacts.join("requests").join(&uid).is_dir());
    let api = objects.api::<InferenceRequest>();
    api.delete("one", &DeleteParams::default()).await.unwrap();
    until_jobs(&objects.api::<Job>(), 0).await;
    let files = artifacts.join("requests").join(&uid);
    until_no_files("the artifacts' end", LONG, &[files])
        .await
        .unwrap();
    assert!(artifacts.join("receipts").join(receipt.digest.hex()).is_file());
}

#[tokio::test]
async fn what_a_pool_owns_goes_with_it() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_pool("owned").await;
    let accounts = objects.api::<ServiceAccount>();
    assert!(accounts.get_opt("zkinfer-miner-own").await.unwrap().is_some());
    objects
        .api::<MinerPool>()
        .delete("own", &DeleteParams::default())
        .await
        .unwrap();
    wait_for("the account's end", LONG, async || {
        match accounts.get_opt("zkinfer-miner-own").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_input_out_of_range_fails_by_name_before_anything_is_queued() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_pool("range").await;
    let far = json!({ "input": { "inline": { "features": { "shape": [1, 13], "data": vec![1e6; 13] } } } });
    world
        .cluster
        .apply(&objects.wine_request("far", "wine", &far))
        .await
        .unwrap();
    let over = objects.over("far", LONG).await.unwrap();
    assert_eq!(
        reason(&over, "Failed").as_deref(),
        Some("OutOfCalibratedRange"),
        "{:?}",
        over.status
    );
    assert!(
        objects
            .api::<Job>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let wrong = json!({ "input": { "inline": { "other": { "shape": [1], "data": [0.0] } } } });
    world
        .cluster
        .apply(&objects.wine_request("wrong", "wine", &wrong))
        .await
        .unwrap();
    let over = objects.over("wrong", LONG).await.unwrap();
    assert_eq!(reason(&over, "Failed").as_deref(), Some("InvalidInput"));
}

/// Merges into a request's spec.
pub async fn patch(objects: &Objects, name: &str, spec: &serde_json::Value) {
    let api = objects.api::<InferenceRequest>();
    api.patch(
        name,
        &PatchParams::default(),
        &Patch::Merge(json!({ "spec": spec })),
    )
    .await
    .unwrap();
}

pub async fn until_jobs(jobs: &kube::Api<Job>, count: usize) {
    wait_for(&format!("{count} Jobs"), LONG, async || {
        let there = jobs
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        if there.items.len() == count {
            Ok(())
        } else {
            Err(format!("{} Jobs", there.items.len()))
        }
    })
    .await
    .unwrap();
}
