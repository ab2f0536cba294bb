//! What a fake node writes into a pod's status: a pure function of what its process did.
//!
//! Invariant: the patch is a strategic merge that carries the pod's uid, so conditions of others (`DisruptionTarget`,
//! `PodScheduled`) stay, and a later pod of the same name is never touched.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde_json::{Value, json};

/// How a process ended.
#[derive(Debug, Clone)]
pub(super) struct Termination {
    pub(super) exit_code: i32,
    pub(super) reason: &'static str,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
    /// What it said last, where the container's policy asks for it.
    pub(super) message: Option<String>,
}

/// What the pod's one container is doing.
#[derive(Debug, Clone)]
pub(super) enum State {
    Waiting { reason: &'static str, message: String },
    Running { since: Timestamp },
    Terminated(Termination),
}

/// Everything that a status says of a pod.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) uid: &'a str,
    pub(super) container: &'a str,
    pub(super) image: &'a str,
    /// When the node first saw the pod.
    pub(super) started: Timestamp,
    pub(super) restarts: u32,
    pub(super) state: &'a State,
    /// The termination before the state, of a container that was restarted.
    pub(super) last: Option<&'a Termination>,
    /// No process will run any more: the phase is `Succeeded` or `Failed`.
    pub(super) is_over: bool,
    /// Why the pod itself failed, where that is not its process's doing.
    pub(super) failure: Option<(&'static str, String)>,
}

impl Report<'_> {
    /// The phase that follows.
    pub(super) fn phase(&self) -> &'static str {
        let succeeded = matches!(self.state, State::Terminated(Termination { exit_code: 0, .. }));
        match (self.is_over, self.state) {
            (true, _) if succeeded && self.failure.is_none() => "Succeeded",
            (true, _) => "Failed",
            (false, State::Waiting { .. }) if self.last.is_none() => "Pending",
            (false, _) => "Running",
        }
    }

    /// The patch for the pod's status.
    pub(super) fn patch(&self) -> Value {
        let running = matches!(self.state, State::Running { .. });
        let now = time(Timestamp::now());
        let condition = |kind: &str, holds: bool| {
            let status = if holds { "True" } else { "False" };
            let reason = match (holds, self.is_over) {
                (true, _) => Value::Null,
                (false, true) => json!("PodCompleted"),
                (false, false) => json!("ContainersNotReady"),
            };
            json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": now})
        };
        let (reason, message) = self.failure.clone().unzip();
        json!({
            "metadata": {"uid": self.uid},
            "status": {
                "phase": self.phase(),
                "reason": reason,
                "message": message,
                "hostIP": ADDRESS,
                "podIP": ADDRESS,
                "podIPs": [{"ip": ADDRESS}],
                "startTime": time(self.started),
                "conditions": [
                    condition("Initialized", true),
                    condition("ContainersReady", running),
                    condition("Ready", running),
                ],
                "containerStatuses": [{
                    "name": self.container,
                    "image": self.image,
                    "imageID": self.image,
                    "ready": running,
                    "started": running,
                    "restartCount": self.restarts,
                    "state": self.state.value(),
                    "lastState": self.last.map_or_else(|| json!({}), Termination::value),
                }],
            },
        })
    }
}

/// Fake pods are processes of this machine, which see one another on the loopback.
pub(super) const ADDRESS: &str = "127.0.0.1";

impl State {
    fn value(&self) -> Value {
        match self {
            Self::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
            Self::Running { since } => json!({"running": {"startedAt": time(*since)}}),
            Self::Terminated(termination) => termination.value(),
        }
    }
}

impl Termination {
    fn value(&self) -> Value {
        json!({"terminated": {
            "exitCode": self.exit_code,
            "reason": self.reason,
            "startedAt": time(self.started),
            "finishedAt": time(self.finished),
            "message": self.message,
        }})
    }
}

fn time(at: Timestamp) -> Value {
    json!(Time(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(state: &State, last: Option<&Termination>, is_over: bool) -> &'static str {
        let started = Timestamp::UNIX_EPOCH;
        let (uid, container, image) = ("u", "c", "i");
        Report {
            uid,
            container,
            image,
            started,
            restarts: 0,
            state,
            last,
            is_over,
            failure: None,
        }
        .phase()
    }

    #[test]
    fn phases_follow_the_process() {
        let at = Timestamp::UNIX_EPOCH;
        let ended = |exit_code| Termination {
            exit_code,
            reason: "Error",
            started: at,
            finished: at,
            message: None,
        };
        let waiting = State::Waiting {
            reason: "CrashLoopBackOff",
            message: String::new(),
        };
        assert_eq!(phase(&waiting, None, false), "Pending");
        assert_eq!(phase(&State::Running { since: at }, None, false), "Running");
        assert_eq!(phase(&waiting, Some(&ended(1)), false), "Running");
        assert_eq!(phase(&State::Terminated(ended(0)), None, true), "Succeeded");
        assert_eq!(phase(&State::Terminated(ended(137)), None, true), "Failed");
        assert_eq!(phase(&waiting, None, true), "Failed");
    }
}
