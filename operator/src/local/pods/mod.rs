//! The node of local mode: follows Jobs and Deployments in the store, and runs their pods as child processes.
//!
//! Invariants: no process outlives this program; a process is there only while its pod is in the store, and what has become of
//! it stands in the pod's status. Objects mean what they mean on a cluster: a Job's tries, its deadline and what counts as no
//! failure; a pod's variables and volumes.

mod deployment;
mod files;
mod job;
mod node;
mod pod;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::JoinSet;

pub(super) use node::Node;

use super::api::Kind;

/// Follows the store, for ever; dropped, it takes every process along.
pub(super) async fn run(node: Arc<Node>) {
    let mut changes = node.store.changes();
    let (mut known, mut tasks) = (BTreeSet::new(), JoinSet::new());
    loop {
        let mut there = BTreeSet::new();
        for job in new::<Job>(&node, Kind::Job, &known, &mut there) {
            tasks.spawn(job::run(Arc::clone(&node), job));
        }
        for deployment in new::<Deployment>(&node, Kind::Deployment, &known, &mut there) {
            tasks.spawn(deployment::run(Arc::clone(&node), deployment));
        }
        known = there;
        while tasks.try_join_next().is_some() {}
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Those of a kind that are not known; `there` is given the uids of all. Others are not read: this is asked at every change.
fn new<K: DeserializeOwned>(
    node: &Node,
    kind: Kind,
    known: &BTreeSet<String>,
    there: &mut BTreeSet<String>,
) -> Vec<K> {
    let (_, all) = node.store.list(kind, None);
    let mut is_new = |object: &&Arc<Value>| match object["metadata"]["uid"].as_str() {
        Some(uid) => there.insert(uid.to_owned()) && !known.contains(uid),
        None => false,
    };
    all.iter()
        .filter(|o| is_new(o))
        .filter_map(|o| K::deserialize(&**o).ok())
        .collect()
}
