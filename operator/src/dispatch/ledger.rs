//! One entry per ended claim, created before any status write; already there means already scored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex, encode};
use zkinfer_scoring::{Blame, Cause, End};

use super::PoolId;
use super::attempt::Attempt;
use crate::artifacts::{ArtifactError, Artifacts};

/// The least predicted work that scores: below it a claim's time is that of the calls around it.
pub const LEAST_WORK: Duration = Duration::from_millis(5);

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
    /// What tells the slice from others: its verifying key. Absent in entries of before it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The model's manifest. Absent in entries of before it was written, and where the request was over by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Digest>,
    /// The verified proof. Absent in entries of before it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Digest>,
    /// The pool.
    pub pool: PoolId,
    /// The miner.
    pub identity: Identity,
    /// Which attempt at the slice it was.
    pub attempt: u32,
    /// The proof was verified, and counted.
    pub verified: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Why>,
    /// It was the miner's fault.
    pub miners_fault: bool,
    /// It bears on the score: miners of two owners were candidates, and the work was worth it.
    #[serde(default)]
    pub scores: bool,
    /// The operator made the request, because nobody asked. Absent where it did not, and in entries of before it was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub benchmark: bool,
    /// Predicted microseconds of the slice.
    #[serde(default)]
    pub work_micros: u64,
    /// From claim to proof, in microseconds.
    #[serde(default)]
    pub micros: u64,
    /// Bytes of the envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When it ended, in Unix milliseconds.
    pub at: u64,
}

/// Why a claim does not count, as its entry says it: a stable word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Why {
    /// A cause that this version knows.
    Known(Cause),
    /// A word of another version's.
    Other(String),
}

impl Why {
    /// The cause; `None` for a word of another version.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        match self {
            Self::Known(cause) => Some(*cause),
            Self::Other(_) => None,
        }
    }

    /// The word.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Known(cause) => cause.word(),
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Why {
    fn from(word: String) -> Self {
        Cause::of_word(&word).map_or(Self::Other(word), Self::Known)
    }
}

impl From<Why> for String {
    fn from(why: Why) -> Self {
        why.word().to_owned()
    }
}

/// The entries that stand by themselves in the store, oldest first, but those of claims that are known otherwise.
///
/// # Errors
/// A failing store.
pub async fn entries(
    artifacts: &Artifacts,
    known: impl Fn(&ClaimId) -> bool + Send,
) -> Result<Vec<Entry>, ArtifactError> {
    let read = artifacts.ledger(known).await?;
    let mut entries: Vec<Entry> = Vec::with_capacity(read.len());
    for json in read {
        match serde_json::from_slice(&json) {
            Ok(entry) => entries.push(entry),
            Err(error) => tracing::warn!(%error, "a ledger entry cannot be read"),
        }
    }
    entries.sort_by_key(|e| e.at);
    Ok(entries)
}

/// The wall clock's time.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

impl Entry {
    /// The entry of an attempt that ended at this Unix millisecond.
    #[must_use]
    pub fn of(attempt: &Attempt, at: u64) -> Self {
        let blame = attempt.end.blame();
        Self {
            claim: attempt.claim,
            request: attempt.request,
            slice: attempt.slice,
            digest: Some(attempt.digest),
            model: attempt.model,
            proof: attempt.proof.filter(|_| blame.is_none()),
            pool: attempt.pool.clone(),
            identity: attempt.identity,
            attempt: attempt.number,
            verified: blame.is_none(),
            cause: attempt.end.cause().map(Why::Known),
            miners_fault: blame == Some(Blame::Miner),
            scores: attempt.contested && attempt.work >= LEAST_WORK,
            benchmark: attempt.benchmark,
            work_micros: attempt.work.as_micros() as u64,
            micros: attempt.elapsed.as_micros() as u64,
            bytes: attempt.bytes,
            at,
        }
    }

    /// The entry that the signed ledger has of a claim.
    #[must_use]
    pub fn of_ledger(entry: &zkinfer_scoring::Entry) -> Self {
        let zkinfer_scoring::Entry {
            claim,
            request,
            model,
            slice,
            key,
            namespace,
            pool,
            miner,
            attempt,
            end,
            comparable,
            benchmark,
            work,
            micros,
            bytes,
            proof,
            at,
        } = entry;
        Self {
            claim: *claim,
            request: *request,
            slice: *slice,
            digest: *key,
            model: *model,
            proof: *proof,
            pool: PoolId::new(namespace, pool),
            identity: *miner,
            attempt: *attempt,
            verified: entry.verified(),
            cause: end.cause().map(Why::Known),
            miners_fault: entry.fault(),
            scores: *comparable,
            benchmark: *benchmark,
            work_micros: *work,
            micros: *micros,
            bytes: *bytes,
            at: *at,
        }
    }

    /// How long ago it ended.
    #[must_use]
    pub fn ago(&self) -> Duration {
        Duration::from_millis(unix_millis().saturating_sub(self.at))
    }

    /// Why it does not count; `None` for a proof that does, and for a word of another version.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.cause.as_ref()?.cause()
    }

    /// What scores are made of; `None` of an entry whose cause is a word of another version.
    #[must_use]
    pub fn scored(&self) -> Option<zkinfer_scoring::Entry> {
        let end = if self.verified {
            End::Verified
        } else {
            End::Ended(self.cause()?)
        };
        Some(zkinfer_scoring::Entry {
            claim: self.claim,
            request: self.request,
            model: self.model,
            slice: self.slice,
            key: self.digest,
            namespace: self.pool.namespace().into(),
            pool: self.pool.name().into(),
            miner: self.identity,
            attempt: self.attempt,
            end,
            comparable: self.scores,
            benchmark: self.benchmark,
            work: self.work_micros,
            micros: self.micros,
            bytes: self.bytes,
            proof: self.proof,
            at: self.at,
        })
    }
}

/// Writes an attempt's entry; `None` when the claim has been scored before.
///
/// # Errors
/// A failing store.
pub async fn record(artifacts: &Artifacts, attempt: &Attempt) -> Result<Option<Entry>, ArtifactError> {
    let entry = Entry::of(attempt, unix_millis());
    Ok(artifacts
        .create_ledger_entry(entry.claim, encode(&entry))
        .await?
        .then_some(entry))
}
