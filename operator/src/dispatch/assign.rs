//! Who is given what: slices in their order, each to the pool whose turn it is.
//!
//! Invariants: every pool of a request may be given every slice of it, and an idle worker that may prove a slice is never
//! kept from it while one is open. Among the pools that have a worker free the one goes first that was given the least
//! work, so that none starves; the score decides between equals and is worth a fifth at most. A pool is barred from what
//! others can take while it has failed too often, and from everything while somebody stands in for it. Pools that may not
//! see a request are none of its pools.
//!
//! Requests go by priority and age, benchmarks after all others, a request's slices by weight, those that are late after those that
//! nobody holds.

use std::time::Duration;

use zkinfer_crds::{ClaimId, Identity};

use super::PoolId;
use super::queue::Queue;
use super::request::{Lease, RequestEntry, SliceEntry, Worker, max_bytes};
use super::standing::{Held, HeldNow};
use super::waiting::{Claimed, ClaimedSlice, Ticket, Waiting};

/// A lease is this many times what the slice takes by the pool's own latest proofs, within limits: a slow but honest miner is not
/// punished, and what a quick one has lost others have soon.
const LEASE_FACTOR: u32 = 8;
/// Workers of a pool that wait in the queue: twice the claims that they may hold, for some come back while others still wait, a few
/// beside, and never more than this, since what a pool says of its size the miner has chosen.
const MOST_WAITING: u32 = 1024;
const WAITING_BESIDE: u32 = 8;

impl Queue {
    /// A worker waits for a slice from now on. One of a pool of which more wait than can be of use is given none: all who wait are
    /// looked at for each slice.
    pub fn ask(
        &mut self,
        ticket: Ticket,
        (pool, identity): (&PoolId, Identity),
        worker: Worker,
        now: Duration,
    ) {
        let holds = self.leases().any(|l| l.pool == *pool && l.submitted.is_none());
        let waiting = self.waiting.iter().filter(|w| w.pool == *pool).count();
        self.standings.asks(pool, !holds && waiting == 0, now);
        let claims = self.standings.get(pool).map_or(0, |s| s.facts.claims);
        let most = claims.saturating_mul(2).saturating_add(WAITING_BESIDE);
        if waiting >= most.min(MOST_WAITING) as usize {
            return;
        }
        self.waiting.push(Waiting {
            ticket,
            pool: pool.clone(),
            identity,
            worker,
        });
    }

    /// A worker waits no more.
    pub fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|w| w.ticket != ticket);
    }

    /// Gives slices to the workers that wait, under fresh claim ids; who has an answer waits no more.
    pub fn assign(&mut self, now: Duration, fresh: &mut dyn FnMut() -> ClaimId) -> Vec<(Ticket, Claimed)> {
        self.expire(now);
        let mut answers = self.sent_home();
        if self.waiting.is_empty() {
            return answers;
        }
        let mut held = std::mem::take(&mut self.held_now);
        // Found when the first benchmark's turn comes: by then the others have what there is for them.
        let mut organic = None;
        for at in 0..self.requests.len() {
            if self.waiting.is_empty() {
                break;
            }
            let request = &self.requests[at];
            let before = match request.benchmark {
                true => organic.get_or_insert_with(|| self.organic_open(now)).as_slice(),
                false => &[],
            };
            if !request.is_active() || now < request.nothing_before {
                continue;
            }
            let wanted = wanted(request, now);
            if wanted.is_empty() {
                self.requests[at].nothing_before = request.next_missing();
                continue;
            }
            for (slice, stands_in) in wanted {
                if stands_in && self.hedges(now) >= self.granted.most_hedges(now) {
                    continue;
                }
                let Some(index) = self.best((at, slice, stands_in), before, &mut held, now) else {
                    continue;
                };
                let waiting = self.waiting.remove(index);
                let pool = &waiting.pool;
                let beside = held.of(pool, || self.held_by(pool)).open + 1;
                let claimed = self.grant((at, slice), &waiting, (stands_in, beside), fresh(), now);
                if stands_in {
                    // Whose late claim it is has changed too.
                    held.clear();
                } else {
                    held.changed(&waiting.pool);
                }
                answers.push((waiting.ticket, Claimed::Slice(claimed)));
            }
        }
        self.held_now = held;
        answers
    }

    /// What is remembered, so that it is not looked for again, is what would be found.
    #[cfg(test)]
    pub(super) fn assert_remembers(&self, now: Duration) {
        for (pool, held) in self.held_now.each() {
            assert_eq!(*held, self.held_by(pool), "{pool}");
        }
        for request in self.requests.iter().filter(|r| now < r.nothing_before) {
            assert_eq!(wanted(request, now), [], "{}", request.uid);
        }
        for lease in self.leases().filter(|l| l.submitted.is_none()) {
            assert!(self.soonest <= lease.expires);
        }
    }

    /// Claims that stand in for others and may be in time: one that is late itself is no more than those that it stands in for.
    pub(super) fn hedges(&self, now: Duration) -> u64 {
        let slices = self.requests.iter().flat_map(|r| &r.slices);
        let hedges = slices.flat_map(|s| s.leases.iter().filter(move |l| !s.is_late(l, now)));
        hedges.filter(|l| l.stands_in && l.submitted.is_none()).count() as u64
    }

    /// Workers that are there for one request are sent home when it is over, or no longer their pool's or for its eyes.
    fn sent_home(&mut self) -> Vec<(Ticket, Claimed)> {
        let (requests, standings) = (&self.requests, &self.standings);
        let over = |w: &Waiting| {
            let Some(uid) = w.worker.request else { return false };
            let drained = standings.get(&w.pool).is_none_or(|s| s.facts.drained);
            let request = requests.iter().find(|r| r.uid == uid);
            drained
                || request.is_none_or(|r| r.over || r.failed.is_some() || r.all_verified() || !r.has(&w.pool))
                || !self.may_see(uid, &w.pool, &w.identity)
        };
        let tickets: Vec<Ticket> = self
            .waiting
            .iter()
            .filter(|w| over(w))
            .map(|w| w.ticket)
            .collect();
        self.waiting.retain(|w| !tickets.contains(&w.ticket));
        tickets
            .into_iter()
            .map(|ticket| (ticket, Claimed::Over))
            .collect()
    }

    /// The worker that a slice goes to: of the pools that may take it the one whose turn it is, equal turns by name, so that
    /// every planner chooses the same; of that pool's workers one that is there for this request alone, then who came first. For a
    /// claim that is late somebody stands in who is neither the same miner nor of the same owner, if there is one: what keeps one
    /// pool of theirs may keep the others. Nobody for whom a slice of one of the requests `before` waits.
    fn best(
        &self,
        (at, slice, stands_in): (usize, usize, bool),
        before: &[usize],
        held: &mut HeldNow,
        now: Duration,
    ) -> Option<usize> {
        let request = &self.requests[at];
        let entry = &request.slices[slice];
        let mut best = None;
        for (index, waiting) in self.waiting.iter().enumerate() {
            let Waiting { pool, worker, .. } = waiting;
            let Some(standing) = self.standings.get(pool) else {
                continue;
            };
            let shares = stands_in && self.shares(waiting, &entry.leases);
            let turn = (shares, standing.turn(), pool, worker.request.is_none());
            // Most are not looked at any closer.
            if best.as_ref().is_some_and(|(of, _)| *of <= turn) {
                continue;
            }
            let fits = worker.request.is_none_or(|uid| uid == request.uid)
                && worker.fits(&entry.slice)
                && request.has(pool)
                && self.may_see(request.uid, pool, &waiting.identity)
                && !self.is_waited_for(waiting, before);
            if fits && self.may_take(request, entry, pool, held.of(pool, || self.held_by(pool)), now) {
                best = Some((turn, index));
            }
        }
        best.map(|(_, index)| index)
    }

    fn may_take(
        &self,
        request: &RequestEntry,
        entry: &SliceEntry,
        pool: &PoolId,
        held: Held,
        now: Duration,
    ) -> bool {
        let has_room = self.standings.get(pool).is_some_and(|s| s.has_room(held));
        has_room
            && self.serves(request, entry, pool, held, now)
            && request.may(entry, pool, |other| self.could(request, other, now), now)
    }

    /// Whether a pool may be given a slice at all: one that has failed too often gets only what no other can take.
    pub(super) fn serves(
        &self,
        request: &RequestEntry,
        entry: &SliceEntry,
        pool: &PoolId,
        held: Held,
        now: Duration,
    ) -> bool {
        let Some(standing) = self.standings.get(pool) else {
            return false;
        };
        let barred = request.faulty(pool) || !standing.breaker.lets(held.open, now);
        let others = || {
            let able = |p: &&PoolId| *p != pool && entry.is_new_to(p) && self.could(request, p, now);
            request.pools.iter().any(|p| able(&p))
        };
        request.has(pool) && self.lets_see(request.uid, pool) && !(barred && others())
    }

    /// Whether another pool can be waited for: it is not barred itself, and is there, or may be expected to come.
    pub(super) fn could(&self, request: &RequestEntry, pool: &PoolId, now: Duration) -> bool {
        let expected = now.saturating_sub(request.since) < super::standing::THERE;
        self.standings.get(pool).is_some_and(|s| {
            !s.facts.drained
                && !request.faulty(pool)
                && s.breaker.lets(0, now)
                && (expected || s.is_there(now))
                && self.may_see(request.uid, pool, &s.facts.identity)
        })
    }

    fn grant(
        &mut self,
        (at, slice): (usize, usize),
        waiting: &Waiting,
        (stands_in, beside): (bool, u32),
        claim: ClaimId,
        now: Duration,
    ) -> ClaimedSlice {
        let request = &self.requests[at];
        let contested = self.is_contested(request, now);
        let could = request.pools.len();
        let predicted = request.slices[slice].slice.predicted;
        let standing = self.standings.get(&waiting.pool);
        let takes = standing.map_or(predicted, |s| s.service.takes(predicted));
        let request = &mut self.requests[at];
        let entry = &mut request.slices[slice];
        entry.attempts += 1;
        let (least, longest) = self.leases;
        let lasts = |takes: Duration| {
            takes
                .saturating_mul(LEASE_FACTOR)
                .clamp(least, longest.max(least))
        };
        // Who is honest would be done after twice the time that it takes, a quarter of the lease; and what a pool that is quick at
        // other slices needs for this one is not known.
        let (lasts, free) = (lasts(takes), lasts(takes.max(predicted)) / 4);
        let mut hedges = None;
        if stands_in && let Some(late) = entry.latest(now) {
            let late = &mut entry.leases[late];
            hedges = (!std::mem::replace(&mut late.hedged, true)).then_some(late.claim);
            // Once for each claim: who stands in may be taken back, and others come.
            if !std::mem::replace(&mut late.told_late, true)
                && let Some(standing) = self.standings.get_mut(&late.pool)
            {
                standing.shrink();
            }
        }
        entry.leases.push(Lease {
            contested,
            stands_in,
            hedges,
            beside,
            free,
            ..Lease::new(waiting, claim, entry.attempts, now, lasts)
        });
        self.soonest = self.soonest.min(now + lasts);
        self.standings.given(&waiting.pool, predicted, could);
        self.granted.add(now);
        ClaimedSlice {
            request: request.uid,
            slice: entry.slice.index,
            claim,
            attempt: entry.attempts,
            lease: lasts,
            max_bytes: max_bytes(),
            contested,
            stands_in,
        }
    }
}

/// The places of a request that are to be filled, in order: the slice, and whether somebody is to stand in.
fn wanted(request: &RequestEntry, now: Duration) -> Vec<(usize, bool)> {
    let mut wanted = Vec::new();
    for (at, entry) in request.slices.iter().enumerate() {
        let open = request.open_places(entry);
        wanted.extend(std::iter::repeat_n((at, false), open));
        let missing = if request.benchmark {
            0
        } else {
            request.missing(entry, now)
        };
        wanted.extend(std::iter::repeat_n((at, true), missing));
    }
    let weight = |at: usize| std::cmp::Reverse(request.slices[at].slice.predicted);
    // Nobody stands in a second time before somebody has everywhere.
    let tried = |at: usize| request.slices[at].leases.len();
    let order = |(at, stands_in): &(usize, bool)| (stands_in.then(|| tried(*at)), weight(*at), *at);
    wanted.sort_by_key(order);
    wanted
}

impl Lease {
    /// A claim that is granted now.
    pub(super) fn new(
        waiting: &Waiting,
        claim: ClaimId,
        number: u32,
        now: Duration,
        lasts: Duration,
    ) -> Self {
        Self {
            claim,
            pool: waiting.pool.clone(),
            identity: waiting.identity,
            worker: waiting.worker.name.clone(),
            number,
            since: now,
            expires: now + lasts,
            submitted: None,
            proof: None,
            verifying: None,
            excused: false,
            contested: false,
            stands_in: false,
            hedges: None,
            hedged: false,
            told_late: false,
            free: lasts / 4,
            beside: 0,
        }
    }
}
