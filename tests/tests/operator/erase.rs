//! A request is erased: nothing of its input or its answer is left, in the store or in the object, and the ledger is whole.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::{InferenceRequest, LAST_APPLIED, RequestPhase};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::local::{program, run};
use zkinfer_tests::operator::{Objects, phase};

use crate::api::token;
use crate::world::{LONG, World};

fn erased(request: &InferenceRequest) -> bool {
    phase(request) == Some(RequestPhase::Erased)
}

/// The files that the workers of a request were given as inputs.
fn inputs(store: &Path, request: &InferenceRequest) -> Vec<PathBuf> {
    let uid = request.metadata.uid.clone().unwrap();
    let list = std::fs::read(store.join("requests").join(uid).join("inputs")).unwrap();
    let digests: Vec<Digest> = serde_json::from_slice(&list).unwrap();
    let folder = store.join("blobs/sha256");
    digests.iter().map(|digest| folder.join(digest.hex())).collect()
}

async fn gone(world: &World, objects: &Objects, name: &str, by: &str) {
    let request: InferenceRequest = objects.until(name, LONG, erased).await.unwrap();
    let input = serde_json::to_value(&request.spec.input).unwrap();
    assert_eq!(input, json!({ "erased": { "by": by } }));
    let annotations = request.metadata.annotations.clone().unwrap_or_default();
    assert!(!annotations.contains_key(LAST_APPLIED));
    let uid = request.metadata.uid.clone().unwrap();
    let status = request.status.unwrap();
    assert!(status.output.is_none() && status.receipt.is_none() && status.verify.is_none());
    assert_eq!(status.erased.unwrap().by.as_deref(), Some(by));
    assert!(status.slices.is_some(), "how far it was is left");
    let store = world.cluster.folder().join("artifacts");
    assert!(!store.join("requests").join(uid).exists());
}

#[tokio::test]
async fn an_erased_request_leaves_a_tombstone_and_a_ledger_that_verifies() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let objects = world.with_pool("erasing").await;
    let store = world.cluster.folder().join("artifacts");
    let (mut receipts, mut given) = (Vec::new(), Vec::new());
    for name in ["one", "two"] {
        let request = objects.wine_request(name, "wine", &json!({}));
        world.cluster.apply(&request).await.unwrap();
        let over = objects.over(name, LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
        given.extend(inputs(&store, &over));
        let receipt = over.status.unwrap().receipt.unwrap().digest;
        receipts.push(store.join("receipts").join(receipt.hex()));
    }
    assert!(!given.is_empty() && receipts.iter().chain(&given).all(|path| path.exists()));

    // By the command, as the administrator whose kubeconfig it is.
    let kubeconfig = world.cluster.kubeconfig();
    let erase = move || {
        let mut command = Command::new(program("operator"));
        run(command
            .args(["erase", "one", "-n", "erasing"])
            .env("KUBECONFIG", kubeconfig))
    };
    let done = tokio::task::spawn_blocking(erase).await.unwrap();
    let said = (done.code, done.stdout.trim());
    assert_eq!(said, (0, "erasing/one erased"), "{}", done.stderr);
    let by = objects.api::<InferenceRequest>().get("one").await.unwrap();
    let by = by.status.unwrap().erased.unwrap().by.unwrap();
    gone(&world, &objects, "one", &by).await;
    assert!(!receipts[0].exists() && receipts[1].exists());

    // By the gateway, with the caller's own rights.
    let url = format!("{}/v1/requests/erasing/two/erase", world.operator.gateway);
    let ask = async |token: &str| {
        let asked = reqwest::Client::new().post(&url).bearer_auth(token).send();
        asked.await.unwrap().status().as_u16()
    };
    let viewer = token(&world, "erasing", "viewer", Some("view")).await;
    assert_eq!(ask(&viewer).await, 403);
    assert!(receipts[1].exists());
    let editor = token(&world, "erasing", "editor", Some("edit")).await;
    assert_eq!(ask(&editor).await, 202);
    gone(&world, &objects, "two", "system:serviceaccount:erasing:editor").await;
    assert!(!receipts[1].exists());
    assert_eq!(ask(&editor).await, 202, "it is erased already");

    assert!(given.iter().all(|path| !path.exists()), "what workers were given");

    // Their claims are in the ledger as before.
    world.operator.stop().await.unwrap();
    let segments = store.join("segments");
    let verify = move || {
        let mut command = Command::new(program("prover-worker"));
        run(command.args(["-o", "json", "ledger", "verify"]).arg(&segments))
    };
    let verified = tokio::task::spawn_blocking(verify).await.unwrap();
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let told: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert!(told["entries"].as_u64() >= Some(2), "one for each slice: {told}");
}
