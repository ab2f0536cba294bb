//! What a test can see of a fake node and do to it.

use std::{fs, time::Duration};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{EvictParams, Patch, PatchParams},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use super::{
    Config, Error, FakeNode,
    registry::{Entry, Fate},
};
use crate::cluster::wait_for;

/// A process of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// The program's number on this machine.
    pub pid: u32,
}

impl FakeNode {
    /// What runs now.
    pub fn running(&self) -> Vec<Running> {
        let registry = self.shared.registry();
        let running = registry.pods.iter().filter_map(|(uid, entry)| {
            let pid = u32::try_from(entry.program?.as_raw()).ok()?;
            Some(Running {
                namespace: entry.namespace.clone(),
                name: entry.name.clone(),
                uid: uid.clone(),
                pid,
            })
        });
        running.collect()
    }

    /// Waits until a pod whose name starts with `prefix` (as the pods of a Job do) has a process.
    pub async fn wait_for_process(
        &self,
        namespace: &str,
        prefix: &str,
        limit: Duration,
    ) -> Result<Running, Error> {
        let what = format!("a process of {namespace}/{prefix}*");
        let found = wait_for(&what, limit, async || {
            let fits = |pod: &Running| pod.namespace == namespace && pod.name.starts_with(prefix);
            self.running().into_iter().find(fits).ok_or("none runs")
        });
        Ok(found.await?)
    }

    /// What the pod's process has printed, in all its runs. It can be read after the pod is gone.
    pub fn log(&self, namespace: &str, name: &str) -> String {
        let prefix = format!("{namespace}.{name}.");
        let Ok(entries) = fs::read_dir(&self.shared.config.logs) else {
            return String::new();
        };
        let files = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        let texts = files
            .map(|entry| String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()).into_owned());
        texts.collect()
    }

    /// Kills the pod's process (`kill -9`): exit code 137.
    pub fn kill(&self, namespace: &str, name: &str) -> Result<(), Error> {
        self.with(namespace, name, |entry, _| entry.kill())
    }

    /// Kills the pod's process as the kernel does for want of memory: exit code 137, reason `OOMKilled`.
    pub fn run_out_of_memory(&self, namespace: &str, name: &str) -> Result<(), Error> {
        self.with(namespace, name, |entry, _| {
            entry.out_of_memory = true;
            entry.kill();
        })
    }

    /// Stops the pod's process (SIGSTOP): the pod is Running and does nothing.
    pub async fn stall(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let pids = self.with(namespace, name, |entry, program| {
            let _ = kill(program, Signal::SIGSTOP);
            processes(entry, program)
        })?;
        settled("its processes stopped", &pids, |state| state == 'T').await
    }

    /// Lets a stalled process go on.
    pub async fn resume(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let pids = self.with(namespace, name, |entry, program| {
            let pids = processes(entry, program);
            for &pid in &pids {
                let _ = kill(pid, Signal::SIGCONT);
            }
            pids
        })?;
        settled("its processes going on", &pids, |state| state != 'T').await?;
        // Asleep, whoever waits for the program has sent it its own SIGCONT, which can no longer undo another stall.
        settled("its waiting process asleep", &pids[1..], |state| state == 'S').await
    }

    /// Sends the pod's process a signal.
    pub fn signal(&self, namespace: &str, name: &str, signal: Signal) -> Result<(), Error> {
        // That it has ended meanwhile will be told by the pod's status.
        self.with(namespace, name, |_, program| {
            let _ = kill(program, signal);
        })
    }

    /// Evicts the pod through the API, as a drain does: the pod gets the condition `DisruptionTarget` and is deleted.
    pub async fn evict(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let name = name.to_owned();
        self.run(async move { Ok(pods.evict(&name, &EvictParams::default()).await.map(drop)?) })
            .await
    }

    /// Cordons the node and evicts every pod that is not over, whoever owns it.
    pub async fn drain(&self) -> Result<(), Error> {
        self.set_unschedulable(true).await?;
        let live = |entry: &&Entry| *entry.fate.borrow() == Fate::Live;
        let pods: Vec<_> = {
            let registry = self.shared.registry();
            let entries = registry.pods.values().filter(live);
            entries
                .map(|entry| (entry.namespace.clone(), entry.name.clone()))
                .collect()
        };
        for (namespace, name) in pods {
            match self.evict(&namespace, &name).await {
                Err(Error::Kube(kube::Error::Api(status))) if status.code == 404 => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Opens the node to new pods, or closes it to them (`kubectl cordon`).
    pub async fn set_unschedulable(&self, unschedulable: bool) -> Result<(), Error> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let name = self.name().to_owned();
        let patch = Patch::Merge(json!({"spec": {"unschedulable": unschedulable}}));
        self.run(async move {
            Ok(nodes
                .patch(&name, &PatchParams::default(), &patch)
                .await
                .map(drop)?)
        })
        .await
    }

    /// The machine is gone, without a word: every process is killed, nothing is reported, no lease renewed. The Node
    /// object stays; [`Builder::quick_node_loss`](crate::cluster::Builder::quick_node_loss) makes the control plane
    /// notice within seconds, and evict if another node is healthy.
    pub fn lose(&self) {
        // First the threads, so that none reports the deaths.
        if let Some(runtime) = self.runtime().take() {
            runtime.shutdown_background();
        }
        self.shared.close();
    }

    fn with<T>(
        &self,
        namespace: &str,
        name: &str,
        act: impl FnOnce(&mut Entry, Pid) -> T,
    ) -> Result<T, Error> {
        let mut registry = self.shared.registry();
        let mut entries = registry.pods.values_mut();
        let found = entries.find_map(|entry| {
            let program = entry
                .program
                .filter(|_| entry.namespace == namespace && entry.name == name)?;
            Some((entry, program))
        });
        let (entry, program) = found.ok_or_else(|| Error::NoProcess(format!("{namespace}/{name}")))?;
        Ok(act(entry, program))
    }
}

/// A pod's program, and the process that waits for it: it stops itself when it sees the program stopped.
fn processes(entry: &Entry, program: Pid) -> Vec<Pid> {
    [program].into_iter().chain(entry.group).collect()
}

/// Waits until each of the processes that still live is in such a state (a letter of `proc_pid_stat(5)`).
async fn settled(what: &str, pids: &[Pid], fits: impl Fn(char) -> bool) -> Result<(), Error> {
    let limit = Duration::from_secs(10);
    let settled = wait_for(what, limit, async || {
        let mut states = pids.iter().filter_map(|pid| state(*pid));
        states
            .find(|state| !fits(*state))
            .map_or(Ok(()), |state| Err(format!("one is in state {state}")))
    });
    Ok(settled.await?)
}

/// The letter of a process's state, while it lives.
fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let state = stat.rsplit_once(") ")?.1.chars().next()?;
    (!matches!(state, 'Z' | 'X')).then_some(state)
}

/// Where a pod's output goes; of two pods of one name each has a file.
pub(super) fn log_file(config: &Config, pod: &Pod) -> std::path::PathBuf {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    config
        .logs
        .join(format!("{namespace}.{name}.{}", pod.uid().unwrap_or_default()))
}
