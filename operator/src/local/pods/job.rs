//! A Job: as many pods at once as it wants, until one has ended well and the others have ended; tries, deadline and all as
//! Kubernetes' Job controller does it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use zkinfer_client::Pauses;

use super::node::{Node, pod_of};
use super::pod::{self, End};
use crate::clock::now;
use crate::local::api::{Id, Kind};
use crate::specs::labels;

/// Before a pod takes the place of one that failed.
const AGAIN: Pauses = Pauses::new(Duration::from_millis(200), Duration::from_secs(10));
/// What Kubernetes puts on a Job's pods.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// How a Job is.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    active: i32,
    failed: i32,
    succeeded: i32,
}

/// Runs a Job to its end, and removes it when its time after that is over.
pub(super) async fn run(node: Arc<Node>, job: Job) {
    let id = Id::new(Kind::Job, &job.namespace().unwrap_or_default(), &job.name_any());
    let uid = job.uid().unwrap_or_default();
    let Some(spec) = job.spec.clone() else { return };
    let mut pods = JoinSet::new();
    let ended = {
        let deadline = spec
            .active_deadline_seconds
            .map_or(Duration::MAX, |s| Duration::from_secs(s.unsigned_abs()));
        let work = work(&node, &id, &job, &spec, &mut pods);
        tokio::select! {
            ended = work => Some(ended),
            () = tokio::time::sleep(deadline) => {
                Some(("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"))
            }
            () = node.gone(&id, &uid) => None,
        }
    };
    if let Some((type_, reason, message)) = ended {
        let counts = Counts {
            succeeded: i32::from(type_ == "Complete"),
            ..Counts::default()
        };
        let condition = json!([{
            "type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now(),
        }]);
        remove_pods(&node, &id);
        report(&node, &id, counts, &condition);
    }
    // They have a while to end.
    while pods.join_next().await.is_some() {}
    if let Some(seconds) = spec.ttl_seconds_after_finished {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds.unsigned_abs().into())) => {}
            () = node.gone(&id, &uid) => {}
        }
        let _ = node.store.delete(&id, Some(&uid));
    }
}

/// The Job's condition at its end: type, reason, message.
type Ended = (&'static str, &'static str, &'static str);

async fn work(node: &Arc<Node>, id: &Id, job: &Job, spec: &JobSpec, pods: &mut JoinSet<(i32, End)>) -> Ended {
    let (wanted, tries) = (spec.parallelism.unwrap_or(1), spec.backoff_limit.unwrap_or(6));
    let mut counts = Counts {
        active: wanted,
        ..Counts::default()
    };
    for index in 0..wanted {
        start(node, id, job, pods, index, Duration::ZERO);
    }
    loop {
        report(node, id, counts, &json!([]));
        let Some(ended) = pods.join_next().await else {
            return if counts.succeeded > 0 {
                ("Complete", "CompletionsReached", "")
            } else {
                ("Failed", "NoPods", "its pods were deleted")
            };
        };
        let Ok((index, end)) = ended else { continue };
        let failed = match end {
            End::Exit(0) => {
                counts.succeeded += 1;
                counts.active -= 1;
                continue;
            }
            End::Exit(code) => !is_ignored(spec, code),
            End::Deleted => false,
        };
        counts.failed += i32::from(failed);
        if counts.failed > tries {
            return (
                "Failed",
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            );
        }
        if counts.succeeded > 0 {
            counts.active -= 1;
        } else {
            let wait = if failed {
                AGAIN.after(counts.failed.unsigned_abs())
            } else {
                Duration::ZERO
            };
            start(node, id, job, pods, index, wait);
        }
    }
}

fn start(node: &Arc<Node>, id: &Id, job: &Job, pods: &mut JoinSet<(i32, End)>, index: i32, wait: Duration) {
    let Some(spec) = &job.spec else { return };
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let pod = pod_of(&spec.template, (id, uid), &[(JOB_NAME, &id.name)]);
    let log = log(id, job, index);
    let node = Arc::clone(node);
    pods.spawn(async move {
        tokio::time::sleep(wait).await;
        (index, pod::run(&node, pod, log, false).await)
    });
}

/// A log has the same name in every run: that of the pool and the worker's number, or that of the Model.
fn log(id: &Id, job: &Job, index: i32) -> String {
    match (job.labels().get(labels::POOL), job.annotations().get(labels::FOR)) {
        (Some(pool), _) => format!("{}-{pool}-{index}", id.namespace),
        (None, Some(of)) => format!("compile-{}", of.replace('/', "-")),
        (None, None) => id.name.clone(),
    }
}

/// Whether the Job's policy says that this code is no failure.
fn is_ignored(spec: &JobSpec, code: i32) -> bool {
    let rules = spec.pod_failure_policy.iter().flat_map(|p| &p.rules);
    rules.filter(|rule| rule.action == "Ignore").any(|rule| {
        let codes = rule.on_exit_codes.as_ref();
        codes.is_some_and(|c| c.operator == "In" && c.values.contains(&code))
    })
}

fn report(node: &Node, id: &Id, counts: Counts, conditions: &Value) {
    let Counts {
        active,
        failed,
        succeeded,
    } = counts;
    let status =
        json!({ "active": active, "failed": failed, "succeeded": succeeded, "conditions": conditions });
    // A Job that is gone has no status.
    let _ = node.store.set_status(id, status);
}

/// The pods of a Job that has ended and are still at work.
fn remove_pods(node: &Node, id: &Id) {
    let (_, pods) = node.store.list(Kind::Pod, Some(&id.namespace));
    let over = |pod: &Value| {
        ["Succeeded", "Failed"]
            .map(Value::from)
            .contains(&pod["status"]["phase"])
    };
    let ours = pods
        .iter()
        .filter(|p| p["metadata"]["labels"][JOB_NAME] == id.name.as_str());
    for pod in ours.filter(|p| !over(p)) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let _ = node.store.delete(&Id::new(Kind::Pod, &id.namespace, name), None);
    }
}
