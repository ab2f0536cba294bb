//! A request in the queue: its slices, its pools, and what is open of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zkinfer_client::Pauses;
use zkinfer_crds::k8s::request_status::SliceCounts;
use zkinfer_crds::wire::MAX_ENVELOPE_BYTES;
use zkinfer_crds::{ClaimId, Digest, Identity, ParameterId, RequestUid, SliceIndex};

use super::PoolId;
use super::hedge::late_after;

/// How long others go first at a slice that a pool failed at, and at one that it handed back without blame.
pub(super) const FAILED: Duration = Duration::from_secs(20);
pub(super) const HANDED_BACK: Duration = Duration::from_secs(2);
/// Pauses of a pool that nobody else stands in for, from its second trouble with a slice on.
const PAUSES: Pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(10));
/// Of a slice with which the operator itself could do nothing, from the second time on.
const OWN_PAUSES: Pauses = Pauses::new(Duration::from_millis(500), Duration::from_secs(30));
/// A pool with this many faults on a request gets no more of it while another is left.
const MAX_FAULTS: u32 = 2;
/// Faults at one slice after which the request fails, once every pool has failed at it.
pub(super) const MAX_ATTEMPTS: u32 = 8;

/// What a worker can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its name, for people.
    pub name: String,
    /// What it can prove with.
    pub parameters: Vec<ParameterId>,
    /// Memory that a slice may use.
    pub memory_bytes: u64,
    /// Only slices of this request.
    pub request: Option<RequestUid>,
}

impl Worker {
    /// Whether it has what the slice needs.
    pub(super) fn fits(&self, slice: &QueuedSlice) -> bool {
        slice.memory_bytes <= self.memory_bytes && self.parameters.contains(&slice.parameter_id)
    }
}

/// A slice to be proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedSlice {
    /// The slice.
    pub index: SliceIndex,
    /// What tells it from others: its verifying key.
    pub digest: Digest,
    /// Predicted CPU time.
    pub predicted: Duration,
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
    /// The operator has made it: it goes after all that somebody asked for.
    pub benchmark: bool,
    /// Higher goes first.
    pub priority: i32,
    /// How many pools prove each slice; at most as many as there are pools.
    pub redundancy: u32,
    /// The pools that may prove it: every one that fits.
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
    /// The digest of the proof that is being verified.
    pub(super) proof: Option<Digest>,
    /// What verifying it took.
    pub(super) verifying: Option<Duration>,
    /// If no proof comes, that is not its worker's fault: it was granted before the operator was started, or a proof was
    /// refused for want of a store.
    pub(super) excused: bool,
    /// Miners of two owners were candidates.
    pub(super) contested: bool,
    /// It stands in for one that is late.
    pub(super) stands_in: bool,
    /// The one that nobody had stood in for before.
    pub(super) hedges: Option<ClaimId>,
    /// Another one stands in for it.
    pub(super) hedged: bool,
    /// Its lateness has cost its pool room.
    pub(super) told_late: bool,
    /// How long handing it back costs nothing.
    pub(super) free: Duration,
    /// How many claims its pool had with it; 0: nobody knows.
    pub(super) beside: u32,
}

/// A pool's trouble with a slice.
#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    times: u32,
    faults: u32,
    /// Others go first until then.
    others_until: Duration,
    /// Nothing until then, whoever else is there.
    until: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct SliceEntry {
    pub(super) slice: QueuedSlice,
    pub(super) leases: Vec<Lease>,
    pub(super) verified: BTreeSet<PoolId>,
    pub(super) attempts: u32,
    /// Attempts that ended by a miner's fault.
    pub(super) faults: u32,
    trouble: BTreeMap<PoolId, Trouble>,
    /// Times that the operator could do nothing with it, and how long it waits for that.
    failed_here: u32,
    not_before: Duration,
}

impl SliceEntry {
    /// The pool failed at it, or handed it back. `others` go first for so long.
    pub(super) fn troubled(&mut self, pool: &PoolId, fault: bool, others: Duration, now: Duration) {
        let trouble = self.trouble.entry(pool.clone()).or_default();
        // The first time others are tried at once.
        let pause = PAUSES.mean(trouble.times);
        trouble.times += 1;
        trouble.faults += u32::from(fault);
        trouble.others_until = now + others;
        trouble.until = now + pause;
        self.faults += u32::from(fault);
    }

    /// The operator could not do its part: the slice waits, for a little longer each time.
    pub(super) fn failed_here(&mut self, now: Duration) {
        let pause = OWN_PAUSES.mean(self.failed_here);
        self.failed_here += 1;
        self.not_before = now + pause;
    }

    /// The pool has neither proved it nor is at work on it.
    pub(super) fn is_new_to(&self, pool: &PoolId) -> bool {
        !self.verified.contains(pool) && !self.leases.iter().any(|l| l.pool == *pool)
    }

    fn gives_way(&self, pool: &PoolId, now: Duration) -> bool {
        self.trouble.get(pool).is_some_and(|t| now < t.others_until)
    }

    fn pauses(&self, pool: &PoolId, now: Duration) -> bool {
        now < self.not_before || self.trouble.get(pool).is_some_and(|t| now < t.until)
    }

    /// Whether an open claim is late against its prediction.
    pub(super) fn is_late(&self, lease: &Lease, now: Duration) -> bool {
        lease.submitted.is_none() && now >= self.late_at(lease)
    }

    fn late_at(&self, lease: &Lease) -> Duration {
        lease.since + late_after(self.slice.predicted)
    }

    /// The claim that somebody would stand in for: the oldest of those that are late and that nobody has stood in for, else of all
    /// that are late.
    pub(super) fn latest(&self, now: Duration) -> Option<usize> {
        let late = self
            .leases
            .iter()
            .enumerate()
            .filter(|(_, l)| self.is_late(l, now));
        late.min_by_key(|(_, l)| (l.hedged, l.since)).map(|(at, _)| at)
    }

    /// A claim has left its place: who stood in for it has it now.
    pub(super) fn move_up(&mut self) {
        if let Some(substitute) = self.leases.iter_mut().find(|l| l.stands_in) {
            substitute.stands_in = false;
        }
    }

    /// Takes a claim out as if it had never been.
    pub(super) fn take_back(&mut self, claim: ClaimId) -> Option<Lease> {
        let at = self.leases.iter().position(|l| l.claim == claim)?;
        let lease = self.leases.remove(at);
        // Others keep their numbers.
        self.attempts -= u32::from(lease.number == self.attempts);
        if !lease.stands_in {
            self.move_up();
        } else if let Some(late) = self.leases.iter_mut().find(|l| lease.hedges == Some(l.claim)) {
            late.hedged = false;
        }
        Some(lease)
    }

    fn wakeups(&self) -> impl Iterator<Item = Duration> {
        let late = late_after(self.slice.predicted);
        let leases = self.leases.iter().filter(|l| l.submitted.is_none());
        let leases = leases.flat_map(move |l| [l.expires, l.since + late]);
        let trouble = self.trouble.values().flat_map(|t| [t.others_until, t.until]);
        leases.chain(trouble).chain([self.not_before])
    }
}

#[derive(Debug, Clone)]
pub(super) struct RequestEntry {
    pub(super) uid: RequestUid,
    pub(super) benchmark: bool,
    pub(super) priority: i32,
    /// How many pools shall prove each slice, and how many can.
    wanted: u32,
    pub(super) redundancy: usize,
    /// By name, each once.
    pub(super) pools: Vec<PoolId>,
    pub(super) slices: Vec<SliceEntry>,
    pub(super) since: Duration,
    pub(super) suspended: bool,
    /// It is over, and claims of it are open whose workers may still deliver.
    pub(super) over: bool,
    pub(super) faults: BTreeMap<PoolId, u32>,
    /// Why it cannot succeed any more.
    pub(super) failed: Option<String>,
    /// Until then no place of it is to be filled, unless a claim of it ends or it has other pools: see [`Self::changed`].
    pub(super) nothing_before: Duration,
}

/// How many different pools can prove each slice. While there is none, nobody is content with less than was asked for.
fn possible(redundancy: u32, pools: &[PoolId]) -> usize {
    let most = if pools.is_empty() { usize::MAX } else { pools.len() };
    (redundancy as usize).clamp(1, most)
}

/// Thousands of pools are looked up for each slice.
fn by_name(mut pools: Vec<PoolId>) -> Vec<PoolId> {
    pools.sort();
    pools.dedup();
    pools
}

impl RequestEntry {
    pub(super) fn new(request: QueuedRequest, now: Duration) -> Self {
        let QueuedRequest {
            uid,
            benchmark,
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
            faults: 0,
            trouble: BTreeMap::new(),
            failed_here: 0,
            not_before: Duration::ZERO,
        };
        Self {
            uid,
            benchmark,
            priority,
            wanted: redundancy,
            redundancy: possible(redundancy, &pools),
            pools: by_name(pools),
            slices: slices.into_iter().map(entry).collect(),
            since: now,
            suspended: false,
            over: false,
            faults: BTreeMap::new(),
            failed: None,
            nothing_before: Duration::ZERO,
        }
    }

    /// A place may be to be filled that was not before.
    pub(super) fn changed(&mut self) {
        self.nothing_before = Duration::ZERO;
    }

    /// Other pools from now on; open claims go on.
    pub(super) fn retarget(&mut self, pools: Vec<PoolId>) {
        self.changed();
        self.redundancy = possible(self.wanted, &pools);
        self.pools = by_name(pools);
    }

    /// Whether the pool is one of its pools.
    pub(super) fn has(&self, pool: &PoolId) -> bool {
        self.pools.binary_search(pool).is_ok()
    }

    pub(super) fn is_verified(&self, slice: &SliceEntry) -> bool {
        slice.verified.len() >= self.redundancy
    }

    pub(super) fn all_verified(&self) -> bool {
        self.slices.iter().all(|s| self.is_verified(s))
    }

    /// Whether slices of it are given out.
    pub(super) fn is_active(&self) -> bool {
        !self.over && !self.suspended && self.failed.is_none()
    }

    /// Places of a slice that nobody holds. Who stands in for another takes no place of its own.
    pub(super) fn open_places(&self, slice: &SliceEntry) -> usize {
        let holders = slice.leases.iter().filter(|l| !l.stands_in).count();
        self.redundancy.saturating_sub(holders + slice.verified.len())
    }

    /// Proofs of a slice that are still needed and not to be expected soon, since claims are late: so many pools are to stand in.
    pub(super) fn missing(&self, slice: &SliceEntry, now: Duration) -> usize {
        if self.open_places(slice) > 0 {
            return 0;
        }
        let late = slice.leases.iter().filter(|l| slice.is_late(l, now)).count();
        let needed = self.redundancy.saturating_sub(slice.verified.len());
        needed.saturating_sub(slice.leases.len() - late)
    }

    /// When a slice of which no place is open is first missing a proof.
    fn missing_at(&self, slice: &SliceEntry) -> Option<Duration> {
        let needed = self.redundancy.saturating_sub(slice.verified.len());
        let open = slice.leases.iter().filter(|l| l.submitted.is_none());
        let mut late: Vec<Duration> = open.map(|l| slice.late_at(l)).collect();
        late.sort_unstable();
        // While so many of them are not late yet, enough is to be expected.
        let enough = needed.saturating_sub(slice.leases.len() - late.len());
        match enough {
            0 => None,
            enough => late
                .len()
                .checked_sub(enough)
                .and_then(|at| late.get(at).copied()),
        }
    }

    /// When the first claim is late of a request of which no place is to be filled.
    pub(super) fn next_missing(&self) -> Duration {
        let open = self.slices.iter().filter(|s| !self.is_verified(s));
        let missing = open.filter_map(|s| self.missing_at(s));
        missing.min().unwrap_or(Duration::MAX)
    }

    /// Whether the pool has failed at the request too often.
    pub(super) fn faulty(&self, pool: &PoolId) -> bool {
        self.faults.get(pool).is_some_and(|&n| n >= MAX_FAULTS)
    }

    /// Whether a pool may prove this slice now; `others` are there that could.
    pub(super) fn may(
        &self,
        slice: &SliceEntry,
        pool: &PoolId,
        others: impl Fn(&PoolId) -> bool,
        now: Duration,
    ) -> bool {
        let gives_way = || {
            slice.gives_way(pool, now)
                && self
                    .pools
                    .iter()
                    .any(|p| p != pool && others(p) && slice.is_new_to(p) && !slice.gives_way(p, now))
        };
        !slice.pauses(pool, now) && slice.is_new_to(pool) && !gives_way()
    }

    /// Fails the request if the slice cannot be expected to be proved: enough attempts were wrong, and no pool is left
    /// that has not failed at it.
    pub(super) fn give_up(&mut self, at: usize, pool: &PoolId, last: &str) {
        let entry = &self.slices[at];
        let failed_at = |p: &PoolId| entry.trouble.get(p).is_some_and(|t| t.faults > 0);
        if entry.faults >= MAX_ATTEMPTS && self.failed.is_none() && self.pools.iter().all(failed_at) {
            let (slice, faults) = (entry.slice.index, entry.faults);
            self.failed = Some(format!(
                "slice {slice} was tried {faults} times in vain; last, by {pool}: {last}"
            ));
        }
    }

    /// When something next happens by itself.
    pub(super) fn wakeups(&self) -> impl Iterator<Item = Duration> {
        self.slices.iter().flat_map(SliceEntry::wakeups)
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
