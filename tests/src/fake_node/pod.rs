//! One pod's life: waiting, running, ended, deleted.
//!
//! Invariant: the status that the API server has is true of the process, or soon will be: a report is repeated until it
//! is taken or the pod is gone. When the life ends, the process group is killed and the pod's folder removed.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::{Container, Pod},
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use nix::{sys::signal::Signal, unistd::Pid};
use tokio::{process::Child, sync::watch, time::sleep};

use super::{
    Error, container,
    mounts::Mounts,
    registry::{Fate, Shared},
    status::{Report, State, Termination},
};
use crate::cluster::inner_pid;

/// The longest wait before a process is started again; a kubelet's is 5 minutes.
const BACK_OFF: Duration = Duration::from_secs(10);

/// Between two attempts to prepare a pod, or to report.
const RETRY: Duration = Duration::from_millis(500);

struct Life {
    shared: Arc<Shared>,
    client: Client,
    pod: Pod,
    container: Container,
    uid: String,
    folder: PathBuf,
    fate: watch::Receiver<Fate>,
    started: Timestamp,
    restarts: u32,
    last: Option<Termination>,
}

/// What one run of the process came to.
enum Run {
    Ended(Termination),
    /// Ended, since the pod is being deleted.
    Deleted(Termination),
    /// The pod ran longer than it may.
    OutOfTime(Termination),
}

/// Lives a pod's life from the moment when the node sees it until its object is gone.
pub(super) async fn live(shared: Arc<Shared>, client: Client, pod: Pod, fate: watch::Receiver<Fate>) {
    let uid = pod.uid().unwrap_or_default();
    let containers = pod
        .spec
        .as_ref()
        .map(|spec| spec.containers.clone())
        .unwrap_or_default();
    let folder = shared.config.folder.join(&uid);
    let container = containers.into_iter().next().unwrap_or_default();
    let (started, restarts, last) = (Timestamp::now(), 0, None);
    let mut life = Life {
        shared,
        client,
        pod,
        container,
        uid,
        folder,
        fate,
        started,
        restarts,
        last,
    };
    let phase = life
        .pod
        .status
        .as_ref()
        .and_then(|status| status.phase.clone())
        .unwrap_or_default();
    if !["Succeeded", "Failed"].contains(&phase.as_str()) {
        life.work().await;
    }
    life.wait_for_end().await;
    if let Some(entry) = life.shared.registry().pods.remove(&life.uid) {
        entry.kill();
    }
    // What is left goes with the cluster's folder.
    let _ = fs::remove_dir_all(&life.folder);
}

impl Life {
    /// From Pending to Succeeded or Failed, or until the pod is to be deleted.
    async fn work(&mut self) {
        let slots = Arc::clone(&self.shared.slots);
        let _slot = tokio::select! {
            slot = slots.acquire_owned() => slot,
            _ = condemned(self.fate.clone()) => return,
        };
        let fate = self.fate.clone();
        let mounts = tokio::select! {
            mounts = self.prepare() => mounts,
            _ = condemned(fate) => return,
        };
        let Some(mounts) = mounts else { return };
        loop {
            let run = match self.run(&mounts).await {
                Ok(run) => run,
                Err(error) => return self.fail(&error).await,
            };
            let (termination, failure) = match run {
                Run::Ended(termination) if self.restarts_after(&termination) => {
                    if self.back_off(termination).await {
                        continue;
                    }
                    return;
                }
                Run::OutOfTime(termination) => {
                    let message = "Pod was active on the node longer than the specified deadline".to_owned();
                    (termination, Some(("DeadlineExceeded", message)))
                }
                Run::Ended(termination) | Run::Deleted(termination) => (termination, None),
            };
            return self.report(&State::Terminated(termination), true, failure).await;
        }
    }

    /// Mounts, as soon as all that they need is there; none if the pod can never run here.
    async fn prepare(&mut self) -> Option<Mounts> {
        let mut told = String::new();
        loop {
            let error = match self.try_prepare().await {
                Ok(mounts) => return Some(mounts),
                Err(error @ Error::Unsupported(_)) => {
                    self.fail(&error).await;
                    return None;
                }
                Err(error) => error,
            };
            let message = error.to_string();
            if told != message {
                self.report(
                    &State::Waiting {
                        reason: error.reason(),
                        message: message.clone(),
                    },
                    false,
                    None,
                )
                .await;
                told = message;
            }
            sleep(RETRY).await;
        }
    }

    async fn try_prepare(&self) -> Result<Mounts, Error> {
        let spec = self.pod.spec.clone().unwrap_or_default();
        if spec.containers.len() != 1
            || spec
                .init_containers
                .is_some_and(|containers| !containers.is_empty())
        {
            return Err(Error::Unsupported("pods of more than one container".into()));
        }
        self.program()?;
        fs::create_dir_all(self.folder.join("work")).map_err(Error::io("the pod's folder"))?;
        let shared = self.shared.config.folder.join("host");
        let mounts = Mounts::make(&self.client, &self.pod, &self.container, &self.folder, &shared).await?;
        // What is wrong with the environment should be told before anything runs.
        container::environment(&self.pod, &self.container, &mounts)?;
        Ok(mounts)
    }

    fn program(&self) -> Result<&PathBuf, Error> {
        let image = self.container.image.clone().unwrap_or_default();
        let programs = &self.shared.config.programs;
        let found = programs
            .iter()
            .filter(|(prefix, _)| image.starts_with(prefix))
            .max_by_key(|(prefix, _)| prefix.len());
        found.map(|(_, program)| program).ok_or(Error::NoProgram(image))
    }

    /// Runs the process once.
    async fn run(&mut self, mounts: &Mounts) -> Result<Run, Error> {
        let started = Timestamp::now();
        let mut child = self.spawn(mounts)?;
        let group = child.id();
        let program = match group {
            Some(group) => tokio::task::spawn_blocking(move || inner_pid(group))
                .await
                .ok()
                .flatten(),
            None => None,
        };
        if let Some(entry) = self.shared.registry().pods.get_mut(&self.uid) {
            entry.program = program.and_then(pid);
        }
        let limit = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.active_deadline_seconds);
        let limit = limit
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(Duration::MAX, Duration::from_secs);
        let running = State::Running { since: started };
        let reported = self.report(&running, false, None);
        let watched = async {
            tokio::select! {
                status = child.wait() => (status, None),
                now = condemned(self.fate.clone()) => {
                    (self.end(&mut child, program, now).await, Some(now))
                }
                () = sleep(limit) => {
                    let grace = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
                    let grace = Duration::from_secs(grace.and_then(|grace| u64::try_from(grace).ok()).unwrap_or(30));
                    (self.end(&mut child, program, Fate::Terminate(grace)).await, None)
                }
            }
        };
        // The report comes first: a process that ends at once has been Running all the same.
        let ((), (status, deleted)) = tokio::join!(reported, watched);
        let mut out_of_memory = false;
        if let Some(entry) = self.shared.registry().pods.get_mut(&self.uid) {
            // Whatever the program has left behind goes with it, as in a container.
            entry.kill();
            (entry.group, entry.program) = (None, None);
            out_of_memory = std::mem::take(&mut entry.out_of_memory);
        }
        let status = status.map_err(Error::io("waiting for the process"))?;
        let exit_code = exit_code(status);
        let reason = match exit_code {
            0 => "Completed",
            137 if out_of_memory => "OOMKilled",
            _ => "Error",
        };
        let termination = Termination {
            exit_code,
            reason,
            started,
            finished: Timestamp::now(),
        };
        let elapsed = Duration::try_from(Timestamp::now().duration_since(started)).unwrap_or_default();
        Ok(match deleted {
            Some(_) => Run::Deleted(termination),
            None if elapsed >= limit => Run::OutOfTime(termination),
            None => Run::Ended(termination),
        })
    }

    /// Starts the process as the leader of a group of its own, unless the node is closed.
    fn spawn(&self, mounts: &Mounts) -> Result<Child, Error> {
        let environment = container::environment(&self.pod, &self.container, mounts)?;
        let mut command = self.shared.sandbox.command_outside(self.program()?);
        command.args(container::arguments(&self.container, mounts, &environment));
        command
            .env_clear()
            .envs(self.shared.config.environment.iter().cloned());
        if let Some(folder) = mounts.place("/tmp") {
            command.env("TMPDIR", folder);
        }
        command.envs(environment).current_dir(self.folder.join("work"));
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let log = super::control::log_file(&self.shared.config, &self.pod);
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::io("the pod's log"))?;
        command
            .stdout(log.try_clone().map_err(Error::io("the pod's log"))?)
            .stderr(log)
            .stdin(Stdio::null());

        let mut registry = self.shared.registry();
        if registry.closed {
            return Err(Error::Lost);
        }
        let child = tokio::process::Command::from(command)
            .spawn()
            .map_err(Error::io("the pod's process"))?;
        if let Some(entry) = registry.pods.get_mut(&self.uid) {
            entry.group = child.id().and_then(pid);
        }
        Ok(child)
    }

    /// SIGTERM, and SIGKILL after the grace time or when the object is gone.
    async fn end(&self, child: &mut Child, program: Option<u32>, fate: Fate) -> std::io::Result<ExitStatus> {
        if let (Fate::Terminate(grace), Some(program)) = (fate, program.and_then(pid)) {
            // To the program alone: whoever waits for it must live to tell how it ended.
            let _ = nix::sys::signal::kill(program, Signal::SIGTERM);
            tokio::select! {
                status = child.wait() => return status,
                () = gone(self.fate.clone()) => {}
                () = sleep(grace) => {}
            }
        }
        if let Some(entry) = self.shared.registry().pods.get(&self.uid) {
            entry.kill();
        }
        child.wait().await
    }

    fn restarts_after(&self, termination: &Termination) -> bool {
        match self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.restart_policy.as_deref())
        {
            Some("Never") => false,
            Some("OnFailure") => termination.exit_code != 0,
            _ => true,
        }
    }

    /// Waits before the next start, of which the first is at once; false if the pod is to be deleted meanwhile.
    async fn back_off(&mut self, termination: Termination) -> bool {
        let wait = match self.restarts {
            0 => Duration::ZERO,
            restarts => Duration::from_secs(1 << (restarts - 1).min(10)).min(BACK_OFF),
        };
        let code = termination.exit_code;
        self.last = Some(termination);
        if !wait.is_zero() {
            let message = format!("back-off {wait:?} after exit code {code}");
            self.report(
                &State::Waiting {
                    reason: "CrashLoopBackOff",
                    message,
                },
                false,
                None,
            )
            .await;
        }
        self.restarts += 1;
        tokio::select! {
            () = sleep(wait) => true,
            _ = condemned(self.fate.clone()) => false,
        }
    }

    async fn fail(&mut self, error: &Error) {
        let message = error.to_string();
        let state = State::Waiting {
            reason: error.reason(),
            message: message.clone(),
        };
        self.report(&state, true, Some(("FakeNode", message))).await;
    }

    /// Writes the status, until the API server has taken it or has no such pod any more.
    async fn report(&self, state: &State, is_over: bool, failure: Option<(&'static str, String)>) {
        let report = Report {
            uid: &self.uid,
            container: &self.container.name,
            image: self.container.image.as_deref().unwrap_or_default(),
            started: self.started,
            restarts: self.restarts,
            state,
            last: self.last.as_ref(),
            is_over,
            failure,
        };
        let patch = Patch::Strategic(report.patch());
        while *self.fate.borrow() != Fate::Gone {
            match self
                .pods()
                .patch_status(&self.pod.name_any(), &PatchParams::default(), &patch)
                .await
            {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => return,
                Err(error) => {
                    eprintln!("fake node: the status of {}: {error}", self.pod.name_any());
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Waits until the pod is to be deleted, deletes it for good, and waits until it is gone.
    async fn wait_for_end(&mut self) {
        loop {
            let fate = *self.fate.borrow_and_update();
            if fate == Fate::Gone {
                return;
            }
            if fate != Fate::Live {
                let only_this = Preconditions {
                    uid: Some(self.uid.clone()),
                    resource_version: None,
                };
                let now = DeleteParams {
                    preconditions: Some(only_this),
                    ..DeleteParams::default().grace_period(0)
                };
                match self.pods().delete(&self.pod.name_any(), &now).await {
                    Ok(_) => {}
                    Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => return,
                    Err(_) => {
                        sleep(RETRY).await;
                        continue;
                    }
                }
            }
            // A finalizer may keep the object for a while; the watch tells when it is gone.
            if self.fate.changed().await.is_err() {
                return;
            }
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.pod.namespace().unwrap_or_default())
    }
}

/// Waits until the pod is to be deleted.
async fn condemned(mut fate: watch::Receiver<Fate>) -> Fate {
    fate.wait_for(|fate| *fate != Fate::Live)
        .await
        .map_or(Fate::Gone, |fate| *fate)
}

/// Waits until the pod's object is gone.
async fn gone(mut fate: watch::Receiver<Fate>) {
    let _ = fate.wait_for(|fate| *fate == Fate::Gone).await;
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().map(Pid::from_raw)
}

/// As a container runtime tells it: a signal counts from 128.
fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
