//! What tools that know nothing of these kinds (kstatus: Flux, cli-utils) read of them.

use futures::StreamExt;
use kube::api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::operator::Objects;

use crate::world::{LONG, World};

/// Applies an object, and returns the first status that anybody who watches sees.
async fn first_status<K>(world: &World, objects: &Objects, name: &str, documents: &str) -> Value
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let api = objects.api::<K>();
    let this = WatchParams::default().fields(&format!("metadata.name={name}"));
    let before = api.list(&ListParams::default()).await.unwrap();
    let mut version = before.metadata.resource_version.unwrap();
    world.cluster.apply(documents).await.unwrap();
    let first = async {
        // A watch may end; the next goes on where it ended.
        loop {
            let mut changes = std::pin::pin!(api.watch(&this, &version).await.unwrap());
            while let Some(change) = changes.next().await {
                let object = match change.unwrap() {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => object,
                    other => panic!("{other:?}"),
                };
                version = object.resource_version().unwrap();
                let mut object = serde_json::to_value(object).unwrap();
                if !object["status"].is_null() {
                    return object["status"].take();
                }
            }
        }
    };
    tokio::time::timeout(LONG, first).await.unwrap()
}

fn condition<'a>(status: &'a Value, type_: &str) -> Option<&'a Value> {
    let conditions = status["conditions"].as_array();
    conditions.into_iter().flatten().find(|c| c["type"] == type_)
}

#[tokio::test]
async fn the_first_status_of_every_kind_says_whether_it_is_ready_and_of_which_generation() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "first").await.unwrap();
    let request = |name: &str| objects.wine_request(name, "wine", &json!({}));
    let statuses = [
        first_status::<InferenceRequest>(world, &objects, "early", &request("early")).await,
        first_status::<Model>(world, &objects, "wine", &objects.model("wine", "wine.onnx", 4)).await,
        first_status::<MinerPool>(world, &objects, "own", &objects.pool("own", &json!({}))).await,
        // With all that it needs there.
        {
            objects.over("early", LONG).await.unwrap();
            first_status::<InferenceRequest>(world, &objects, "late", &request("late")).await
        },
    ];
    for status in statuses {
        let ready = condition(&status, "Ready").unwrap_or(&Value::Null);
        assert_eq!(status["observedGeneration"], 1, "{status}");
        assert_eq!(ready["observedGeneration"], 1, "{status}");
        assert!(condition(&status, "Stalled").is_none(), "{status}");
    }
}

#[tokio::test]
async fn what_nothing_but_a_change_will_mend_is_stalled() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "stalled-for-good").await.unwrap();
    let text = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "text", "namespace": "stalled-for-good" },
        "data": { "model.onnx": "no model" },
    });
    let source = json!({
        "source": { "configMap": { "name": "text", "key": "model.onnx" } }, "proofSystem": "SumcheckWhir",
    });
    for object in [
        objects.object("Model", "text", &source),
        objects.wine_request("failed", "text", &json!({})),
        objects.wine_request("cancelled", "none", &json!({})),
    ] {
        world.cluster.apply(&object).await.unwrap();
    }
    let waits = objects.api::<Model>().get("text").await.unwrap();
    let waits = serde_json::to_value(waits).unwrap();
    assert!(
        condition(&waits["status"], "Stalled").is_none(),
        "the file may come: {waits}"
    );
    let cancel = Patch::Merge(json!({ "spec": { "cancel": true } }));
    let requests = objects.api::<InferenceRequest>();
    requests
        .patch("cancelled", &PatchParams::default(), &cancel)
        .await
        .unwrap();
    world.cluster.apply(&text.to_string()).await.unwrap();

    let stalled = |object: &Value, reason: &str| {
        let stalled = condition(&object["status"], "Stalled");
        stalled.is_some_and(|c| c["status"] == "True" && c["reason"] == reason)
    };
    for (name, reason) in [("failed", "ModelFailed"), ("cancelled", "Cancelled")] {
        let over = objects.over(name, LONG).await.unwrap();
        let over = serde_json::to_value(over).unwrap();
        assert!(stalled(&over, reason), "{over}");
        assert_eq!(
            over["status"]["observedGeneration"],
            over["metadata"]["generation"]
        );
    }
    let model = serde_json::to_value(objects.api::<Model>().get("text").await.unwrap()).unwrap();
    assert!(stalled(&model, "InvalidModel"), "{model}");
}
