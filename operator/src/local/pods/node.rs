//! What pods run on, and what they are to each other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use rand::Rng;

use crate::local::api::{Id, Store, Tokens};

/// Time for processes to end by themselves once there is no more work.
const GRACE: Duration = Duration::from_secs(3);

/// Where pods run.
pub(in crate::local) struct Node {
    pub(in crate::local) store: Arc<Store>,
    pub(in crate::local) tokens: Arc<Tokens>,
    /// The `prover-worker` binary, whatever image a pod names.
    pub(in crate::local) worker: PathBuf,
    /// Other provers, by pool as `namespace/name`: program and arguments.
    pub(in crate::local) provers: BTreeMap<String, Vec<String>>,
    /// Where processes write what they write to standard error.
    pub(in crate::local) logs: PathBuf,
    /// What workers keep of fetched keys, for all of them.
    pub(in crate::local) cache: PathBuf,
    /// Where pods have their volumes.
    pub(in crate::local) volumes: PathBuf,
    pub(in crate::local) processes: AtomicUsize,
    pub(in crate::local) closing: AtomicBool,
}

impl Node {
    /// Starts nothing any more, and waits for what is at work, for a while.
    pub(in crate::local) async fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        let ended = async {
            while self.processes.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(GRACE, ended).await;
    }

    /// Waits until an object is not there any more, or is another.
    pub(super) async fn gone(&self, id: &Id, uid: &str) {
        let mut changes = self.store.changes();
        while self.is_there(id, uid) && changes.changed().await.is_ok() {}
    }

    pub(super) fn is_there(&self, id: &Id, uid: &str) -> bool {
        self.store.get(id).is_some_and(|o| o["metadata"]["uid"] == uid)
    }
}

/// A pod of a template, with a name of its own.
pub(super) fn pod_of(template: &PodTemplateSpec, owner: (&Id, &str), labels: &[(&str, &str)]) -> Pod {
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
