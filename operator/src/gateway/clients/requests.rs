//! Requests: made, read and listed.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use kube::ResourceExt;
use serde::Deserialize;
use zkinfer_crds::calls::clients::{
    CreateRequest, EraseRequest, ListRequests, ListedRequest, MAX_LISTED, Page, ReadRequest, RequestList,
};
use zkinfer_crds::calls::{Call, Reason};
use zkinfer_crds::k8s::InferenceRequest;

use super::directory::NotMade;
use super::front::{Front, REQUESTS, not_found};
use super::limits::Most;
use crate::gateway::body::{Held, ReadError};
use crate::gateway::call::{Answer, Named, Routes, carrying};
use crate::gateway::caller::Caller;
use crate::gateway::doors::Peer;
use crate::gateway::problem::Reject;

pub(super) fn routes(routes: Routes<Front>) -> Routes<Front> {
    routes
        .call(CreateRequest, create)
        .call(ListRequests, list)
        .call(ReadRequest, read)
        .call(EraseRequest, erase)
}

async fn create(State(front): State<Front>, from: Peer, headers: HeaderMap, body: Body) -> Answer {
    // Nobody unknown has a body read; where the caller may create, the body says.
    let client = front.known(&headers, from).await?;
    let caller = Caller::user(&client);
    let body = read_body(&front, &caller, &headers, body).await?;
    let namespace = stated_namespace(&body)?;
    front
        .allowed((&headers, from), ("create", REQUESTS), &namespace, None)
        .await?;
    // What it becomes takes several times its bytes, and is made only for who may have it.
    let _room = front.bodies.object(&caller, &body).await?;
    let mut request: InferenceRequest = serde_json::from_slice(&body).map_err(|e| not_one(&e))?;
    front.watches(&namespace)?;
    if let Some(own) = front.directory.other_class(&request) {
        let stated = &request.spec.controller_class;
        let message = format!("spec.controllerClass is `{stated}`, and this operator serves `{own}`");
        return Err(Reject::new(Reason::OtherControllerClass, message));
    }
    let may = front.directory.may_begin(&namespace);
    may.map_err(|why| Reject::new(Reason::QuotaReached, why))?;
    // Only what a client may state: a status is the operator's.
    request.status = None;
    request.metadata.owner_references = None;
    request.metadata.finalizers = None;
    match front.directory.make(namespace, request, client).await {
        Ok(made) => Ok(carrying(CreateRequest, StatusCode::CREATED, &made)),
        Err(error) => Err(not_written(error)),
    }
}

/// The API server has not written what it was asked to.
fn not_written(error: NotMade) -> Reject {
    match error {
        NotMade::Refused { status, message } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            Reject::with(status, Reason::Refused, message)
        }
        e @ NotMade::Unavailable(_) => Reject::unavailable(&e),
    }
}

/// A body, within the limits in force.
async fn read_body(front: &Front, caller: &Caller, headers: &HeaderMap, body: Body) -> Result<Held, Reject> {
    let limits = front.directory.limits();
    let most = Most::new(
        CreateRequest::MAX_BODY,
        "requestBytes",
        limits.request_bytes.as_ref(),
    );
    let bytes = usize::try_from(most.bytes()).unwrap_or(usize::MAX);
    let body = front.bodies.read(caller, headers, body, bytes).await;
    body.map_err(|error| match error {
        ReadError::TooLarge => most.too_large(),
        error => error.into(),
    })
}

fn not_one(error: &serde_json::Error) -> Reject {
    Reject::new(Reason::InvalidBody, error.to_string())
}

/// The namespace that an object is for. Nothing else of it is kept.
fn stated_namespace(body: &[u8]) -> Result<String, Reject> {
    #[derive(Deserialize)]
    struct Stated {
        #[serde(default)]
        metadata: Metadata,
    }
    #[derive(Default, Deserialize)]
    struct Metadata {
        namespace: Option<String>,
    }
    let Stated { metadata } = serde_json::from_slice(body).map_err(|e| not_one(&e))?;
    let missing = || Reject::new(Reason::InvalidBody, "metadata.namespace is missing");
    metadata.namespace.ok_or_else(missing)
}

async fn read(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    named: Named<(String, String)>,
) -> Answer {
    let (namespace, name) = front.named(&headers, from, named).await?;
    front
        .allowed((&headers, from), ("get", REQUESTS), &namespace, Some(&name))
        .await?;
    front.watches(&namespace)?;
    let found = front.directory.requests(&namespace, Some(&name));
    match found.first() {
        Some(request) => Ok(carrying::<_, InferenceRequest>(
            ReadRequest,
            StatusCode::OK,
            request,
        )),
        None => Err(not_found(format!(
            "there is no InferenceRequest {namespace}/{name}"
        ))),
    }
}

async fn erase(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    named: Named<(String, String)>,
) -> Answer {
    let client = front.known(&headers, from).await?;
    let (namespace, name) = front.named(&headers, from, named).await?;
    front
        .allowed((&headers, from), ("update", REQUESTS), &namespace, Some(&name))
        .await?;
    front.watches(&namespace)?;
    let found = front.directory.requests(&namespace, Some(&name));
    let Some(request) = found.first() else {
        return Err(not_found(format!(
            "there is no InferenceRequest {namespace}/{name}"
        )));
    };
    let erased = front.directory.erase(Arc::clone(request), client).await;
    let erased = erased.map_err(not_written)?;
    Ok(carrying(EraseRequest, StatusCode::ACCEPTED, &erased))
}

async fn list(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    named: Named,
    page: Result<Query<Page>, QueryRejection>,
) -> Answer {
    let namespace = front.named(&headers, from, named).await?;
    front
        .allowed((&headers, from), ("list", REQUESTS), &namespace, None)
        .await?;
    front.watches(&namespace)?;
    let invalid = |message| Reject::new(Reason::InvalidQuery, message);
    let Query(page) = page.map_err(|e| invalid(e.body_text()))?;
    if !(1..=MAX_LISTED).contains(&page.limit) {
        return Err(invalid(format!("limit: 1 to {MAX_LISTED}")));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |d| d.as_secs());
    let part = part(front.directory.requests(&namespace, None), &page, now);
    Ok(carrying(ListRequests, StatusCode::OK, &part))
}

/// A part of these requests, at this time. Where it goes on is a name, and not a number: those that come and go meanwhile
/// move no others.
fn part(mut all: Vec<Arc<InferenceRequest>>, page: &Page, now: u64) -> RequestList {
    let name = |r: &InferenceRequest| r.metadata.name.clone().unwrap_or_default();
    if let Some(after) = &page.after {
        let later = |r: &Arc<InferenceRequest>| r.metadata.name.as_ref() > Some(after);
        all.retain(later);
    }
    all.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let limit = page.limit as usize;
    let more = all.len() > limit;
    all.truncate(limit);
    let listed = |r: &Arc<InferenceRequest>| {
        let created = r.creation_timestamp().map_or(0, |t| t.0.as_second());
        let status = r.status.as_ref();
        ListedRequest {
            name: name(r),
            phase: status.map(|s| s.phase).unwrap_or_default(),
            model: r.spec.model_ref.name.clone(),
            age_seconds: now.saturating_sub(u64::try_from(created).unwrap_or(0)),
            receipt: status.and_then(|s| s.receipt.as_ref()).map(|r| r.digest),
        }
    };
    RequestList {
        after: all.last().filter(|_| more).map(|r| name(r)),
        requests: all.iter().map(listed).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(name: &str, status: &serde_json::Value) -> Arc<InferenceRequest> {
        let object = json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest",
            "metadata": { "name": name, "namespace": "n", "creationTimestamp": "1970-01-01T00:01:40Z" },
            "spec": { "modelRef": { "name": "wine" }, "input": { "artifact": zkinfer_crds::Digest::of(b"") } },
            "status": status,
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn names(list: &RequestList) -> Vec<&str> {
        list.requests.iter().map(|r| r.name.as_str()).collect()
    }

    fn page(limit: u32, after: Option<&str>) -> Page {
        Page {
            limit,
            after: after.map(str::to_owned),
        }
    }

    #[test]
    fn every_request_is_in_one_part_whatever_comes_and_goes_between() {
        let of = |names: &[&str]| names.iter().map(|n| request(n, &json!(null))).collect::<Vec<_>>();
        let first = part(of(&["d", "a", "c", "b"]), &page(2, None), 0);
        assert_eq!(
            (names(&first), first.after.as_deref()),
            (vec!["a", "b"], Some("b"))
        );
        // `b` has gone, `aa` and `bb` have come.
        let second = part(of(&["a", "aa", "bb", "c", "d"]), &page(2, Some("b")), 0);
        assert_eq!(
            (names(&second), second.after.as_deref()),
            (vec!["bb", "c"], Some("c"))
        );
        let last = part(of(&["a", "d"]), &page(2, Some("c")), 0);
        assert_eq!((names(&last), last.after.clone()), (vec!["d"], None));
        let whole = part(of(&["a", "b"]), &page(2, None), 0);
        assert_eq!((names(&whole), whole.after.clone()), (vec!["a", "b"], None));
    }

    #[test]
    fn a_listed_request_tells_phase_model_age_and_receipt() {
        let digest = zkinfer_crds::Digest::of(b"receipt");
        let status = json!({ "phase": "Succeeded", "receipt": { "digest": digest, "bytes": 7 } });
        let list = part(
            vec![request("a", &status), request("b", &json!(null))],
            &page(9, None),
            160,
        );
        let told = serde_json::to_value(&list.requests).unwrap();
        let expected = json!([
            { "name": "a", "phase": "Succeeded", "model": "wine", "ageSeconds": 60, "receipt": digest },
            { "name": "b", "phase": "Pending", "model": "wine", "ageSeconds": 60 },
        ]);
        assert_eq!(told, expected);
    }
}
