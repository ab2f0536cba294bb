//! Two installations in one cluster, each with a class of its own: neither asks for, writes or takes part in what is the other's.
//! The API server's audit log is the witness.

use std::collections::BTreeSet;
use std::path::Path;

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase, Validator, find_condition};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::fake_node::FakeNode;
use zkinfer_tests::operator::{
    ACCOUNT, Objects, Operator, install, install_beside, model_ready, phase, pool_ready, reason, workers,
};

use crate::audit::audited;
use crate::world::LONG;

const BLUE: &str = "zkinfer-blue";
const BLUE_ACCOUNT: &str = "system:serviceaccount:zkinfer-blue:zkinfer-operator";

/// Both installations, and a namespace in which each has a model and a pool.
struct Both {
    default: Operator,
    blue: Operator,
    objects: Objects,
    _node: FakeNode,
}

/// What is said of an object that is for the other one.
fn blue(more: &Value) -> Value {
    let mut spec = json!({ "controllerClass": "blue" });
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    spec
}

/// The class, put into a document that says none.
fn of_blue(text: &str) -> String {
    let documents = text.split("\n---\n").map(|document| {
        let mut object: Value = serde_json::from_str(document).unwrap();
        if object["apiVersion"] == "zkinfer.dev/v1alpha1" {
            object["spec"]["controllerClass"] = json!("blue");
        }
        object.to_string()
    });
    documents.collect::<Vec<_>>().join("\n---\n")
}

impl Both {
    async fn new(cluster: &zkinfer_tests::cluster::Cluster) -> Self {
        install(cluster).await.unwrap();
        install_beside(cluster, BLUE, "blue").await.unwrap();
        let node = workers(cluster).await.unwrap();
        let default = Operator::start(cluster, &[]).await.unwrap();
        let second = Operator::start_in(cluster, BLUE, &["--controller-class=blue"])
            .await
            .unwrap();
        let objects = Objects::new(cluster, "shared").await.unwrap();
        for text in [
            objects.model("wine", "wine.onnx", 4),
            of_blue(&objects.model("wine-blue", "wine.onnx", 4)),
            objects.pool("own", &json!({ "warm": 1 })),
            objects.pool("other", &blue(&json!({ "warm": 1 }))),
        ] {
            cluster.apply(&text).await.unwrap();
        }
        for model in ["wine", "wine-blue"] {
            objects.until(model, LONG, model_ready).await.unwrap();
        }
        for pool in ["own", "other"] {
            objects.until(pool, LONG, pool_ready).await.unwrap();
        }
        Self {
            default,
            blue: second,
            objects,
            _node: node,
        }
    }
}

/// The pools that proved a request.
fn proved_by(request: &InferenceRequest) -> BTreeSet<String> {
    let rows = request.status.iter().flat_map(|s| &s.recent_slices);
    rows.map(|row| row.pool.clone()).collect()
}

/// Who has written the status of an object.
fn writers(
    managed: Option<&Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry>>,
) -> BTreeSet<String> {
    let status = managed.into_iter().flatten();
    let status = status.filter(|entry| entry.subresource.as_deref() == Some("status"));
    status.filter_map(|entry| entry.manager.clone()).collect()
}

/// Everything that somebody wrote, by resource, namespace and name.
fn written(log: &Path, account: &str) -> BTreeSet<(String, String, String)> {
    let text = std::fs::read_to_string(log).unwrap();
    let events = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    events
        .filter(|event| event["user"]["username"] == account)
        .filter(|event| {
            ["create", "update", "patch", "delete"].contains(&event["verb"].as_str().unwrap_or_default())
        })
        .map(|event| {
            let object = &event["objectRef"];
            (
                text(&object["resource"]),
                text(&object["namespace"]),
                text(&object["name"]),
            )
        })
        .collect()
}

#[tokio::test]
async fn each_proves_its_own_requests_with_its_own_pools_and_touches_nothing_else() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (cluster, log) = audited(folder.path(), json!([{ "level": "Metadata" }])).await;
    let mut both = Both::new(&cluster).await;
    let objects = &both.objects;
    // Each has settings of its own, by the Validator of its class in its namespace.
    for (namespace, spec, manager) in [
        (
            "zkinfer-system",
            json!({ "network": "first" }),
            "zkinfer-operator",
        ),
        (
            BLUE,
            blue(&json!({ "network": "second" })),
            "zkinfer-operator-blue",
        ),
    ] {
        let own = Objects {
            client: objects.client.clone(),
            namespace: namespace.to_owned(),
        };
        cluster
            .apply(&own.object("Validator", "settings", &spec))
            .await
            .unwrap();
        let settings = |v: &Validator| v.status.as_ref().and_then(|s| s.settings.clone());
        let validator = own
            .until("settings", LONG, |v: &Validator| settings(v).is_some())
            .await
            .unwrap();
        assert_eq!(settings(&validator), Some(validator.spec.clone()));
        assert_eq!(
            writers(validator.metadata.managed_fields.as_ref()),
            [manager.to_owned()].into()
        );
    }
    for text in [
        objects.wine_request("one", "wine", &json!({})),
        objects.wine_request("two", "wine-blue", &blue(&json!({}))),
        // The model is there, and not for this one.
        objects.wine_request("astray", "wine", &blue(&json!({}))),
    ] {
        cluster.apply(&text).await.unwrap();
    }
    let one = objects.over("one", LONG).await.unwrap();
    let two = objects.over("two", LONG).await.unwrap();
    assert_eq!(phase(&one), Some(RequestPhase::Succeeded), "{:?}", one.status);
    assert_eq!(phase(&two), Some(RequestPhase::Succeeded), "{:?}", two.status);
    assert_eq!(proved_by(&one), BTreeSet::from(["shared/own".to_owned()]));
    assert_eq!(proved_by(&two), BTreeSet::from(["shared/other".to_owned()]));
    let lost = |r: &InferenceRequest| reason(r, "Ready").as_deref() == Some("ModelNotFound");
    let astray = objects.until("astray", LONG, lost).await.unwrap();
    let conditions = astray.status.unwrap().conditions;
    let said = &find_condition(&conditions, "Ready").unwrap().message;
    assert!(
        said.contains("controllerClass") && said.contains("`blue`"),
        "{said}"
    );

    // Each status has one writer, and it is the right one.
    let (requests, models, pools): (Api<InferenceRequest>, Api<Model>, Api<MinerPool>) =
        (objects.api(), objects.api(), objects.api());
    for (name, manager) in [("one", "zkinfer-operator"), ("two", "zkinfer-operator-blue")] {
        let object = requests.get(name).await.unwrap();
        assert_eq!(
            writers(object.metadata.managed_fields.as_ref()),
            [manager.to_owned()].into()
        );
    }
    for (name, manager) in [
        ("wine", "zkinfer-operator"),
        ("wine-blue", "zkinfer-operator-blue"),
    ] {
        let object = models.get(name).await.unwrap();
        assert_eq!(
            writers(object.metadata.managed_fields.as_ref()),
            [manager.to_owned()].into()
        );
    }
    for (name, manager) in [("own", "zkinfer-operator"), ("other", "zkinfer-operator-blue")] {
        let object = pools.get(name).await.unwrap();
        assert_eq!(
            writers(object.metadata.managed_fields.as_ref()),
            [manager.to_owned()].into()
        );
    }
    // What they make tells them apart.
    let jobs: Api<Job> = objects.api();
    for job in jobs.list(&ListParams::default()).await.unwrap() {
        let of_blue = job
            .labels()
            .get("zkinfer.dev/controller-class")
            .map(String::as_str);
        let pool = job.labels().get("zkinfer.dev/pool").map(String::as_str);
        assert_eq!(of_blue, (pool == Some("other")).then_some("blue"), "{job:?}");
    }

    assert_eq!(both.default.stop().await.unwrap(), Some(0));
    assert_eq!(both.blue.stop().await.unwrap(), Some(0));
    let (first, second) = (written(&log, ACCOUNT), written(&log, BLUE_ACCOUNT));
    let named = |all: &BTreeSet<(String, String, String)>| -> BTreeSet<(String, String, String)> {
        let reviews = ["tokenreviews", "subjectaccessreviews"];
        let kept = all
            .iter()
            .filter(|(r, _, name)| !reviews.contains(&r.as_str()) && !name.is_empty());
        kept.cloned().collect()
    };
    let common: Vec<_> = named(&first).intersection(&named(&second)).cloned().collect();
    assert!(common.is_empty(), "both have written {common:?}");
    assert!(
        first.iter().all(|(_, namespace, _)| namespace != BLUE),
        "{first:?}"
    );
    assert!(
        second
            .iter()
            .all(|(_, namespace, _)| namespace != "zkinfer-system"),
        "{second:?}"
    );
}

#[tokio::test]
async fn a_class_is_kept_for_life_and_another_operators_gateway_takes_no_request_of_it() {
    if !can_run() {
        return;
    }
    let cluster = zkinfer_tests::cluster::Cluster::api().await.unwrap();
    install(&cluster).await.unwrap();
    let operator = Operator::start(&cluster, &[]).await.unwrap();
    let objects = Objects::new(&cluster, "classes").await.unwrap();
    cluster.apply(&objects.pool("own", &json!({}))).await.unwrap();
    let pools: Api<MinerPool> = objects.api();
    let kept = pools.get("own").await.unwrap();
    assert_eq!(
        kept.spec.controller_class, "zkinfer",
        "the API server says what is not said"
    );
    let patch = Patch::Merge(json!({ "spec": { "controllerClass": "blue" } }));
    let refused = pools
        .patch("own", &PatchParams::default(), &patch)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("controllerClass is immutable"),
        "{refused}"
    );
    let bad = cluster
        .apply(&objects.pool("bad", &json!({ "controllerClass": "Blue" })))
        .await;
    let bad = bad.unwrap_err().to_string();
    assert!(bad.contains("spec.controllerClass"), "{bad}");

    for words in [
        "create serviceaccount editor -n classes",
        "create rolebinding editor -n classes --clusterrole=edit --serviceaccount=classes:editor",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        cluster.kubectl(&words).await.unwrap();
    }
    let token = ["create", "token", "editor", "-n", "classes"];
    let token = cluster.kubectl(&token).await.unwrap();
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/requests", operator.gateway))
        .bearer_auth(token.trim())
        .header("content-type", "application/json")
        .body(objects.wine_request("posted", "wine", &blue(&json!({}))))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 422);
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told["reason"], "OtherControllerClass", "{told}");
    let requests: Api<InferenceRequest> = objects.api();
    assert!(
        requests
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
}
