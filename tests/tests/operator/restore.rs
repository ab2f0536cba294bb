//! The artifact store from a copy: receipts can be fetched, models stay compiled, scores stand. As docs/operate.md says.

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, ListParams};
use serde_json::json;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::local::{program, run};
use zkinfer_tests::operator::{SYSTEM, model_ready, phase};

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
    world
        .cluster
        .apply(&objects.wine_request("before", "wine", &json!({})))
        .await
        .unwrap();
    let before = objects.over("before", LONG).await.unwrap();
    assert_eq!(
        phase(&before),
        Some(RequestPhase::Succeeded),
        "{:?}",
        before.status
    );
    let first = receipt(&world, "before").await.unwrap();
    let store = world.cluster.folder().join("artifacts");
    let archive = world.cluster.folder().join("backup.tar");

    assert_eq!(world.operator.stop().await.unwrap(), Some(0));
    kept(&store, &archive);
    std::fs::remove_dir_all(&store).unwrap();
    put_back(&archive, &store);
    let made = compilers(&world).await;
    world.operator.start_again().unwrap();

    world
        .cluster
        .apply(&objects.wine_request("after", "wine", &json!({})))
        .await
        .unwrap();
    let after = objects.over("after", LONG).await.unwrap();
    assert_eq!(phase(&after), Some(RequestPhase::Succeeded), "{:?}", after.status);
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
