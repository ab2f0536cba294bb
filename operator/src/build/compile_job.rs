//! The Job that compiles a Model: the one program that parses a file from outside. It runs in the operator's namespace,
//! with nothing but a token for this one compilation: it fetches by digest and hands in what it made.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest as _, Sha256};
use zkinfer_crds::Digest;

use super::pod::{empty_dir, env, mount, resources, restricted};
use super::{WorkerSettings, labels};

const SCRATCH: &str = "/work";
const SERVICE_ACCOUNT: &str = "zkinfer-compiler";
/// How long an ended Job stays to be looked at.
const TTL_SECONDS: i32 = 600;
/// A compiler that died (out of memory, its node lost) is tried once more.
const BACKOFF_LIMIT: i32 = 1;

/// What compilers are started with.
#[derive(Debug, Clone)]
pub struct CompileSettings {
    /// The prover-worker's image: the operator's choice, not a miner's.
    pub image: String,
    /// Processor time.
    pub cpu: String,
    /// Memory.
    pub memory: String,
    /// Scratch space: keys of large models are large.
    pub scratch: String,
    /// The longest that a compilation may take, in seconds.
    pub seconds: i64,
}

/// One attempt at compiling a Model.
#[derive(Debug, Clone, Copy)]
pub struct CompileJob<'a> {
    /// The Model's namespace and name.
    pub model: (&'a str, &'a str),
    /// Its uid.
    pub uid: &'a str,
    /// The compiler's token.
    pub token: &'a str,
    /// What tells this attempt from others; it is in the Job's name, and on it.
    pub attempt: &'a Digest,
}

/// Builds the Job.
#[must_use]
pub fn compile_job(job: &CompileJob<'_>, compile: &CompileSettings, settings: &WorkerSettings) -> Job {
    let CompileJob {
        model,
        uid,
        token,
        attempt,
    } = *job;
    let mut labels = labels::of(labels::COMPILER);
    labels.insert(labels::MODEL_UID.to_owned(), uid.to_owned());
    let mut hash = Sha256::new();
    hash.update(token.as_bytes());
    hash.update(attempt.hex().as_bytes());
    let hash = hex::encode(&hash.finalize()[..5]);
    let name: String = model.1.chars().take(40).collect();
    let container = Container {
        name: "compiler".to_owned(),
        image: Some(compile.image.clone()),
        args: Some(vec!["compile-job".to_owned()]),
        env: Some(vec![
            env("ZKINFER_GATEWAY", settings.gateway.as_str()),
            env("ZKINFER_COMPILE_TOKEN", token),
            env("ZKINFER_SCRATCH", SCRATCH),
        ]),
        resources: Some(resources(&compile.cpu, &compile.memory, &compile.scratch)),
        volume_mounts: Some(vec![mount("scratch", SCRATCH, false)]),
        ..Container::default()
    };
    let pod = restricted(
        SERVICE_ACCOUNT,
        container,
        vec![empty_dir("scratch", &compile.scratch)],
    );
    Job {
        metadata: ObjectMeta {
            name: Some(format!(
                "compile-{}-{hash}",
                name.trim_end_matches(['-', '.']).replace('.', "-")
            )),
            namespace: Some(settings.namespace.clone()),
            labels: Some(labels.clone()),
            annotations: Some(
                [
                    (labels::FOR.to_owned(), format!("{}/{}", model.0, model.1)),
                    (labels::ATTEMPT.to_owned(), attempt.hex()),
                ]
                .into(),
            ),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(BACKOFF_LIMIT),
            active_deadline_seconds: Some(compile.seconds),
            ttl_seconds_after_finished: Some(TTL_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    restart_policy: Some("Never".to_owned()),
                    ..pod
                }),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}
