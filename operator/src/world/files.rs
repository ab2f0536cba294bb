//! What the objects of a namespace may name, by the API server's word.

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use zkinfer_crds::Digest;

use super::World;
use crate::artifacts::ArtifactError;
use crate::sources::{AllowedUrl, NamespaceFiles};

impl NamespaceFiles for World {
    /// Read when they are needed: a watch would have the operator hold everybody's.
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ConfigMap>, String>> {
        Box::pin(async move {
            let api: kube::Api<ConfigMap> = kube::Api::namespaced(self.client.clone(), namespace);
            api.get_opt(name).await.map_err(|e| e.to_string())
        })
    }

    fn may_name<'a>(
        &'a self,
        namespace: &'a str,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<bool, ArtifactError>> {
        Box::pin(self.artifacts.blob_is_of(digest, namespace))
    }

    fn addresses(&self) -> Vec<AllowedUrl> {
        self.in_force.get().source_urls.clone()
    }
}
