//! Why a pool's workers do not start: what their pods and the API server say.
//!
//! Invariant: trouble lasts until something shows that it is over; to look again is no reason to forget it, so no
//! condition flaps between two looks.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::miner_pool::reason;

use crate::build::labels;

/// Trouble that nothing has shown again for so long is forgotten: without pods nothing can show that it is over.
pub const FORGET: Duration = Duration::from_secs(300);
/// A pod that has not been scheduled for so long waits for more than its turn.
const TURN: i64 = 3;
/// Why a container waits that does not start by waiting.
const IMAGE: [&str; 10] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// What is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its ServiceAccount, NetworkPolicy or Deployment cannot be made.
    Objects,
    /// Its Jobs cannot be made.
    Jobs,
    /// The image cannot be fetched or started.
    Image,
    /// There is no node for its pods.
    Unschedulable,
}

impl Cause {
    /// The reason of the condition.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Objects | Self::Jobs => reason::WORKERS_REFUSED,
            Self::Image => reason::IMAGE_UNAVAILABLE,
            Self::Unschedulable => reason::UNSCHEDULABLE,
        }
    }
}

/// Something that keeps workers from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is in the way.
    pub cause: Cause,
    /// For people; names the thing.
    pub message: String,
    /// No worker is up.
    pub idle: bool,
    /// The generation of the pool that has it: a changed spec may be the cure.
    pub generation: Option<i64>,
    /// When it was last seen, as time since any fixed moment.
    pub seen: Duration,
}

impl Trouble {
    /// The pool can be given no slices. Pods that wait for room are no reason: their turn may come.
    #[must_use]
    pub fn stops(&self) -> bool {
        self.idle && self.cause != Cause::Unschedulable
    }

    /// Nobody could be started as the spec was: pods that were made then are of no use.
    #[must_use]
    pub fn is_of_an_older_spec(&self, generation: Option<i64>) -> bool {
        let of_pods = matches!(self.cause, Cause::Image | Cause::Unschedulable);
        of_pods && self.idle && self.generation != generation
    }
}

/// A pod that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// The request that it is for.
    pub request: Option<RequestUid>,
    /// It runs.
    pub up: bool,
    /// Why it does not start, if not only because that takes a moment.
    pub trouble: Option<(Cause, String)>,
}

impl PodView {
    /// From the object.
    #[must_use]
    pub fn of(pod: &Pod, now: &Time) -> Self {
        let status = pod.status.as_ref();
        Self {
            request: labels::request_uid(pod.labels()),
            up: status.is_some_and(|s| s.phase.as_deref() == Some("Running")) && waiting(status).is_none(),
            trouble: waiting(status).or_else(|| unscheduled(status, now)),
        }
    }
}

fn waiting(status: Option<&PodStatus>) -> Option<(Cause, String)> {
    let containers = status?.container_statuses.iter().flatten();
    containers.into_iter().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let why = waiting.reason.as_deref().filter(|r| IMAGE.contains(r))?;
        let message = waiting.message.as_deref().unwrap_or("no more is known");
        Some((Cause::Image, format!("{}: {why}: {message}", container.image)))
    })
}

fn unscheduled(status: Option<&PodStatus>, now: &Time) -> Option<(Cause, String)> {
    let conditions = status?.conditions.iter().flatten();
    let no_node = conditions.into_iter().find(|c| {
        c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable")
    })?;
    let since = no_node.last_transition_time.as_ref()?;
    (now.0.as_second() - since.0.as_second() >= TURN)
        .then(|| (Cause::Unschedulable, no_node.message.clone().unwrap_or_default()))
}

/// The trouble that a pool has now. `pods` is `None` where no worker is expected, and nothing was looked at.
#[must_use]
pub fn trouble(
    old: Option<Trouble>,
    pods: Option<&[PodView]>,
    generation: Option<i64>,
    now: Duration,
) -> Option<Trouble> {
    let old = old.filter(|t| t.generation == generation && now.saturating_sub(t.seen) < FORGET);
    // What the API server refuses is over when it takes it.
    if old
        .as_ref()
        .is_some_and(|t| matches!(t.cause, Cause::Objects | Cause::Jobs))
    {
        return old;
    }
    let pods = pods.unwrap_or_default();
    let up = pods.iter().any(|p| p.up);
    let seen = |cause: Cause| {
        pods.iter()
            .filter_map(|p| p.trouble.as_ref())
            .find(|t| t.0 == cause)
    };
    if let Some((cause, message)) = seen(Cause::Image).or_else(|| seen(Cause::Unschedulable)) {
        let message = match old {
            // The kubelet tells of a try and of the pause after it in turn.
            Some(old) if old.cause == Cause::Image && *cause == Cause::Image => old.message,
            _ => message.clone(),
        };
        return Some(Trouble {
            cause: *cause,
            message,
            idle: !up,
            generation,
            seen: now,
        });
    }
    // Pods that wait for room are gone or have found it. An image is there when a pod runs it.
    old.filter(|t| t.cause == Cause::Image && !up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: Duration = Duration::from_secs(100);

    fn pod(status: &Value) -> PodView {
        let pod: Pod = serde_json::from_value(json!({ "metadata": {}, "status": status })).unwrap();
        PodView::of(&pod, &Time("2026-01-01T00:00:10Z".parse().unwrap()))
    }

    fn waiting(reason: &str) -> PodView {
        pod(&json!({ "phase": "Pending", "containerStatuses": [{
            "name": "worker", "image": "x/y:z", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": format!("{reason}'s words") } },
        }] }))
    }

    fn unscheduled(since: &str) -> PodView {
        pod(&json!({ "phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available", "lastTransitionTime": since,
        }] }))
    }

    fn running() -> PodView {
        pod(&json!({ "phase": "Running" }))
    }

    fn cause(trouble: Option<&Trouble>) -> Option<(Cause, bool)> {
        trouble.map(|t| (t.cause, t.stops()))
    }

    #[test]
    fn an_image_that_cannot_be_fetched_stops_a_pool_of_which_no_worker_is_up() {
        let first = trouble(None, Some(&[waiting("ErrImagePull")]), Some(1), NOW);
        assert_eq!(cause(first.as_ref()), Some((Cause::Image, true)));
        assert_eq!(
            first.as_ref().unwrap().message,
            "x/y:z: ErrImagePull: ErrImagePull's words"
        );
        let partly = trouble(None, Some(&[waiting("ErrImagePull"), running()]), Some(1), NOW);
        assert_eq!(cause(partly.as_ref()), Some((Cause::Image, false)));
        assert_eq!(
            trouble(None, Some(&[waiting("ContainerCreating")]), Some(1), NOW),
            None
        );
    }

    #[test]
    fn what_is_said_of_an_image_stays_the_same_while_the_kubelet_tries_and_waits() {
        let first = trouble(None, Some(&[waiting("ErrImagePull")]), Some(1), NOW).unwrap();
        let later = NOW + Duration::from_secs(20);
        let then = trouble(
            Some(first.clone()),
            Some(&[waiting("ImagePullBackOff")]),
            Some(1),
            later,
        );
        assert_eq!(then, Some(Trouble { seen: later, ..first }));
    }

    #[test]
    fn trouble_with_an_image_ends_when_a_pod_runs_the_spec_changes_or_nothing_is_seen_for_long() {
        let old = trouble(None, Some(&[waiting("ErrImagePull")]), Some(1), NOW);
        let soon = NOW + Duration::from_secs(30);
        assert_eq!(
            trouble(old.clone(), None, Some(1), soon),
            old,
            "no pods are left to look at"
        );
        assert_eq!(trouble(old.clone(), Some(&[]), Some(1), soon), old);
        assert_eq!(trouble(old.clone(), Some(&[running()]), Some(1), soon), None);
        assert_eq!(trouble(old.clone(), None, Some(2), soon), None);
        let is_old = |generation| old.as_ref().unwrap().is_of_an_older_spec(Some(generation));
        assert!(is_old(2) && !is_old(1), "its Jobs are made again");
        assert_eq!(trouble(old, None, Some(1), NOW + FORGET), None);
    }

    #[test]
    fn pods_without_a_node_are_told_of_after_a_moment_and_stop_nothing() {
        assert_eq!(
            trouble(None, Some(&[unscheduled("2026-01-01T00:00:08Z")]), Some(1), NOW),
            None,
            "it waits for its turn"
        );
        let full = trouble(None, Some(&[unscheduled("2026-01-01T00:00:01Z")]), Some(1), NOW);
        assert_eq!(cause(full.as_ref()), Some((Cause::Unschedulable, false)));
        assert_eq!(trouble(full, Some(&[]), Some(1), NOW), None);
    }

    #[test]
    fn what_the_api_server_refuses_is_not_over_because_pods_run() {
        let refused = Some(Trouble {
            cause: Cause::Jobs,
            message: "quota".to_owned(),
            idle: true,
            generation: Some(1),
            seen: NOW,
        });
        assert_eq!(
            trouble(refused.clone(), Some(&[running()]), Some(1), NOW),
            refused
        );
    }
}
