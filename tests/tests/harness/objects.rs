//! Pods and Jobs that the tests make, and how they are watched.

use std::time::Duration;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use zkinfer_tests::cluster::{Namespace, wait_for};

/// How long anything that a test waits for may take.
pub const LIMIT: Duration = Duration::from_secs(40);

/// Waits until the object is as `check` wants it.
pub async fn wait_until<K>(namespace: &Namespace<'_>, name: &str, what: &str, check: impl Fn(&K) -> bool) -> K
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = namespace.api().await.unwrap();
    let probe = async || {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        if check(&object) {
            Ok(object)
        } else {
            Err(format!("{object:?}"))
        }
    };
    wait_for(&format!("{name}: {what}"), LIMIT, probe).await.unwrap()
}

pub fn is(wanted: &'static str) -> impl Fn(&Job) -> bool {
    move |job| {
        let conditions = job
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        conditions
            .into_iter()
            .any(|condition| condition.type_ == wanted && condition.status == "True")
    }
}

pub fn phase(wanted: &'static str) -> impl Fn(&Pod) -> bool {
    move |pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(wanted)
}

/// The spec of a pod that runs a shell script on a node.
pub fn shell(node: &str, script: &str) -> Value {
    json!({
        "restartPolicy": "Never",
        "nodeSelector": {"kubernetes.io/hostname": node},
        "automountServiceAccountToken": false,
        "containers": [{"name": "main", "image": "zkinfer.test/sh:v1", "args": ["-c", script]}],
    })
}

pub fn pod(name: &str, spec: &Value) -> String {
    let metadata = json!({"name": name, "finalizers": ["zkinfer.test/seen"]});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).to_string()
}

pub fn job(name: &str, pod: &Value, more: &Value) -> String {
    let mut spec = json!({"backoffLimit": 0, "template": {"spec": pod}});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}).to_string()
}

pub async fn pods_of(namespace: &Namespace<'_>, job: &str) -> Vec<Pod> {
    let pods: Api<Pod> = namespace.api().await.unwrap();
    let label = format!("batch.kubernetes.io/job-name={job}");
    pods.list(&ListParams::default().labels(&label))
        .await
        .unwrap()
        .items
}

/// Exit code and reason of a pod's one container.
pub fn ending(pod: &Pod) -> (i32, String) {
    let statuses = pod.status.clone().unwrap().container_statuses.unwrap();
    let ended = statuses[0].state.clone().unwrap().terminated.unwrap();
    (ended.exit_code, ended.reason.unwrap())
}

/// Lets a pod go that its finalizer has kept for the test to look at.
pub async fn release(namespace: &Namespace<'_>, name: &str) {
    let pods: Api<Pod> = namespace.api().await.unwrap();
    let patch = Patch::Merge(json!({"metadata": {"finalizers": []}}));
    pods.patch(name, &PatchParams::default(), &patch).await.unwrap();
}
