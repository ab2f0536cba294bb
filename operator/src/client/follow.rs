//! Follows a request to its end, telling each step.
//!
//! Invariant: it ends when the request can have no end any more: it was deleted, the caller may not follow it, or its deadline,
//! at which an operator ends it, is over and none has.

use std::time::Duration;

use futures::TryStreamExt;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::{Instant, sleep_until};
use zkinfer_crds::k8s::{InferenceRequest, find_condition, inference_request};

use super::ClientError;
use super::gateway::SELECTOR;
use crate::legible::legible;

/// An operator that is there looks at a request sooner.
const UNSEEN: Duration = Duration::from_secs(10);
/// An operator that is there has ended a request so long after its deadline.
const LATE: Duration = Duration::from_secs(10);

/// Follows a request that was just made.
pub(super) async fn follow(
    client: &kube::Client,
    namespace: &str,
    made: &InferenceRequest,
    quiet: bool,
) -> Result<InferenceRequest, ClientError> {
    followed(client, namespace, made, quiet, (UNSEEN, LATE)).await
}

async fn followed(
    client: &kube::Client,
    namespace: &str,
    made: &InferenceRequest,
    quiet: bool,
    (unseen, late): (Duration, Duration),
) -> Result<InferenceRequest, ClientError> {
    let name = &made.name_any();
    let (began, deadline) = (Instant::now(), &made.spec.deadline);
    let end = began + deadline.duration() + late;
    let mut silent = std::pin::pin!(sleep_until(began + unseen));
    let api: Api<InferenceRequest> = Api::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut changes = std::pin::pin!(watcher(api, config).default_backoff());
    let deleted = || {
        ClientError::Unfollowed(format!(
            "inferencerequest.zkinfer.dev/{name} in namespace {namespace} was deleted before it ended"
        ))
    };
    let (mut last, mut listed, mut warned) = (String::new(), false, false);
    loop {
        let next = tokio::select! {
            next = changes.try_next() => next,
            () = &mut silent, if last.is_empty() && !warned => {
                warned = true;
                if !quiet {
                    eprintln!("{namespace}/{name}  {}; it is waited for until its deadline, {deadline}", nobody(made));
                }
                continue;
            }
            () = sleep_until(end) => {
                let why = if last.is_empty() { nobody(made) } else { format!("its last word was: {last}; {}", where_it_is(made)) };
                return Err(ClientError::Unfollowed(format!(
                    "inferencerequest.zkinfer.dev/{name} in namespace {namespace} has not ended at its deadline, {deadline}: {why}"
                )));
            }
        };
        let request = match next {
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
        // What a miner's pods say may be in it.
        let line = legible(&format!(
            "{}  {}",
            status.phase,
            ready
                .map(|c| format!("{}: {}", c.reason, c.message))
                .unwrap_or_default()
        ));
        if line != last && !quiet {
            eprintln!("{namespace}/{name}  {line}");
        }
        last = line;
        if status.phase.is_over() {
            return Ok(request);
        }
    }
}

/// That no operator has looked at a request.
fn nobody(made: &InferenceRequest) -> String {
    format!("no operator has looked at it: {}", where_it_is(made))
}

/// Where to look for the operator that a request is for.
fn where_it_is(made: &InferenceRequest) -> String {
    format!(
        "is the one of controllerClass `{}` running? `kubectl get pods -A -l {SELECTOR}` lists those that are there",
        made.spec.controller_class
    )
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use http::{Request, Response};
    use serde_json::{Value, json};
    use tower::service_fn;

    use super::*;

    /// A request as an API server without an operator has it, with this status for ever.
    async fn with(status: Value) -> String {
        let request = json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest",
            "metadata": { "name": "r", "namespace": "here", "uid": "u", "resourceVersion": "1" },
            "spec": { "modelRef": { "name": "m" }, "input": {}, "deadline": "1s" },
            "status": status,
        });
        let made: InferenceRequest = serde_json::from_value(request.clone()).unwrap();
        let list = json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequestList",
            "metadata": { "resourceVersion": "1" }, "items": [request],
        });
        let service = service_fn(move |call: Request<kube::client::Body>| {
            let list = list.to_string();
            async move {
                if call.uri().query().unwrap_or_default().contains("watch") {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(Response::new(Body::from(list)))
            }
        });
        let client = kube::Client::new(service, "here");
        let moment = Duration::from_millis(10);
        let followed = followed(&client, "here", &made, false, (moment, moment));
        let ended = tokio::time::timeout(Duration::from_secs(20), followed).await;
        ended.expect("it ends by itself").unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_request_that_no_operator_ends_is_waited_for_until_its_deadline_and_no_longer() {
        let unseen = with(Value::Null).await;
        let words = "has not ended at its deadline, 1s: no operator has looked at it: is the one of controllerClass `zkinfer` running?";
        assert!(
            unseen.contains(words) && unseen.contains("kubectl get pods -A -l"),
            "{unseen}"
        );
        let left = with(json!({ "phase": "Compiling", "conditions": [] })).await;
        assert!(left.contains("its last word was: Compiling"), "{left}");
        assert!(!left.contains("has looked at it"), "{left}");
    }
}
