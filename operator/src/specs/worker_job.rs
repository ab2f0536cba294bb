//! The Job of a pool for one request: the work-queue pattern.
//!
//! `completions` is unset and a worker exits 0 only once the gateway has told it that the request is over, so Kubernetes
//! replaces what is lost and starts nobody after that. A worker that was told to stop exits with [`EXIT_DRAINED`],
//! which, like a disruption, counts as no failure.

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use sha2::{Digest as _, Sha256};
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::MinerPool;
use zkinfer_crds::wire::EXIT_DRAINED;

use super::{WorkerSettings, labels, owner, pod};

/// Workers of one Job that may fail before the Job does. Another round begins with fresh pods.
const BACKOFF_LIMIT: i32 = 6;
/// How long an ended Job stays to be looked at.
const TTL_SECONDS: i32 = 120;
/// Most of a request's name in the Job's name.
const NAME_PART: usize = 40;

/// What a Job is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFor {
    /// The request's uid.
    pub request: RequestUid,
    /// Its namespace and name.
    pub key: (String, String),
    /// Which Job of the pool for the request it is, from 0.
    pub round: u32,
    /// Workers at once.
    pub workers: u32,
    /// Seconds until the request's deadline.
    pub seconds_left: i64,
}

impl JobFor {
    /// The Job's name: the same round has the same name, so that it is never made twice.
    #[must_use]
    pub fn name(&self, pool: &MinerPool) -> String {
        let mut hash = Sha256::new();
        for part in [
            &self.request.to_string(),
            pool.metadata.uid.as_deref().unwrap_or_default(),
            &self.round.to_string(),
        ] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let hash = hex::encode(&hash.finalize()[..5]);
        let request: String = self.key.1.chars().take(NAME_PART).collect();
        format!(
            "{}-{hash}",
            request.trim_end_matches(['-', '.']).replace('.', "-")
        )
    }
}

/// Builds the Job.
#[must_use]
pub fn worker_job(pool: &MinerPool, job: &JobFor, settings: &WorkerSettings) -> Job {
    let pool_name = pool.name_any();
    let mut labels = settings.class.labels(labels::WORKER);
    labels.insert(labels::POOL.to_owned(), pool_name.clone());
    labels.insert(labels::REQUEST_UID.to_owned(), job.request.to_string());
    if let Some(generation) = pool.metadata.generation {
        labels.insert(labels::GENERATION.to_owned(), generation.to_string());
    }
    let pod_labels = labels.clone();
    labels.insert(labels::ROUND.to_owned(), job.round.to_string());
    labels.insert(labels::WORKERS.to_owned(), job.workers.to_string());
    if let Some(queue) = &pool.spec.queue_name {
        labels.insert(labels::KUEUE_QUEUE.to_owned(), queue.clone());
    }
    Job {
        metadata: ObjectMeta {
            name: Some(job.name(pool)),
            namespace: pool.namespace(),
            labels: Some(labels),
            annotations: Some([(labels::FOR.to_owned(), format!("{}/{}", job.key.0, job.key.1))].into()),
            owner_references: owner(pool),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            parallelism: Some(job.workers as i32),
            backoff_limit: Some(BACKOFF_LIMIT),
            active_deadline_seconds: Some(job.seconds_left.max(1)),
            ttl_seconds_after_finished: Some(TTL_SECONDS),
            pod_failure_policy: Some(PodFailurePolicy {
                rules: vec![disrupted(), drained()],
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels),
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    restart_policy: Some("Never".to_owned()),
                    ..pod::worker(&pool_name, &pool.spec, settings, Some(job.request))
                }),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn disrupted() -> PodFailurePolicyRule {
    PodFailurePolicyRule {
        action: "Ignore".to_owned(),
        on_exit_codes: None,
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".to_owned(),
            status: Some("True".to_owned()),
        }]),
    }
}

fn drained() -> PodFailurePolicyRule {
    PodFailurePolicyRule {
        action: "Ignore".to_owned(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(pod::CONTAINER.to_owned()),
            operator: "In".to_owned(),
            values: vec![i32::from(EXIT_DRAINED)],
        }),
        on_pod_conditions: None,
    }
}
