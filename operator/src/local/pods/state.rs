//! A pod's status, as a kubelet would write it.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// How the one container is.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// It cannot be started now; why.
    Waiting(&'static str, String),
    /// Its process runs.
    Running(Timestamp),
    /// It has ended: when it was started, its exit code, and what it said last.
    Ended(Timestamp, i32, String),
}

impl State {
    fn json(&self) -> Value {
        match self {
            Self::Waiting(reason, message) => json!({ "waiting": { "reason": reason, "message": message } }),
            Self::Running(since) => json!({ "running": { "startedAt": since } }),
            Self::Ended(started, code, said) => {
                let reason = if *code == 0 { "Completed" } else { "Error" };
                json!({ "terminated": {
                    "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": Timestamp::now(),
                    "message": said,
                } })
            }
        }
    }
}

/// The status of a pod that is started again `restarts` times, if at all, and ended last as `last`.
pub(super) fn status(program: &str, state: &State, restarts: i32, last: Option<&State>, over: bool) -> Value {
    let phase = match state {
        State::Waiting(..) => "Pending",
        State::Ended(_, 0, _) if over => "Succeeded",
        State::Ended(..) if over => "Failed",
        State::Running(_) | State::Ended(..) => "Running",
    };
    let ready = matches!(state, State::Running(_));
    json!({
        "phase": phase,
        "conditions": [{ "type": "PodScheduled", "status": "True" }],
        "containerStatuses": [{
            "name": super::files::CONTAINER, "image": program, "imageID": "", "ready": ready, "restartCount": restarts,
            "state": state.json(), "lastState": last.map_or_else(|| json!({}), State::json),
        }],
    })
}
