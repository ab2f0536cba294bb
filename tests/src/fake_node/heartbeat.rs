//! The Node object and its Lease, by which the control plane knows that the node lives.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::Node,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{Config, Error, status::ADDRESS};
use crate::cluster;

/// As often as a kubelet, scaled to a node that counts as lost after 10 s.
const INTERVAL: Duration = Duration::from_secs(3);

/// How long the control plane may take to accept the node.
const LIMIT: Duration = Duration::from_secs(30);

/// Makes the node anew, Ready from the start, and waits until pods may be scheduled to it.
pub(super) async fn register(client: &Client, config: &Config) -> Result<(), Error> {
    remove(client, &config.name).await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let conditions: Vec<_> = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]
        .into_iter()
        .map(|kind| {
            let status = if kind == "Ready" { "True" } else { "False" };
            let now = Time(Timestamp::now());
            json!({"type": kind, "status": status, "reason": "FakeNode", "message": "pods are local processes",
                "lastHeartbeatTime": now, "lastTransitionTime": now})
        })
        .collect();
    let mut labels = BTreeMap::from([
        ("kubernetes.io/hostname".to_owned(), config.name.clone()),
        ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("kubernetes.io/arch".to_owned(), "amd64".to_owned()),
    ]);
    labels.extend(config.labels.clone());
    let capacity =
        json!({"cpu": config.cpu, "memory": config.memory, "pods": "1000", "ephemeral-storage": "500Gi"});
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": config.name, "labels": labels},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": ADDRESS}, {"type": "Hostname", "address": config.name}],
        },
    });
    let node = serde_json::from_value(node).map_err(|error| Error::io("the Node object")(error.into()))?;
    nodes.create(&PostParams::default(), &node).await?;
    let start = Instant::now();
    loop {
        let last = match is_usable(client, &config.name).await {
            Ok(None) => return Ok(()),
            Ok(Some(taints)) => format!("taints {taints}"),
            Err(error) => error.to_string(),
        };
        if start.elapsed() > LIMIT {
            return Err(cluster::Error::Timeout {
                what: format!("node {}", config.name),
                limit: LIMIT,
                last,
            }
            .into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The taints, if there still are any. Admission puts one on every new node; the node controller takes it away when it
/// has seen that the node is Ready.
async fn is_usable(client: &Client, name: &str) -> Result<Option<String>, kube::Error> {
    renew(client, name).await?;
    let node = Api::<Node>::all(client.clone()).get(name).await?;
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    Ok((!taints.is_empty()).then(|| {
        taints
            .into_iter()
            .map(|taint| taint.key)
            .collect::<Vec<_>>()
            .join(", ")
    }))
}

/// Renews the lease for ever. A renewal that fails is tried again: only silence means that the node is lost.
pub(super) async fn beat(client: Client, name: String) {
    loop {
        let wait = if renew(&client, &name).await.is_ok() {
            INTERVAL
        } else {
            INTERVAL / 6
        };
        tokio::time::sleep(wait).await;
    }
}

/// Takes the node out of the cluster.
pub(super) async fn remove(client: &Client, name: &str) -> Result<(), Error> {
    let gone = |result: Result<(), kube::Error>| match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    };
    let nodes: Api<Node> = Api::all(client.clone());
    gone(nodes.delete(name, &DeleteParams::default()).await.map(drop))?;
    gone(
        leases(client)
            .delete(name, &DeleteParams::default())
            .await
            .map(drop),
    )?;
    Ok(())
}

fn leases(client: &Client) -> Api<Lease> {
    Api::namespaced(client.clone(), "kube-node-lease")
}

async fn renew(client: &Client, name: &str) -> Result<(), kube::Error> {
    let spec = LeaseSpec {
        holder_identity: Some(name.to_owned()),
        lease_duration_seconds: Some(40),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..Default::default()
    };
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..Default::default()
        },
        spec: Some(spec),
    };
    let parameters = PatchParams::apply("fake-node").force();
    leases(client)
        .patch(&lease.name_any(), &parameters, &Patch::Apply(&lease))
        .await
        .map(drop)
}
