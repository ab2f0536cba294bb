//! Blobs as answers.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::IntoResponse;
use zkinfer_crds::Digest;
use zkinfer_crds::calls::{Call, File};

use super::call::Answer;
use super::problem::Reject;
use crate::artifacts::{ArtifactError, Artifacts};

/// A blob as it comes from the store, as large as an answer to the call may be: a model's keys may be large, and whoever asks
/// compares the digest.
pub(super) async fn send_blob<C: Call<Answer = File>>(
    artifacts: &Artifacts,
    digest: &Digest,
    not_found: impl Fn() -> Reject,
) -> Answer {
    match artifacts.stream_blob(digest, C::MAX_ANSWER).await {
        Ok((size, stream)) => {
            let headers = [
                (CONTENT_TYPE, "application/octet-stream".to_owned()),
                (CONTENT_LENGTH, size.to_string()),
            ];
            Ok((headers, Body::from_stream(stream)).into_response())
        }
        Err(ArtifactError::NotFound(_)) => Err(not_found()),
        Err(e) => Err(Reject::store(&e)),
    }
}
