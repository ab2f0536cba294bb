//! One namespace per test, and tokens of its service accounts.

use std::time::Duration;

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace as KubeNamespace, ServiceAccount},
};
use kube::{Api, Client, api::PostParams};
use serde_json::json;

use super::{Cluster, Error, wait_for};

/// A namespace that is deleted when this is dropped. Of a failing test it prints the objects and events first.
#[derive(Debug)]
pub struct Namespace<'a> {
    name: String,
    cluster: &'a Cluster,
}

impl<'a> Namespace<'a> {
    /// Makes a namespace with a name of its own that starts with `prefix`, and waits until pods can be made in it.
    pub async fn temporary(cluster: &'a Cluster, prefix: &str) -> Result<Self, Error> {
        Self::labelled(cluster, prefix, &[]).await
    }

    /// The same with labels, such as `pod-security.kubernetes.io/enforce`.
    pub async fn labelled(
        cluster: &'a Cluster,
        prefix: &str,
        labels: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let client = cluster.client().await?;
        let mut namespace = KubeNamespace::default();
        namespace.metadata.generate_name = Some(format!("{prefix}-"));
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        namespace.metadata.labels = Some(labels.collect());
        let api: Api<KubeNamespace> = Api::all(client.clone());
        let name = api
            .create(&PostParams::default(), &namespace)
            .await?
            .metadata
            .name
            .unwrap_or_default();
        let namespace = Self { name, cluster };
        let accounts: Api<ServiceAccount> = Api::namespaced(client, &namespace.name);
        let limit = Duration::from_secs(30);
        wait_for("the default service account", limit, async || {
            accounts.get("default").await
        })
        .await?;
        Ok(namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its objects of a kind, as administrator.
    pub async fn api<K>(&self) -> Result<Api<K>, Error>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Ok(Api::namespaced(self.cluster.client().await?, &self.name))
    }

    /// `kubectl` in this namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String, Error> {
        let mut all = vec!["--namespace", self.name.as_str()];
        all.extend(arguments);
        self.cluster.kubectl(&all).await
    }

    /// `kubectl apply` in this namespace with these documents, in JSON or YAML.
    pub async fn apply(&self, documents: &str) -> Result<String, Error> {
        self.cluster
            .tool(
                "kubectl",
                &["apply", "--namespace", &self.name, "-f", "-"],
                documents,
            )
            .await
    }

    fn kubectl_now(&self, arguments: &[&str]) -> String {
        let mut kubectl = self.cluster.client_command("kubectl");
        kubectl.arg("--request-timeout=10s").args(arguments);
        kubectl
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = &self.name;
            eprintln!("Namespace {name} of the failed test:");
            eprintln!("{}", self.kubectl_now(&["get", "all", "-o", "wide", "-n", name]));
            eprintln!(
                "{}",
                self.kubectl_now(&["get", "events", "--sort-by=.lastTimestamp", "-n", name])
            );
        }
        self.kubectl_now(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

/// A token of a service account for the API server, valid for an hour.
pub(super) async fn token(client: &Client, namespace: &str, account: &str) -> Result<String, Error> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let spec = TokenRequestSpec {
        expiration_seconds: Some(3600),
        ..Default::default()
    };
    let request = TokenRequest {
        spec: Some(spec),
        ..Default::default()
    };
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await?;
    let token = answer.status.and_then(|status| status.token);
    token.ok_or_else(|| {
        let what = format!("the token of {namespace}/{account}");
        Error::Timeout {
            what,
            limit: Duration::ZERO,
            last: json!(answer.metadata).to_string(),
        }
    })
}
