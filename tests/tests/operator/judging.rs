//! What succeeds is right: the float reference away and back, Models of another version, identities without a proof.

use std::process::Command;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase, find_condition, is_true};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::local::{model_file, program, run};
use zkinfer_tests::operator::{Objects, SYSTEM, WINE, model_ready, phase, pool_ready, reason};

use crate::world::{LONG, World};

#[tokio::test]
async fn a_request_waits_while_the_float_reference_is_away_and_then_has_its_command() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let objects = world.with_pool("judged").await;
    world.operator.kill_reference().await.unwrap();
    let request = objects.wine_request("one", "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    let waits = |r: &InferenceRequest| reason(r, "Ready").as_deref() == Some("ReferenceUnavailable");
    let waiting = objects.until("one", LONG, waits).await.unwrap();
    assert_eq!(phase(&waiting), Some(RequestPhase::Proving));
    let slices = waiting.status.unwrap().slices.unwrap();
    assert!(slices.total > 0 && slices.verified == slices.total, "{slices:?}");
    world.operator.start_reference_again().unwrap();
    let over = objects.over("one", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    let status = over.status.unwrap();
    assert!(status.error_vs_float_millionths.is_some_and(|e| e < 10_000));

    // The command accepts the receipt, once it has the requester's own files.
    let folder = world.cluster.folder();
    let receipt = folder
        .join("artifacts/receipts")
        .join(status.receipt.unwrap().digest.hex());
    let input = folder.join("input.json");
    std::fs::write(&input, json!([WINE]).to_string()).unwrap();
    let model = zkinfer_tests::local::model_file("wine.onnx");
    let words = status.verify.unwrap();
    let mut words = words.split(' ').map(str::to_owned).skip(1).collect::<Vec<_>>();
    for (place, file) in [
        ("one.cbor", &receipt),
        ("MODEL.onnx", &model),
        ("INPUT.json", &input),
    ] {
        let word = words.iter_mut().find(|w| *w == place).unwrap();
        *word = file.display().to_string();
    }
    let checked =
        tokio::task::spawn_blocking(move || run(Command::new(program("prover-worker")).args(&words)));
    let checked = checked.await.unwrap();
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
}

/// The wine model, calibrated on data in a ConfigMap of their own.
fn calibrated_wine(objects: &Objects) -> String {
    let data = std::fs::read(model_file("data/wine-calibration.npy")).unwrap();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "wine-calibration", "namespace": objects.namespace },
        "binaryData": { "samples.npy": k8s_openapi::ByteString(data) },
    });
    let documents = objects.model("wine", "wine.onnx", 4);
    let (file, model) = documents.split_once("\n---\n").unwrap();
    let mut model: Value = serde_json::from_str(model).unwrap();
    let calibration = json!({ "configMap": { "name": "wine-calibration", "key": "samples.npy" } });
    model["spec"]["quantization"] = json!({ "calibration": calibration });
    format!("{map}\n---\n{file}\n---\n{model}")
}

#[tokio::test]
async fn a_model_of_another_version_is_compiled_again_from_the_store_and_its_requests_begin_anew() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let objects = Objects::new(&world.cluster, "upgraded").await.unwrap();
    world.cluster.apply(&calibrated_wine(&objects)).await.unwrap();
    let before = objects.until("wine", LONG, model_ready).await.unwrap();
    let receipt = {
        let own = objects.pool("first", &json!({}));
        world.cluster.apply(&own).await.unwrap();
        objects.until("first", LONG, pool_ready).await.unwrap();
        let old = objects.wine_request("old", "wine", &json!({}));
        world.cluster.apply(&old).await.unwrap();
        let over = objects.over("old", LONG).await.unwrap();
        over.status.unwrap().receipt.unwrap().digest
    };
    objects
        .api::<MinerPool>()
        .delete("first", &DeleteParams::default())
        .await
        .unwrap();
    // No node fits this pool's pods: the request stays at work.
    let nobody = json!({ "pod": { "nodeSelector": { "there": "is-none" } } });
    for object in [
        objects.pool("nobody", &nobody),
        objects.wine_request("in-flight", "wine", &json!({})),
    ] {
        world.cluster.apply(&object).await.unwrap();
    }
    let proving = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Proving);
    let asked = objects.until("in-flight", LONG, proving).await.unwrap();
    world.operator.kill().await.unwrap();

    // What version 1 left behind: its record, a manifest of its version, and a claim that it had granted.
    let artifacts = world.cluster.folder().join("artifacts");
    let onnx = before.status.as_ref().unwrap().model_digest.unwrap();
    let record = json!([onnx, { "compiled": { "model": onnx, "slices": [] } }]);
    let kept = artifacts.join("models").join(before.uid().unwrap());
    std::fs::write(&kept, record.to_string()).unwrap();
    for old in std::fs::read_dir(artifacts.join("compiled")).unwrap() {
        std::fs::remove_file(old.unwrap().path()).unwrap();
    }
    let claims = artifacts
        .join("requests")
        .join(asked.uid().unwrap())
        .join("claims");
    std::fs::create_dir_all(&claims).unwrap();
    std::fs::write(claims.join("0-of-version-1"), "{}").unwrap();
    // Another version starts its compilers under other names.
    let jobs: Api<Job> = Api::namespaced(objects.client.clone(), SYSTEM);
    let of_model = format!("zkinfer.dev/model-uid={}", before.uid().unwrap());
    let of_model = ListParams::default().labels(&of_model);
    let params = DeleteParams::background();
    jobs.delete_collection(&params, &of_model).await.unwrap();
    wait_for("the Job's end", LONG, async || {
        let left = jobs.list(&of_model).await.unwrap().items.len();
        if left == 0 { Ok(()) } else { Err(left.to_string()) }
    })
    .await
    .unwrap();
    // Its file is gone, and another of the same name is there.
    let maps = objects.api::<ConfigMap>();
    let other = json!({ "binaryData": { "model.onnx": k8s_openapi::ByteString(b"another".to_vec()) } });
    maps.patch("wine", &PatchParams::default(), &Patch::Merge(other))
        .await
        .unwrap();
    // So is its calibration data; version 1 did not write down which data these were.
    maps.delete("wine-calibration", &DeleteParams::default())
        .await
        .unwrap();
    world.operator.start_again().unwrap();

    let again = |m: &Model| {
        let conditions = m
            .status
            .as_ref()
            .map(|s| s.conditions.clone())
            .unwrap_or_default();
        let recompiling = find_condition(&conditions, "Recompiling");
        recompiling.is_some_and(|c| c.status == "True" && c.reason == "OldVersion")
    };
    objects.until("wine", LONG, again).await.unwrap();
    let pending = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Pending);
    objects.until("in-flight", LONG, pending).await.unwrap();
    assert!(
        !claims.exists(),
        "what was claimed of the old manifest is forgotten"
    );
    let after = objects.until("wine", LONG, model_ready).await.unwrap();
    let status = after.status.unwrap();
    assert_eq!(status.model_digest, Some(onnx), "the file that it was made from");
    assert!(!is_true(&status.conditions, "Recompiling"));
    let accuracy = find_condition(&status.conditions, "AccuracyWithinBudget").unwrap();
    assert_eq!(accuracy.reason, "SyntheticCalibration");
    assert!(accuracy.message.contains("was gone"), "{}", accuracy.message);
    let own = objects.pool("own", &json!({}));
    world.cluster.apply(&own).await.unwrap();
    let over = objects.over("in-flight", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    assert!(artifacts.join("receipts").join(receipt.hex()).is_file());
}

#[tokio::test]
async fn a_stated_identity_counts_once_its_key_has_signed_for_the_pool() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("identities").await;
    let key = world.cluster.folder().join("miner.key").display().to_string();
    let kubeconfig = world.cluster.kubeconfig();
    let operator = async |words: &[&str]| {
        let mut command = Command::new(program("operator"));
        command.args(words).env("KUBECONFIG", &kubeconfig);
        let ran = tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap();
        assert_eq!(ran.code, 0, "{words:?}: {}", ran.stderr);
        ran.stdout.trim().to_owned()
    };
    let identity = operator(&["identity", "new", "--key", &key]).await;
    // Somebody was first with the same words and cannot sign.
    for name in ["squatter", "owner"] {
        let pool = objects.pool(name, &json!({ "identity": identity }));
        world.cluster.apply(&pool).await.unwrap();
        let unproven = |p: &MinerPool| told(p, "Ready").as_deref() == Some("IdentityNotProven");
        objects.until(name, LONG, unproven).await.unwrap();
    }
    let prove = ["identity", "prove", "owner", "-n", "identities", "--key", &key];
    let signature = operator(&prove).await;
    let pools = objects.api::<MinerPool>();
    for name in ["owner", "squatter"] {
        let patch = Patch::Merge(json!({ "spec": { "possession": signature } }));
        pools.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }
    let owner = objects.until("owner", LONG, pool_ready).await.unwrap();
    let in_use = |p: &MinerPool| p.status.as_ref().and_then(|s| s.identity).map(|i| i.to_string());
    assert_eq!(in_use(&owner), Some(identity.clone()));
    // Receipts name the owner for what the owner has proved, and only for that.
    let request = objects.wine_request("one", "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    let over = objects.over("one", LONG).await.unwrap();
    let rows: Value = serde_json::to_value(over.status.unwrap().recent_slices).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(!rows.is_empty());
    assert!(
        rows.iter()
            .all(|r| r["pool"] == "identities/owner" && r["identity"] == identity.as_str()),
        "{rows:?}"
    );
    let squatter = pools.get("squatter").await.unwrap();
    assert_eq!(told(&squatter, "Ready").as_deref(), Some("IdentityNotProven"));
    assert_ne!(in_use(&squatter), Some(identity));
}

/// A pool's reason.
fn told(pool: &MinerPool, type_: &str) -> Option<String> {
    let conditions = &pool.status.as_ref()?.conditions;
    find_condition(conditions, type_).map(|c| c.reason.clone())
}
