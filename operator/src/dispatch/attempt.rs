//! What became of one claim.

use std::time::Duration;

use zkinfer_crds::k8s::request_status::{RecentSlice, SliceVerdict};
use zkinfer_crds::wire::RefuseReason;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};
use zkinfer_scoring::{Blame, Cause};

use super::PoolId;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The proof holds.
    Verified,
    /// The proof holds, and others' came first.
    Overtaken,
    /// The proof does not hold, or is none.
    Invalid(String),
    /// More bytes than any proof has.
    TooLarge,
    /// The lease ended without a proof.
    LeaseExpired,
    /// The worker handed the slice back.
    HandedBack(RefuseReason, String),
    /// The worker handed the slice back when much of the lease was over.
    HandedBackLate(RefuseReason, String),
    /// The validator could not verify.
    Operator(String),
    /// The request was over before the proof came.
    Cancelled,
    /// The request's side let the pool see it no more.
    ConsentWithdrawn,
}

impl AttemptEnd {
    /// How a claim ends whose worker has gone before it knew of it.
    #[must_use]
    pub fn left() -> Self {
        let message = "the worker left before it had its answer".to_owned();
        Self::HandedBack(RefuseReason::Draining, message)
    }

    /// Why the claim does not count; `None` for a good proof.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        Some(match self {
            Self::Verified => return None,
            Self::Overtaken => Cause::Overtaken,
            Self::Invalid(_) => Cause::InvalidProof,
            Self::TooLarge => Cause::TooLarge,
            Self::LeaseExpired => Cause::LeaseExpired,
            Self::HandedBack(reason, _) => Cause::of(*reason),
            Self::HandedBackLate(..) => Cause::LateHandBack,
            Self::Operator(_) => Cause::Operator,
            Self::Cancelled => Cause::Cancelled,
            Self::ConsentWithdrawn => Cause::ConsentWithdrawn,
        })
    }

    /// Who is to blame; `None` for a good proof.
    #[must_use]
    pub fn blame(&self) -> Option<Blame> {
        self.cause().map(Cause::blame)
    }

    /// A sentence for people; empty for a good proof.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Verified => String::new(),
            Self::Overtaken => "the proof holds, and another pool's came first".to_owned(),
            Self::Invalid(why) | Self::Operator(why) => why.clone(),
            Self::TooLarge => "the body was larger than any proof and was cut off".to_owned(),
            Self::LeaseExpired => "no proof came while the lease lasted".to_owned(),
            Self::HandedBack(reason, message) => format!("handed back ({reason}): {message}"),
            Self::HandedBackLate(reason, message) => {
                format!("handed back ({reason}) after a quarter of the lease: {message}")
            }
            Self::Cancelled => "the request was over before the proof came".to_owned(),
            Self::ConsentWithdrawn => "the pool may not see this model and its inputs any more".to_owned(),
        }
    }
}

/// One ended claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The request.
    pub request: RequestUid,
    /// The slice.
    pub slice: SliceIndex,
    /// What tells the slice from others: its verifying key.
    pub digest: Digest,
    /// The claim.
    pub claim: ClaimId,
    /// The pool.
    pub pool: PoolId,
    /// The miner.
    pub identity: Identity,
    /// The worker's name.
    pub worker: String,
    /// Which attempt at the slice it was, from 1.
    pub number: u32,
    /// From claim to proof, or to the end without one.
    pub elapsed: Duration,
    /// From claim to its end, with the verification of a proof that came.
    pub held: Duration,
    /// Bytes of the envelope, if one came.
    pub bytes: Option<u64>,
    /// Predicted time: the work that the slice is worth.
    pub work: Duration,
    /// Miners of two owners were candidates for the slice when it was claimed.
    pub contested: bool,
    /// The request is a benchmark.
    pub benchmark: bool,
    /// The proof that was verified, if one was.
    pub proof: Option<Digest>,
    /// What verifying it took, without the wait for a thread.
    pub verifying: Option<Duration>,
    /// The model's manifest, if the request is still known.
    pub model: Option<Digest>,
    /// How it ended.
    pub end: AttemptEnd,
}

impl From<&Attempt> for RecentSlice {
    fn from(attempt: &Attempt) -> Self {
        let verdict = match &attempt.end {
            AttemptEnd::Verified => SliceVerdict::Verified,
            AttemptEnd::Invalid(_) | AttemptEnd::TooLarge => SliceVerdict::Invalid,
            AttemptEnd::LeaseExpired | AttemptEnd::Overtaken => SliceVerdict::Late,
            AttemptEnd::HandedBack(..) | AttemptEnd::HandedBackLate(..) => SliceVerdict::Refused,
            AttemptEnd::Operator(_) | AttemptEnd::Cancelled | AttemptEnd::ConsentWithdrawn => {
                SliceVerdict::Lost
            }
        };
        let cause = attempt
            .end
            .cause()
            .map(|c| format!("{}: {}", c.word(), attempt.end.message()));
        Self {
            slice: attempt.slice,
            pool: attempt.pool.to_string(),
            identity: attempt.identity,
            attempt: attempt.number,
            millis: attempt.elapsed.as_millis() as u64,
            bytes: attempt.bytes,
            verify_micros: attempt.verifying.map(|took| took.as_micros() as u64),
            verdict,
            message: cause.unwrap_or_default(),
        }
    }
}
