//! Follows a request to its end, telling each step.

use futures::TryStreamExt;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use zkinfer_crds::k8s::{InferenceRequest, find_condition};

use super::ClientError;

pub(super) async fn follow(
    client: &kube::Client,
    namespace: &str,
    name: &str,
    quiet: bool,
) -> Result<InferenceRequest, ClientError> {
    let api: Api<InferenceRequest> = Api::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut changes = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
    let mut last = String::new();
    loop {
        // The watch goes on by itself after an error; a person may stop waiting.
        let request = match changes.try_next().await {
            Ok(Some(request)) => request,
            Ok(None) => return Err(ClientError::Other("the watch ended".to_owned())),
            Err(error) => {
                tracing::warn!(%error, "watching the request");
                continue;
            }
        };
        let Some(status) = &request.status else { continue };
        let ready = find_condition(&status.conditions, "Ready");
        let line = format!(
            "{:?}  {}",
            status.phase,
            ready
                .map(|c| format!("{}: {}", c.reason, c.message))
                .unwrap_or_default()
        );
        if line != last && !quiet {
            eprintln!("{namespace}/{name}  {line}");
        }
        last = line;
        if status.phase.is_over() {
            return Ok(request);
        }
    }
}
