//! The workers that a pool keeps running while there is nothing to do: a Deployment.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use zkinfer_crds::k8s::MinerPool;

use super::service_account::pool_metadata;
use super::{WorkerSettings, labels, pod};

/// Builds the Deployment; a pool that is being drained keeps nobody.
#[must_use]
pub fn warm_workers(pool: &MinerPool, settings: &WorkerSettings) -> Deployment {
    let name = pool.name_any();
    let mut metadata = pool_metadata(pool, &settings.class);
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(labels::WARM.to_owned(), "true".to_owned());
    let labels = labels.clone();
    let replicas = if pool.spec.drain { 0 } else { pool.spec.warm };
    Deployment {
        metadata,
        spec: DeploymentSpec {
            replicas: Some(replicas as i32),
            // With one more than there were, the pool would have more workers than its spec allows.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(0)),
                    max_unavailable: Some(IntOrString::Int(1)),
                }),
            }),
            selector: LabelSelector {
                match_labels: Some(labels.clone()),
                match_expressions: None,
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod::worker(&name, &pool.spec, settings, None)),
            },
            ..DeploymentSpec::default()
        },
        status: None,
    }
}
