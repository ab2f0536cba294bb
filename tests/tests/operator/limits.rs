//! What is deleted too early or has no room on its volume: nothing of it lasts, and nothing
//! final comes of what passes.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, Model, RequestPhase, find_condition};
use zkinfer_tests::cluster::{Cluster, can_run, wait_for};
use zkinfer_tests::measured;
use zkinfer_tests::operator::{model_ready, peak_resident, phase};

use crate::world::{LONG, World, digits_request};

/// A container that has no more is killed.
const LIMIT: u64 = 512 << 20;

#[tokio::test]
async fn requests_deleted_while_they_start_leave_nothing() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = world.with_digits("ghosts", ProofSystem::SumcheckWhir).await;
    world.own_pool(&objects).await;
    let queued = async || world.operator.metric("zkinfer_slices", "").await.unwrap();
    let api = objects.api::<InferenceRequest>();
    // The first are begun while the last are not; each round meets others at work.
    for (round, begun) in [1.0, 8.0, 20.0, 40.0].into_iter().enumerate() {
        let all: Vec<String> = (0..25)
            .map(|n| digits_request(&format!("ghost-{round}-{n}"), "ghosts"))
            .collect();
        world.cluster.apply(&all.join("\n---\n")).await.unwrap();
        wait_for("requests that begin", LONG, async || match queued().await {
            n if n >= begun => Ok(()),
            n => Err(format!("{n} slices")),
        })
        .await
        .unwrap();
        api.delete_collection(&DeleteParams::default(), &ListParams::default())
            .await
            .unwrap();
    }
    let empty = async || {
        wait_for(
            "an empty queue",
            Duration::from_secs(20),
            async || match queued().await {
                0.0 => Ok(()),
                n => Err(format!("{n} slices of requests that are gone")),
            },
        )
        .await
        .unwrap();
    };
    empty().await;
    world
        .cluster
        .apply(&digits_request("after", "ghosts"))
        .await
        .unwrap();
    let over = objects.over("after", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    empty().await;
    let peak = peak_resident(world.operator.pid().unwrap()).unwrap();
    measured(format_args!(
        "100 requests deleted while starting: the operator took at most {} MiB",
        peak >> 20
    ));
    assert!(peak < LIMIT, "{} MiB", peak >> 20);
}

/// A small volume of memory; it is gone with this, and with the cluster whose folder it is in.
struct Volume(PathBuf);

impl Volume {
    fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"])
            .arg(&folder);
        assert!(mount.status().unwrap().success());
        Self(folder)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("lost+found")
    }

    /// Writes until there is no room for a byte.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn on_a_full_volume_nothing_final_is_said_and_all_goes_on_when_there_is_room() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    let volume = Volume::new(cluster.folder().join("artifacts"));
    let world = World::on(cluster, &[]).await;
    let objects = world.with_pool("full").await;
    let request = |name: &str| objects.wine_request(name, "wine", &json!({}));
    world.cluster.apply(&request("before")).await.unwrap();
    let over = objects.over("before", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    world
        .cluster
        .apply(&[request("during-1"), request("during-2")].join("\n---\n"))
        .await
        .unwrap();
    volume.fill();
    let later = objects.model("later", "wine.onnx", 3);
    world
        .cluster
        .apply(&[request("meanwhile"), later].join("\n---\n"))
        .await
        .unwrap();

    let ready = async || {
        let answer = reqwest::get(format!("{}/readyz", world.operator.health))
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    wait_for("a probe that fails", LONG, async || match ready().await {
        (503, told) if told.contains("No space left") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    assert_eq!(world.operator.metric("zkinfer_store_up", "").await.unwrap(), 0.0);
    assert!(world.operator.output().contains("the artifact store fails"));
    let told = |r: &InferenceRequest| {
        let conditions = r.status.iter().flat_map(|s| s.conditions.clone());
        let ready = find_condition(&conditions.collect::<Vec<_>>(), "Ready").cloned();
        ready.is_some_and(|c| c.reason == "StoreUnavailable" && c.message.contains("No space left"))
    };
    objects.until("meanwhile", LONG, told).await.unwrap();
    // Longer than a try takes, and a claim's answer.
    tokio::time::sleep(Duration::from_secs(8)).await;
    for name in ["during-1", "during-2", "meanwhile"] {
        let request = objects.api::<InferenceRequest>().get(name).await.unwrap();
        let bad = matches!(
            phase(&request),
            Some(RequestPhase::Failed | RequestPhase::Cancelled)
        );
        assert!(!bad, "{name}: {:?}", request.status);
    }
    let model = objects.api::<Model>().get("later").await.unwrap();
    let conditions = model.status.iter().flat_map(|s| s.conditions.clone());
    let stalled = conditions
        .into_iter()
        .any(|c| c.type_ == "Stalled" && c.status == "True");
    assert!(!stalled && !model_ready(&model), "{:?}", model.status);

    volume.empty();
    for name in ["during-1", "during-2", "meanwhile"] {
        let over = objects.over(name, LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    }
    objects.until("later", LONG, model_ready).await.unwrap();
    assert_eq!(ready().await.0, 200);
    assert_eq!(world.operator.metric("zkinfer_store_up", "").await.unwrap(), 1.0);
}
