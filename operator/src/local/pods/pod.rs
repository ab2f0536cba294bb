//! One pod: its object, and its process from start to end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::Child;
use zkinfer_client::Pauses;

use super::files::{Files, program};
use super::node::Node;
use super::state::{State, status};
use crate::local::api::{Id, Kind};

/// Before what could not be started is tried again.
const AGAIN: Pauses = Pauses::new(Duration::from_millis(20), Duration::from_secs(2));
/// Before a program that ended is started again in the same pod.
const RESTART: Pauses = Pauses::new(Duration::from_millis(200), Duration::from_secs(30));

/// How a pod ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its program did, with this code; a signal is its number above 128.
    Exit(i32),
    /// It was deleted.
    Deleted,
}

/// One pod that is run.
struct Life<'a> {
    node: &'a Node,
    pod: Pod,
    id: Id,
    uid: String,
    log: String,
    program: String,
    restarts: i32,
    last: Option<State>,
}

/// Makes a pod and runs it to its end. One that `restarts` is started again whenever its program ends.
pub(super) async fn run(node: &Node, pod: Pod, log: String, restarts: bool) -> End {
    let (namespace, name) = (
        pod.metadata.namespace.clone().unwrap_or_default(),
        pod.metadata.name.clone().unwrap_or_default(),
    );
    let object = serde_json::to_value(&pod).unwrap_or(Value::Null);
    let Ok(made) = node.store.create(Kind::Pod, &namespace, object) else {
        return End::Deleted;
    };
    let life = Life {
        node,
        id: Id::new(Kind::Pod, &namespace, &name),
        uid: made["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        program: program(node, &pod).map_or_else(|_| String::new(), |(program, _)| program),
        pod,
        log,
        restarts: 0,
        last: None,
    };
    life.work(restarts).await
}

impl<'a> Life<'a> {
    async fn work(mut self, restarts: bool) -> End {
        let files = tokio::select! {
            files = self.prepared() => files,
            () = self.node.gone(&self.id, &self.uid) => return End::Deleted,
        };
        loop {
            let end = self.once(&files).await;
            let End::Exit(code) = end else { return end };
            if !restarts {
                return end;
            }
            let wait = RESTART.after(self.restarts.unsigned_abs());
            self.restarts += 1;
            let message = format!("back-off after exit code {code}");
            self.report(&State::Waiting("CrashLoopBackOff", message), false);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.node.gone(&self.id, &self.uid) => return End::Deleted,
            }
        }
    }

    /// The pod's volumes, once all that they are made of is there.
    async fn prepared(&self) -> Files<'a> {
        let mut tries = 0u32;
        loop {
            let why = match Files::make(self.node, &self.pod) {
                Ok(files) => return files,
                Err(why) => why,
            };
            tries = tries.saturating_add(1);
            // As a kubelet: what a volume is made of may come yet, as the Secret of a Job does, which names the Job as its owner.
            self.report(&State::Waiting("ContainerCreating", why), false);
            tokio::time::sleep(AGAIN.after(tries)).await;
        }
    }

    /// Runs its program once; one that cannot be started is tried again.
    async fn once(&mut self, files: &Files<'_>) -> End {
        let mut tries = 0u32;
        let before = files.logged(&self.log);
        let mut child = loop {
            let gone = self.node.gone(&self.id, &self.uid);
            if self.node.closing.load(Ordering::SeqCst) {
                gone.await;
                return End::Deleted;
            }
            let why = match files.command(&self.pod, &self.log) {
                Ok(mut command) => match command.spawn() {
                    Ok(child) => break child,
                    Err(e) => format!("cannot start {}: {e}", self.program),
                },
                Err(why) => why,
            };
            tries = tries.saturating_add(1);
            self.report(&State::Waiting("CreateContainerError", why), false);
            tokio::select! {
                () = tokio::time::sleep(AGAIN.after(tries)) => {}
                () = gone => return End::Deleted,
            }
        };
        let _counted = Counted::new(self.node);
        let started = Timestamp::now();
        self.report(&State::Running(started), false);
        let status = tokio::select! {
            status = child.wait() => status,
            () = self.node.gone(&self.id, &self.uid) => {
                terminate(&mut child, self.grace()).await;
                return End::Deleted;
            }
        };
        let code = status.map_or(-1, |status| {
            use std::os::unix::process::ExitStatusExt;
            let signal = status.signal().map(|signal| 128 + signal);
            status.code().or(signal).unwrap_or(-1)
        });
        let said = match code {
            0 => String::new(),
            _ => files.last_words(&self.log, before),
        };
        let ended = State::Ended(started, code, said);
        self.report(&ended, true);
        self.last = Some(ended);
        End::Exit(code)
    }

    fn grace(&self) -> Duration {
        let seconds = self
            .pod
            .spec
            .as_ref()
            .and_then(|s| s.termination_grace_period_seconds);
        Duration::from_secs(seconds.unwrap_or(30).unsigned_abs())
    }

    /// A pod that is gone has no status.
    fn report(&self, state: &State, over: bool) {
        let status = status(&self.program, state, self.restarts, self.last.as_ref(), over);
        let _ = self.node.store.set_status(&self.id, status);
    }
}

/// Tells a process to end, and ends it after a while.
async fn terminate(child: &mut Child, grace: Duration) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // One that has just ended is nobody's.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// A process that runs.
struct Counted<'a>(&'a Node);

impl<'a> Counted<'a> {
    fn new(node: &'a Node) -> Self {
        node.processes.fetch_add(1, Ordering::SeqCst);
        Self(node)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.processes.fetch_sub(1, Ordering::SeqCst);
    }
}
