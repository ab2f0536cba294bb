//! The pods of a fake node, and what each is to do next.
//!
//! Invariant: the watch of the API server is the only source of what should run; a process exists only while its pod is
//! in here, and none starts once the node is closed.

use std::{
    collections::{
        HashMap, HashSet,
        hash_map::Entry::{Occupied as Known, Vacant as New},
    },
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use nix::{sys::signal::Signal, unistd::Pid};
use tokio::sync::{Semaphore, watch};

use super::{Config, pod};
use crate::cluster::Sandbox;

/// What is to become of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It runs as its spec says.
    Live,
    /// It is being deleted: SIGTERM now, SIGKILL after the grace time.
    Terminate(Duration),
    /// The object is gone: nobody waits for its status.
    Gone,
}

/// One pod on this node.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) fate: watch::Sender<Fate>,
    /// The process that waits for the program; its number is also the process group's.
    pub(super) group: Option<Pid>,
    /// The program itself.
    pub(super) program: Option<Pid>,
    /// The test wants the next kill to look like the kernel's, for want of memory.
    pub(super) out_of_memory: bool,
}

impl Entry {
    fn set_fate(&self, fate: Fate) {
        self.fate.send_if_modified(|now| {
            // Once gone, a pod does not come back; a late event must not say otherwise.
            let changes = *now != fate && *now != Fate::Gone;
            if changes {
                *now = fate;
            }
            changes
        });
    }

    /// Kills everything that the pod started.
    pub(super) fn kill(&self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = nix::sys::signal::killpg(group, Signal::SIGKILL);
        }
    }
}

/// Pods by uid.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pub(super) closed: bool,
    pub(super) pods: HashMap<String, Entry>,
}

/// What all tasks of a node share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) slots: Arc<Semaphore>,
    registry: Mutex<Registry>,
}

impl Shared {
    pub(super) fn new(config: Config, sandbox: Arc<Sandbox>) -> Self {
        let slots = Arc::new(Semaphore::new(config.at_most));
        Self {
            config,
            sandbox,
            slots,
            registry: Mutex::default(),
        }
    }

    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills every process, and lets none start any more.
    pub(super) fn close(&self) {
        let mut registry = self.registry();
        registry.closed = true;
        registry.pods.values().for_each(Entry::kill);
    }

    fn is_gone(&self, uid: &str) {
        if let Some(entry) = self.registry().pods.get(uid) {
            entry.set_fate(Fate::Gone);
        }
    }
}

/// Follows the node's pods for ever. A watch ends now and then by itself; what was missed meanwhile comes with the list
/// with which the next one starts.
pub(super) async fn follow(shared: Arc<Shared>, client: Client) {
    let config = watcher::Config::default().fields(&format!("spec.nodeName={}", shared.config.name));
    let mut events = pin!(watcher(Api::<Pod>::all(client.clone()), config).default_backoff());
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(pod)) => observe(&shared, &client, pod),
            Ok(Event::Delete(pod)) => shared.is_gone(&pod.uid().unwrap_or_default()),
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod)) => {
                listed.extend(pod.uid());
                observe(&shared, &client, pod);
            }
            Ok(Event::InitDone) => {
                let known: Vec<String> = shared.registry().pods.keys().cloned().collect();
                let gone = known.iter().filter(|uid| !listed.contains(*uid));
                gone.for_each(|uid| shared.is_gone(uid));
            }
            // The stream waits a little and lists again.
            Err(_) => {}
        }
    }
}

fn observe(shared: &Arc<Shared>, client: &Client, pod: Pod) {
    let uid = pod.uid().unwrap_or_default();
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
    let grace = Duration::from_secs(u64::try_from(grace).unwrap_or_default());
    let fate = if pod.metadata.deletion_timestamp.is_some() {
        Fate::Terminate(grace)
    } else {
        Fate::Live
    };
    let mut registry = shared.registry();
    if registry.closed {
        return;
    }
    match registry.pods.entry(uid) {
        Known(entry) if fate != Fate::Live => entry.get().set_fate(fate),
        Known(_) => {}
        New(place) => {
            let (sender, receiver) = watch::channel(fate);
            place.insert(Entry {
                namespace: pod.namespace().unwrap_or_default(),
                name: pod.name_any(),
                fate: sender,
                group: None,
                program: None,
                out_of_memory: false,
            });
            tokio::spawn(pod::live(Arc::clone(shared), client.clone(), pod, receiver));
        }
    }
}
