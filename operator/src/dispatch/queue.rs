//! The queue. Every operation takes the time since the queue was made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zkinfer_crds::{ClaimId, Identity, ParameterId, RequestUid, SliceIndex};

use super::attempt::{Attempt, AttemptEnd, Blame};
use super::request::{ELSEWHERE, Lease, MAX_ATTEMPTS, QueuedRequest, RequestEntry, RequestLoad, max_bytes};
use super::{PoolId, SliceCounts};

/// A lease is this many times the predicted time, within limits: a slow but honest miner is not punished.
const LEASE_FACTOR: u32 = 8;

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
    /// Requests whose side does not let its pool see them.
    pub barred: BTreeSet<RequestUid>,
}

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
}

/// Answer to a worker that asks for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// Prove this.
    Slice(ClaimedSlice),
    /// Nothing now.
    Nothing,
    /// The request that was asked for is over.
    Over,
}

/// A claim that was granted before the operator was started.
#[derive(Debug)]
pub(super) struct RestoredClaim {
    pub(super) slice: SliceIndex,
    pub(super) lease: Lease,
    /// It waits for its proof or for the verdict.
    pub(super) open: bool,
}

/// See [`super`].
#[derive(Debug)]
pub struct Queue {
    requests: Vec<RequestEntry>,
    least_lease: Duration,
    /// Pools that get no new slices.
    drained: BTreeSet<PoolId>,
    ended: Vec<Attempt>,
}

impl Queue {
    /// An empty queue. No lease is shorter than `least_lease`.
    #[must_use]
    pub fn new(least_lease: Duration) -> Self {
        Self {
            requests: Vec::new(),
            least_lease,
            drained: BTreeSet::new(),
            ended: Vec::new(),
        }
    }

    /// Adds a request; one that is there already stays as it is.
    pub fn add(&mut self, request: QueuedRequest, now: Duration) {
        if self.find(request.uid).is_none() {
            self.requests.push(RequestEntry::new(request, now));
            // Stable: requests of one priority keep their order.
            self.requests.sort_by_key(|r| std::cmp::Reverse(r.priority));
        }
    }

    /// Adds a request that was being proved before the operator was started, with what is left of its claims.
    pub(super) fn add_restored(&mut self, request: QueuedRequest, claims: Vec<RestoredClaim>, now: Duration) {
        let uid = request.uid;
        if self.find(uid).is_some() {
            return;
        }
        self.add(request, now);
        let Some(entry) = self.find_mut(uid) else { return };
        for RestoredClaim { slice, lease, open } in claims {
            let Some(slice) = entry.slices.get_mut(slice.0 as usize) else {
                continue;
            };
            slice.attempts = slice.attempts.max(lease.number);
            if open {
                entry.arrived.insert(lease.pool.clone());
                slice.leases.push(lease);
            }
        }
    }

    /// Other pools for a request; open claims go on.
    pub fn retarget(&mut self, uid: RequestUid, pools: Vec<PoolId>) {
        if let Some(request) = self.find_mut(uid) {
            request.retarget(pools);
        }
    }

    /// Gives a pool no new slices, or does so again; open claims go on. Whether it did otherwise before.
    pub fn drain(&mut self, pool: &PoolId, drained: bool) -> bool {
        if drained {
            self.drained.insert(pool.clone())
        } else {
            self.drained.remove(pool)
        }
    }

    /// What every request asks of its pools, in the order in which they are served.
    #[must_use]
    pub fn loads(&self) -> Vec<RequestLoad> {
        self.requests.iter().map(RequestEntry::load).collect()
    }

    /// How many claims each pool has open.
    #[must_use]
    pub fn busy(&self) -> BTreeMap<PoolId, u32> {
        let mut busy = BTreeMap::new();
        let slices = self.requests.iter().flat_map(|r| &r.slices);
        for lease in slices.flat_map(|s| &s.leases).filter(|l| l.submitted.is_none()) {
            *busy.entry(lease.pool.clone()).or_default() += 1;
        }
        busy
    }

    /// Removes a request; open claims end without blame.
    pub fn remove(&mut self, uid: RequestUid, now: Duration) {
        let Some(at) = self.requests.iter().position(|r| r.uid == uid) else {
            return;
        };
        let request = self.requests.remove(at);
        for entry in &request.slices {
            for lease in &entry.leases {
                self.ended
                    .push(ended(uid, entry, lease, now, AttemptEnd::Cancelled));
            }
        }
    }

    /// Hands out no slices of a request, or does so again.
    pub fn suspend(&mut self, uid: RequestUid, suspended: bool) {
        if let Some(request) = self.find_mut(uid) {
            request.suspended = suspended;
        }
    }

    /// The requests that are in the queue.
    pub fn uids(&self) -> impl Iterator<Item = RequestUid> {
        self.requests.iter().map(|r| r.uid)
    }

    fn find(&self, uid: RequestUid) -> Option<&RequestEntry> {
        self.requests.iter().find(|r| r.uid == uid)
    }

    fn find_mut(&mut self, uid: RequestUid) -> Option<&mut RequestEntry> {
        self.requests.iter_mut().find(|r| r.uid == uid)
    }

    /// Slices by state; `None` for a request that is not in the queue.
    #[must_use]
    pub fn counts(&self, uid: RequestUid) -> Option<SliceCounts> {
        self.find(uid).map(RequestEntry::counts)
    }

    /// Why a request cannot succeed any more.
    #[must_use]
    pub fn failure(&self, uid: RequestUid) -> Option<&str> {
        self.find(uid)?.failed.as_deref()
    }

    /// Whether every slice of a request is verified.
    #[must_use]
    pub fn all_verified(&self, uid: RequestUid) -> bool {
        self.find(uid).is_some_and(RequestEntry::all_verified)
    }

    /// Gives a worker a slice, under a fresh claim id.
    pub fn claim(
        &mut self,
        pool: &PoolId,
        identity: Identity,
        worker: &Worker,
        claim: ClaimId,
        now: Duration,
    ) -> Claimed {
        self.expire(now);
        let least = self.least_lease;
        let drained = self.drained.contains(pool);
        // A pool that is no longer among the request's has nothing to wait for either.
        let over = |r: &RequestEntry| r.failed.is_some() || r.all_verified() || !r.pools.contains(pool);
        if let Some(uid) = worker.request
            && (drained || worker.barred.contains(&uid) || self.find(uid).is_none_or(over))
        {
            return Claimed::Over;
        }
        if drained {
            return Claimed::Nothing;
        }
        let wanted = |r: &&mut RequestEntry| {
            worker.request.is_none_or(|uid| uid == r.uid) && !worker.barred.contains(&r.uid)
        };
        for request in self.requests.iter_mut().filter(wanted) {
            let Some(at) = request.next_for(pool, worker, now) else {
                continue;
            };
            request.arrived.insert(pool.clone());
            let uid = request.uid;
            let entry = &mut request.slices[at];
            entry.attempts += 1;
            let predicted = Duration::from_millis(entry.slice.predicted_millis) * LEASE_FACTOR;
            let lease = predicted.clamp(least, Duration::from_secs(600).max(least));
            entry.leases.push(Lease {
                claim,
                pool: pool.clone(),
                identity,
                worker: worker.name.clone(),
                number: entry.attempts,
                since: now,
                expires: now + lease,
                submitted: None,
                excused: false,
            });
            return Claimed::Slice(ClaimedSlice {
                request: uid,
                slice: entry.slice.index,
                claim,
                attempt: entry.attempts,
                lease,
                max_bytes: max_bytes(),
            });
        }
        Claimed::Nothing
    }

    /// Whether a claim is open: neither ended nor expired.
    #[must_use]
    pub fn is_open(&self, uid: RequestUid, claim: ClaimId, now: Duration) -> bool {
        let open = |l: &Lease| l.claim == claim && (l.submitted.is_some() || l.expires > now);
        self.find(uid)
            .is_some_and(|r| r.slices.iter().any(|s| s.leases.iter().any(open)))
    }

    /// A proof has come; the lease ends no more. `false` when the claim is not open any more.
    pub fn submitted(&mut self, uid: RequestUid, claim: ClaimId, bytes: u64, now: Duration) -> bool {
        if !self.is_open(uid, claim, now) {
            return false;
        }
        let leases = self
            .find_mut(uid)
            .into_iter()
            .flat_map(|r| r.slices.iter_mut().flat_map(|s| &mut s.leases));
        for lease in leases.filter(|l| l.claim == claim) {
            lease.submitted.get_or_insert((now, bytes));
        }
        true
    }

    /// Ends a claim. `false` when it has ended before.
    pub fn end(&mut self, uid: RequestUid, claim: ClaimId, end: AttemptEnd, now: Duration) -> bool {
        let Some(request) = self.find_mut(uid) else {
            return false;
        };
        let found = request.slices.iter().enumerate().find_map(|(at, s)| {
            s.leases
                .iter()
                .position(|l| l.claim == claim)
                .map(|lease| (at, lease))
        });
        let Some((at, lease)) = found else { return false };
        let lease = request.slices[at].leases.remove(lease);
        let attempt = ended(uid, &request.slices[at], &lease, now, end);
        match attempt.end.blame() {
            None => {
                request.slices[at].verified.insert(lease.pool.clone());
            }
            Some(blame) => {
                // A slice handed back goes to another pool first, whoever is to blame: one pool that hands back again
                // and again must not use up the attempts.
                let handed_back = matches!(attempt.end, AttemptEnd::HandedBack(..));
                if blame == Blame::Miner || handed_back {
                    request.slices[at]
                        .elsewhere
                        .insert(lease.pool.clone(), now + ELSEWHERE);
                }
                if blame == Blame::Miner {
                    *request.faults.entry(lease.pool.clone()).or_default() += 1;
                }
                // What the validator could not do, or its side did not want, says nothing of whether the slice can be proved.
                if matches!(
                    attempt.end,
                    AttemptEnd::Operator(_) | AttemptEnd::ConsentWithdrawn
                ) {
                    let slice = &mut request.slices[at];
                    slice.excused += 1;
                }
                let attempts = request.slices[at].attempts - request.slices[at].excused;
                if attempts >= MAX_ATTEMPTS && request.failed.is_none() {
                    let slice = request.slices[at].slice.index;
                    let last = attempt.end.message();
                    request.failed = Some(format!(
                        "slice {slice} was tried {attempts} times; last, by {}: {last}",
                        lease.pool
                    ));
                }
            }
        }
        self.ended.push(attempt);
        true
    }

    /// Ends a claim on its worker's word: only while its lease lasts and no proof has come, so that nobody talks their
    /// way out of a verdict. `false` when it is too late for that.
    pub fn give_up(&mut self, uid: RequestUid, claim: ClaimId, end: AttemptEnd, now: Duration) -> bool {
        self.expire(now);
        let waits = |l: &Lease| l.claim == claim && l.submitted.is_none();
        let waits = self
            .find(uid)
            .is_some_and(|r| r.slices.iter().any(|s| s.leases.iter().any(waits)));
        waits && self.end(uid, claim, end, now)
    }

    /// Takes a claim back that nobody has been told of: as if it had never been.
    pub fn take_back(&mut self, uid: RequestUid, claim: ClaimId) {
        let slices = self.find_mut(uid).into_iter().flat_map(|r| &mut r.slices);
        for slice in slices {
            let before = slice.leases.len();
            slice.leases.retain(|l| l.claim != claim);
            slice.attempts -= u32::from(slice.leases.len() < before);
        }
    }

    /// A claim's proof could not be taken, and not for want of its worker: it is not to blame if none is taken.
    pub fn excuse(&mut self, uid: RequestUid, claim: ClaimId) {
        let slices = self.find_mut(uid).into_iter().flat_map(|r| &mut r.slices);
        for lease in slices.flat_map(|s| &mut s.leases).filter(|l| l.claim == claim) {
            lease.excused = true;
        }
    }

    /// Ends the claims of pools that may not see a request any more, where no proof has come.
    pub fn withdraw(&mut self, uid: RequestUid, may: impl Fn(&PoolId, &Identity) -> bool, now: Duration) {
        let leases = self
            .find(uid)
            .into_iter()
            .flat_map(|r| r.slices.iter().flat_map(|s| &s.leases));
        let barred: Vec<ClaimId> = leases
            .filter(|l| l.submitted.is_none() && !may(&l.pool, &l.identity))
            .map(|l| l.claim)
            .collect();
        for claim in barred {
            self.end(uid, claim, AttemptEnd::ConsentWithdrawn, now);
        }
    }

    /// Ends every claim whose lease is over without a proof.
    pub fn expire(&mut self, now: Duration) {
        let expired = |l: &&Lease| l.submitted.is_none() && l.expires <= now;
        let late: Vec<(RequestUid, ClaimId, bool)> = self
            .requests
            .iter()
            .flat_map(|r| {
                r.slices
                    .iter()
                    .flat_map(|s| &s.leases)
                    .filter(expired)
                    .map(|l| (r.uid, l.claim, l.excused))
            })
            .collect();
        for (uid, claim, excused) in late {
            let end = if excused {
                let why = "no proof came, and the operator or its store was away for a while";
                AttemptEnd::Operator(why.to_owned())
            } else {
                AttemptEnd::LeaseExpired
            };
            self.end(uid, claim, end, now);
        }
    }

    /// When something next happens by itself: a lease or a reservation ends.
    #[must_use]
    pub fn next_wakeup(&self, now: Duration) -> Option<Duration> {
        let leases = self
            .requests
            .iter()
            .flat_map(|r| r.slices.iter().flat_map(|s| &s.leases));
        let leases = leases.filter(|l| l.submitted.is_none()).map(|l| l.expires);
        let reservations = self.requests.iter().map(|r| r.since + super::request::RESERVED);
        let elsewhere = self
            .requests
            .iter()
            .flat_map(|r| r.slices.iter().flat_map(|s| s.elsewhere.values().copied()));
        leases
            .chain(reservations)
            .chain(elsewhere)
            .filter(|at| *at > now)
            .min()
    }

    /// The attempts that have ended since the last call, in order.
    pub fn take_ended(&mut self) -> Vec<Attempt> {
        std::mem::take(&mut self.ended)
    }
}

fn ended(
    request: RequestUid,
    entry: &super::request::SliceEntry,
    lease: &Lease,
    now: Duration,
    end: AttemptEnd,
) -> Attempt {
    Attempt {
        request,
        slice: entry.slice.index,
        claim: lease.claim,
        pool: lease.pool.clone(),
        identity: lease.identity,
        worker: lease.worker.clone(),
        number: lease.number,
        elapsed: lease
            .submitted
            .map_or(now, |(at, _)| at)
            .saturating_sub(lease.since),
        bytes: lease.submitted.map(|(_, bytes)| bytes),
        work: entry.slice.predicted_millis,
        end,
    }
}
