//! The Job that compiles a Model: the one program that parses a file from outside. It runs in the operator's namespace,
//! with nothing but a token for this one compilation: it fetches by digest and hands in what it made.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Secret, SecretVolumeSource, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sha2::{Digest as _, Sha256};
use zkinfer_crds::Digest;

use super::pod::{empty_dir, env, mount, resources, restricted};
use super::{WorkerSettings, labels};

const SCRATCH: &str = "/work";
const SERVICE_ACCOUNT: &str = "zkinfer-compiler";
const TOKEN_DIR: &str = "/var/run/zkinfer";
const TOKEN_KEY: &str = "token";
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
    /// The compiler's token: it decides the Job's name, and is in [`compile_secret`].
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
    let mut labels = settings.class.labels(labels::COMPILER);
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
            env("ZKINFER_COMPILE_TOKEN_FILE", format!("{TOKEN_DIR}/{TOKEN_KEY}")),
            env("ZKINFER_SCRATCH", SCRATCH),
        ]),
        resources: Some(resources(&compile.cpu, &compile.memory, &compile.scratch)),
        volume_mounts: Some(vec![
            mount("scratch", SCRATCH, false),
            mount("token", TOKEN_DIR, true),
        ]),
        ..Container::default()
    };
    let name = format!(
        "compile-{}-{hash}",
        name.trim_end_matches(['-', '.']).replace('.', "-")
    );
    let token = Volume {
        name: "token".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name.clone()),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let pod = restricted(
        SERVICE_ACCOUNT,
        container,
        vec![empty_dir("scratch", &compile.scratch), token],
    );
    Job {
        metadata: ObjectMeta {
            name: Some(name),
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

/// The Secret with the token of a Job that was made, which goes with the Job. Whoever may read Jobs does not read it: with
/// it another graph could be handed in for the Model.
#[must_use]
pub fn compile_secret(made: &Job, token: &str) -> Secret {
    let meta = &made.metadata;
    let owner = OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    };
    Secret {
        metadata: ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            labels: meta.labels.clone(),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        string_data: Some([(TOKEN_KEY.to_owned(), token.to_owned())].into()),
        ..Secret::default()
    }
}
