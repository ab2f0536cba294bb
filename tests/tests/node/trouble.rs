//! Bad news tells itself: on the pool, and on the request that waits for it.

use std::time::Instant;

use kube::api::Api;
use serde_json::{Value, json};
use zkinfer_crds::k8s::{MinerPool, find_condition};
use zkinfer_tests::cluster::wait_for;

use crate::world::{LONG, World, file, request};

/// Longer than any pause between two looks of the operator.
const STEADY: std::time::Duration = std::time::Duration::from_secs(40);

#[tokio::test]
async fn a_missing_image_and_a_full_node_are_told_of_by_pool_and_request() {
    let Some(world) = World::new().await else { return };
    world.install().await;
    world
        .kubectl(&format!("apply -f {}", file("model.yaml").display()))
        .await
        .unwrap();
    let missing = json!({ "image": "zkinfer.test/nowhere:v1" });
    let full = json!({ "pod": { "nodeSelector": { "there": "is-none" } } });
    for (name, more) in [("missing", &missing), ("full", &full)] {
        world.cluster.apply(&pool(name, name, more)).await.unwrap();
        world.cluster.apply(&selecting(name)).await.unwrap();
    }
    until(&world, "missing", "Ready", "False", "ImageUnavailable").await;
    until(&world, "missing", "Degraded", "True", "ImageUnavailable").await;
    until(&world, "full", "Degraded", "True", "Unschedulable").await;
    until(&world, "full", "Ready", "False", "Unschedulable").await;
    until(&world, "missing", "Stalled", "True", "ImageUnavailable").await;
    for (name, reason, words) in [
        ("missing", "ImageUnavailable", "zkinfer.test/nowhere:v1"),
        ("full", "Unschedulable", "0/1 nodes are available"),
    ] {
        // The request's event is written a moment after the pool's status.
        let story = wait_for("the request's event", LONG, async || {
            let story = world.kubectl(&format!("describe inferencerequest {name}")).await;
            let story = story.map_err(|e| e.to_string())?;
            if story.contains(&format!("workers of pool default/{name} do not run")) {
                Ok(story)
            } else {
                Err(story)
            }
        })
        .await
        .unwrap();
        assert!(
            story.contains("Warning") && story.contains(reason) && story.contains(words),
            "{story}"
        );
        world.show(&format!("events --for inferencerequest/{name}")).await;
        let story = world
            .kubectl(&format!("describe minerpool {name}"))
            .await
            .unwrap();
        assert!(story.contains(reason) && story.contains(words), "{story}");
    }
    world.show("get minerpools").await;
    it_stays_said(&world).await;

    // The image is corrected: the pool is ready again, and the request that waited for it goes on. Another pool comes to
    // the one that nobody has room for.
    world
        .cluster
        .apply(&pool("missing", "missing", &json!({})))
        .await
        .unwrap();
    world
        .cluster
        .apply(&pool("good", "full", &json!({})))
        .await
        .unwrap();
    until(&world, "missing", "Ready", "True", "Serving").await;
    until(&world, "missing", "Degraded", "False", "AsExpected").await;
    world.complete("missing").await;
    world.complete("full").await;
}

/// The condition does not come and go.
async fn it_stays_said(world: &World) {
    let api: Api<MinerPool> = Api::namespaced(world.client.clone(), "default");
    let since = async || {
        let pool = api.get("missing").await.unwrap();
        let ready = find_condition(&pool.status.unwrap().conditions, "Ready")
            .cloned()
            .unwrap();
        (
            ready.status,
            ready.reason,
            ready.message,
            ready.last_transition_time,
        )
    };
    let (first, began) = (since().await, Instant::now());
    while began.elapsed() < STEADY {
        assert_eq!(since().await, first);
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
}

async fn until(world: &World, name: &str, type_: &str, status: &str, reason: &str) {
    let api: Api<MinerPool> = Api::namespaced(world.client.clone(), "default");
    wait_for(
        &format!("{name}: {type_} is {status}, {reason}"),
        LONG,
        async || {
            let pool = api.get(name).await.map_err(|e| e.to_string())?;
            let conditions = pool.status.unwrap_or_default().conditions;
            match find_condition(&conditions, type_) {
                Some(c) if c.status == status && c.reason == reason => Ok(()),
                _ => Err(format!("{conditions:?}")),
            }
        },
    )
    .await
    .unwrap();
}

fn pool(name: &str, label: &str, more: &Value) -> String {
    let mut pool = json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "MinerPool",
        "metadata": { "name": name, "namespace": "default", "labels": { "for": label } },
        "spec": {
            "image": "zkinfer.dev/prover-worker:dev", "allowUnpinnedImage": true, "parallelism": 2,
            "resources": { "cpu": "400m", "memory": "2Gi" },
        },
    });
    pool["spec"]
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    pool.to_string()
}

/// A request for pools with the label of its name.
fn selecting(name: &str) -> String {
    let mut object: Value = serde_yaml::from_str(&request(name)).unwrap();
    object["spec"]["poolSelector"] = json!({ "matchLabels": { "for": name } });
    object.to_string()
}
