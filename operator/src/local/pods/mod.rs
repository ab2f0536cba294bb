//! The node of local mode: follows Jobs and Deployments in the store, and runs their pods as child processes.
//!
//! Invariants: no process outlives this program; a process is there only while its pod is in the store, and what has become of
//! it stands in the pod's status. Objects mean what they mean on a cluster: a Job's tries, its deadline and what counts as no
//! failure; a pod's variables and volumes.

mod deployment;
mod files;
mod job;
mod pod;
mod state;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use rand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::api::{Id, Kind, Store, Tokens};

/// Time for processes to end by themselves once there is no more work.
const GRACE: Duration = Duration::from_secs(3);

/// See the module.
pub(super) struct Node {
    pub(super) store: Arc<Store>,
    pub(super) tokens: Arc<Tokens>,
    /// The `prover-worker` binary, whatever image a pod names.
    pub(super) worker: PathBuf,
    /// Other provers, by pool as `namespace/name`: program and arguments.
    pub(super) provers: BTreeMap<String, Vec<String>>,
    /// Where processes write what they write to standard error.
    pub(super) logs: PathBuf,
    /// What workers keep of fetched keys, for all of them.
    pub(super) cache: PathBuf,
    /// Where pods have their volumes.
    pub(super) volumes: PathBuf,
    pub(super) processes: AtomicUsize,
    pub(super) closing: AtomicBool,
}

impl Node {
    /// Follows the store, for ever; dropped, it takes every process along.
    pub(super) async fn run(self: Arc<Self>) {
        let mut changes = self.store.changes();
        let (mut known, mut tasks) = (BTreeSet::new(), JoinSet::new());
        loop {
            let (jobs, deployments) = (self.store.all(Kind::Job), self.store.all(Kind::Deployment));
            let mut there = BTreeSet::new();
            for job in jobs {
                if let Some(uid) = job_uid(&job)
                    && there.insert(uid.clone())
                    && !known.contains(&uid)
                {
                    tasks.spawn(job::run(Arc::clone(&self), job));
                }
            }
            for deployment in deployments {
                if let Some(uid) = deployment_uid(&deployment)
                    && there.insert(uid.clone())
                    && !known.contains(&uid)
                {
                    tasks.spawn(deployment::run(Arc::clone(&self), deployment));
                }
            }
            known = there;
            while tasks.try_join_next().is_some() {}
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Starts nothing any more, and waits for what is at work, for a while.
    pub(super) async fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        let ended = async {
            while self.processes.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(GRACE, ended).await;
    }

    /// Waits until an object is not there any more, or is another.
    async fn gone(&self, id: &Id, uid: &str) {
        let mut changes = self.store.changes();
        while self.is_there(id, uid) && changes.changed().await.is_ok() {}
    }

    fn is_there(&self, id: &Id, uid: &str) -> bool {
        self.store.get(id).is_some_and(|o| o["metadata"]["uid"] == uid)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }
}

fn job_uid(job: &k8s_openapi::api::batch::v1::Job) -> Option<String> {
    job.metadata.uid.clone()
}

fn deployment_uid(deployment: &k8s_openapi::api::apps::v1::Deployment) -> Option<String> {
    deployment.metadata.uid.clone()
}

/// A pod of a template, with a name of its own.
fn pod_of(template: &PodTemplateSpec, owner: (&Id, &str), labels: &[(&str, &str)]) -> Pod {
    let (id, uid) = owner;
    let random: u32 = rand::thread_rng().r#gen();
    let mut metadata = template.metadata.clone().unwrap_or_default();
    metadata.name = Some(format!("{}-{:05x}", id.name, random >> 12));
    metadata.namespace = Some(id.namespace.clone());
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    metadata.labels.get_or_insert_default().extend(labels);
    let (api_version, kind) = id.kind.types();
    metadata.owner_references = Some(vec![OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: id.name.clone(),
        uid: uid.to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    }]);
    Pod {
        metadata,
        spec: template.spec.clone(),
        status: None,
    }
}
