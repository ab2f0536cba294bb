//! What is about to be installed can be looked at before it is.

use zkinfer_tests::cluster::{Cluster, can_run};
use zkinfer_tests::local::repository;

/// As in docs/install.md.
const NAMESPACE: &str = "apply -f manifests/default/namespace.yaml";
const DRY: &str = "apply -k manifests/default --dry-run=server";
const DIFF: &str = "diff -k manifests/default";

#[tokio::test]
async fn kubectl_shows_what_would_be_installed_once_the_namespace_exists() {
    let text = std::fs::read_to_string(repository().join("docs/install.md")).unwrap();
    for command in [NAMESPACE, DRY, DIFF] {
        assert!(text.contains(&format!("$ kubectl {command}")), "{command}");
    }
    if !can_run() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    let kubectl = async |line: &str| {
        let manifests = repository().join("manifests").display().to_string();
        let line = line.replace("manifests", &manifests);
        let words: Vec<&str> = line.split(' ').collect();
        cluster.kubectl(&words).await.map_err(|e| e.to_string())
    };
    // The API server knows nothing that a dry run would have made.
    for line in [DRY, DIFF] {
        let refused = kubectl(line).await.unwrap_err();
        let words = "namespaces \"zkinfer-system\" not found";
        assert!(refused.contains(words), "{line}: {refused}");
    }
    kubectl(NAMESPACE).await.unwrap();
    let would = kubectl(DRY).await.unwrap();
    for object in [
        "customresourcedefinition.apiextensions.k8s.io/models.zkinfer.dev",
        "deployment.apps/zkinfer-operator",
    ] {
        let line = format!("{object} created (server dry run)");
        assert!(would.contains(&line), "{would}");
    }
    // `kubectl diff` ends with 1 where there are differences, with more where it fails.
    let differs = kubectl(DIFF).await.unwrap_err();
    assert!(differs.contains("exit status: 1"), "{differs}");
    let namespaces = kubectl("get namespace zkinfer-system -o name").await.unwrap();
    assert_eq!(namespaces.trim(), "namespace/zkinfer-system");
    let made = kubectl("get deployments --all-namespaces -o name").await.unwrap();
    assert_eq!(made.trim(), "", "nothing was made");
}
