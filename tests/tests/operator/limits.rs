//! What is deleted too early, too large to be written, or has no volume or no room on it: nothing of it lasts, and nothing
//! final comes of what passes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, Model, RequestPhase, find_condition};
use zkinfer_tests::cluster::{Cluster, can_run, wait_for};
use zkinfer_tests::measured;
use zkinfer_tests::operator::{Objects, model_ready, peak_resident, phase};

use crate::volume::Volume;
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

/// The Model is not ready, and nobody says that it stays so.
async fn waits(objects: &Objects, name: &str) {
    let model = objects.api::<Model>().get(name).await.unwrap();
    let conditions = model.status.iter().flat_map(|s| &s.conditions);
    let stalled = conditions
        .into_iter()
        .any(|c| c.type_ == "Stalled" && c.status == "True");
    assert!(!stalled && !model_ready(&model), "{:?}", model.status);
}

#[tokio::test]
async fn on_a_full_volume_nothing_final_is_said_and_all_goes_on_when_there_is_room() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    let volume = Volume::new(cluster.folder().join("artifacts"), 32);
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
    waits(&objects, "later").await;

    volume.empty();
    for name in ["during-1", "during-2", "meanwhile"] {
        let over = objects.over(name, LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    }
    objects.until("later", LONG, model_ready).await.unwrap();
    assert_eq!(ready().await.0, 200);
    assert_eq!(world.operator.metric("zkinfer_store_up", "").await.unwrap(), 1.0);
}

#[tokio::test]
async fn while_the_volume_is_away_nothing_final_is_said_and_all_goes_on_when_it_is_back() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = world.with_pool("away").await;
    let (volume, away) = (
        world.cluster.folder().join("artifacts"),
        world.cluster.folder().join("away"),
    );
    std::fs::rename(&volume, &away).unwrap();
    // A file where the folder was: nothing can be made there, whoever runs it.
    std::fs::write(&volume, "").unwrap();
    let later = objects.model("later", "wine.onnx", 2);
    world.cluster.apply(&later).await.unwrap();
    for n in 0..4 {
        let request = objects.wine_request(&format!("away-{n}"), "wine", &json!({}));
        world.cluster.apply(&request).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (api, all) = (objects.api::<InferenceRequest>(), ListParams::default());
    let over = |r: &InferenceRequest| phase(r).is_some_and(RequestPhase::is_over);
    let over = api.list(&all).await.unwrap().into_iter().find(over);
    assert!(over.is_none(), "{:?}", over.and_then(|r| r.status));
    waits(&objects, "later").await;
    assert_eq!(world.operator.metric("zkinfer_store_up", "").await.unwrap(), 0.0);

    std::fs::remove_file(&volume).unwrap();
    std::fs::rename(&away, &volume).unwrap();
    for n in 0..4 {
        let over = objects.over(&format!("away-{n}"), LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    }
    objects.until("later", LONG, model_ready).await.unwrap();
}

#[tokio::test]
async fn a_request_beside_which_no_status_fits_is_told_of() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("brim").await;
    let api = objects.api::<InferenceRequest>();
    // Values of 23 characters each: few, since the API server looks at each. They are sent as text, which is made once.
    let values = ["-1.2345678901234567e-100"; 58_000].join(",");
    let create = async |name: &str, padding: usize| {
        // Annotations may take 256 KiB, the rest is input.
        let object = json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest",
            "metadata": { "name": name, "annotations": { "padding": "x".repeat(padding) } },
            "spec": {
                "modelRef": { "name": "wine" },
                "input": { "inline": { "features": { "shape": [1, 58_000], "data": "VALUES" } } },
            },
        });
        let body = object.to_string().replace("\"VALUES\"", &format!("[{values}]"));
        let call = http::Request::post("/apis/zkinfer.dev/v1alpha1/namespaces/brim/inferencerequests")
            .header("content-type", "application/json")
            .body(body.into_bytes())
            .unwrap();
        objects.client.request_text(call).await
    };
    // The largest that is taken.
    let (mut taken, mut refused) = (0, 250_000);
    let mut tries = 0;
    while refused - taken > 128 {
        let padding = usize::midpoint(taken, refused);
        let name = format!("brim-{tries:02}");
        tries += 1;
        match create(&name, padding).await {
            Ok(_) => {
                taken = padding;
                api.delete(&name, &DeleteParams::default()).await.unwrap();
            }
            Err(error) => {
                assert!(error.to_string().contains("too large"), "{error}");
                refused = padding;
            }
        }
    }
    assert!(
        taken > 0 && refused < 250_000,
        "the bound is not between: {taken}"
    );
    let events = objects.api::<Event>();
    let told = async |name: &str| {
        let of = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let list = events.list(&of).await.map_err(|e| e.to_string())?.items;
        let too_large = list.iter().any(|e| e.reason.as_deref() == Some("ObjectTooLarge"));
        if list.is_empty() {
            Err("no event")
        } else {
            Ok(too_large)
        }
        .map_err(str::to_owned)
    };
    // From no room for any status to room for that of a request whose input is wrong.
    let mut ended = 0;
    for room in [0, 1100, 1250, 1400, 1550] {
        let name = format!("room-{room}");
        create(&name, taken - room).await.unwrap();
        let too_large = wait_for("its event", LONG, async || told(&name).await);
        let (too_large, at) = (too_large.await.unwrap(), phase(&api.get(&name).await.unwrap()));
        match room {
            0 => assert!(too_large && at.is_none(), "{at:?}"),
            // An event alone, a status of its end, or one that waits.
            _ => assert!(too_large || at.is_some(), "{name}: {at:?}"),
        }
        ended += u32::from(too_large && at == Some(RequestPhase::Failed));
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    assert!(ended > 0, "none ended with the shortest status");
}
