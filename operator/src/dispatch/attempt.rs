//! What became of one claim.

use std::time::Duration;

use zkinfer_crds::k8s::request_status::{RecentSlice, SliceVerdict};
use zkinfer_crds::wire::RefuseReason;
use zkinfer_crds::{ClaimId, Identity, RequestUid, SliceIndex};

use super::PoolId;

/// Whose fault a failed attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The miner's: it costs the miner.
    Miner,
    /// The validator's own, or the infrastructure's: it costs nobody.
    Nobody,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The proof holds.
    Verified,
    /// The proof does not hold, or is none.
    Invalid(String),
    /// More bytes than any proof has.
    TooLarge,
    /// The lease ended without a proof.
    LeaseExpired,
    /// The worker handed the slice back.
    HandedBack(RefuseReason, String),
    /// The validator could not verify.
    Operator(String),
    /// The request was over before the proof came.
    Cancelled,
    /// The request's side let the pool see it no more.
    ConsentWithdrawn,
}

impl AttemptEnd {
    /// Who is to blame; `None` for a good proof.
    #[must_use]
    pub fn blame(&self) -> Option<Blame> {
        match self {
            Self::Verified => None,
            Self::Invalid(_) | Self::TooLarge | Self::LeaseExpired => Some(Blame::Miner),
            Self::HandedBack(reason, _) => Some(match reason {
                RefuseReason::Failed | RefuseReason::Unsupported => Blame::Miner,
                RefuseReason::TooLittleMemory | RefuseReason::Draining | RefuseReason::Fetch => Blame::Nobody,
            }),
            Self::Operator(_) | Self::Cancelled | Self::ConsentWithdrawn => Some(Blame::Nobody),
        }
    }

    /// A stable word for the cause, as in a pool's `status.failures`; `None` for a good proof.
    #[must_use]
    pub fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Verified => None,
            Self::Invalid(_) => Some("InvalidProof"),
            Self::TooLarge => Some("TooLarge"),
            Self::LeaseExpired => Some("LeaseExpired"),
            Self::HandedBack(RefuseReason::TooLittleMemory, _) => Some("TooLittleMemory"),
            Self::HandedBack(RefuseReason::Unsupported, _) => Some("Unsupported"),
            Self::HandedBack(RefuseReason::Draining, _) => Some("Draining"),
            Self::HandedBack(RefuseReason::Fetch, _) => Some("Fetch"),
            Self::HandedBack(RefuseReason::Failed, _) => Some("Failed"),
            Self::Operator(_) => Some("Operator"),
            Self::Cancelled => Some("Cancelled"),
            Self::ConsentWithdrawn => Some("ConsentWithdrawn"),
        }
    }

    /// A sentence for people; empty for a good proof.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Verified => String::new(),
            Self::Invalid(why) | Self::Operator(why) => why.clone(),
            Self::TooLarge => "the body was larger than any proof and was cut off".to_owned(),
            Self::LeaseExpired => "no proof came while the lease lasted".to_owned(),
            Self::HandedBack(reason, message) => format!("handed back ({reason:?}): {message}"),
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
    /// Bytes of the envelope, if one came.
    pub bytes: Option<u64>,
    /// Predicted milliseconds: the work that the slice is worth.
    pub work: u64,
    /// How it ended.
    pub end: AttemptEnd,
}

impl From<&Attempt> for RecentSlice {
    fn from(attempt: &Attempt) -> Self {
        let verdict = match &attempt.end {
            AttemptEnd::Verified => SliceVerdict::Verified,
            AttemptEnd::Invalid(_) | AttemptEnd::TooLarge => SliceVerdict::Invalid,
            AttemptEnd::LeaseExpired => SliceVerdict::Late,
            AttemptEnd::HandedBack(..) => SliceVerdict::Refused,
            AttemptEnd::Operator(_) | AttemptEnd::Cancelled | AttemptEnd::ConsentWithdrawn => {
                SliceVerdict::Lost
            }
        };
        let cause = attempt
            .end
            .cause()
            .map(|c| format!("{c}: {}", attempt.end.message()));
        Self {
            slice: attempt.slice,
            pool: attempt.pool.to_string(),
            identity: attempt.identity,
            attempt: attempt.number,
            millis: attempt.elapsed.as_millis() as u64,
            bytes: attempt.bytes,
            verdict,
            message: cause.unwrap_or_default(),
        }
    }
}
