//! A Deployment: as many pods as it wants, each started again when its program ends, all made anew when it changes.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;
use tokio::task::JoinSet;

use super::node::{Node, pod_of};
use super::pod;
use crate::local::api::{Id, Kind};
use crate::specs::labels;

/// Runs a Deployment's pods while it is there.
pub(super) async fn run(node: Arc<Node>, first: Deployment) {
    let id = Id::new(
        Kind::Deployment,
        &first.namespace().unwrap_or_default(),
        &first.name_any(),
    );
    let uid = first.uid().unwrap_or_default();
    let (mut changes, mut pods) = (node.store.changes(), JoinSet::new());
    let mut made: (Option<i64>, Vec<Id>) = (None, Vec::new());
    while node.is_there(&id, &uid) {
        let deployment = node
            .store
            .get(&id)
            .and_then(|o| serde_json::from_value((*o).clone()).ok());
        let Some(deployment): Option<Deployment> = deployment else {
            return;
        };
        if made.0 != deployment.metadata.generation {
            for pod in made.1.drain(..) {
                let _ = node.store.delete(&pod, None);
            }
            while pods.join_next().await.is_some() {}
            made = (
                deployment.metadata.generation,
                start(&node, &id, &deployment, &mut pods),
            );
        }
        let running = made.1.iter().filter(|id| {
            let pod = node
                .store
                .get(id)
                .and_then(|o| serde_json::from_value((*o).clone()).ok());
            pod.is_some_and(|pod: Pod| {
                let status = pod.status.unwrap_or_default();
                status.container_statuses.iter().flatten().any(|c| c.ready)
            })
        });
        let status = json!({
            "observedGeneration": made.0, "replicas": made.1.len(), "readyReplicas": running.count(),
        });
        let _ = node.store.set_status(&id, status);
        if changes.changed().await.is_err() {
            return;
        }
    }
    // They have a while to end.
    while pods.join_next().await.is_some() {}
}

fn start(node: &Arc<Node>, id: &Id, deployment: &Deployment, pods: &mut JoinSet<pod::End>) -> Vec<Id> {
    let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
    let pool = deployment.labels().get(labels::POOL).cloned().unwrap_or_default();
    let of = |index| {
        let pod = pod_of(&deployment.spec.template, (id, uid), &[]);
        let made = Id::new(Kind::Pod, &id.namespace, &pod.name_any());
        let (node, log) = (Arc::clone(node), format!("{}-{pool}-warm-{index}", id.namespace));
        (made, async move { pod::run(&node, pod, log, true).await })
    };
    let all = (0..deployment.spec.replicas.unwrap_or(1)).map(of);
    all.map(|(made, run)| {
        pods.spawn(run);
        made
    })
    .collect()
}
