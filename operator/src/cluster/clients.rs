//! HTTP for clients: requests, receipts and uploads, with the caller's own Kubernetes token.
//!
//! Invariant: the gateway lets nobody see or make what the API server would not let them see or make: each call is
//! answered only after a TokenReview and a SubjectAccessReview. A digest is no permission.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use serde::Deserialize;
use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::{GROUP, InferenceRequest};

use super::auth::{Access, Clients};
use super::operator::Operator;
use super::uploads;
use crate::artifacts::ArtifactError;
use crate::gateway::{Bodies, Peer, Reject, bearer, blob};

pub(super) const REQUESTS: &str = "inferencerequests";
pub(super) const MODELS: &str = "models";
/// Largest request body: inputs are inline.
const MAX_REQUEST_BYTES: usize = 3 << 20;

/// Largest file of a model that a client is given.
const MAX_FILE_BYTES: u64 = 256 << 20;

pub(super) type Answer = Result<Response, Reject>;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) ctx: Arc<Operator>,
    reviews: Arc<Clients>,
    bodies: Bodies,
}

/// The routes.
pub(super) fn router(ctx: Arc<Operator>, reviews: Clients, bodies: Bodies) -> Router {
    Router::new()
        .route("/v1/requests", post(create))
        .route("/v1/requests/{namespace}/{name}", get(read))
        .route("/v1/receipts/{digest}", get(receipt))
        .route("/v1/models/{namespace}/{name}/files/{digest}", get(file))
        .route("/v1/artifacts/{namespace}/{digest}", put(uploads::upload))
        .with_state(Front {
            ctx,
            reviews: Arc::new(reviews),
            bodies,
        })
}

impl Front {
    /// Whether the caller may do this, by the API server's word.
    pub(super) async fn allowed(
        &self,
        (headers, from): (&HeaderMap, Peer),
        action: (&'static str, &'static str),
        namespace: &str,
        name: Option<&str>,
    ) -> Result<(), Reject> {
        let user = self.known(headers, from).await?;
        self.may(headers, user, action, namespace, name).await
    }

    /// Who calls, by the API server's word.
    async fn known(&self, headers: &HeaderMap, from: Peer) -> Result<UserInfo, Reject> {
        let token = bearer(headers).ok_or_else(Reject::unknown_token)?;
        let user = self.reviews.user(token, from).await;
        user.map_err(|e| Reject::unavailable(&e))?
            .ok_or_else(Reject::unknown_token)
    }

    /// Whether this caller may do this, by the API server's word.
    async fn may(
        &self,
        headers: &HeaderMap,
        user: UserInfo,
        (verb, resource): (&'static str, &'static str),
        namespace: &str,
        name: Option<&str>,
    ) -> Result<(), Reject> {
        let access = Access {
            verb,
            resource,
            namespace: namespace.to_owned(),
            name: name.map(str::to_owned),
        };
        let token = bearer(headers).ok_or_else(Reject::unknown_token)?;
        let allowed = self.reviews.may(token, user, access).await;
        if allowed.map_err(|e| Reject::unavailable(&e))? {
            Ok(())
        } else {
            let message = format!("you may not {verb} {resource}.{GROUP} in namespace `{namespace}`");
            Err(Reject::new(StatusCode::FORBIDDEN, "Forbidden", message))
        }
    }
}

impl Front {
    /// Whether there can be anything in this namespace, as far as the operator sees.
    pub(super) fn watches(&self, namespace: &str) -> Result<(), Reject> {
        if self.ctx.world.scope.sees(namespace) {
            return Ok(());
        }
        let message = format!("this operator does not watch namespace `{namespace}` (--namespaces)");
        Err(Reject::new(StatusCode::NOT_FOUND, "NamespaceNotWatched", message))
    }
}

fn not_found(what: impl Into<String>) -> Reject {
    Reject::new(StatusCode::NOT_FOUND, "NotFound", what)
}

async fn create(State(front): State<Front>, from: Peer, headers: HeaderMap, body: Body) -> Answer {
    let invalid = |message: String| Reject::new(StatusCode::BAD_REQUEST, "InvalidBody", message);
    // Nobody unknown has a body read; where the caller may create, the body says.
    let user = front.known(&headers, from).await?;
    let mut request: InferenceRequest = front.bodies.json(&headers, body, MAX_REQUEST_BYTES).await?;
    let namespace = request
        .namespace()
        .ok_or_else(|| invalid("metadata.namespace is missing".to_owned()))?;
    front
        .may(&headers, user, ("create", REQUESTS), &namespace, None)
        .await?;
    front.watches(&namespace)?;
    // Only what a client may state: a status is the operator's.
    request.status = None;
    request.metadata.owner_references = None;
    request.metadata.finalizers = None;
    let api: Api<InferenceRequest> = Api::namespaced(front.ctx.world.client.clone(), &namespace);
    match api.create(&PostParams::default(), &request).await {
        Ok(made) => Ok((StatusCode::CREATED, Json(made)).into_response()),
        Err(kube::Error::Api(status)) => {
            let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::BAD_GATEWAY);
            Err(Reject::new(code, "Refused", status.message.clone()))
        }
        Err(e) => Err(Reject::unavailable(&e)),
    }
}

async fn read(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Answer {
    front
        .allowed((&headers, from), ("get", REQUESTS), &namespace, Some(&name))
        .await?;
    front.watches(&namespace)?;
    let found = front.ctx.world.stores.requests.find(|r| {
        r.metadata.namespace.as_ref() == Some(&namespace) && r.metadata.name.as_ref() == Some(&name)
    });
    let found = found.ok_or_else(|| not_found(format!("there is no InferenceRequest {namespace}/{name}")))?;
    Ok(Json(&*found).into_response())
}

#[derive(Deserialize)]
struct Of {
    namespace: String,
}

async fn receipt(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path(digest): Path<String>,
    of: Result<Query<Of>, axum::extract::rejection::QueryRejection>,
) -> Answer {
    let Query(Of { namespace }) =
        of.map_err(|e| Reject::new(StatusCode::BAD_REQUEST, "InvalidQuery", e.body_text()))?;
    front
        .allowed((&headers, from), ("get", REQUESTS), &namespace, None)
        .await?;
    let absent = || not_found(format!("namespace `{namespace}` has no receipt {digest}"));
    let parsed: Digest = digest.parse().map_err(|_| absent())?;
    let of_namespace = front.ctx.world.artifacts.receipt_is_of(&parsed, &namespace).await;
    if !of_namespace.map_err(|e| Reject::store(&e))? {
        return Err(absent());
    }
    match front.ctx.world.artifacts.receipt(&parsed).await {
        Ok(bytes) => Ok(([(CONTENT_TYPE, "application/cbor")], bytes).into_response()),
        Err(ArtifactError::NotFound(_)) => Err(absent()),
        Err(e) => Err(Reject::store(&e)),
    }
}

/// What a verifier needs of a compiled model: manifest, integer graph, and verifying keys that are files.
async fn file(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name, digest)): Path<(String, String, String)>,
) -> Answer {
    front
        .allowed((&headers, from), ("get", MODELS), &namespace, Some(&name))
        .await?;
    front.watches(&namespace)?;
    let absent = || not_found(format!("Model {namespace}/{name} has no such file"));
    let digest: Digest = digest.parse().map_err(|_| absent())?;
    let model = front.ctx.world.stores.models.find(|m| {
        m.metadata.namespace.as_ref() == Some(&namespace) && m.metadata.name.as_ref() == Some(&name)
    });
    let uid = model.and_then(|m| m.uid()).unwrap_or_default();
    let files: Vec<Digest> = {
        let models = front.ctx.models.records();
        let known = models.get(&uid).and_then(|m| m.known.outcome.as_ref());
        match known.map(|known| &known.outcome) {
            Some(CompileOutcome::Compiled(report)) => {
                let keys = report.slices.iter().filter_map(|s| s.halo2.as_ref());
                let keys = keys.map(|h| h.verifying_key.digest);
                [report.manifest.digest, report.graph.digest]
                    .into_iter()
                    .chain(keys)
                    .collect()
            }
            _ => Vec::new(),
        }
    };
    if !files.contains(&digest) {
        return Err(absent());
    }
    // As it comes: a graph is as large as its model. Whoever asked compares the digest.
    blob(&front.ctx.world.artifacts, &digest, MAX_FILE_BYTES, absent).await
}
