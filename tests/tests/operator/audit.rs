//! The API server's audit log: what the operator asked of it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zkinfer_tests::cluster::Cluster;

/// A cluster whose API server writes down the calls that the rules name, once each, and where.
pub(crate) async fn audited(folder: &Path, rules: Value) -> (Cluster, PathBuf) {
    let (policy, log) = (folder.join("policy.yaml"), folder.join("audit.log"));
    let text = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": rules,
    });
    std::fs::write(&policy, text.to_string()).unwrap();
    let cluster = Cluster::builder()
        .api_server_flag(format!("--audit-policy-file={}", policy.display()))
        .api_server_flag(format!("--audit-log-path={}", log.display()))
        .start()
        .await
        .unwrap();
    (cluster, log)
}
