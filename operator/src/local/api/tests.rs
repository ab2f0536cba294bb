//! The API server in memory, through kube's own client.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::Resource;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::core::NamespaceResourceScope;
use kube::discovery::ApiResource;
use serde::de::DeserializeOwned;
use zkinfer_crds::k8s::InferenceRequest;

use super::*;

fn server() -> ApiServer {
    ApiServer {
        store: Store::new(),
        tokens: Tokens::new(),
    }
}

fn api<K>(server: &ApiServer) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(server.client(), "here")
}

fn object<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

fn request(name: &str) -> InferenceRequest {
    object(json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest", "metadata": { "name": name },
        "spec": { "modelRef": { "name": "m" }, "input": { "configMap": { "name": "c", "key": "k" } } },
    }))
}

fn job(name: &str) -> Job {
    object(json!({
        "metadata": { "name": name, "labels": { "a": "b" } },
        "spec": { "template": { "spec": { "containers": [] } } },
    }))
}

/// The code of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<T, kube::Error>) -> u16 {
    match answer.unwrap_err() {
        kube::Error::Api(status) => status.code,
        other => panic!("no refusal: {other}"),
    }
}

#[tokio::test]
async fn a_status_is_written_apart_and_only_a_change_of_the_spec_is_a_generation() {
    let server = server();
    let api = api::<InferenceRequest>(&server);
    let made = api.create(&PostParams::default(), &request("r")).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let again = api.create(&PostParams::default(), &request("r")).await;
    assert_eq!(refused(again), 409);
    let params = PatchParams::apply("test").force();
    let status = |uid: &str, phase: &str| {
        Patch::Apply(json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest", "metadata": { "uid": uid },
            "status": { "phase": phase }, "spec": { "priority": 9 },
        }))
    };
    let uid = made.metadata.uid.as_deref().unwrap();
    let written = api
        .patch_status("r", &params, &status(uid, "Proving"))
        .await
        .unwrap();
    assert_eq!((written.spec.priority, written.metadata.generation), (0, Some(1)));
    let version = written.metadata.resource_version.clone();
    let same = api
        .patch_status("r", &params, &status(uid, "Proving"))
        .await
        .unwrap();
    assert_eq!(same.metadata.resource_version, version, "no change");
    assert_eq!(
        refused(api.patch_status("r", &params, &status("another", "Failed")).await),
        409
    );
    assert_eq!(
        refused(api.patch_status("gone", &params, &status(uid, "Failed")).await),
        404
    );
    let cancel = Patch::Merge(json!({ "spec": { "cancel": true }, "status": { "phase": "Failed" } }));
    let merged = api.patch("r", &PatchParams::default(), &cancel).await.unwrap();
    assert_eq!((merged.spec.cancel, merged.metadata.generation), (true, Some(2)));
    assert_eq!(merged.status, written.status);
}

#[tokio::test]
async fn what_the_api_server_would_refuse_is_refused_with_all_that_is_wrong() {
    let server = server();
    let resource = ApiResource::erase::<InferenceRequest>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(server.client(), "here", &resource);
    let mut bad = DynamicObject::new("r", &resource);
    bad.data = json!({ "spec": { "modelRef": { "name": "m" }, "input": {}, "colour": "red" } });
    let error = api.create(&PostParams::default(), &bad).await.unwrap_err();
    let kube::Error::Api(status) = error else {
        panic!("{error}")
    };
    assert_eq!(status.code, 422);
    assert!(status.message.contains("colour"), "{}", status.message);
    let request = request("r");
    let typed = super::tests::api::<InferenceRequest>(&server);
    typed.create(&PostParams::default(), &request).await.unwrap();
    let spoilt = Patch::Merge(json!({ "spec": { "colour": "red" } }));
    assert_eq!(
        refused(api.patch("r", &PatchParams::default(), &spoilt).await),
        422
    );
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let server = server();
    let pods = api::<Pod>(&server);
    let strategic = Patch::Strategic(json!({}));
    assert_eq!(
        refused(pods.patch("p", &PatchParams::default(), &strategic).await),
        415
    );
    assert_eq!(
        refused(pods.logs("p", &kube::api::LogParams::default()).await),
        404
    );
    assert_eq!(
        refused(
            pods.delete_collection(&DeleteParams::default(), &ListParams::default())
                .await
        ),
        405
    );
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(server.client());
    assert_eq!(refused(nodes.list(&ListParams::default()).await), 404);
    let dry = PostParams {
        dry_run: true,
        field_manager: None,
    };
    assert_eq!(refused(api::<Job>(&server).create(&dry, &job("j")).await), 400);
}

#[tokio::test]
async fn an_object_takes_along_what_it_owns_and_waits_for_its_finalizers() {
    let server = server();
    let (jobs, pods) = (api::<Job>(&server), api::<Pod>(&server));
    let mut held = job("held");
    held.metadata.finalizers = Some(vec!["test/held".to_owned()]);
    let owner = jobs.create(&PostParams::default(), &held).await.unwrap();
    let pod: Pod = object(json!({
        "metadata": { "generateName": "p-", "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "Job", "name": "held", "uid": owner.metadata.uid,
        }] },
    }));
    pods.create(&PostParams::default(), &pod).await.unwrap();
    jobs.delete("held", &DeleteParams::background()).await.unwrap();
    let marked = jobs.get("held").await.unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(pods.list(&ListParams::default()).await.unwrap().items.len(), 1);
    let done = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    jobs.patch("held", &PatchParams::default(), &done).await.unwrap();
    assert_eq!(jobs.get_opt("held").await.unwrap(), None);
    assert_eq!(pods.list(&ListParams::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_deletion_of_another_object_of_the_name_is_refused() {
    let server = server();
    let jobs = api::<Job>(&server);
    jobs.create(&PostParams::default(), &job("j")).await.unwrap();
    let of_another = DeleteParams {
        preconditions: Some(kube::api::Preconditions {
            uid: Some("another".to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    assert_eq!(refused(jobs.delete("j", &of_another).await), 409);
    let stale = Job {
        metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            resource_version: Some("0".to_owned()),
            ..job("j").metadata
        },
        ..job("j")
    };
    assert_eq!(
        refused(jobs.replace("j", &PostParams::default(), &stale).await),
        409
    );
}

#[tokio::test]
async fn a_watch_tells_of_every_change_in_order_and_whoever_is_too_far_behind_lists_anew() {
    let server = server();
    let jobs = api::<Job>(&server);
    jobs.create(&PostParams::default(), &job("one")).await.unwrap();
    let listed = jobs.list(&ListParams::default().labels("a=b")).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    let version = listed.metadata.resource_version.unwrap();
    let params = WatchParams::default().labels("a=b").timeout(1);
    let events = jobs.watch(&params, &version).await.unwrap();
    jobs.create(&PostParams::default(), &job("two")).await.unwrap();
    let mut other = job("other");
    other.metadata.labels = None;
    jobs.create(&PostParams::default(), &other).await.unwrap();
    let suspend = Patch::Merge(json!({ "spec": { "suspend": true } }));
    jobs.patch("two", &PatchParams::default(), &suspend)
        .await
        .unwrap();
    jobs.delete("one", &DeleteParams::default()).await.unwrap();
    let seen: Vec<String> = events
        .map_ok(|event| match event {
            WatchEvent::Added(job) => format!("+{}", job.metadata.name.unwrap()),
            WatchEvent::Modified(job) => format!("*{}", job.metadata.name.unwrap()),
            WatchEvent::Deleted(job) => format!("-{}", job.metadata.name.unwrap()),
            other => format!("{other:?}"),
        })
        .try_collect()
        .await
        .unwrap();
    let [changes @ .., bookmark] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(changes, ["+two", "*two", "-one"]);
    assert!(bookmark.starts_with("Bookmark"), "{bookmark}");
    for i in 0..600 {
        let map: ConfigMap = object(json!({ "metadata": { "name": format!("m{i}") } }));
        api::<ConfigMap>(&server)
            .create(&PostParams::default(), &map)
            .await
            .unwrap();
    }
    let late = jobs.watch(&params, &version).await.unwrap();
    let late: Vec<_> = late.try_collect().await.unwrap();
    assert!(
        matches!(&late[..], [WatchEvent::Error(e)] if e.code == 410),
        "{late:?}"
    );
}

#[tokio::test]
async fn what_a_secret_is_given_as_text_is_its_data() {
    let server = server();
    let secret: Secret = object(json!({ "metadata": { "name": "s" }, "stringData": { "token": "t" } }));
    let made = api::<Secret>(&server)
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    assert_eq!(made.string_data, None);
    assert_eq!(made.data.unwrap()["token"].0, b"t");
}

#[tokio::test]
async fn from_outside_only_the_runner_is_answered() {
    let server = server();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!(
        "http://{}/api/v1/namespaces/here/pods",
        listener.local_addr().unwrap()
    );
    let tokens = Arc::clone(&server.tokens);
    tokio::spawn(server.serve(listener));
    let code = async |token: &str| {
        let call = reqwest::Client::new().get(&address).bearer_auth(token);
        call.timeout(Duration::from_secs(5))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let worker = tokens.give("system:serviceaccount:a:zkinfer-miner-b");
    let runner = tokens.give(RUNNER);
    assert_eq!(
        (code("none").await, code(&worker).await, code(&runner).await),
        (401, 401, 200)
    );
    tokens.take_back(&runner);
    assert_eq!(code(&runner).await, 401);
}

#[test]
fn a_review_knows_the_tokens_that_were_given_and_the_runner_s_rights() {
    let tokens = Tokens::new();
    let token = tokens.give("somebody");
    let review = |token: &str| {
        tokens.review(json!({ "spec": { "token": token, "audiences": ["x"] } }))["status"].clone()
    };
    let known = json!({ "authenticated": true, "user": { "username": "somebody" }, "audiences": ["x"] });
    assert_eq!(review(&token), known);
    assert_eq!(review("e30.e30.nothing")["authenticated"], false);
    let may = |user: &str| tokens::may(json!({ "spec": { "user": user } }))["status"]["allowed"].clone();
    assert_eq!((may(RUNNER), may("somebody")), (json!(true), json!(false)));
}
