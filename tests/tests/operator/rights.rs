//! The operator's rights: whatever it does it may do, and it may do nothing that it does not do. The API server's audit
//! log is the witness.

use std::collections::BTreeSet;
use std::path::Path;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, RequestPhase};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::local::repository;
use zkinfer_tests::operator::{ACCOUNT, Objects, WINE, phase, pool_ready};

use crate::audit::audited;
use crate::requests::until_jobs;
use crate::world::{LONG, World};

#[tokio::test]
async fn the_operator_needs_its_rights_and_no_others() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (cluster, log) = audited(folder.path(), json!([{ "level": "Metadata" }])).await;
    let world = World::on(cluster, &[]).await;
    everything(&world).await;
    let mut world = world;
    world.operator.stop().await.unwrap();
    drop(world.node);

    let (mut used, mut told) = (BTreeSet::new(), BTreeSet::new());
    for event in calls(&log) {
        let object = &event["objectRef"];
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let mut resource = text(&object["resource"]);
        if let Some(sub) = object["subresource"].as_str() {
            resource = format!("{resource}/{sub}");
        }
        let call = (text(&object["apiGroup"]), resource, text(&event["verb"]));
        assert_ne!(
            event["responseStatus"]["code"], 403,
            "forbidden: {call:?}: {event}"
        );
        // People are told of what an object's status says already, never before.
        let (namespace, name) = (text(&object["namespace"]), text(&object["name"]));
        if call.1.ends_with("/status") && event["responseStatus"]["code"] == 200 {
            told.insert((namespace, name));
        } else if call.1 == "events" && call.2 == "create" {
            // An event is called as its object, with a suffix.
            let of = name
                .rsplit_once('.')
                .map_or(name.clone(), |(of, _)| of.to_owned());
            assert!(
                told.contains(&(namespace, of)),
                "an event before the status: {event}"
            );
        }
        used.insert(call);
    }
    assert!(!told.is_empty());
    let manifest =
        std::fs::read_to_string(repository().join("manifests/default/operator-rbac.yaml")).unwrap();
    let mut unused = Vec::new();
    for document in manifest.split("\n---\n") {
        let document: Value = serde_yaml::from_str(document).unwrap();
        for rule in document["rules"].as_array().into_iter().flatten() {
            for (group, resource, verb) in each(rule) {
                // Server-side apply of an object that is not there asks for `create` too, and is one call, a patch.
                let applied =
                    verb == "create" && used.contains(&(group.clone(), resource.clone(), "patch".into()));
                if !applied && !used.contains(&(group.clone(), resource.clone(), verb.clone())) {
                    unused.push(format!("{verb} {resource}.{group}"));
                }
            }
        }
    }
    assert!(unused.is_empty(), "granted and not needed: {unused:?}");
}

/// What the operator has asked of the API server.
pub(crate) fn calls(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    let all = text.lines().map(|line| serde_json::from_str(line).unwrap());
    all.filter(|event: &Value| event["user"]["username"] == ACCOUNT)
        .collect()
}

fn each(rule: &Value) -> Vec<(String, String, String)> {
    let list = |key: &str| -> Vec<String> {
        let list = rule[key].as_array().into_iter().flatten();
        list.filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let mut all = Vec::new();
    for group in list("apiGroups") {
        for resource in list("resources") {
            for verb in list("verbs") {
                all.push((group.clone(), resource.clone(), verb));
            }
        }
    }
    all
}

/// Everything for which the operator has a right of its own.
async fn everything(world: &World) {
    let objects = world.with_pool("all").await;
    world
        .cluster
        .apply(&objects.pool("warm", &json!({ "warm": 1 })))
        .await
        .unwrap();
    objects.until("warm", LONG, pool_ready).await.unwrap();
    let validator = json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "Validator", "spec": {},
        "metadata": { "name": "zkinfer", "namespace": "zkinfer-system" },
    });
    world.cluster.apply(&validator.to_string()).await.unwrap();
    // A client's request, deleted after its end.
    let account = ["create", "serviceaccount", "editor", "-n", "all"];
    world.cluster.kubectl(&account).await.unwrap();
    let binding = [
        "create",
        "rolebinding",
        "editor",
        "-n",
        "all",
        "--clusterrole=edit",
        "--serviceaccount=all:editor",
    ];
    world.cluster.kubectl(&binding).await.unwrap();
    let token = world
        .cluster
        .kubectl(&["create", "token", "editor", "-n", "all"])
        .await
        .unwrap();
    let body = json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest",
        "metadata": { "name": "one", "namespace": "all" },
        "spec": {
            "modelRef": { "name": "wine" }, "ttlSecondsAfterFinished": 1,
            "input": { "inline": { "features": { "shape": [1, 13], "data": WINE } } },
        },
    });
    let url = format!("{}/v1/requests", world.operator.gateway);
    let made = reqwest::Client::new()
        .post(url)
        .bearer_auth(token.trim())
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(made.status().as_u16(), 201);
    let api = objects.api::<InferenceRequest>();
    zkinfer_tests::cluster::wait_for("the end of the request", LONG, async || {
        match api.get_opt("one").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    // One that is erased for a client.
    let erased = objects.wine_request("erased", "wine", &json!({}));
    world.cluster.apply(&erased).await.unwrap();
    objects.over("erased", LONG).await.unwrap();
    let url = format!("{}/v1/requests/all/erased/erase", world.operator.gateway);
    let asked = reqwest::Client::new()
        .post(url)
        .bearer_auth(token.trim())
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status().as_u16(), 202);
    let gone = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Erased);
    objects.until("erased", LONG, gone).await.unwrap();
    // A cancelled one, whose Jobs are removed; and the same news twice.
    let nowhere = Objects::new(&world.cluster, "nowhere").await.unwrap();
    world
        .cluster
        .apply(&nowhere.model("wine", "wine.onnx", 4))
        .await
        .unwrap();
    let spec = json!({ "pod": { "nodeSelector": { "there": "is-none" } } });
    world.cluster.apply(&nowhere.pool("nobody", &spec)).await.unwrap();
    // Why a Job has no pods is read from its events.
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "q", "namespace": "nowhere" },
        "spec": { "hard": { "pods": "0" } },
    });
    world.cluster.apply(&quota.to_string()).await.unwrap();
    world
        .cluster
        .apply(&nowhere.wine_request("long", "wine", &json!({})))
        .await
        .unwrap();
    let jobs = nowhere.api();
    until_jobs(&jobs, 1).await;
    let refused = |p: &MinerPool| {
        let status = p.status.as_ref();
        status.is_some_and(|s| s.conditions.iter().any(|c| c.reason == "QuotaExceeded"))
    };
    nowhere.until("nobody", LONG, refused).await.unwrap();
    let api = nowhere.api::<InferenceRequest>();
    let cancel = Patch::Merge(json!({ "spec": { "cancel": true } }));
    api.patch("long", &PatchParams::default(), &cancel).await.unwrap();
    until_jobs(&jobs, 0).await;
    assert_eq!(
        phase(&api.get("long").await.unwrap()),
        Some(RequestPhase::Cancelled)
    );
    for drain in [true, false, true] {
        let patch = Patch::Merge(json!({ "spec": { "drain": drain } }));
        nowhere
            .api::<MinerPool>()
            .patch("nobody", &PatchParams::default(), &patch)
            .await
            .unwrap();
        nowhere
            .until("nobody", LONG, |p: &MinerPool| pool_ready(p) != drain)
            .await
            .unwrap();
    }
}
