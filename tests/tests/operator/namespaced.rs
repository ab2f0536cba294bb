//! The operator with the Roles that the chart makes for some namespaces: it serves these, asks for nothing else, and says which
//! of them it may not read. The API server's audit log is the witness.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, Model, RequestPhase, find_condition};
use zkinfer_tests::cluster::{Cluster, can_run, wait_for};
use zkinfer_tests::local::repository;
use zkinfer_tests::operator::{
    Objects, Operator, install_for, model_ready, phase, pool_ready, reason, workers,
};

use crate::audit::audited;
use crate::rights::calls;
use crate::world::{LONG, World};

/// A cluster with an operator for these namespaces.
async fn world(cluster: Cluster, namespaces: &[&str]) -> World {
    let node = workers(&cluster).await.unwrap();
    let flag = format!("--namespaces={}", namespaces.join(","));
    let operator = Operator::start(&cluster, &[&flag]).await.unwrap();
    World {
        cluster,
        operator,
        node,
    }
}

/// The objects of a namespace that is there.
async fn objects(cluster: &Cluster, namespace: &str) -> Objects {
    Objects {
        client: cluster.client().await.unwrap(),
        namespace: namespace.to_owned(),
    }
}

async fn ready_says(world: &World) -> (u16, String) {
    let answer = reqwest::get(format!("{}/readyz", world.operator.health))
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A client's request in a namespace, with a token that may make one: status and reason.
async fn posted(world: &World, namespace: &str) -> (u16, Value) {
    for words in [
        format!("create serviceaccount editor -n {namespace}"),
        format!(
            "create rolebinding editor -n {namespace} --clusterrole=edit --serviceaccount={namespace}:editor"
        ),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        world.cluster.kubectl(&words).await.unwrap();
    }
    let token = ["create", "token", "editor", "-n", namespace];
    let token = world.cluster.kubectl(&token).await.unwrap();
    let objects = objects(&world.cluster, namespace).await;
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/requests", world.operator.gateway))
        .bearer_auth(token.trim())
        .header("content-type", "application/json")
        .body(objects.wine_request("posted", "none", &json!({})))
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Everything of ours in a namespace, and all that the operator would make there, as it is.
async fn everything_in(objects: &Objects) -> Vec<String> {
    let kinds = [
        ("zkinfer.dev", "v1alpha1", "Model"),
        ("zkinfer.dev", "v1alpha1", "InferenceRequest"),
        ("zkinfer.dev", "v1alpha1", "MinerPool"),
        ("batch", "v1", "Job"),
        ("apps", "v1", "Deployment"),
        ("networking.k8s.io", "v1", "NetworkPolicy"),
        ("", "v1", "ServiceAccount"),
        ("", "v1", "Event"),
    ];
    let mut all = Vec::new();
    for (group, version, kind) in kinds {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> =
            Api::namespaced_with(objects.client.clone(), &objects.namespace, &resource);
        let list = api.list(&ListParams::default()).await.unwrap();
        all.extend(list.items.iter().map(|o| serde_json::to_string(o).unwrap()));
    }
    all
}

#[tokio::test]
async fn the_quickstart_needs_roles_in_its_namespaces_and_one_cluster_role_for_reviews() {
    if !can_run() {
        return;
    }
    let namespaces = ["default", "miner-alpha", "miner-beta"];
    let folder = tempfile::tempdir().unwrap();
    let (cluster, log) = audited(folder.path(), json!([{ "level": "Metadata" }])).await;
    install_for(&cluster, &namespaces).await.unwrap();
    let mut world = world(cluster, &namespaces).await;

    // The same in a namespace that it was not told.
    let far = Objects::new(&world.cluster, "far").await.unwrap();
    for text in [
        far.model("wine", "wine.onnx", 4),
        far.pool("own", &json!({ "allowedNamespaces": ["default"], "warm": 1 })),
        far.wine_request("one", "wine", &json!({})),
    ] {
        world.cluster.apply(&text).await.unwrap();
    }
    let before = everything_in(&far).await;
    assert!(before.len() >= 4, "{before:?}");

    for file in ["pools", "model", "request"] {
        let path = repository().join(format!("manifests/quickstart/{file}.yaml"));
        let text = std::fs::read_to_string(path).unwrap();
        world.cluster.apply(&text).await.unwrap();
    }
    let here = objects(&world.cluster, "default").await;
    let request = here.over("digit-7", LONG).await.unwrap();
    assert_eq!(
        phase(&request),
        Some(RequestPhase::Succeeded),
        "{:?}",
        request.status
    );
    let status = request.status.unwrap();
    let pools: BTreeSet<&str> = status.recent_slices.iter().map(|row| row.pool.as_str()).collect();
    assert!(
        pools
            .iter()
            .all(|p| ["miner-alpha/alpha", "miner-beta/beta"].contains(p)),
        "{pools:?}"
    );

    // What counts on the other one is told where people look.
    let model: Model = here.api().get("digits").await.unwrap();
    let not_watched = |m: &Model| {
        let conditions = m
            .status
            .iter()
            .flat_map(|s| s.conditions.clone())
            .collect::<Vec<_>>();
        find_condition(&conditions, "NamespaceNotWatched").map(|c| c.message.clone())
    };
    assert_eq!(not_watched(&model), None);
    let patch = Patch::Merge(json!({ "spec": { "servedBy": [{ "namespace": "far" }] } }));
    let models: Api<Model> = here.api();
    models
        .patch("digits", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let model = here
        .until("digits", LONG, |m| not_watched(m).is_some())
        .await
        .unwrap();
    let said = not_watched(&model).unwrap();
    assert!(
        said.contains("spec.servedBy of Model `digits`") && said.contains("namespace `far`"),
        "{said}"
    );
    assert!(model_ready(&model), "who may serve it is another matter");
    let again = crate::world::digits_request("again", "default");
    world.cluster.apply(&again).await.unwrap();
    let waits = |r: &InferenceRequest| reason(r, "Ready").as_deref() == Some("NoFittingPool");
    let request = here.until("again", LONG, waits).await.unwrap();
    let said = serde_json::to_string(&request.status).unwrap();
    assert!(said.contains("does not watch namespace `far`"), "{said}");

    let (code, told) = posted(&world, "far").await;
    assert_eq!(
        (code, &told["reason"]),
        (404, &json!("NamespaceNotWatched")),
        "{told}"
    );
    let (code, told) = posted(&world, "default").await;
    assert_eq!(code, 201, "{told}");

    // Nothing was touched there, but what this test has made, and the account that Kubernetes makes.
    let ours = |o: &&String| !o.contains("\"editor\"");
    let after = everything_in(&far).await;
    let after: Vec<&String> = after.iter().filter(ours).collect();
    assert_eq!(after, before.iter().collect::<Vec<_>>());

    assert_eq!(ready_says(&world).await, (200, "ok".to_owned()));
    world.operator.stop().await.unwrap();
    let seen: BTreeSet<&str> = namespaces.into_iter().chain(["zkinfer-system"]).collect();
    let mut places = BTreeSet::new();
    let mut reviews = BTreeSet::new();
    for call in calls(&log) {
        assert_ne!(call["responseStatus"]["code"], 403, "forbidden: {call}");
        match call["objectRef"]["namespace"].as_str() {
            Some(namespace) => drop(places.insert(namespace.to_owned())),
            None => drop(reviews.insert(call["objectRef"]["resource"].to_string())),
        }
    }
    assert_eq!(places.iter().map(String::as_str).collect::<BTreeSet<_>>(), seen);
    let asked: Vec<String> = reviews.into_iter().collect();
    assert_eq!(asked, ["\"subjectaccessreviews\"", "\"tokenreviews\""]);
    may_do_nothing_elsewhere(&world.cluster).await;
}

/// By the API server's own word, with all that the account is bound to.
async fn may_do_nothing_elsewhere(cluster: &Cluster) {
    let account = "--as=system:serviceaccount:zkinfer-system:zkinfer-operator";
    for (action, namespace, expected) in [
        ("list models.zkinfer.dev", "default", "yes"),
        ("create jobs.batch", "miner-alpha", "yes"),
        ("get secrets/zkinfer-token-key", "zkinfer-system", "yes"),
        ("get secrets/zkinfer-validator-key", "zkinfer-system", "yes"),
        ("list models.zkinfer.dev", "far", "no"),
        ("create jobs.batch", "far", "no"),
        ("create jobs.batch", "kube-system", "no"),
        ("get configmaps", "kube-system", "no"),
        ("get secrets", "zkinfer-system", "no"),
        ("get secrets/zkinfer-token-key", "default", "no"),
    ] {
        let words: Vec<&str> = action.split(' ').collect();
        let ask = [&["auth", "can-i"][..], &words, &["-n", namespace, account]].concat();
        // kubectl ends with an error where the answer is no.
        let answer = cluster.kubectl(&ask).await;
        let may = answer.is_ok_and(|text| text.trim() == "yes");
        assert_eq!(may, expected == "yes", "{action} in {namespace}");
    }
}

#[tokio::test]
async fn a_namespace_without_its_role_is_named_and_the_others_are_served() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (cluster, log) = audited(folder.path(), json!([{ "level": "Metadata" }])).await;
    install_for(&cluster, &["served", "lacking"]).await.unwrap();
    let binding = [
        "get",
        "rolebinding",
        "zkinfer-operator-objects",
        "-n",
        "lacking",
        "-o",
        "json",
    ];
    let binding: Value = serde_json::from_str(&cluster.kubectl(&binding).await.unwrap()).unwrap();
    let words = [
        "delete",
        "rolebinding",
        "zkinfer-operator-objects",
        "-n",
        "lacking",
    ];
    cluster.kubectl(&words).await.unwrap();
    let mut world = world(cluster, &["served", "lacking"]).await;

    let (code, said) = ready_says(&world).await;
    assert_eq!(code, 200, "the others are served: {said}");
    for words in [
        "namespace `lacking`",
        "Role",
        "`zkinfer-operator-objects`",
        "minerpools",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("`served`"), "{said}");
    let up = async |world: &World, namespace: &str| {
        let label = format!("namespace=\"{namespace}\"");
        world
            .operator
            .metric("zkinfer_namespace_up", &label)
            .await
            .unwrap()
    };
    assert_eq!(
        (up(&world, "lacking").await, up(&world, "served").await),
        (0.0, 1.0)
    );
    let output = world.operator.output();
    assert!(
        output.contains("In(\"lacking\")")
            && output.contains("Role or RoleBinding `zkinfer-operator-objects`"),
        "{output}"
    );

    let served = objects(&world.cluster, "served").await;
    let lacking = objects(&world.cluster, "lacking").await;
    for there in [&served, &lacking] {
        for text in [
            there.model("wine", "wine.onnx", 4),
            there.pool("own", &json!({})),
            there.wine_request("one", "wine", &json!({})),
        ] {
            world.cluster.apply(&text).await.unwrap();
        }
    }
    let request = served.over("one", LONG).await.unwrap();
    assert_eq!(phase(&request), Some(RequestPhase::Succeeded));
    let api: Api<InferenceRequest> = lacking.api();
    assert_eq!(api.get("one").await.unwrap().status, None);
    let events: Api<Event> = lacking.api();
    let told = events.list(&ListParams::default()).await.unwrap();
    assert!(told.items.is_empty(), "{told:?}");

    // With the right it is served, without a restart.
    let mut binding = binding;
    let meta = json!({ "name": binding["metadata"]["name"], "namespace": binding["metadata"]["namespace"] });
    binding["metadata"] = meta;
    world.cluster.apply(&binding.to_string()).await.unwrap();
    lacking.until("own", LONG, pool_ready).await.unwrap();
    let request = lacking.over("one", LONG).await.unwrap();
    assert_eq!(phase(&request), Some(RequestPhase::Succeeded));
    wait_for("every list", LONG, async || match ready_says(&world).await {
        (200, said) if said == "ok" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    assert_eq!(
        (up(&world, "lacking").await, up(&world, "served").await),
        (1.0, 1.0)
    );
    world.operator.stop().await.unwrap();
    for call in calls(&log) {
        let refused = call["responseStatus"]["code"] == 403;
        assert!(!refused || call["objectRef"]["namespace"] == "lacking", "{call}");
    }
}
