//! One pod's life: waiting, running, ended, deleted.
//!
//! Invariant: the status that the API server has is true of the process, or soon will be: a report is repeated until it
//! is taken or the pod is gone. When the life ends, the process group is killed and the pod's folder removed.

use std::{fs, path::PathBuf, process::Command, sync::Arc, time::Duration};

use k8s_openapi::{
    api::core::v1::{Container, Pod},
    jiff::Timestamp,
};
use kube::{Client, ResourceExt as _};
use tokio::{sync::watch, time::sleep};

use super::{
    Error, container,
    control::log_file,
    mounts::Mounts,
    process::{self, Process},
    registry::{Fate, Shared},
    status::{State, Termination},
};

/// The longest wait before a process is started again; a kubelet's is 5 minutes.
const BACK_OFF: Duration = Duration::from_secs(10);

/// Between two attempts to prepare a pod, or to report.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// A pod, and what has become of it so far.
pub(super) struct Life {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client,
    pub(super) pod: Pod,
    pub(super) container: Container,
    pub(super) uid: String,
    pub(super) folder: PathBuf,
    pub(super) fate: watch::Receiver<Fate>,
    pub(super) started: Timestamp,
    pub(super) restarts: u32,
    pub(super) last: Option<Termination>,
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
            _ = condemned(self.fate.clone()) => return self.give_up().await,
        };
        let fate = self.fate.clone();
        let mounts = tokio::select! {
            mounts = self.prepare() => mounts,
            _ = condemned(fate) => return self.give_up().await,
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
        let (started, shared) = (Timestamp::now(), Arc::clone(&self.shared));
        let log = log_file(&shared.config, &self.pod);
        let before = fs::metadata(&log).map_or(0, |file| file.len() as usize);
        let mut process = Process::start(&shared, &self.uid, self.command(mounts)?).await?;
        let spec = self.pod.spec.as_ref();
        let limit = seconds(spec.and_then(|spec| spec.active_deadline_seconds)).unwrap_or(Duration::MAX);
        let grace = seconds(spec.and_then(|spec| spec.termination_grace_period_seconds));
        let grace = grace.unwrap_or(Duration::from_secs(30));
        let watched = async {
            let (fate, out_of_time) = tokio::select! {
                status = process.wait() => return (status, None, false),
                fate = condemned(self.fate.clone()) => (fate, false),
                () = sleep(limit) => (Fate::Terminate(grace), true),
            };
            let grace = if let Fate::Terminate(grace) = fate {
                grace
            } else {
                Duration::ZERO
            };
            let status = process
                .terminate(&shared, &self.uid, grace, gone(self.fate.clone()))
                .await;
            (status, Some(fate), out_of_time)
        };
        // The report comes first: a process that ends at once has been Running all the same.
        let running = State::Running { since: started };
        let ((), (status, fate, out_of_time)) = tokio::join!(self.report(&running, false, None), watched);
        let out_of_memory = process::clear(&shared, &self.uid);
        let exit_code = process::exit_code(status.map_err(Error::io("waiting for the process"))?);
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
            message: container::last_words(&self.container, exit_code, || {
                let all = fs::read(&log).unwrap_or_default();
                all.get(before..).unwrap_or_default().to_vec()
            }),
        };
        Ok(match fate {
            None => Run::Ended(termination),
            Some(_) if out_of_time => Run::OutOfTime(termination),
            Some(_) => Run::Deleted(termination),
        })
    }

    /// The command with all that the pod's spec says of it.
    fn command(&self, mounts: &Mounts) -> Result<Command, Error> {
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
        let log = log_file(&self.shared.config, &self.pod);
        let log = fs::OpenOptions::new().create(true).append(true).open(&log);
        let log = log.map_err(Error::io("the pod's log"))?;
        command
            .stdout(log.try_clone().map_err(Error::io("the pod's log"))?)
            .stderr(log);
        Ok(command)
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

    /// The pod is deleted before anything ran: a Job that owns it must see that it is over.
    async fn give_up(&self) {
        let state = State::Waiting {
            reason: "ContainerCreating",
            message: String::new(),
        };
        self.report(&state, true, None).await;
    }

    async fn fail(&mut self, error: &Error) {
        let message = error.to_string();
        let state = State::Waiting {
            reason: error.reason(),
            message: message.clone(),
        };
        self.report(&state, true, Some(("FakeNode", message))).await;
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

fn seconds(value: Option<i64>) -> Option<Duration> {
    value
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Duration::from_secs)
}
