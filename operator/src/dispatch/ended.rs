//! What is told of a claim that has ended.

use std::time::Duration;

use zkinfer_crds::RequestUid;
use zkinfer_crds::wire::RefuseReason;
use zkinfer_scoring::{Blame, Cause};

use super::attempt::{Attempt, AttemptEnd};
use super::request::{Lease, SliceEntry};

/// Handing back costs nothing at once.
pub(super) fn is_late(lease: &Lease, reason: RefuseReason, now: Duration) -> bool {
    let free = Cause::of(reason).blame() != Blame::Miner;
    free && !lease.excused && now.saturating_sub(lease.since) > lease.free
}

/// With the request is said whether it is a benchmark.
pub(super) fn ended(
    (request, benchmark): (RequestUid, bool),
    entry: &SliceEntry,
    lease: &Lease,
    now: Duration,
    end: AttemptEnd,
) -> Attempt {
    Attempt {
        request,
        benchmark,
        slice: entry.slice.index,
        digest: entry.slice.digest,
        claim: lease.claim,
        pool: lease.pool.clone(),
        identity: lease.identity,
        worker: lease.worker.clone(),
        number: lease.number,
        elapsed: lease
            .submitted
            .map_or(now, |(at, _)| at)
            .saturating_sub(lease.since),
        held: now.saturating_sub(lease.since),
        bytes: lease.submitted.map(|(_, bytes)| bytes),
        work: entry.slice.predicted,
        contested: lease.contested,
        proof: lease.proof,
        verifying: lease.verifying,
        model: None,
        end,
    }
}
