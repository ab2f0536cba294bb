//! The operator's Jobs, as far as it needs to know them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use zkinfer_crds::RequestUid;

use crate::dispatch::PoolId;
use crate::metrics::Metrics;
use crate::specs::labels;

/// What a Job is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Slices of a request.
    Prove {
        /// The request.
        request: RequestUid,
        /// Whose workers they are.
        pool: PoolId,
        /// Which Job of the pool for the request it is, from 0.
        round: u32,
        /// Workers at once.
        workers: u32,
    },
    /// A Model's keys.
    Compile {
        /// The Model's uid.
        uid: String,
        /// Its namespace and name.
        model: (String, String),
        /// What tells this attempt from others.
        attempt: String,
    },
}

/// Whether a Job will start pods again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// It may.
    Running,
    /// It would, and every pod of it is on a node that does not answer: Kubernetes starts no other in their place.
    Lost,
    /// It is being removed, and has not ended.
    Removed,
    /// It is complete.
    Ended,
    /// It gave up; why.
    Failed(String),
}

/// A Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it goes on.
    pub state: JobState,
    /// When it was first seen, as time since the operator started.
    pub seen: Duration,
    /// When it was first seen ended, as time since the operator started.
    pub ended: Option<Duration>,
    /// The Kueue queue that it waits in, if any.
    pub queue: Option<String>,
    /// Its pods, as the Job controller counts them.
    pub pods: JobPods,
}

/// A Job's pods by number, and its times in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobPods {
    /// Wanted at once.
    pub wanted: u32,
    /// Pending or running.
    pub active: u32,
    /// Ended badly.
    pub failed: u32,
    /// Being deleted.
    pub terminating: u32,
    /// When the Job was made.
    pub made: Option<i64>,
    /// Since when somebody holds it back.
    pub suspended: Option<i64>,
}

impl JobPods {
    fn of(job: &Job) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let count = |n: Option<i32>| n.unwrap_or(0).max(0) as u32;
        let made = job.creation_timestamp().map(|t| t.0.as_second());
        let held = status
            .conditions
            .iter()
            .flatten()
            .find(|c| c.type_ == "Suspended" && c.status == "True");
        let since = held
            .and_then(|c| c.last_transition_time.as_ref())
            .map(|t| t.0.as_second());
        let spec = job.spec.as_ref();
        let suspended = spec.is_some_and(|s| s.suspend == Some(true));
        Self {
            wanted: count(spec.map(|s| s.parallelism.unwrap_or(1))),
            active: count(status.active),
            failed: count(status.failed),
            terminating: count(status.terminating),
            made,
            suspended: if suspended { since.or(made) } else { None },
        }
    }
}

impl JobView {
    /// Whether pods of it are to come or at work.
    #[must_use]
    pub fn works(&self) -> bool {
        self.state == JobState::Running
    }

    /// Whether it has fewer pods than it should.
    #[must_use]
    pub const fn lacks_pods(&self) -> bool {
        self.pods.active + self.pods.terminating < self.pods.wanted
    }

    /// From the object; `None` for a Job whose labels are not the operator's.
    #[must_use]
    pub fn of(job: &Job) -> Option<Self> {
        let (found, annotations) = (job.labels(), job.annotations());
        let of = annotations.get(labels::FOR).and_then(|key| key.split_once('/'));
        let namespace = job.namespace()?;
        let purpose = if let Some(uid) = found.get(labels::MODEL_UID) {
            let (model_namespace, name) = of?;
            Purpose::Compile {
                uid: uid.clone(),
                model: (model_namespace.to_owned(), name.to_owned()),
                attempt: annotations.get(labels::ATTEMPT).cloned().unwrap_or_default(),
            }
        } else {
            Purpose::Prove {
                request: labels::request_uid(found)?,
                pool: PoolId::new(&namespace, found.get(labels::POOL)?),
                round: found.get(labels::ROUND)?.parse().ok()?,
                workers: found.get(labels::WORKERS)?.parse().ok()?,
            }
        };
        let conditions = job.status.iter().flat_map(|s| s.conditions.iter().flatten());
        let state = conditions
            .filter(|c| c.status == "True")
            .find_map(|c| match c.type_.as_str() {
                "Complete" | "SuccessCriteriaMet" => Some(JobState::Ended),
                "Failed" | "FailureTarget" => Some(JobState::Failed(
                    [&c.reason, &c.message]
                        .into_iter()
                        .flatten()
                        .map(String::as_str)
                        .collect::<Vec<_>>()
                        .join(": "),
                )),
                _ => None,
            });
        let deleted = job.metadata.deletion_timestamp.is_some();
        Some(Self {
            namespace,
            name: job.name_any(),
            purpose,
            state: state.unwrap_or(if deleted {
                JobState::Removed
            } else {
                JobState::Running
            }),
            seen: Duration::ZERO,
            ended: None,
            queue: found.get(labels::KUEUE_QUEUE).cloned(),
            pods: JobPods::of(job),
        })
    }
}

/// Every Job that is known, by namespace and name.
#[derive(Debug, Default)]
pub struct JobIndex {
    jobs: Mutex<BTreeMap<(String, String), JobView>>,
}

impl JobIndex {
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<(String, String), JobView>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Knows a Job from now on. The moment when it was first seen ended stays.
    pub fn insert(&self, mut view: JobView, now: Duration) {
        let key = (view.namespace.clone(), view.name.clone());
        let mut jobs = self.jobs();
        view.seen = jobs.get(&key).map_or(now, |old| old.seen);
        if view.state != JobState::Running {
            view.ended = jobs.get(&key).and_then(|old| old.ended).or(Some(now));
        }
        jobs.insert(key, view);
    }

    /// Nothing comes of a Job any more; whether that is news.
    pub fn lose(&self, namespace: &str, name: &str) -> bool {
        let mut jobs = self.jobs();
        let job = jobs.get_mut(&(namespace.to_owned(), name.to_owned()));
        let Some(job) = job.filter(|j| j.works()) else {
            return false;
        };
        job.state = JobState::Lost;
        true
    }

    /// Forgets a Job.
    pub fn remove(&self, namespace: &str, name: &str) -> Option<JobView> {
        self.jobs().remove(&(namespace.to_owned(), name.to_owned()))
    }

    /// Forgets every Job but these.
    pub fn retain(&self, names: &std::collections::BTreeSet<(String, String)>) {
        self.jobs().retain(|key, _| names.contains(key));
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<JobView> {
        self.jobs().values().cloned().collect()
    }

    /// Says how many there are.
    pub fn count(&self, metrics: &Metrics) {
        metrics.jobs(self.jobs().len());
    }

    /// Whether a Job with workers of this pool is at work.
    #[must_use]
    pub fn proving_with(&self, id: &PoolId) -> bool {
        self.jobs().values().any(|j| {
            j.state == JobState::Running && matches!(&j.purpose, Purpose::Prove { pool, .. } if pool == id)
        })
    }

    /// The requests that have a Job of this pool at work.
    #[must_use]
    pub fn requests_with(&self, id: &PoolId) -> BTreeSet<RequestUid> {
        let request = |j: &JobView| match &j.purpose {
            Purpose::Prove { pool, request, .. } if pool == id && j.works() => Some(*request),
            _ => None,
        };
        self.jobs().values().filter_map(request).collect()
    }

    /// The state of a Model's compile Job: one at work, whatever for, else this attempt's.
    #[must_use]
    pub fn compiling(&self, uid: &str, attempt: &str) -> Option<JobState> {
        let jobs = self.jobs();
        let of_model = |j: &JobView, any: bool| matches!(&j.purpose, Purpose::Compile { uid: of, attempt: a, .. } if of == uid && (any || a == attempt));
        let mut found = jobs.values();
        let at_work = found.find(|j| j.state == JobState::Running && of_model(j, true));
        let job = at_work.or_else(|| jobs.values().find(|j| of_model(j, false)));
        job.map(|j| j.state.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(attempt: &str, state: JobState) -> JobView {
        JobView {
            namespace: "system".to_owned(),
            name: format!("compile-{attempt}"),
            purpose: Purpose::Compile {
                uid: "uid".to_owned(),
                model: ("a".to_owned(), "m".to_owned()),
                attempt: attempt.to_owned(),
            },
            state,
            seen: Duration::ZERO,
            ended: None,
            queue: None,
            pods: JobPods::default(),
        }
    }

    #[test]
    fn an_attempt_that_failed_says_nothing_of_the_next() {
        let index = JobIndex::default();
        let failed = JobState::Failed("out of memory".to_owned());
        index.insert(compile("one", failed.clone()), Duration::ZERO);
        assert_eq!(index.compiling("uid", "one"), Some(failed));
        assert_eq!(index.compiling("uid", "two"), None);
        assert_eq!(index.compiling("other", "one"), None);
        index.insert(compile("two", JobState::Running), Duration::ZERO);
        assert_eq!(
            index.compiling("uid", "one"),
            Some(JobState::Running),
            "one compiler of a Model at a time"
        );
    }
}
