//! HTTP for clients: requests, receipts and uploads, with the caller's own Kubernetes token.
//!
//! Invariant: the gateway lets nobody see or make what the API server would not let them see or make: each call is
//! answered only after a TokenReview and a SubjectAccessReview. A digest is no permission.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use serde::Deserialize;
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::{GROUP, InferenceRequest};

use super::auth::review;
use super::{Context, uploads};
use crate::artifacts::ArtifactError;
use crate::gateway::{Bodies, Reject, bearer};

pub(super) const REQUESTS: &str = "inferencerequests";
pub(super) const MODELS: &str = "models";
/// Largest request body: inputs are inline.
const MAX_REQUEST_BYTES: usize = 3 << 20;

/// Largest file of a model that a client is given.
const MAX_FILE_BYTES: u64 = 256 << 20;

pub(super) type Answer = Result<Response, Reject>;

/// The routes.
pub(super) fn router(ctx: Arc<Context>, bodies: Bodies) -> Router {
    Router::new()
        .route("/v1/requests", post(create).layer(Extension(bodies)))
        .route("/v1/requests/{namespace}/{name}", get(read))
        .route("/v1/receipts/{digest}", get(receipt))
        .route("/v1/models/{namespace}/{name}/files/{digest}", get(file))
        .route("/v1/artifacts/{namespace}/{digest}", put(uploads::upload))
        .with_state(ctx)
}

/// Whether the caller may do this, by the API server's word.
pub(super) async fn allowed(
    ctx: &Context,
    headers: &HeaderMap,
    (verb, resource): (&str, &str),
    namespace: &str,
    name: Option<&str>,
) -> Result<(), Reject> {
    let user = known(ctx, headers).await?;
    may(ctx, user, (verb, resource), namespace, name).await
}

/// Who calls, by the API server's word.
async fn known(ctx: &Context, headers: &HeaderMap) -> Result<UserInfo, Reject> {
    let token = bearer(headers).ok_or_else(Reject::unknown_token)?;
    let user = review(ctx, token, None).await;
    user.map_err(|e| Reject::unavailable(&e))?
        .ok_or_else(Reject::unknown_token)
}

/// Whether this caller may do this, by the API server's word.
async fn may(
    ctx: &Context,
    user: UserInfo,
    (verb, resource): (&str, &str),
    namespace: &str,
    name: Option<&str>,
) -> Result<(), Reject> {
    let UserInfo {
        username,
        groups,
        uid,
        extra,
    } = user;
    let api: Api<SubjectAccessReview> = Api::all(ctx.client.clone());
    let access = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: username,
            groups,
            uid,
            extra,
            resource_attributes: Some(ResourceAttributes {
                group: Some(GROUP.to_owned()),
                resource: Some(resource.to_owned()),
                namespace: Some(namespace.to_owned()),
                name: name.map(str::to_owned),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let answer = api
        .create(&PostParams::default(), &access)
        .await
        .map_err(|e| Reject::unavailable(&e))?;
    if answer.status.is_some_and(|s| s.allowed) {
        Ok(())
    } else {
        let message = format!("you may not {verb} {resource}.{GROUP} in namespace `{namespace}`");
        Err(Reject::new(StatusCode::FORBIDDEN, "Forbidden", message))
    }
}

fn not_found(what: impl Into<String>) -> Reject {
    Reject::new(StatusCode::NOT_FOUND, "NotFound", what)
}

async fn create(
    State(ctx): State<Arc<Context>>,
    Extension(bodies): Extension<Bodies>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let invalid = |message: String| Reject::new(StatusCode::BAD_REQUEST, "InvalidBody", message);
    // Nobody unknown has a body read; where the caller may create, the body says.
    let user = known(&ctx, &headers).await?;
    let mut request: InferenceRequest = bodies.json(&headers, body, MAX_REQUEST_BYTES).await?;
    let namespace = request
        .namespace()
        .ok_or_else(|| invalid("metadata.namespace is missing".to_owned()))?;
    may(&ctx, user, ("create", REQUESTS), &namespace, None).await?;
    // Only what a client may state: a status is the operator's.
    request.status = None;
    request.metadata.owner_references = None;
    request.metadata.finalizers = None;
    let api: Api<InferenceRequest> = Api::namespaced(ctx.client.clone(), &namespace);
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
    State(ctx): State<Arc<Context>>,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Answer {
    allowed(&ctx, &headers, ("get", REQUESTS), &namespace, Some(&name)).await?;
    let found = ctx.stores.requests.find(|r| {
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
    State(ctx): State<Arc<Context>>,
    headers: HeaderMap,
    Path(digest): Path<String>,
    of: Result<Query<Of>, axum::extract::rejection::QueryRejection>,
) -> Answer {
    let Query(Of { namespace }) =
        of.map_err(|e| Reject::new(StatusCode::BAD_REQUEST, "InvalidQuery", e.body_text()))?;
    allowed(&ctx, &headers, ("get", REQUESTS), &namespace, None).await?;
    let absent = || not_found(format!("namespace `{namespace}` has no receipt {digest}"));
    let parsed: Digest = digest.parse().map_err(|_| absent())?;
    let of_namespace = ctx.artifacts.receipt_is_of(&parsed, &namespace).await;
    if !of_namespace.map_err(|e| Reject::store(&e))? {
        return Err(absent());
    }
    match ctx.artifacts.receipt(&parsed).await {
        Ok(bytes) => Ok(([(CONTENT_TYPE, "application/cbor")], bytes).into_response()),
        Err(ArtifactError::NotFound(_)) => Err(absent()),
        Err(e) => Err(Reject::store(&e)),
    }
}

/// What a verifier needs of a compiled model: manifest, integer graph, and verifying keys that are files.
async fn file(
    State(ctx): State<Arc<Context>>,
    headers: HeaderMap,
    Path((namespace, name, digest)): Path<(String, String, String)>,
) -> Answer {
    allowed(&ctx, &headers, ("get", MODELS), &namespace, Some(&name)).await?;
    let absent = || not_found(format!("Model {namespace}/{name} has no such file"));
    let digest: Digest = digest.parse().map_err(|_| absent())?;
    let model = ctx.stores.models.find(|m| {
        m.metadata.namespace.as_ref() == Some(&namespace) && m.metadata.name.as_ref() == Some(&name)
    });
    let uid = model.and_then(|m| m.uid()).unwrap_or_default();
    let compiled = ctx
        .models()
        .get(&uid)
        .and_then(|m| m.compiled.clone())
        .ok_or_else(absent)?;
    let manifest = [compiled.report.manifest.digest];
    if !compiled.manifest.files().chain(manifest).any(|d| d == digest) {
        return Err(absent());
    }
    match ctx.artifacts.get_blob(&digest, MAX_FILE_BYTES).await {
        Ok(bytes) => Ok(([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response()),
        Err(e) => Err(Reject::store(&e)),
    }
}
