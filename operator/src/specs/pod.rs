//! The pod that everything runs in: restricted Pod Security, read-only root, no API access, limits.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, LocalObjectReference,
    ObjectFieldSelector, PodSecurityContext, PodSpec, ProjectedVolumeSource, ResourceRequirements,
    SeccompProfile, SecurityContext, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::MinerPoolSpec;

use super::placing::place;
use super::{TOKEN_AUDIENCE, WorkerSettings, service_account_name};

/// The user that every process runs as; it has no home and no files.
const USER: i64 = 65_532;
/// How long a token is valid; the kubelet renews it well before.
const TOKEN_SECONDS: i64 = 600;
/// Time for a worker to hand its claim back.
const GRACE_SECONDS: i64 = 10;
const TOKEN_DIR: &str = "/var/run/zkinfer";
const CACHE_DIR: &str = "/cache";
/// Most that a worker keeps of fetched keys.
const CACHE_SIZE: &str = "2Gi";
/// The container's name; podFailurePolicy refers to it.
pub(super) const CONTAINER: &str = "worker";

pub(super) fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.into()),
        value_from: None,
    }
}

pub(super) fn empty_dir(name: &str, size: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(size.to_owned())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(super) fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// Requests equal limits: a worker gets what it is measured with.
pub(super) fn resources(cpu: &str, memory: &str, storage: &str) -> ResourceRequirements {
    let amounts: BTreeMap<String, Quantity> =
        [("cpu", cpu), ("memory", memory), ("ephemeral-storage", storage)]
            .map(|(k, v)| (k.to_owned(), Quantity(v.to_owned())))
            .into();
    ResourceRequirements {
        limits: Some(amounts.clone()),
        requests: Some(amounts),
        ..ResourceRequirements::default()
    }
}

/// A pod with one container and everything that Pod Security's restricted profile asks for.
pub(super) fn restricted(service_account: &str, container: Container, volumes: Vec<Volume>) -> PodSpec {
    PodSpec {
        service_account_name: Some(service_account.to_owned()),
        automount_service_account_token: Some(false),
        // A Service's address in the environment is of no use to it, and of some to a stranger.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                capabilities: Some(Capabilities {
                    add: None,
                    drop: Some(vec!["ALL".to_owned()]),
                }),
                ..SecurityContext::default()
            }),
            // A program that ends badly says why on standard error, and nowhere else.
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            ..container
        }],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

/// The pod of a pool's worker; with a request: one that ends when the request is over.
pub(super) fn worker(
    pool: &str,
    spec: &MinerPoolSpec,
    settings: &WorkerSettings,
    request: Option<RequestUid>,
) -> PodSpec {
    let token = Volume {
        name: "token".to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![VolumeProjection {
                service_account_token: Some(ServiceAccountTokenProjection {
                    audience: Some(TOKEN_AUDIENCE.to_owned()),
                    expiration_seconds: Some(TOKEN_SECONDS),
                    path: "token".to_owned(),
                    ..ServiceAccountTokenProjection::default()
                }),
                ..VolumeProjection::default()
            }]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    };
    let (cpu, memory) = (&spec.resources.cpu, &spec.resources.memory);
    let pod_name = EnvVar {
        name: "ZKINFER_WORKER".to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: None,
                field_path: "metadata.name".to_owned(),
            }),
            ..EnvVarSource::default()
        }),
    };
    let cores = cpu.millicores().div_ceil(1000).to_string();
    let mut environment = vec![
        env("ZKINFER_GATEWAY", settings.gateway.as_str()),
        env("ZKINFER_TOKEN_FILE", format!("{TOKEN_DIR}/token")),
        pod_name,
        env("ZKINFER_MEMORY_MIB", (memory.bytes() >> 20).to_string()),
        env("ZKINFER_CACHE", CACHE_DIR),
        env("ZKINFER_CLAIMS", cores.clone()),
        env("RAYON_NUM_THREADS", cores),
    ];
    let collector = settings.otlp_endpoint.as_deref();
    environment.extend(collector.map(|endpoint| env("ZKINFER_OTLP_ENDPOINT", endpoint)));
    environment.extend(request.map(|uid| env("ZKINFER_REQUEST", uid.to_string())));
    let container = Container {
        name: CONTAINER.to_owned(),
        image: Some(spec.image.clone()),
        args: Some(vec!["work".to_owned()]),
        env: Some(environment),
        resources: Some(resources(&cpu.to_string(), &memory.to_string(), CACHE_SIZE)),
        volume_mounts: Some(vec![
            mount("token", TOKEN_DIR, true),
            mount("cache", CACHE_DIR, false),
        ]),
        ..Container::default()
    };
    let volumes = vec![token, empty_dir("cache", CACHE_SIZE)];
    let mut pod = restricted(&service_account_name(pool), container, volumes);
    let Some(own) = &spec.pod else { return pod };
    place(&mut pod, pool, own);
    pod.runtime_class_name = own.runtime_class_name.clone();
    pod.priority_class_name = own.priority_class_name.clone();
    let secret = |name: &String| LocalObjectReference { name: name.clone() };
    pod.image_pull_secrets =
        (!own.image_pull_secrets.is_empty()).then(|| own.image_pull_secrets.iter().map(secret).collect());
    pod
}
