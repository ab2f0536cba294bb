//! A worker that asks for work, and what it is answered.

use std::time::Duration;

use zkinfer_crds::{ClaimId, Identity, RequestUid, SliceIndex};

use super::PoolId;
use super::request::Worker;

/// Names a worker that waits.
pub type Ticket = u64;

/// A claimed slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedSlice {
    /// The request.
    pub request: RequestUid,
    /// The slice.
    pub slice: SliceIndex,
    /// The claim.
    pub claim: ClaimId,
    /// Which attempt at the slice it is, from 1.
    pub attempt: u32,
    /// How long the claim lasts.
    pub lease: Duration,
    /// Most bytes of an envelope.
    pub max_bytes: u64,
    /// Miners of two owners were candidates.
    pub contested: bool,
    /// It stands in for one that is late.
    pub stands_in: bool,
}

/// Answer to a worker that asks for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// Prove this.
    Slice(ClaimedSlice),
    /// The request that was asked for is over.
    Over,
}

/// A worker that waits, and what it may be given.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) pool: PoolId,
    pub(super) identity: Identity,
    pub(super) worker: Worker,
}
