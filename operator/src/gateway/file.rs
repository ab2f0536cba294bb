//! Files that come as bodies: into the store as they come, a part at a time.
//!
//! Invariant: of a file as much is held as one part of it has, and that is on the account of its caller; one of which nothing
//! comes for the time of a body is given up, and so is one that takes longer than its own time.

use std::sync::OnceLock;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt;
use futures::stream::unfold;
use tokio::time::{Instant, timeout_at};
use zkinfer_crds::Digest;
use zkinfer_crds::wire::BlobRef;

use super::body::{Bodies, ReadError};
use super::caller::Caller;
use crate::artifacts::{ArtifactError, Artifacts};

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// It did not come.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not what was said, or the store does not take it.
    #[error(transparent)]
    Store(ArtifactError),
}

impl Bodies {
    /// Stores a caller's file of at most `max` bytes under its digest; the whole of it takes at most `time`.
    ///
    /// # Errors
    /// One that does not come, other bytes than the digest names, or a failing store; nothing stays.
    pub(super) async fn store(
        &self,
        caller: &Caller,
        artifacts: &Artifacts,
        (digest, max): (&Digest, u64),
        time: Duration,
        body: Body,
    ) -> Result<BlobRef, FileError> {
        let until = Instant::now() + time;
        let room = self.files.take(caller, artifacts.part_bytes(), until).await;
        let room = room.map_err(ReadError::from)?;
        // The store says only that what it was given broke off.
        let why = OnceLock::new();
        let (said, place, silence) = (&why, &room, self.time);
        let stream = unfold(body.into_data_stream(), move |mut body| async move {
            // Only the caller's time counts: while the store is slow nothing is waited for here.
            let next = timeout_at(until.min(Instant::now() + silence), body.next());
            let next: Result<Bytes, ReadError> = tokio::select! {
                next = next => match next {
                    Ok(None) => return None,
                    Ok(Some(chunk)) => chunk.map_err(|_| ReadError::BrokenOff),
                    Err(_) => Err(ReadError::TooSlow),
                },
                error = place.gives_way() => Err(error.into()),
            };
            let next = next.inspect_err(|error| {
                // Nothing is asked for after the first.
                let _ = said.set(*error);
            });
            Some((next, body))
        });
        room.coming();
        let stored = artifacts
            .put_blob_stream(digest, max, std::pin::pin!(stream))
            .await;
        stored.map_err(|error| match why.get() {
            Some(error) => FileError::Read(*error),
            None => FileError::Store(error),
        })
    }
}
