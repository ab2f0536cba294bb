//! The artifact store from a copy, in the same cluster and in another one: receipts can be fetched, models stay compiled, scores and
//! the ledger go on. As docs/operate.md says.

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, ListParams};
use serde_json::json;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase};
use zkinfer_tests::cluster::{Cluster, Tools, can_run};
use zkinfer_tests::local::{program, repository, run};
use zkinfer_tests::operator::{Objects, SYSTEM, install, model_ready, phase};

use crate::api::token;
use crate::keys::verified;
use crate::world::{LONG, World};

/// A folder as `tar` keeps it.
fn kept(folder: &Path, archive: &Path) {
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(archive).arg("-C").arg(folder).arg(".");
    assert_eq!(run(&mut tar).code, 0);
}

fn put_back(archive: &Path, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(folder);
    assert_eq!(run(&mut tar).code, 0);
}

/// Runs a line of docs/operate.md as it stands there, in this folder.
fn documented(cluster: &Cluster, folder: &Path, line: &str) {
    let page = std::fs::read_to_string(repository().join("docs/operate.md")).unwrap();
    assert!(page.contains(&format!("$ {line}\n")), "{line}");
    let tools = Tools::find().unwrap().path("kubectl");
    let path = format!(
        "{}:{}",
        tools.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", line])
        .current_dir(folder)
        .env("PATH", path)
        .env("KUBECONFIG", cluster.kubeconfig());
    let ran = run(&mut bash);
    assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
}

/// Fetches a receipt; what it holds, or what was said.
async fn receipt(world: &World, name: &str) -> Result<Vec<u8>, String> {
    let out = world.cluster.folder().join(format!("{name}.cbor"));
    let mut command = Command::new(program("operator"));
    command
        .env("KUBECONFIG", world.cluster.kubeconfig())
        .args([
            "receipt",
            name,
            "-n",
            "kept",
            "--gateway",
            &world.operator.gateway,
            "--out",
        ])
        .arg(&out);
    let ran = tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap();
    match ran.code {
        0 => Ok(std::fs::read(out).unwrap()),
        _ => Err(ran.stderr),
    }
}

/// A request of that name, when it has its answer.
async fn answered(world: &World, objects: &Objects, name: &str) -> InferenceRequest {
    let request = objects.wine_request(name, "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    let over = objects.over(name, LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    over
}

async fn compilers(world: &World) -> usize {
    let jobs: Api<Job> = Api::namespaced(world.cluster.client().await.unwrap(), SYSTEM);
    jobs.list(&ListParams::default()).await.unwrap().items.len()
}

#[tokio::test]
async fn a_store_that_was_lost_is_put_back_with_its_receipts_models_and_scores() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let objects = world.with_pool("kept").await;
    answered(&world, &objects, "before").await;
    let first = receipt(&world, "before").await.unwrap();
    let store = world.cluster.folder().join("artifacts");
    let archive = world.cluster.folder().join("backup.tar");

    assert_eq!(world.operator.stop().await.unwrap(), Some(0));
    kept(&store, &archive);
    std::fs::remove_dir_all(&store).unwrap();
    put_back(&archive, &store);
    let made = compilers(&world).await;
    world.operator.start_again().unwrap();

    answered(&world, &objects, "after").await;
    assert_eq!(receipt(&world, "before").await.unwrap(), first);
    let model: Model = objects.until("wine", LONG, model_ready).await.unwrap();
    assert!(model.status.unwrap().model_digest.is_some());
    assert!(compilers(&world).await <= made, "nothing was compiled again");
    // The claims of before are counted beside those of after.
    let requests: Api<InferenceRequest> = objects.api();
    let slices = |r: &InferenceRequest| r.status.as_ref().unwrap().slices.as_ref().unwrap().verified;
    let all: u64 = [
        requests.get("before").await.unwrap(),
        requests.get("after").await.unwrap(),
    ]
    .iter()
    .map(|r| u64::from(slices(r)))
    .sum();
    let counted = |p: &MinerPool| {
        p.status
            .as_ref()
            .and_then(|s| s.claims)
            .is_some_and(|c| c.verified >= all)
    };
    objects.until("own", LONG, counted).await.unwrap();
}

#[tokio::test]
async fn in_another_cluster_the_copy_is_the_same_validator_and_nothing_is_compiled_again() {
    if !can_run() {
        return;
    }
    let copy = tempfile::tempdir().unwrap();
    let archive = copy.path().join("artifacts.tar");
    let (digest, first, before) = {
        let mut world = World::new(&[]).await;
        let objects = world.with_pool("kept").await;
        let over = answered(&world, &objects, "before").await;
        let first = receipt(&world, "before").await.unwrap();
        assert_eq!(world.operator.stop().await.unwrap(), Some(0));
        kept(&world.cluster.folder().join("artifacts"), &archive);
        documented(
            &world.cluster,
            copy.path(),
            "kubectl -n zkinfer-system get secret zkinfer-validator-key -o jsonpath='{.data.key}' | base64 -d > validator.key",
        );
        let digest = over.status.unwrap().receipt.unwrap().digest;
        (digest, first, verified(&world).await)
    };

    let cluster = Cluster::api().await.unwrap();
    install(&cluster).await.unwrap();
    put_back(&archive, &cluster.folder().join("artifacts"));
    documented(
        &cluster,
        copy.path(),
        "kubectl -n zkinfer-system create secret generic zkinfer-validator-key --from-file=key=validator.key",
    );
    let mut world = World::on(cluster, &[]).await;
    // Model and pool are other objects of the same contents: what the one was compiled to is found by these.
    let objects = world.with_pool("kept").await;
    assert_eq!(compilers(&world).await, 0, "nothing was compiled again");
    let over = answered(&world, &objects, "before").await;
    let again = over.status.unwrap().receipt.unwrap().digest;
    assert_ne!(again, digest, "it began anew");

    let viewer = token(&world, "kept", "viewer", Some("view")).await;
    let url = format!("{}/v1/receipts/{digest}?namespace=kept", world.operator.gateway);
    let call = reqwest::Client::new().get(url).bearer_auth(viewer);
    let answer = call.send().await.unwrap().error_for_status().unwrap();
    assert!(answer.bytes().await.unwrap() == first, "the receipt of before");

    assert_eq!(world.operator.stop().await.unwrap(), Some(0));
    let after = verified(&world).await;
    assert_eq!(after["validator"], before["validator"]);
    assert!(
        after["entries"].as_u64() > before["entries"].as_u64(),
        "{before} {after}"
    );
}
