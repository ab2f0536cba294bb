//! What is in the store as answers: a part at a time, so that who reads slowly holds little.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use zkinfer_crds::Digest;
use zkinfer_crds::calls::{Call, Cbor, Content, File};

use super::call::Answer;
use super::problem::Reject;
use crate::artifacts::{ArtifactError, Artifacts, Streamed};

/// A blob as it comes from the store, as large as an answer to the call may be: a model's keys may be large, and whoever asks
/// compares the digest.
pub(super) async fn send_blob<C: Call<Answer = File>>(
    artifacts: &Artifacts,
    digest: &Digest,
    not_found: impl Fn() -> Reject,
) -> Answer {
    let found = artifacts.stream_blob(digest, C::MAX_ANSWER).await;
    sent(found, File::MEDIA, not_found)
}

/// A receipt, as [`send_blob`] sends a blob.
pub(super) async fn send_receipt<C: Call<Answer = Cbor>>(
    artifacts: &Artifacts,
    digest: &Digest,
    not_found: impl Fn() -> Reject,
) -> Answer {
    let found = artifacts.stream_receipt(digest, C::MAX_ANSWER).await;
    sent(found, Cbor::MEDIA, not_found)
}

fn sent(
    found: Result<Streamed, ArtifactError>,
    media: Option<&'static str>,
    not_found: impl Fn() -> Reject,
) -> Answer {
    match found {
        Ok(streamed) => Ok(streaming(streamed, media.unwrap_or_default())),
        Err(ArtifactError::NotFound(_)) => Err(not_found()),
        Err(e) => Err(Reject::store(&e)),
    }
}

/// An answer as it comes from the store.
pub fn streaming((size, stream): Streamed, media: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, media.to_owned()),
        (CONTENT_LENGTH, size.to_string()),
    ];
    (headers, Body::from_stream(stream)).into_response()
}
