//! The API's calls: each reads or makes one thing, for a viewer whose right to it was asked first.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::Digest;
use zkinfer_crds::calls::Call;
use zkinfer_crds::calls::clients::ReadReceipt;
use zkinfer_crds::k8s::InferenceRequest;

use super::drawing;
use super::events::events;
use super::front::{Front, MODELS, REQUESTS};
use super::place::{Place, place};
use super::refused::Refused;
use super::views;
use super::{made, reports, scores};
use crate::artifacts::ArtifactError;
use crate::gateway::{Peer, streaming};

const JSON: &str = "application/json";
/// How long a browser need not ask again for a tile.
const FRESH: &str = "max-age=30";

pub(super) fn routes() -> Router<Front> {
    Router::new()
        .route("/access", get(access))
        .route("/overview", get(overview))
        .route("/events", get(events))
        .route("/requests/{namespace}", post(made::request))
        .route("/requests/{namespace}/{name}", get(request))
        .route("/requests/{namespace}/{name}/float", get(float))
        .route("/requests/{namespace}/{name}/receipt", get(receipt))
        .route("/models/{namespace}", post(made::model))
        .route("/models/{namespace}/{name}", get(model))
        .route("/models/{namespace}/{name}/manifest", get(manifest))
        .route("/models/{namespace}/{name}/tensors", get(tensors))
        .route("/models/{namespace}/{name}/graph", get(graph))
        .route("/models/{namespace}/{name}/report", get(reports::report))
        .route("/models/{namespace}/{name}/history", get(scores::model_history))
        .route("/models/{namespace}/{name}/try", post(reports::try_input))
        .route("/pools/{namespace}/{name}", get(scores::pool))
        .route("/pools/{namespace}/{name}/history", get(scores::pool_history))
        .route("/trends", get(scores::trends))
        .route("/validator", get(scores::validator))
        .route("/history", get(scores::history))
        .route("/artifacts/{namespace}/{digest}", put(made::upload))
        .fallback(unknown)
}

async fn unknown(uri: Uri) -> Refused {
    Refused::not_found(format!("there is no {}", uri.path()))
}

/// Whether there is something to see without a token: what a page asks first.
async fn access(State(front): State<Front>) -> Response {
    json(serde_json::json!({ "public": front.shown.ledger.is_public() }).to_string())
}

async fn overview(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    query: Result<Query<Place>, QueryRejection>,
) -> Result<Response, Refused> {
    let viewer = front.viewer(&headers)?;
    let namespace = place(query)?;
    let sees = front.sees(viewer, from, &namespace).await?;
    let snapshot = front.snapshots.get(&front.shown, &namespace).await;
    Ok(json(snapshot.told(sees).0))
}

/// A request that the viewer may read.
async fn readable(
    front: &Front,
    who: (&HeaderMap, Peer),
    namespace: &str,
    name: &str,
) -> Result<Arc<InferenceRequest>, Refused> {
    let of = (namespace, name);
    front.may_get(who, REQUESTS, of).await?;
    let found = front.shown.requests.get(&ObjectRef::new(name).within(namespace));
    found.ok_or_else(|| absent("InferenceRequest", of))
}

async fn request(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let found = readable(&front, (&headers, from), &namespace, &name).await?;
    Ok(json(views::request(&found).to_string()))
}

async fn receipt(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let found = readable(&front, (&headers, from), &namespace, &name).await?;
    let none = || Refused::not_found(format!("InferenceRequest {namespace}/{name} has no receipt"));
    let receipt = found
        .status
        .as_ref()
        .and_then(|status| status.receipt.as_ref())
        .ok_or_else(none)?;
    // A status may be written by others than the operator: a digest is no permission.
    let artifacts = &front.shown.artifacts;
    let is_of = artifacts.receipt_is_of(&receipt.digest, &namespace).await;
    if !is_of.map_err(|e| Refused::unavailable(&e))? {
        return Err(none());
    }
    match artifacts
        .stream_receipt(&receipt.digest, ReadReceipt::MAX_ANSWER)
        .await
    {
        Ok(streamed) => {
            let named = [(CONTENT_DISPOSITION, "attachment; filename=\"receipt.cbor\"")];
            Ok((named, streaming(streamed, "application/cbor")).into_response())
        }
        Err(ArtifactError::NotFound(_)) => Err(none()),
        Err(e) => Err(Refused::unavailable(&e)),
    }
}

async fn float(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let found = readable(&front, (&headers, from), &namespace, &name).await?;
    let told = front.answers.get(&*front.shown.floats, found).await?;
    Ok(json(told))
}

async fn model(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let of = (namespace.as_str(), name.as_str());
    front.may_get((&headers, from), MODELS, of).await?;
    let found = front.shown.models.get(&ObjectRef::new(&name).within(&namespace));
    let found = found.ok_or_else(|| absent("Model", of))?;
    Ok(json(views::model(&found).to_string()))
}

/// Manifest and integer graph of a Model that the viewer may read. By what the operator has compiled, not by what a status
/// says: that may name files of others.
async fn compiled_files(
    front: &Front,
    who: (&HeaderMap, Peer),
    of: (&str, &str),
) -> Result<(Digest, Digest), Refused> {
    front.may_get(who, MODELS, of).await?;
    let (namespace, name) = of;
    match front.shown.clients.directory.model_files(namespace, name)[..] {
        [manifest, graph, ..] => Ok((manifest, graph)),
        _ => Err(Refused::not_found(format!(
            "Model {namespace}/{name} is not compiled"
        ))),
    }
}

async fn manifest(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let (manifest, _) = compiled_files(&front, (&headers, from), (&namespace, &name)).await?;
    let bytes = drawing::read_manifest(&front.shown.artifacts, &manifest).await?;
    let told = [
        (CONTENT_TYPE, "application/cbor"),
        (CONTENT_DISPOSITION, "attachment; filename=\"manifest.cbor\""),
    ];
    Ok((told, bytes).into_response())
}

async fn tensors(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let (manifest, _) = compiled_files(&front, (&headers, from), (&namespace, &name)).await?;
    let bytes = drawing::read_manifest(&front.shown.artifacts, &manifest).await?;
    Ok(json(views::tensors(&bytes)?.to_string()))
}

async fn graph(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let (manifest, graph) = compiled_files(&front, (&headers, from), (&namespace, &name)).await?;
    let drawn = front
        .drawings
        .get(&front.shown.artifacts, manifest, graph)
        .await?;
    Ok(json(drawn))
}

fn absent(kind: &str, (namespace, name): (&str, &str)) -> Refused {
    Refused::not_found(format!("there is no {kind} {namespace}/{name}"))
}

fn json(text: impl Into<Bytes>) -> Response {
    ([(CONTENT_TYPE, JSON)], text.into()).into_response()
}

/// A tile, for everybody where the Validator says so, and for nobody otherwise.
pub(super) async fn tile(State(front): State<Front>, Path(name): Path<String>) -> Result<Response, Refused> {
    if !front.shown.ledger.is_public() {
        return Err(Refused::not_found(
            "there are no tiles: stats.public of the Validator is not set",
        ));
    }
    let snapshot = front.snapshots.get(&front.shown, "").await;
    let tile = snapshot.tiles().get(&name);
    let tile = tile.ok_or_else(|| Refused::not_found("there is no such tile"))?;
    let told = [(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, FRESH)];
    Ok((told, tile.to_owned()).into_response())
}
