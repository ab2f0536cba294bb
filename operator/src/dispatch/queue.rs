//! The queue: claims from their grant to their end. Who is given what is in [`super::assign`]. Every operation takes the
//! time since the queue was made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zkinfer_crds::wire::RefuseReason;
use zkinfer_crds::{ClaimId, Digest, RequestUid, SliceIndex};
use zkinfer_scoring::Blame;

use super::attempt::{Attempt, AttemptEnd};
use super::breaker::Pause;
use super::ended::{ended, is_late};
use super::hedge::Granted;
use super::request::{FAILED, HANDED_BACK, Lease, QueuedRequest, RequestEntry};
use super::standing::{Held, HeldNow, PoolFacts, Standings};
use super::waiting::Waiting;
use super::{PoolId, SliceCounts};
use crate::consent::Consent;

/// A claim that was granted before the operator was started.
#[derive(Debug)]
pub(super) struct RestoredClaim {
    pub(super) slice: SliceIndex,
    pub(super) lease: Lease,
    /// It waits for its proof or for the verdict.
    pub(super) open: bool,
    /// It ended by the miner's fault.
    pub(super) fault: bool,
}

/// A claim that has ended, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Whose it was.
    pub pool: PoolId,
    /// When it ended.
    pub at: Duration,
    /// Who was to blame; `None` for a proof that holds.
    pub blame: Option<Blame>,
    /// Of such a proof: what was predicted, and what it took.
    pub took: Option<(Duration, Duration)>,
}

/// See [`super`].
#[derive(Debug)]
pub struct Queue {
    pub(super) requests: Vec<RequestEntry>,
    pub(super) held_now: HeldNow,
    /// No lease ends before.
    pub(super) soonest: Duration,
    /// The shortest and the longest lease.
    pub(super) leases: (Duration, Duration),
    /// Namespaces that have one owner, and that owner's name.
    pub(super) owners: BTreeMap<String, String>,
    pub(super) standings: Standings,
    pub(super) granted: Granted,
    /// Workers that wait for a slice, in the order in which they came.
    pub(super) waiting: Vec<Waiting>,
    /// Who may see what of a request.
    pub(super) consents: BTreeMap<RequestUid, Consent>,
    /// What became of claims of pools that are not known yet.
    past: BTreeMap<PoolId, Vec<Past>>,
    ended: Vec<Attempt>,
    /// Requests of which nothing is left.
    gone: Vec<RequestUid>,
}

impl Queue {
    /// An empty queue; leases are so long at least, and at most.
    #[must_use]
    pub fn new(leases: (Duration, Duration)) -> Self {
        Self {
            requests: Vec::new(),
            held_now: HeldNow::default(),
            soonest: Duration::MAX,
            leases,
            owners: BTreeMap::new(),
            standings: Standings::default(),
            granted: Granted::default(),
            waiting: Vec::new(),
            consents: BTreeMap::new(),
            past: BTreeMap::new(),
            ended: Vec::new(),
            gone: Vec::new(),
        }
    }

    /// What is known of a pool from now on; a pool of which nothing is known gets no slices. Whether it is something new.
    pub fn know(&mut self, pool: &PoolId, facts: PoolFacts, now: Duration) -> bool {
        let news = self.standings.know(pool, facts, now);
        for past in self.past.remove(pool).unwrap_or_default() {
            self.judge(pool, past.blame, past.at);
            // How many it held then nobody knows any more.
            if let Some((predicted, took)) = past.took {
                self.measured(pool, predicted, took, 0);
            }
        }
        news
    }

    /// The pool is gone: it gets no slices any more, and open claims may end.
    pub fn forget(&mut self, pool: &PoolId, now: Duration) {
        self.standings.forget(pool, now);
        self.held_now.changed(pool);
    }

    /// What became of claims before the operator was started, oldest first: breakers and rations go on from there.
    pub fn remember(&mut self, past: Vec<Past>) {
        for past in past {
            self.granted.add(past.at);
            self.past.entry(past.pool.clone()).or_default().push(past);
        }
    }

    /// How long a claim of the pool took.
    fn measured(&mut self, pool: &PoolId, predicted: Duration, took: Duration, held: u32) {
        if let Some(standing) = self.standings.get_mut(pool) {
            standing.service.delivered(predicted, took, held);
        }
    }

    /// What the end of a claim says of its pool.
    fn judge(&mut self, pool: &PoolId, blame: Option<Blame>, at: Duration) {
        let Some(standing) = self.standings.get_mut(pool) else {
            return;
        };
        match blame {
            None => standing.delivered(at),
            Some(Blame::Miner) => standing.fault(at),
            Some(Blame::Infrastructure) => standing.breaker.handed_back(at),
            Some(Blame::Operator | Blame::Nobody) => {}
        }
    }

    /// The pause of a pool that has failed or handed back too often.
    #[must_use]
    pub fn pause(&self, pool: &PoolId) -> Option<Pause> {
        self.standings.get(pool)?.breaker.pause()
    }

    /// Adds a request; one that is there already stays as it is.
    pub fn add(&mut self, request: QueuedRequest, now: Duration) {
        if self.find(request.uid).is_none() {
            self.requests.push(RequestEntry::new(request, now));
            // Stable: requests of one priority keep their order.
            self.requests
                .sort_by_key(|r| (r.benchmark, std::cmp::Reverse(r.priority)));
        }
    }

    /// Adds a request that was being proved before the operator was started, with what is left of its claims.
    pub(super) fn add_restored(&mut self, request: QueuedRequest, claims: Vec<RestoredClaim>, now: Duration) {
        let uid = request.uid;
        if self.find(uid).is_some() {
            return;
        }
        self.add(request, now);
        // Of claims that are restored each may end at once.
        self.soonest = Duration::ZERO;
        self.held_now.clear();
        let Some(entry) = self.find_mut(uid) else { return };
        for claim in claims {
            let RestoredClaim {
                slice,
                lease,
                open,
                fault,
            } = claim;
            let Some(slice) = entry.slices.get_mut(slice.0 as usize) else {
                continue;
            };
            slice.attempts = slice.attempts.max(lease.number);
            if fault {
                slice.troubled(&lease.pool, true, Duration::ZERO, now);
                *entry.faults.entry(lease.pool.clone()).or_default() += 1;
            }
            if open {
                // For the oldest, as when it was granted.
                if lease.stands_in
                    && let Some(late) = slice.leases.iter_mut().find(|l| !l.hedged)
                {
                    late.hedged = true;
                }
                slice.leases.push(lease);
            }
        }
        // It may have been withdrawn while the operator was away.
        self.withdraw(uid, now);
    }

    /// Other pools for a request; open claims go on.
    pub fn retarget(&mut self, uid: RequestUid, pools: Vec<PoolId>) {
        if let Some(request) = self.find_mut(uid) {
            request.retarget(pools);
        }
    }

    /// Removes a request. Where it ended by itself, workers that hold claims may still deliver, or let their lease run
    /// out: whoever hoards is not let off because others were quicker. Otherwise their claims end without blame.
    pub fn remove(&mut self, uid: RequestUid, ended_by_itself: bool, now: Duration) {
        let Some(at) = self.requests.iter().position(|r| r.uid == uid) else {
            self.consents.remove(&uid);
            return;
        };
        let request = &mut self.requests[at];
        // Who says so twice says nothing new.
        if ended_by_itself && (request.over || request.slices.iter().any(|s| !s.leases.is_empty())) {
            request.over = true;
            return;
        }
        let request = self.requests.remove(at);
        self.held_now.clear();
        for entry in &request.slices {
            for lease in &entry.leases {
                self.ended.push(ended(
                    (uid, request.benchmark),
                    entry,
                    lease,
                    now,
                    AttemptEnd::Cancelled,
                ));
            }
        }
        self.consents.remove(&uid);
        self.gone.push(uid);
    }

    /// Forgets a request that is over when nobody holds a claim of it any more.
    fn forget_if_left(&mut self, at: usize) {
        let request = &self.requests[at];
        if request.over && request.slices.iter().all(|s| s.leases.is_empty()) {
            let uid = self.requests.remove(at).uid;
            self.consents.remove(&uid);
            self.gone.push(uid);
        }
    }

    /// Hands out no slices of a request, or does so again.
    pub fn suspend(&mut self, uid: RequestUid, suspended: bool) {
        if let Some(request) = self.find_mut(uid) {
            request.suspended = suspended;
        }
    }

    /// The pools whose workers may still deliver something for a request that is over.
    #[must_use]
    pub fn lingering(&self) -> BTreeSet<(RequestUid, PoolId)> {
        let over = self.requests.iter().filter(|r| r.over);
        let leases = over.flat_map(|r| r.slices.iter().flat_map(|s| &s.leases).map(|l| (r.uid, l)));
        leases.map(|(uid, lease)| (uid, lease.pool.clone())).collect()
    }

    pub(super) fn find(&self, uid: RequestUid) -> Option<&RequestEntry> {
        self.requests.iter().find(|r| r.uid == uid)
    }

    fn find_mut(&mut self, uid: RequestUid) -> Option<&mut RequestEntry> {
        self.requests.iter_mut().find(|r| r.uid == uid)
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.requests
            .iter()
            .flat_map(|r| r.slices.iter().flat_map(|s| &s.leases))
    }

    /// What each pool holds.
    pub(super) fn held(&self) -> BTreeMap<PoolId, Held> {
        let mut held: BTreeMap<PoolId, Held> = BTreeMap::new();
        for lease in self.leases().filter(|l| l.submitted.is_none()) {
            let of_pool = held.entry(lease.pool.clone()).or_default();
            of_pool.open += 1;
            of_pool.hedged += u32::from(lease.hedged);
        }
        held
    }

    /// What one pool holds.
    pub(super) fn held_by(&self, pool: &PoolId) -> Held {
        let mut held = Held::default();
        for lease in self.leases().filter(|l| l.submitted.is_none() && l.pool == *pool) {
            held.open += 1;
            held.hedged += u32::from(lease.hedged);
        }
        held
    }

    /// The requests that are not over.
    #[must_use]
    pub fn uids(&self) -> Vec<RequestUid> {
        let here = self.requests.iter().filter(|r| !r.over);
        here.map(|r| r.uid).collect()
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
        let leases = self.find(uid).into_iter().flat_map(|r| r.slices.iter());
        let mut leases = leases.flat_map(|s| &s.leases);
        let Some(pool) = leases.find(|l| l.claim == claim).map(|l| l.pool.clone()) else {
            return false;
        };
        let mut held_now = std::mem::take(&mut self.held_now);
        let held = held_now.of(&pool, || self.held_by(&pool)).open;
        held_now.changed(&pool);
        self.held_now = held_now;
        let leases = self
            .find_mut(uid)
            .into_iter()
            .flat_map(|r| r.slices.iter_mut().flat_map(|s| &mut s.leases));
        for lease in leases.filter(|l| l.claim == claim) {
            lease.submitted.get_or_insert((now, bytes));
            lease.beside = lease.beside.max(held);
        }
        true
    }

    /// Says which proof of a claim was verified, and what that took.
    pub fn judged(&mut self, uid: RequestUid, claim: ClaimId, proof: Digest, took: Duration) {
        let slices = self.find_mut(uid).into_iter().flat_map(|r| &mut r.slices);
        for lease in slices.flat_map(|s| &mut s.leases).filter(|l| l.claim == claim) {
            (lease.proof, lease.verifying) = (Some(proof), Some(took));
        }
    }

    /// Ends a claim. `false` when it has ended before.
    pub fn end(&mut self, uid: RequestUid, claim: ClaimId, end: AttemptEnd, now: Duration) -> bool {
        let Some(index) = self.requests.iter().position(|r| r.uid == uid) else {
            return false;
        };
        let request = &mut self.requests[index];
        let found = request.slices.iter().enumerate().find_map(|(at, s)| {
            let lease = s.leases.iter().position(|l| l.claim == claim);
            lease.map(|lease| (at, lease))
        });
        let Some((at, lease)) = found else { return false };
        let (enough, benchmark) = (request.is_verified(&request.slices[at]), request.benchmark);
        request.changed();
        let entry = &mut request.slices[at];
        let lease = entry.leases.remove(lease);
        let end = match end {
            AttemptEnd::Verified if enough => AttemptEnd::Overtaken,
            AttemptEnd::HandedBack(reason, message) if is_late(&lease, reason, now) => {
                AttemptEnd::HandedBackLate(reason, message)
            }
            other => other,
        };
        let attempt = ended((uid, benchmark), entry, &lease, now, end);
        let (blame, pool) = (attempt.end.blame(), &lease.pool);
        let fault = blame == Some(Blame::Miner);
        match blame {
            None => {
                entry.verified.insert(pool.clone());
            }
            Some(Blame::Miner) => entry.troubled(pool, true, FAILED, now),
            // What did not fit once will not fit again.
            Some(Blame::Infrastructure) => {
                let no_room = matches!(
                    attempt.end,
                    AttemptEnd::HandedBack(RefuseReason::TooLittleMemory, _)
                );
                let others = if no_room { FAILED } else { HANDED_BACK };
                entry.troubled(pool, false, others, now);
            }
            Some(Blame::Operator) if !lease.excused => entry.failed_here(now),
            Some(Blame::Operator | Blame::Nobody) => {}
        }
        if blame.is_some() && !lease.stands_in {
            entry.move_up();
        }
        if fault {
            *request.faults.entry(pool.clone()).or_default() += 1;
            request.give_up(at, pool, &attempt.end.message());
        }
        self.forget_if_left(index);
        let delivered = matches!(attempt.end, AttemptEnd::Overtaken);
        let blame = blame.filter(|_| !delivered);
        self.judge(&lease.pool, blame, now);
        // Of one from before a restart nobody knows how long the operator was away.
        if blame.is_none() && !lease.excused {
            self.measured(&lease.pool, attempt.work, attempt.elapsed, lease.beside);
        }
        self.held_now.changed(&lease.pool);
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
        let Some(index) = self.requests.iter().position(|r| r.uid == uid) else {
            return;
        };
        self.requests[index].changed();
        // Who stood in, and for whom, may be otherwise.
        self.held_now.clear();
        let mut slices = self.requests[index].slices.iter_mut();
        let taken = slices.find_map(|s| Some((s.take_back(claim)?, s.slice.predicted)));
        let Some((lease, work)) = taken else { return };
        self.standings.not_given(&lease.pool, work);
        self.granted.take_back(lease.since);
        self.forget_if_left(index);
    }

    /// A claim's proof could not be taken, and not for want of its worker: it is not to blame if none is taken.
    pub fn excuse(&mut self, uid: RequestUid, claim: ClaimId) {
        let slices = self.find_mut(uid).into_iter().flat_map(|r| &mut r.slices);
        for lease in slices.flat_map(|s| &mut s.leases).filter(|l| l.claim == claim) {
            lease.excused = true;
        }
    }

    /// Ends every claim whose lease is over without a proof.
    pub fn expire(&mut self, now: Duration) {
        if now < self.soonest {
            return;
        }
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
        let waits = self.leases().filter(|l| l.submitted.is_none());
        let soonest = waits.map(|l| l.expires).min();
        self.soonest = soonest.unwrap_or(Duration::MAX);
    }

    /// When something next happens by itself: a lease ends, a claim is late, a pause is over.
    #[must_use]
    pub fn next_wakeup(&self, now: Duration) -> Option<Duration> {
        let requests = self.requests.iter().flat_map(RequestEntry::wakeups);
        let pauses = self.standings.iter().filter_map(|(_, s)| s.breaker.wakeup());
        requests.chain(pauses).filter(|at| *at > now).min()
    }

    /// The attempts that have ended since the last call, in order.
    pub fn take_ended(&mut self) -> Vec<Attempt> {
        std::mem::take(&mut self.ended)
    }

    /// The requests of which nothing has been left since the last call.
    pub fn take_gone(&mut self) -> Vec<RequestUid> {
        std::mem::take(&mut self.gone)
    }
}
