//! An installation without its pod: everything that kustomize or a chart makes, but the operator's own Deployment and its volume, for an
//! operator that a test runs as a process.

use super::SYSTEM;
use crate::cluster::{Cluster, Error};
use crate::local::repository;

const CHART: &str = "charts/zkinfer";

/// Applies everything of `manifests/default` but the operator's own Deployment and its volume.
///
/// # Errors
/// kubectl.
pub async fn install(cluster: &Cluster) -> Result<(), Error> {
    let folder = repository().join("manifests/default");
    let all = cluster
        .kubectl(&["kustomize", &folder.display().to_string()])
        .await?;
    apply_without_pod(cluster, &all).await
}

/// Applies what the chart makes for these namespaces, which are made before, but the operator's own Deployment and its volume.
///
/// # Errors
/// kubectl, Helm.
pub async fn install_for(cluster: &Cluster, namespaces: &[&str]) -> Result<(), Error> {
    for namespace in [&[SYSTEM], namespaces].concat() {
        if namespace != "default" {
            cluster.kubectl(&["create", "namespace", namespace]).await?;
        }
    }
    let namespaces = format!("namespaces={{{}}}", namespaces.join(","));
    render(cluster, SYSTEM, &["--set", &namespaces]).await
}

/// Applies what the chart makes for another installation, of this class in this namespace, which is made before, but the
/// operator's own Deployment and its volume.
///
/// # Errors
/// kubectl, Helm.
pub async fn install_beside(cluster: &Cluster, namespace: &str, class: &str) -> Result<(), Error> {
    cluster.kubectl(&["create", "namespace", namespace]).await?;
    let values = format!("crds.enabled=false,controllerClass={class}");
    render(cluster, namespace, &["--set", &values]).await
}

async fn render(cluster: &Cluster, namespace: &str, values: &[&str]) -> Result<(), Error> {
    let chart = repository().join(CHART).display().to_string();
    let template = [
        "template",
        "zkinfer",
        &chart,
        // Tests of the chart, and the Validator, whose kind has to be there before it.
        "--no-hooks",
        "--namespace",
        namespace,
    ];
    let all = cluster.helm(&[&template, values].concat()).await?;
    apply_without_pod(cluster, &all).await
}

async fn apply_without_pod(cluster: &Cluster, all: &str) -> Result<(), Error> {
    let wanted: Vec<&str> = all
        .split("\n---\n")
        .filter(|d| !d.contains("kind: Deployment") && !d.contains("kind: PersistentVolumeClaim"))
        .collect();
    cluster.apply(&wanted.join("\n---\n")).await?;
    cluster
        .kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=20s",
            "crd",
            "--all",
        ])
        .await?;
    Ok(())
}
