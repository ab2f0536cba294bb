//! Follows a request to its end, telling each step.
//!
//! Invariant: it ends when the request can have no end any more: it was deleted, or the caller may not follow it.

use futures::TryStreamExt;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use zkinfer_crds::k8s::{InferenceRequest, find_condition, inference_request};

use super::ClientError;

pub(super) async fn follow(
    client: &kube::Client,
    namespace: &str,
    name: &str,
    quiet: bool,
) -> Result<InferenceRequest, ClientError> {
    let api: Api<InferenceRequest> = Api::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut changes = std::pin::pin!(watcher(api, config).default_backoff());
    let deleted = || {
        ClientError::Unfollowed(format!(
            "inferencerequest.zkinfer.dev/{name} in namespace {namespace} was deleted before it ended"
        ))
    };
    let (mut last, mut listed) = (String::new(), false);
    loop {
        let request = match changes.try_next().await {
            Ok(Some(Event::Apply(request))) => request,
            Ok(Some(Event::InitApply(request))) => {
                listed = true;
                request
            }
            Ok(Some(Event::Init)) => {
                listed = false;
                continue;
            }
            // A deletion that no event told of: the watch was broken off.
            Ok(Some(Event::InitDone)) if !listed => return Err(deleted()),
            Ok(Some(Event::InitDone)) => continue,
            Ok(Some(Event::Delete(_))) => return Err(deleted()),
            Ok(None) => return Err(ClientError::Unfollowed("the watch ended".to_owned())),
            Err(error) => match refused(&error) {
                Some(why) => {
                    return Err(ClientError::Unfollowed(format!(
                        "inferencerequest.zkinfer.dev/{name} was made, and cannot be followed: {why}; see it with \
                         `kubectl get inferencerequest {name} -n {namespace}`"
                    )));
                }
                // The watch goes on by itself; a person may stop waiting.
                None => {
                    tracing::warn!(%error, "watching the request");
                    continue;
                }
            },
        };
        let Some(status) = &request.status else { continue };
        let ready = find_condition(&status.conditions, inference_request::condition::READY);
        let line = format!(
            "{}  {}",
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

/// Why trying again will not help: the caller may not list or watch requests.
fn refused(error: &watcher::Error) -> Option<String> {
    let (verb, status) = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) => ("list", status),
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => ("watch", status),
        watcher::Error::WatchError(status) => ("watch", status),
        _ => return None,
    };
    match status.code {
        401 => Some(format!(
            "the API server does not know you any more: {}",
            status.message
        )),
        403 => Some(format!(
            "you may not {verb} inferencerequests.zkinfer.dev: {}",
            status.message
        )),
        _ => None,
    }
}
