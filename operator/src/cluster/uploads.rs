//! Uploads of clients: models, calibration data and inputs that are too large for a ConfigMap.
//!
//! Invariant: a file is taken only from whoever may create what could name it in that namespace, and is that
//! namespace's alone to name.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use zkinfer_crds::Digest;

use super::clients::{Answer, Front, MODELS, REQUESTS};
use crate::artifacts::ArtifactError;
use crate::gateway::{Peer, Reject};
use crate::sources::MAX_FILE_BYTES;

/// The right to upload and to do nothing else: there are no objects of this name.
const ARTIFACTS: &str = "artifacts";
/// Time for the whole of a file.
const TIME: Duration = Duration::from_secs(600);

/// Stores a file under its digest. The same file again is no error.
pub(super) async fn upload(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, digest)): Path<(String, String)>,
    body: Body,
) -> Answer {
    let (ctx, caller) = (&front.ctx, (&headers, from));
    if let Err(no) = front
        .allowed(caller, ("create", REQUESTS), &namespace, None)
        .await
    {
        // A model's owner may have no requests to make; a client's token may make neither.
        let mut may = false;
        for resource in [MODELS, ARTIFACTS] {
            may = may
                || front
                    .allowed(caller, ("create", resource), &namespace, None)
                    .await
                    .is_ok();
        }
        if !may {
            return Err(no);
        }
    }
    front.watches(&namespace)?;
    let invalid = |message: String| Reject::new(StatusCode::BAD_REQUEST, "InvalidDigest", message);
    let digest: Digest = digest.parse().map_err(|e| invalid(format!("{digest}: {e}")))?;
    let stored = ctx
        .world
        .artifacts
        .put_blob_stream(&digest, MAX_FILE_BYTES, body.into_data_stream());
    let slow = |_| Reject::new(StatusCode::REQUEST_TIMEOUT, "TooSlow", "the file came too slowly");
    let blob = match tokio::time::timeout(TIME, stored).await.map_err(slow)? {
        Ok(blob) => blob,
        Err(e @ ArtifactError::Damaged { .. }) => {
            return Err(Reject::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "OtherDigest",
                e.to_string(),
            ));
        }
        Err(e @ ArtifactError::TooLarge { .. }) => {
            return Err(Reject::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "TooLarge",
                e.to_string(),
            ));
        }
        Err(e @ ArtifactError::BrokenOff(_)) => {
            return Err(Reject::new(StatusCode::BAD_REQUEST, "BrokenOff", e.to_string()));
        }
        Err(e) => return Err(Reject::store(&e)),
    };
    let granted = ctx.world.artifacts.grant_blob(&digest, &namespace).await;
    granted.map_err(|e| Reject::store(&e))?;
    Ok((StatusCode::CREATED, Json(blob)).into_response())
}
