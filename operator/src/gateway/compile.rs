//! The compiler's calls. The token names everything that it may read and under which key it reports; whether the result
//! is right is found out when it is loaded, because a compiler parses files of strangers.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::{CompileOutcome, MAX_REPORT_BYTES};

use super::Gateway;
use super::auth::bearer;
use super::problem::Reject;
use super::routes::{Answer, MAX_BLOB_BYTES, Named, send_blob};
use crate::artifacts::{ArtifactError, CompiledName};
use crate::dispatch::CompileToken;

/// Longest line of progress, in bytes.
const MAX_PROGRESS_BYTES: usize = 512;

/// What the gateway tells whoever follows compilations.
pub trait Compilations: Send + Sync + 'static {
    /// Whether the result is still waited for.
    fn wanted(&self, token: &CompileToken) -> bool;
    /// A compiler has said something.
    fn progress(&self, token: &CompileToken, line: String);
    /// A report is in the store.
    fn reported(&self, token: &CompileToken);
}

fn token(gateway: &Gateway, headers: &HeaderMap) -> Result<CompileToken, Reject> {
    let token = bearer(headers).and_then(|t| gateway.dispatcher.open_compile(t).ok());
    let token = token.ok_or_else(Reject::unknown_token)?;
    let wanted = gateway.compilations.as_ref().is_some_and(|c| c.wanted(&token));
    if wanted {
        Ok(token)
    } else {
        let message = "the model is gone, or was compiled meanwhile";
        Err(Reject::new(StatusCode::GONE, "NotWanted", message))
    }
}

pub(super) async fn task(State(gateway): State<Gateway>, headers: HeaderMap) -> Answer {
    Ok(Json(token(&gateway, &headers)?.task).into_response())
}

fn not_found() -> Reject {
    let message = "no such blob belongs to this compilation";
    Reject::new(StatusCode::NOT_FOUND, "NotFound", message)
}

fn digest(named: Named) -> Result<Digest, Reject> {
    let Path(digest) = named.map_err(|_| not_found())?;
    digest.parse().map_err(|_| not_found())
}

pub(super) async fn get_blob(State(gateway): State<Gateway>, headers: HeaderMap, named: Named) -> Answer {
    let token = token(&gateway, &headers)?;
    let digest = digest(named)?;
    let task = &token.task;
    let named = [Some(&task.model), task.calibration.as_ref(), task.setup.as_ref()];
    if !named.into_iter().flatten().any(|b| b.digest == digest) {
        return Err(not_found());
    }
    send_blob(&gateway, &digest, not_found).await
}

pub(super) async fn put_blob(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    named: Named,
    body: Body,
) -> Answer {
    token(&gateway, &headers)?;
    let digest = digest(named)?;
    let stored = gateway
        .dispatcher
        .artifacts()
        .put_blob_stream(&digest, MAX_BLOB_BYTES, body.into_data_stream())
        .await;
    match stored {
        Ok(_) => Ok(StatusCode::CREATED.into_response()),
        Err(e @ (ArtifactError::Damaged { .. } | ArtifactError::TooLarge { .. })) => Err(Reject::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "OtherDigest",
            e.to_string(),
        )),
        Err(e) => Err(Reject::store(&e)),
    }
}

pub(super) async fn progress(State(gateway): State<Gateway>, headers: HeaderMap, body: Body) -> Answer {
    let token = token(&gateway, &headers)?;
    let line = gateway.bodies.read(&headers, body, MAX_PROGRESS_BYTES).await?;
    let line = String::from_utf8_lossy(&line).trim().to_owned();
    if let Some(compilations) = &gateway.compilations {
        compilations.progress(&token, line);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn report(State(gateway): State<Gateway>, headers: HeaderMap, body: Body) -> Answer {
    let token = token(&gateway, &headers)?;
    let json = gateway.bodies.read(&headers, body, MAX_REPORT_BYTES).await?;
    let unprocessable = |reason, message| Reject::new(StatusCode::UNPROCESSABLE_ENTITY, reason, message);
    let outcome = CompileOutcome::read(&json).map_err(|e| unprocessable("InvalidBody", e.to_string()))?;
    let artifacts = gateway.dispatcher.artifacts();
    if let CompileOutcome::Compiled(report) = &outcome {
        for blob in report.blobs() {
            if !artifacts.has_blob(&blob).await.map_err(|e| Reject::store(&e))? {
                let message = format!("{} was not handed in", blob.digest);
                return Err(unprocessable("BlobMissing", message));
            }
        }
    }
    artifacts
        .put_compiled(CompiledName::Key(&token.key), json.to_vec())
        .await
        .map_err(|e| Reject::store(&e))?;
    if let Some(compilations) = &gateway.compilations {
        compilations.reported(&token);
    }
    Ok(StatusCode::CREATED.into_response())
}
