//! What the ledger keeps of a claim that has ended.

use std::sync::Arc;

use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};

use crate::cause::{Blame, Cause};

/// How a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its proof was verified, and counted.
    Verified,
    /// Otherwise.
    Ended(Cause),
}

impl End {
    /// Why the claim does not count; `None` for a good proof.
    #[must_use]
    pub const fn cause(self) -> Option<Cause> {
        match self {
            Self::Verified => None,
            Self::Ended(cause) => Some(cause),
        }
    }

    /// A stable word for it: that of its cause, or `Verified`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verified => "Verified",
            Self::Ended(cause) => cause.word(),
        }
    }
}

/// An ended claim. Absent is what entries of before it was written do not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The claim.
    pub claim: ClaimId,
    /// The request.
    pub request: RequestUid,
    /// The model's manifest.
    pub model: Option<Digest>,
    /// The slice.
    pub slice: SliceIndex,
    /// What tells the slice from others: its verifying key.
    pub key: Option<Digest>,
    /// The pool's namespace: the miner's owner, unless the rule says more.
    pub namespace: Arc<str>,
    /// The pool's name.
    pub pool: Arc<str>,
    /// The miner.
    pub miner: Identity,
    /// Which attempt at the slice it was.
    pub attempt: u32,
    /// How it ended.
    pub end: End,
    /// Miners of two owners were candidates for the slice when it was claimed, and its work was worth a comparison.
    pub comparable: bool,
    /// The operator made the request, because nobody asked: what references are taken of.
    pub benchmark: bool,
    /// Predicted microseconds of the slice.
    pub work: u64,
    /// From claim to proof, or to the end without one, in microseconds.
    pub micros: u64,
    /// Bytes of the envelope, if one came.
    pub bytes: Option<u64>,
    /// The verified proof: what the receipt holds of it.
    pub proof: Option<Digest>,
    /// When it ended, in Unix milliseconds.
    pub at: u64,
}

impl Entry {
    /// Whether its proof was verified and counted.
    #[must_use]
    pub fn verified(&self) -> bool {
        self.end == End::Verified
    }

    /// Whether it ended by the miner's fault.
    #[must_use]
    pub fn fault(&self) -> bool {
        self.end
            .cause()
            .is_some_and(|cause| cause.blame() == Blame::Miner)
    }

    /// Whether something was handed in that is no proof, or no proof of what was claimed.
    #[must_use]
    pub fn lie(&self) -> bool {
        matches!(self.end, End::Ended(Cause::InvalidProof | Cause::TooLarge))
    }
}
