//! Uploads of clients: models, calibration data and inputs that are too large for a ConfigMap.
//!
//! Invariant: a file is taken only from whoever may create what could name it in that namespace, and is that
//! namespace's alone to name.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use zkinfer_crds::Digest;
use zkinfer_crds::calls::clients::UploadArtifact;
use zkinfer_crds::calls::{Call, Reason};

use super::front::{Front, MODELS, REQUESTS};
use super::limits::Most;
use crate::artifacts::ArtifactError;
use crate::gateway::body::ReadError;
use crate::gateway::call::{Answer, Named, Routes, carrying};
use crate::gateway::caller::Caller;
use crate::gateway::doors::Peer;
use crate::gateway::file::FileError;
use crate::gateway::problem::Reject;

/// The right to upload and to do nothing else: there are no objects of this name.
const ARTIFACTS: &str = "artifacts";
/// Time for the whole of a file.
const TIME: Duration = Duration::from_secs(600);

pub(super) fn routes(routes: Routes<Front>) -> Routes<Front> {
    routes.call(UploadArtifact, upload)
}

/// Stores a file under its digest. The same file again is no error.
async fn upload(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    named: Named<(String, String)>,
    body: Body,
) -> Answer {
    front.known(&headers, from).await?;
    let to = front.named(&headers, from, named).await?;
    take(&front, (&headers, from), to, body).await
}

/// The same, for whoever was asked already who they are.
pub(super) async fn take(
    front: &Front,
    caller: (&HeaderMap, Peer),
    (namespace, digest): (String, String),
    body: Body,
) -> Answer {
    let client = front.known(caller.0, caller.1).await?;
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
    let invalid = |message: String| Reject::new(Reason::InvalidDigest, message);
    let digest: Digest = digest.parse().map_err(|e| invalid(format!("{digest}: {e}")))?;
    let limits = front.directory.limits();
    let shares = Caller::user(&client);
    let _place = front.uploads.begin(client, limits.uploads_per_client)?;
    let most = Most::new(
        UploadArtifact::MAX_BODY,
        "uploadBytes",
        limits.upload_bytes.as_ref(),
    );
    // What the namespace has already takes nothing more.
    let again = has(front, &digest, &namespace)
        .await
        .map_err(|e| Reject::store(&e))?;
    let full = |why| Reject::new(Reason::QuotaReached, why);
    let left = match again {
        true => None,
        false => front.directory.left(&namespace).map_err(full)?,
    };
    let left = left.filter(|left| left.bytes < most.bytes());
    let wanted = (&digest, left.as_ref().map_or(most.bytes(), |left| left.bytes));
    let stored = front.bodies.store(&shares, &front.artifacts, wanted, TIME, body);
    let blob = stored.await.map_err(|error| match error {
        FileError::Read(ReadError::TooSlow) => Reject::new(Reason::TooSlow, "the file came too slowly"),
        FileError::Read(e) => e.into(),
        FileError::Store(e @ ArtifactError::Damaged { .. }) => {
            Reject::new(Reason::OtherDigest, e.to_string())
        }
        FileError::Store(ArtifactError::TooLarge { .. }) => match &left {
            Some(left) => full(left.beyond.clone()),
            None => most.too_large(),
        },
        FileError::Store(e) => Reject::store(&e),
    })?;
    let granted = front.artifacts.grant_blob(&digest, &namespace).await;
    granted.map_err(|e| Reject::store(&e))?;
    if !again {
        front.directory.uploaded(&namespace, blob.size);
    }
    Ok(carrying(UploadArtifact, StatusCode::CREATED, &blob))
}

/// Whether the namespace has handed the file in already, and it is there.
async fn has(front: &Front, digest: &Digest, namespace: &str) -> Result<bool, ArtifactError> {
    Ok(front.artifacts.blob_is_of(digest, namespace).await?
        && front.artifacts.find_blob(digest).await?.is_some())
}
