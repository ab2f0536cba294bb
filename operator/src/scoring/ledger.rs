//! One entry per ended claim, created before any status write; already there means already scored.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use zkinfer_crds::{ClaimId, Identity, RequestUid, SliceIndex};

use crate::artifacts::{ArtifactError, Artifacts};
use crate::dispatch::{Attempt, Blame, PoolId};

/// An ended claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The claim.
    pub claim: ClaimId,
    /// The request.
    pub request: RequestUid,
    /// The slice.
    pub slice: SliceIndex,
    /// The pool.
    pub pool: PoolId,
    /// The miner.
    pub identity: Identity,
    /// Which attempt at the slice it was.
    pub attempt: u32,
    /// The proof was verified.
    pub verified: bool,
    /// Why not; a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// It was the miner's fault.
    pub miners_fault: bool,
    /// Predicted milliseconds of the slice.
    pub work: u64,
    /// From claim to proof, in milliseconds.
    pub millis: u64,
    /// Bytes of the envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When it ended, in Unix milliseconds.
    pub at: u64,
}

impl From<&Attempt> for Entry {
    fn from(attempt: &Attempt) -> Self {
        let blame = attempt.end.blame();
        Self {
            claim: attempt.claim,
            request: attempt.request,
            slice: attempt.slice,
            pool: attempt.pool.clone(),
            identity: attempt.identity,
            attempt: attempt.number,
            verified: blame.is_none(),
            cause: attempt.end.cause().map(str::to_owned),
            miners_fault: blame == Some(Blame::Miner),
            work: attempt.work,
            millis: attempt.elapsed.as_millis() as u64,
            bytes: attempt.bytes,
            at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| d.as_millis() as u64),
        }
    }
}

/// Writes an attempt's entry; `None` when the claim has been scored before.
///
/// # Errors
/// A failing store.
pub async fn record(artifacts: &Artifacts, attempt: &Attempt) -> Result<Option<Entry>, ArtifactError> {
    let entry = Entry::from(attempt);
    let json = serde_json::to_vec(&entry).unwrap_or_default();
    Ok(artifacts
        .create_ledger_entry(entry.claim, json)
        .await?
        .then_some(entry))
}
