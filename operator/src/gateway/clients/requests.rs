//! Requests: made and read.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use kube::ResourceExt;
use zkinfer_crds::calls::Reason;
use zkinfer_crds::calls::clients::{CreateRequest, ReadRequest};
use zkinfer_crds::k8s::InferenceRequest;

use super::{Front, NotMade, REQUESTS, not_found};
use crate::gateway::call::{Answer, Named, Routes, carrying};
use crate::gateway::doors::Peer;
use crate::gateway::problem::Reject;

pub(super) fn routes(routes: Routes<Front>) -> Routes<Front> {
    routes.call(CreateRequest, create).call(ReadRequest, read)
}

async fn create(State(front): State<Front>, from: Peer, headers: HeaderMap, body: Body) -> Answer {
    // Nobody unknown has a body read; where the caller may create, the body says.
    front.known(&headers, from).await?;
    let mut request: InferenceRequest = front.bodies.json::<CreateRequest, _>(&headers, body).await?;
    let namespace = request
        .namespace()
        .ok_or_else(|| Reject::new(Reason::InvalidBody, "metadata.namespace is missing"))?;
    front
        .allowed((&headers, from), ("create", REQUESTS), &namespace, None)
        .await?;
    front.watches(&namespace)?;
    // Only what a client may state: a status is the operator's.
    request.status = None;
    request.metadata.owner_references = None;
    request.metadata.finalizers = None;
    match front.directory.make(namespace, request).await {
        Ok(made) => Ok(carrying::<CreateRequest, _>(StatusCode::CREATED, &made)),
        Err(NotMade::Refused { status, message }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            Err(Reject::with(status, Reason::Refused, message))
        }
        Err(e @ NotMade::Unavailable(_)) => Err(Reject::unavailable(&e)),
    }
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
        Some(request) => Ok(carrying::<ReadRequest, InferenceRequest>(StatusCode::OK, request)),
        None => Err(not_found(format!(
            "there is no InferenceRequest {namespace}/{name}"
        ))),
    }
}
