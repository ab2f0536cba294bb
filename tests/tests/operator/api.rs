//! What the API server takes and refuses, and what the gateway lets whom see.

use std::process::Command;

use kube::api::{Patch, PatchParams};
use serde_json::json;
use zkinfer_crds::calls::clients::RequestList;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::local::{model_file, program, run};
use zkinfer_tests::operator::{Objects, SYSTEM, WINE, model_ready, phase, reason};

use crate::world::{LONG, World};

#[tokio::test]
async fn every_default_comes_from_the_schema() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "defaults").await.unwrap();
    let pinned = format!("a/b@sha256:{}", "0".repeat(64));
    let source = json!({ "configMap": { "name": "none", "key": "k" } });
    let asked = json!({ "inline": { "x": { "shape": [1], "data": [0.5] } } });
    let model = json!({
        "source": source, "quantization": { "errorBudgetMillionths": 1_000, "compareTop1": true, "synthetic": "Serve" }, "slicing": { "parallelism": 1 },
        "proofSystem": "SumcheckWhir", "batchSizes": [1], "controllerClass": "zkinfer",
    });
    let request = json!({
        "type": "Organic", "modelRef": { "name": "none" }, "input": asked, "priority": 0, "deadline": "1h",
        "redundancy": 1, "suspend": false, "cancel": false, "controllerClass": "zkinfer",
    });
    let pool = json!({
        "image": pinned, "allowUnpinnedImage": false, "parallelism": 1, "warm": 0, "drain": false,
        "resources": { "cpu": "1", "memory": "512Mi" }, "controllerClass": "zkinfer",
    });
    let tolerant = |toleration: serde_json::Value| json!({ "tolerations": [toleration] });
    let mut tolerant_pool = pool.clone();
    tolerant_pool["pod"] = tolerant(json!({ "key": "k", "operator": "Equal" }));
    for (kind, name, written, stored) in [
        ("Model", "least", json!({ "source": source }), &model),
        (
            "Model",
            "empty",
            json!({ "source": source, "quantization": {}, "slicing": {} }),
            &model,
        ),
        (
            "InferenceRequest",
            "least",
            json!({ "modelRef": { "name": "none" }, "input": asked }),
            &request,
        ),
        ("MinerPool", "least", json!({ "image": pinned }), &pool),
        (
            "MinerPool",
            "empty",
            json!({ "image": pinned, "resources": {}, "pod": tolerant(json!({ "key": "k" })) }),
            &tolerant_pool,
        ),
    ] {
        let object = objects.object(kind, name, &written);
        world.cluster.apply(&object).await.unwrap();
        // As the API server has it: a type of ours would add what is missing.
        let got = ["get", kind, name, "-n", "defaults", "-o", "json"];
        let got = world.cluster.kubectl(&got).await.unwrap();
        let got: serde_json::Value = serde_json::from_str(&got).unwrap();
        assert_eq!(&got["spec"], stored, "{kind} {name}");
    }
}

#[tokio::test]
async fn what_fixes_a_circuit_cannot_change() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "schema").await.unwrap();
    world
        .cluster
        .apply(&objects.model("wine", "wine.onnx", 2))
        .await
        .unwrap();
    world
        .cluster
        .apply(&objects.pool("pool", &json!({})))
        .await
        .unwrap();
    world
        .cluster
        .apply(&objects.wine_request("one", "wine", &json!({})))
        .await
        .unwrap();

    let refused = async |result: Result<(), kube::Error>, word: &str| match result {
        Err(kube::Error::Api(status)) => assert!(status.message.contains(word), "{}", status.message),
        other => panic!("{word}: {other:?}"),
    };
    let merge = |spec: serde_json::Value| Patch::Merge(json!({ "spec": spec }));
    let params = PatchParams::default();
    let changed = objects
        .api::<Model>()
        .patch(
            "wine",
            &params,
            &merge(json!({ "slicing": { "parallelism": 3 } })),
        )
        .await;
    refused(changed.map(drop), "slicing is immutable").await;
    let changed = objects
        .api::<InferenceRequest>()
        .patch("one", &params, &merge(json!({ "priority": 3 })))
        .await;
    refused(changed.map(drop), "priority is immutable").await;
    let changed = objects
        .api::<MinerPool>()
        .patch("pool", &params, &merge(json!({ "allowUnpinnedImage": false })))
        .await;
    refused(changed.map(drop), "image must be pinned by digest").await;
    let bad = objects.wine_request("bad", "wine", &json!({ "deadline": "0s" }));
    let error = world.cluster.apply(&bad).await.unwrap_err().to_string();
    assert!(error.contains("deadline must be more than 0"), "{error}");
}

/// A token of a ServiceAccount that is bound to a ClusterRole in a namespace, or to none.
pub async fn token(world: &World, namespace: &str, account: &str, role: Option<&str>) -> String {
    let cluster = &world.cluster;
    cluster
        .kubectl(&["create", "serviceaccount", account, "-n", namespace])
        .await
        .unwrap();
    if let Some(role) = role {
        let subject = format!("--serviceaccount={namespace}:{account}");
        let role = format!("--clusterrole={role}");
        cluster
            .kubectl(&["create", "rolebinding", account, "-n", namespace, &role, &subject])
            .await
            .unwrap();
    }
    let token = cluster
        .kubectl(&["create", "token", account, "-n", namespace])
        .await
        .unwrap();
    token.trim().to_owned()
}

#[tokio::test]
async fn clients_see_and_make_what_the_api_server_would_let_them() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_pool("clients").await;
    let editor = token(world, "clients", "editor", Some("edit")).await;
    let viewer = token(world, "clients", "viewer", Some("view")).await;
    let stranger = token(world, "clients", "stranger", None).await;
    let http = reqwest::Client::new();
    let gateway = &world.operator.gateway;
    let body = json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest",
        "metadata": { "name": "asked", "namespace": "clients" },
        "spec": {
            "modelRef": { "name": "wine" },
            "input": { "inline": { "features": { "shape": [1, 13], "data": WINE } } },
        },
    });
    let post = async |token: &str| {
        let call = http
            .post(format!("{gateway}/v1/requests"))
            .bearer_auth(token)
            .json(&body);
        call.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("nonsense").await, 401);
    assert_eq!(post(&stranger).await, 403);
    assert_eq!(post(&viewer).await, 403);
    assert_eq!(post(&editor).await, 201);
    assert_eq!(post(&editor).await, 409);
    let over = objects.over("asked", LONG).await.unwrap();
    let digest = over.status.unwrap().receipt.unwrap().digest;
    let get = async |token: &str, path: &str| {
        let answer = http
            .get(format!("{gateway}{path}"))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    };
    let request = "/v1/requests/clients/asked";
    assert_eq!(get(&viewer, request).await.0, 200);
    assert_eq!(get(&stranger, request).await.0, 403);
    let receipt = format!("/v1/receipts/{digest}?namespace=clients");
    let (status, bytes) = get(&viewer, &receipt).await;
    assert_eq!((status, zkinfer_crds::Digest::of(&bytes)), (200, digest));
    assert_eq!(get(&stranger, &receipt).await.0, 403, "a digest is no permission");
    let (status, listed) = get(&viewer, "/v1/requests/clients").await;
    let listed: RequestList = serde_json::from_slice(&listed).unwrap();
    let told: Vec<_> = listed
        .requests
        .iter()
        .map(|r| (&*r.name, &*r.model, r.phase, r.receipt))
        .collect();
    assert_eq!(
        (status, told, listed.after.clone()),
        (
            200,
            vec![("asked", "wine", RequestPhase::Succeeded, Some(digest))],
            None
        )
    );
    // Whoever may read one namespace gets no receipts of another by naming it.
    Objects::new(&world.cluster, "elsewhere").await.unwrap();
    let other = token(world, "elsewhere", "viewer", Some("view")).await;
    assert_eq!(
        get(&other, &format!("/v1/receipts/{digest}?namespace=elsewhere"))
            .await
            .0,
        404
    );
    assert_eq!(get(&other, &receipt).await.0, 403);
}

#[tokio::test]
async fn only_a_pools_own_account_with_the_gateways_audience_is_a_worker() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let _objects = world.with_pool("workers").await;
    let cluster = &world.cluster;
    let http = reqwest::Client::new();
    let claim = async |token: &str| {
        let body = json!({ "worker": "w", "parameters": [], "memoryBytes": 1, "waitSeconds": 0 });
        let url = format!("{}/v1/work/claims", world.operator.gateway);
        http.post(url)
            .bearer_auth(token.trim())
            .json(&body)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let account = "zkinfer-miner-own";
    let good = [
        "create",
        "token",
        account,
        "-n",
        "workers",
        "--audience",
        "zkinfer-gateway",
    ];
    assert_eq!(claim(&cluster.kubectl(&good).await.unwrap()).await, 204);
    let other_audience = ["create", "token", account, "-n", "workers"];
    assert_eq!(claim(&cluster.kubectl(&other_audience).await.unwrap()).await, 401);
    let other_account = [
        "create",
        "token",
        "default",
        "-n",
        "workers",
        "--audience",
        "zkinfer-gateway",
    ];
    assert_eq!(claim(&cluster.kubectl(&other_account).await.unwrap()).await, 401);
    // An account of the right name in a namespace that has no such pool.
    cluster
        .kubectl(&["create", "serviceaccount", "zkinfer-miner-own", "-n", SYSTEM])
        .await
        .unwrap();
    let elsewhere = [
        "create",
        "token",
        account,
        "-n",
        SYSTEM,
        "--audience",
        "zkinfer-gateway",
    ];
    assert_eq!(claim(&cluster.kubectl(&elsewhere).await.unwrap()).await, 401);
}

#[tokio::test]
async fn a_digest_is_no_permission_to_name_another_namespaces_file() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let owner = world.with_model("owner").await;
    let thief = Objects::new(&world.cluster, "thief").await.unwrap();
    let file = std::fs::read(model_file("wine.onnx")).unwrap();
    let by_digest = |objects: &Objects| {
        let spec = json!({
            "source": { "artifact": zkinfer_crds::Digest::of(&file) },
            "slicing": { "parallelism": 4 }, "proofSystem": "Halo2Kzg",
        });
        objects.object("Model", "by-digest", &spec)
    };
    for objects in [&owner, &thief] {
        world.cluster.apply(&by_digest(objects)).await.unwrap();
    }
    owner.until("by-digest", LONG, model_ready).await.unwrap();
    let refused = |m: &Model| {
        let status = m.status.as_ref();
        let ready = status.and_then(|s| zkinfer_crds::k8s::find_condition(&s.conditions, "Ready"));
        ready.is_some_and(|c| c.reason == "SourceNotFound")
    };
    thief.until("by-digest", LONG, refused).await.unwrap();
}

#[tokio::test]
async fn an_uploaded_file_may_be_named_in_the_namespace_that_it_was_uploaded_to() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_pool("uploads").await;
    let input = json!({ "features": [WINE] }).to_string();
    let digest = zkinfer_crds::Digest::of(input.as_bytes());
    let put = async |token: &str, bytes: Vec<u8>| {
        let call = reqwest::Client::new()
            .put(format!(
                "{}/v1/artifacts/uploads/{digest}",
                world.operator.gateway
            ))
            .bearer_auth(token)
            .body(bytes);
        call.send().await.unwrap().status().as_u16()
    };
    let viewer = token(world, "uploads", "viewer", Some("view")).await;
    assert_eq!(put("nonsense", input.clone().into_bytes()).await, 401);
    assert_eq!(put(&viewer, input.clone().into_bytes()).await, 403);
    let editor = token(world, "uploads", "editor", Some("edit")).await;
    assert_eq!(put(&editor, b"other bytes".to_vec()).await, 422);
    assert_eq!(put(&editor, vec![0; (64 << 20) + 1]).await, 413);
    let request = |name: &str| {
        let spec = json!({ "modelRef": { "name": "wine" }, "input": { "artifact": digest } });
        objects.object("InferenceRequest", name, &spec)
    };
    world.cluster.apply(&request("named")).await.unwrap();
    let waits = |r: &InferenceRequest| reason(r, "Ready").as_deref() == Some("InputNotFound");
    objects.until("named", LONG, waits).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (input, token) = (file("input.json", &input), file("token", &editor));
    let done = run(Command::new(program("operator"))
        .args([
            "upload",
            &input,
            "-n",
            "uploads",
            "--token-file",
            &token,
            "--gateway",
        ])
        .arg(&world.operator.gateway)
        .env("KUBECONFIG", world.cluster.kubeconfig()));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.stdout.trim(), digest.to_string());
    let over = objects.over("named", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);

    // The kubeconfigs that kind, kubeadm, k3s and minikube write hold a certificate, as the harness's does, and no token.
    let kubeconfig = std::fs::read_to_string(world.cluster.kubeconfig()).unwrap();
    assert!(kubeconfig.contains("client-certificate") && !kubeconfig.contains("token"));
    let upload = |file: &str, more: &[&str]| {
        run(Command::new(program("operator"))
            .args(["upload", file, "-n", "uploads", "--gateway"])
            .arg(&world.operator.gateway)
            .args(more)
            .env("KUBECONFIG", world.cluster.kubeconfig()))
    };
    let large = file("large", &"\0".repeat(40 << 20));
    let done = upload(&large, &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let done = upload(&large, &["--service-account", "editor"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    // The answer comes through, although the gateway closes before it has read the file.
    for account in ["viewer", "uploads/viewer"] {
        let refused = upload(&large, &["--service-account", account]);
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("Forbidden: you may not create"),
            "{}",
            refused.stderr
        );
    }
}

#[tokio::test]
async fn the_requests_of_a_namespace_are_listed_page_by_page_for_who_may_list_them() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "lists").await.unwrap();
    Objects::new(&world.cluster, "lists-elsewhere").await.unwrap();
    for name in ["c", "a", "e", "b", "d"] {
        let request = objects.wine_request(name, "none", &json!({}));
        world.cluster.apply(&request).await.unwrap();
    }
    let viewer = token(world, "lists", "viewer", Some("view")).await;
    let stranger = token(world, "lists", "stranger", None).await;
    let other = token(world, "lists-elsewhere", "viewer", Some("view")).await;
    let http = reqwest::Client::new();
    let get = async |token: &str, more: &str| {
        let url = format!("{}/v1/requests/lists{more}", world.operator.gateway);
        let answer = http.get(url).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    };
    let list = async |more: &str| {
        let (status, body) = get(&viewer, more).await;
        assert_eq!(status, 200);
        let list: RequestList = serde_json::from_slice(&body).unwrap();
        let names: String = list.requests.iter().map(|r| &*r.name).collect();
        (names, list.after)
    };
    // The watch may be a little behind.
    wait_for("five requests", LONG, async || match list("").await {
        (names, None) if names == "abcde" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    let mut pages = Vec::new();
    let mut more = "?limit=2".to_owned();
    loop {
        let (names, after) = list(&more).await;
        pages.push(names);
        match after {
            Some(after) => more = format!("?limit=2&continue={after}"),
            None => break,
        }
    }
    assert_eq!(pages, ["ab", "cd", "e"]);
    for bad in ["?limit=0", "?limit=501", "?limit=many"] {
        assert_eq!(get(&viewer, bad).await.0, 400, "{bad}");
    }
    assert_eq!(get(&viewer, "?limit=500").await.0, 200);
    assert_eq!(get("nonsense", "").await.0, 401);
    assert_eq!(get(&stranger, "").await.0, 403);
    assert_eq!(
        get(&other, "").await.0,
        403,
        "who may list one namespace may not list another"
    );
}
