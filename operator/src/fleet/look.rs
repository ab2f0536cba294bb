//! Looks at pods, and at the events of what has none, while somebody waits for them.
//!
//! Invariant: there is no watch of pods or events; what was seen is not kept. Where the operator may not read events, less
//! is told, and nothing else changes.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use super::evidence::{PodView, Seen, together};
use super::jobs::{JobIndex, JobView, Purpose};
use super::refusal::without_name;
use super::symptoms::{Evidence, Kind};
use crate::clock::now;
use crate::dispatch::PoolId;
use crate::specs::labels;

/// A Job has its pods before that.
const PODS: i64 = 4;
/// A Job that has none for so long has none, whoever says nothing.
const NONE: i64 = 15;
/// Kueue lets a Job go sooner where there is room.
const ADMISSION: i64 = 8;
/// Objects whose events are read in one look.
const MOST: usize = 3;

/// What was seen of a pool's workers.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// What they show.
    pub seen: Seen,
    /// The pods.
    pub pods: Vec<PodView>,
    /// Jobs, by name, all of whose pods are on nodes that do not answer: nothing comes of them any more.
    pub lost: BTreeSet<String>,
}

/// Looks at the workers of a pool.
///
/// # Errors
/// The API server.
pub async fn at_pool(
    client: &Client,
    jobs: &JobIndex,
    id: &PoolId,
    generation: Option<i64>,
) -> Result<Look, kube::Error> {
    let mut jobs = jobs.all();
    jobs.retain(|j| matches!(&j.purpose, Purpose::Prove { pool, .. } if pool == id) && j.works());
    look(
        client,
        id.namespace(),
        &labels::workers_of(id.name()),
        generation,
        &jobs,
    )
    .await
}

/// Looks at the compiler of a Model.
///
/// # Errors
/// The API server.
pub async fn at_compiler(
    client: &Client,
    jobs: &JobIndex,
    namespace: &str,
    uid: &str,
) -> Result<Look, kube::Error> {
    let mut jobs = jobs.all();
    jobs.retain(|j| matches!(&j.purpose, Purpose::Compile { uid: of, .. } if of == uid) && j.works());
    look(client, namespace, &labels::compiler_of(uid), None, &jobs).await
}

async fn look(
    client: &Client,
    namespace: &str,
    labels: &str,
    generation: Option<i64>,
    jobs: &[JobView],
) -> Result<Look, kube::Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default()
        .labels(labels)
        .fields("status.phase!=Succeeded");
    let (now, generation) = (now(), generation.map(|g| g.to_string()));
    let current = |pod: &&Pod| {
        let made_from = pod.labels().get(labels::GENERATION);
        made_from.is_none() || generation.is_none() || made_from == generation.as_ref()
    };
    let pods = api.list(&params).await?;
    let pods: Vec<PodView> = pods
        .iter()
        .filter(current)
        .filter_map(|pod| PodView::of(pod, &now))
        // What is left on a node that does not answer, of a Job that was given up, says nothing of the next one.
        .filter(|pod| {
            let of_job = |job: &String| jobs.iter().any(|j| j.name == *job);
            !pod.lost || pod.job.as_ref().is_none_or(of_job)
        })
        .collect();
    let mut look = Look {
        seen: together(&pods),
        lost: lost(&pods, jobs),
        pods,
    };
    let mut asked = 0;
    for pod in look.pods.iter().filter(|p| p.slow) {
        asked += 1;
        let words = if asked > MOST {
            None
        } else {
            warning(client, namespace, "Pod", &pod.name).await
        };
        let words = words.unwrap_or_else(|| "it is still being created".to_owned());
        look.seen.evidence.push(Evidence {
            kind: Kind::Waiting,
            text: format!("pod {}: {words}", pod.name),
        });
    }
    let second = now.0.as_second();
    for job in jobs {
        if let Some(since) = job.pods.suspended {
            if second - since >= ADMISSION {
                let queue = job
                    .queue
                    .as_ref()
                    .map_or_else(String::new, |q| format!(" (Kueue queue `{q}`)"));
                look.seen.evidence.push(Evidence {
                    kind: Kind::Suspended,
                    text: format!("Job {namespace}/{} is suspended{queue}", job.name),
                });
            }
            continue;
        }
        let age = job.pods.made.map_or(0, |made| second - made);
        if !job.lacks_pods() || age < PODS || asked >= MOST {
            continue;
        }
        asked += 1;
        match warning(client, namespace, "Job", &job.name).await {
            Some(words) => look.seen.evidence.push(Evidence {
                kind: Kind::Refused,
                text: format!(
                    "the pods of Job {namespace}/{} cannot be made: {}",
                    job.name,
                    without_name(&words)
                ),
            }),
            // A Job between two tries of a program that crashes has none, as it should be.
            None if age >= NONE && job.pods.failed == 0 && job.pods.active == 0 => {
                look.seen.evidence.push(Evidence {
                    kind: Kind::NoPods,
                    text: format!("Job {namespace}/{} has no pods", job.name),
                });
            }
            None => {}
        }
    }
    Ok(look)
}

/// The Jobs at work that have pods which are not over, all of them lost.
fn lost(pods: &[PodView], jobs: &[JobView]) -> BTreeSet<String> {
    let mut left: BTreeMap<&str, bool> = BTreeMap::new();
    for pod in pods.iter().filter(|p| !p.over) {
        if let Some(job) = &pod.job {
            *left.entry(job).or_insert(true) &= pod.lost;
        }
    }
    let lost = left
        .into_iter()
        .filter(|(_, lost)| *lost)
        .map(|(job, _)| job.to_owned());
    lost.filter(|name| jobs.iter().any(|j| j.name == *name)).collect()
}

/// The latest warning that was told of an object, if the operator may read it.
async fn warning(client: &Client, namespace: &str, kind: &str, name: &str) -> Option<String> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields(&format!(
        "involvedObject.kind={kind},involvedObject.name={name},type=Warning"
    ));
    let events = match api.list(&params).await {
        Ok(events) => events,
        Err(error) => {
            tracing::debug!(namespace, name, %error, "events cannot be read");
            return None;
        }
    };
    let time = |e: &Event| {
        let series = e
            .series
            .as_ref()
            .and_then(|s| s.last_observed_time.as_ref())
            .map(|t| t.0);
        let last = e.last_timestamp.as_ref().map(|t| t.0);
        series.or(last).or(e.event_time.as_ref().map(|t| t.0))
    };
    let wanted = |e: &&Event| kind != "Job" || e.reason.as_deref() == Some("FailedCreate");
    let latest = events.items.iter().filter(wanted).max_by_key(|e| time(e))?;
    latest.message.clone()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fleet::jobs::{JobPods, JobState};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;
    use zkinfer_crds::RequestUid;

    fn pod(job: &str, ready: &str) -> PodView {
        let pod = json!({
            "metadata": { "name": "p", "labels": { "batch.kubernetes.io/job-name": job } },
            "spec": { "containers": [], "nodeName": "n" },
            "status": { "phase": "Running", "conditions": [
                { "type": "ContainersReady", "status": "True" }, { "type": "Ready", "status": ready }] },
        });
        let now = Time("2026-01-01T00:01:00Z".parse().unwrap());
        PodView::of(&serde_json::from_value(pod).unwrap(), &now).unwrap()
    }

    fn job(name: &str) -> JobView {
        JobView {
            namespace: "a".to_owned(),
            name: name.to_owned(),
            purpose: Purpose::Prove {
                request: RequestUid::new([1; 16]),
                pool: PoolId::new("a", "p"),
                round: 0,
                workers: 2,
            },
            state: JobState::Running,
            seen: Duration::ZERO,
            ended: None,
            queue: None,
            pods: JobPods::default(),
        }
    }

    #[test]
    fn a_job_is_lost_when_all_of_its_pods_are() {
        let jobs = [job("one"), job("two")];
        let pods = [
            pod("one", "False"),
            pod("one", "False"),
            pod("two", "False"),
            pod("two", "True"),
        ];
        assert_eq!(lost(&pods, &jobs), ["one".to_owned()].into());
        assert!(lost(&[], &jobs).is_empty(), "a Job that has no pods yet is none");
    }
}
