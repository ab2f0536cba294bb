//! What was granted, written down beside the proofs, so that claims survive a restart of the operator.
//!
//! Invariants: a record is in the store before the worker has its grant; what a record says of a claim that has a
//! ledger entry is history. A lease that ends after a restart is nobody's fault: the operator may have missed the call.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ledger::Entry;
use super::queue::RestoredClaim;
use super::request::Lease;
use super::token::ClaimToken;
use crate::artifacts::{ArtifactError, Artifacts};
use zkinfer_crds::RequestUid;

/// A granted claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClaimRecord {
    /// What the worker's token says.
    pub(super) token: ClaimToken,
    /// Which attempt at the slice it is, from 1.
    pub(super) attempt: u32,
    /// The worker's name.
    pub(super) worker: String,
    /// Miners of two owners were candidates.
    #[serde(default)]
    pub(super) contested: bool,
    /// It stands in for a claim that was late.
    #[serde(default)]
    pub(super) stands_in: bool,
}

/// What is left of the claims of a request that was being proved when the operator ended.
#[derive(Debug, Default)]
pub(super) struct Restored {
    /// For the queue.
    pub(super) claims: Vec<RestoredClaim>,
    /// Proofs that were verified and counted, and have to be verified again.
    pub(super) counted: Vec<(ClaimToken, Bytes)>,
    /// Proofs that have to be verified.
    pub(super) proofs: Vec<(ClaimToken, Bytes)>,
}

/// Reads the records of a request. `now` is the queue's time, `unix_millis` the wall clock's.
///
/// # Errors
/// A failing store.
pub(super) async fn restore(
    artifacts: &Artifacts,
    uid: RequestUid,
    now: Duration,
    unix_millis: u64,
) -> Result<Restored, ArtifactError> {
    let mut restored = Restored::default();
    for json in artifacts.claims(uid).await? {
        // A record is written whole or not at all; one of another version is a claim that nobody can use any more.
        let Ok(record) = serde_json::from_slice::<ClaimRecord>(&json) else {
            tracing::warn!(request = %uid, "a claim's record cannot be read");
            continue;
        };
        let ClaimRecord {
            token,
            attempt,
            worker,
            contested,
            stands_in,
        } = record;
        let ago = |millis: u64| now.saturating_sub(Duration::from_millis(unix_millis.saturating_sub(millis)));
        let proof = artifacts.proof(uid, token.slice, token.claim).await?;
        let entry = artifacts.ledger_entry(token.claim).await?;
        let scored = entry.is_some();
        let entry = entry.and_then(|json| serde_json::from_slice::<Entry>(&json).ok());
        let verified = entry.as_ref().is_some_and(|e| e.verified);
        let submitted = proof.as_ref().map(|(bytes, at)| (ago(*at), bytes.len() as u64));
        let expires = now + Duration::from_millis((token.expires * 1000).saturating_sub(unix_millis));
        let lease = Lease {
            claim: token.claim,
            pool: token.pool.clone(),
            identity: token.identity,
            worker,
            number: attempt,
            since: ago(token.issued * 1000),
            expires,
            submitted,
            proof: None,
            verifying: None,
            excused: true,
            contested,
            stands_in,
            hedges: None,
            hedged: false,
            told_late: false,
            free: Duration::ZERO,
            beside: 0,
        };
        // A proof is verified again even if it was scored: it belongs into the receipt, and nothing else says that
        // it holds.
        let open = submitted.is_some() || !scored;
        restored.claims.push(RestoredClaim {
            slice: token.slice,
            lease,
            open,
            fault: entry.is_some_and(|e| e.miners_fault),
        });
        if let Some((bytes, _)) = proof {
            let proofs = if verified {
                &mut restored.counted
            } else {
                &mut restored.proofs
            };
            proofs.push((token, bytes));
        }
    }
    restored.claims.sort_by_key(|c| c.lease.number);
    Ok(restored)
}
