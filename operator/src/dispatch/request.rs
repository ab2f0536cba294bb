//! A request in the queue: its slices, its pools, and which pool may take which slice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zkinfer_crds::k8s::request_status::SliceCounts;
use zkinfer_crds::wire::MAX_ENVELOPE_BYTES;
use zkinfer_crds::{ClaimId, Identity, ParameterId, RequestUid, SliceIndex};

use super::PoolId;
use super::queue::Worker;

/// How long a share of the slices is kept for a chosen pool that has not claimed yet.
pub(super) const RESERVED: Duration = Duration::from_secs(5);
/// How long a slice is kept from a pool that failed at it, so that another may take it.
pub(super) const ELSEWHERE: Duration = Duration::from_secs(20);
/// A pool with this many faults on a request gets no more of it while another is left.
const MAX_FAULTS: u32 = 2;
/// Attempts at one slice after which the request fails.
pub(super) const MAX_ATTEMPTS: u32 = 8;

/// A slice to be proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedSlice {
    /// The slice.
    pub index: SliceIndex,
    /// Predicted CPU milliseconds.
    pub predicted_millis: u64,
    /// Memory that proving needs.
    pub memory_bytes: u64,
    /// What proves it.
    pub parameter_id: ParameterId,
}

/// A request to be proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRequest {
    /// The request.
    pub uid: RequestUid,
    /// Higher goes first.
    pub priority: i32,
    /// How many pools prove each slice; at most as many as there are pools.
    pub redundancy: u32,
    /// The chosen pools, best first.
    pub pools: Vec<PoolId>,
    /// The slices.
    pub slices: Vec<QueuedSlice>,
}

/// An open claim.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) claim: ClaimId,
    pub(super) pool: PoolId,
    pub(super) identity: Identity,
    pub(super) worker: String,
    pub(super) number: u32,
    pub(super) since: Duration,
    pub(super) expires: Duration,
    /// When the proof came, and its size; it is being verified.
    pub(super) submitted: Option<(Duration, u64)>,
    /// If no proof comes, that is not its worker's fault: it was granted before the operator was started, or a proof was
    /// refused for want of a store.
    pub(super) excused: bool,
}

#[derive(Debug, Clone)]
pub(super) struct SliceEntry {
    pub(super) slice: QueuedSlice,
    pub(super) leases: Vec<Lease>,
    pub(super) verified: BTreeSet<PoolId>,
    pub(super) attempts: u32,
    /// How many of them failed for want of something that was not the provers'.
    pub(super) excused: u32,
    /// Pools that failed at it, and until when others go first.
    pub(super) elsewhere: BTreeMap<PoolId, Duration>,
}

#[derive(Debug, Clone)]
pub(super) struct RequestEntry {
    pub(super) uid: RequestUid,
    pub(super) priority: i32,
    /// How many pools shall prove each slice, and how many can.
    wanted: u32,
    pub(super) redundancy: usize,
    pub(super) pools: Vec<PoolId>,
    pub(super) slices: Vec<SliceEntry>,
    pub(super) since: Duration,
    pub(super) suspended: bool,
    /// Pools that have claimed at least once.
    pub(super) arrived: BTreeSet<PoolId>,
    pub(super) faults: BTreeMap<PoolId, u32>,
    /// Why it cannot succeed any more.
    pub(super) failed: Option<String>,
}

/// What a queued request asks of its pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLoad {
    /// The request.
    pub uid: RequestUid,
    /// Slices that nobody is at work on, counted once per pool that shall prove them.
    pub open: u32,
    /// Its pools, best first.
    pub pools: Vec<PoolLoad>,
}

/// A pool of a queued request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLoad {
    /// The pool.
    pub id: PoolId,
    /// It gets slices: it has not failed too often.
    pub serves: bool,
}

/// How many different pools can prove each slice. While there is none, nobody is content with less than was asked for.
fn possible(redundancy: u32, pools: &[PoolId]) -> usize {
    let most = if pools.is_empty() { usize::MAX } else { pools.len() };
    (redundancy as usize).clamp(1, most)
}

impl RequestEntry {
    pub(super) fn new(request: QueuedRequest, now: Duration) -> Self {
        let QueuedRequest {
            uid,
            priority,
            redundancy,
            pools,
            slices,
        } = request;
        let entry = |slice| SliceEntry {
            slice,
            leases: Vec::new(),
            verified: BTreeSet::new(),
            attempts: 0,
            excused: 0,
            elsewhere: BTreeMap::new(),
        };
        Self {
            uid,
            priority,
            wanted: redundancy,
            redundancy: possible(redundancy, &pools),
            pools,
            slices: slices.into_iter().map(entry).collect(),
            since: now,
            suspended: false,
            arrived: BTreeSet::new(),
            faults: BTreeMap::new(),
            failed: None,
        }
    }

    /// Other pools from now on; open claims go on.
    pub(super) fn retarget(&mut self, pools: Vec<PoolId>) {
        self.redundancy = possible(self.wanted, &pools);
        self.pools = pools;
    }

    pub(super) fn is_verified(&self, slice: &SliceEntry) -> bool {
        slice.verified.len() >= self.redundancy
    }

    pub(super) fn all_verified(&self) -> bool {
        self.slices.iter().all(|s| self.is_verified(s))
    }

    /// Places of a slice that nobody holds.
    fn open_places(&self, slice: &SliceEntry) -> usize {
        self.redundancy
            .saturating_sub(slice.leases.len() + slice.verified.len())
    }

    fn faulty(&self, pool: &PoolId) -> bool {
        self.faults.get(pool).is_some_and(|&n| n >= MAX_FAULTS)
    }

    /// Whether the pool gets slices of this request at all.
    fn serves(&self, pool: &PoolId) -> bool {
        let others_left = || self.pools.iter().any(|p| p != pool && !self.faulty(p));
        self.pools.contains(pool) && !(self.faulty(pool) && others_left())
    }

    /// What the request asks of its pools.
    pub(super) fn load(&self) -> RequestLoad {
        let open = if self.suspended || self.failed.is_some() {
            0
        } else {
            self.slices.iter().map(|s| self.open_places(s)).sum()
        };
        let pool = |id: &PoolId| PoolLoad {
            id: id.clone(),
            serves: self.serves(id),
        };
        RequestLoad {
            uid: self.uid,
            open: open as u32,
            pools: self.pools.iter().map(pool).collect(),
        }
    }

    /// Open places that are kept for pools that were chosen and have not come yet.
    fn reserved_from(&self, pool: &PoolId, now: Duration) -> usize {
        if now.saturating_sub(self.since) >= RESERVED || self.pools.is_empty() {
            return 0;
        }
        let share = (self.slices.len() * self.redundancy / self.pools.len()).max(1);
        let absent = self
            .pools
            .iter()
            .filter(|p| *p != pool && !self.arrived.contains(*p) && !self.faulty(p))
            .count();
        absent * share
    }

    /// The slice that this worker should take: the heaviest that it may.
    pub(super) fn next_for(&self, pool: &PoolId, worker: &Worker, now: Duration) -> Option<usize> {
        if self.suspended || self.failed.is_some() || !self.serves(pool) {
            return None;
        }
        let open: usize = self.slices.iter().map(|s| self.open_places(s)).sum();
        if open <= self.reserved_from(pool, now) {
            return None;
        }
        let may = |s: &SliceEntry| {
            self.open_places(s) > 0
                && s.slice.memory_bytes <= worker.memory_bytes
                && worker.parameters.contains(&s.slice.parameter_id)
                && !s.verified.contains(pool)
                && !s.leases.iter().any(|l| l.pool == *pool && self.redundancy > 1)
                && !self.elsewhere(s, pool, now)
        };
        let candidates = self.slices.iter().enumerate().filter(|(_, s)| may(s));
        candidates
            .max_by_key(|(at, s)| (s.slice.predicted_millis, usize::MAX - at))
            .map(|(at, _)| at)
    }

    /// The pool failed at this slice a short while ago, and another pool could take it.
    fn elsewhere(&self, slice: &SliceEntry, pool: &PoolId, now: Duration) -> bool {
        let blocked = |p: &PoolId| slice.elsewhere.get(p).is_some_and(|until| *until > now);
        blocked(pool)
            && self
                .pools
                .iter()
                .any(|p| p != pool && !blocked(p) && !self.faulty(p))
    }

    pub(super) fn counts(&self) -> SliceCounts {
        let mut counts = SliceCounts {
            total: self.slices.len() as u32,
            ..SliceCounts::default()
        };
        for s in &self.slices {
            let state = if self.is_verified(s) {
                &mut counts.verified
            } else if s.leases.iter().any(|l| l.submitted.is_some()) {
                &mut counts.proved
            } else if s.leases.is_empty() {
                &mut counts.queued
            } else {
                &mut counts.claimed
            };
            *state += 1;
        }
        counts
    }
}

/// The most bytes of an envelope.
pub(super) const fn max_bytes() -> u64 {
    MAX_ENVELOPE_BYTES
}
