//! What the queue knows of a pool, whatever request it works for: how much it may hold, and whose turn it is.
//!
//! Invariants: a pool never holds more claims than its workers can, and at first only [`WINDOW`], one more for each proof
//! that is verified and half as many after each fault, for nothing but proofs shows that workers are there, and no more than its own
//! proofs have shown to be of use to it ([`super::service`]). Whose turn it
//! is follows from the work that was given to each pool, with its score worth a fifth at most; no pool gains by what it
//! says of its size. Who comes or comes back begins at the turn that was served last, of what most pools could have been given:
//! a pool that has a client to itself moves nobody's turn. A pool that is made again, or in the stead of one that was paused, goes on
//! with its pause, its ration and what it may hold, for as long as the longest pause.

use std::collections::BTreeMap;
use std::time::Duration;

use zkinfer_crds::Identity;

use super::PoolId;
use super::breaker::{Breaker, LONGEST};
use super::service::Service;

/// Claims that a pool may hold before anything is known of it.
const WINDOW: u32 = 4;
/// A pool that has asked within this time is there.
pub(super) const THERE: Duration = Duration::from_secs(60);
const MILLION: u64 = 1_000_000;

/// What the operator's other rooms know of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolFacts {
    /// The miner.
    pub identity: Identity,
    /// The most claims that its workers can hold: workers times what one of them may.
    pub claims: u32,
    /// Its score.
    pub score_millionths: u32,
    /// It gets no new slices.
    pub drained: bool,
}

/// What a pool holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Claims without a proof.
    pub(super) open: u32,
    /// Those of them for which somebody else stands in.
    pub(super) hedged: u32,
}

/// What pools hold, of those that were asked for: as it stands in the claims, until one of that pool changes.
#[derive(Debug, Default)]
pub(super) struct HeldNow(BTreeMap<PoolId, Held>);

impl HeldNow {
    pub(super) fn of(&mut self, pool: &PoolId, count: impl FnOnce() -> Held) -> Held {
        if let Some(held) = self.0.get(pool) {
            return *held;
        }
        let held = count();
        self.0.insert(pool.clone(), held);
        held
    }

    /// A claim of the pool has changed.
    pub(super) fn changed(&mut self, pool: &PoolId) {
        self.0.remove(pool);
    }

    #[cfg(test)]
    pub(super) fn each(&self) -> impl Iterator<Item = (&PoolId, &Held)> {
        self.0.iter()
    }

    /// Anything has.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) facts: PoolFacts,
    pub(super) breaker: Breaker,
    pub(super) service: Service,
    window: u32,
    /// Microseconds of predicted work that it was given, by its own clock: see [`Standings::given`].
    given: u64,
    /// When it last asked.
    asked: Option<Duration>,
}

impl Standing {
    /// Whether it may hold one more claim.
    pub(super) fn has_room(&self, held: Held) -> bool {
        let most = self.facts.claims.min(self.window);
        let most = most.min(self.service.most().unwrap_or(most));
        !self.facts.drained && held.hedged == 0 && held.open < most
    }

    /// Whether its workers are there, as far as can be known.
    pub(super) fn is_there(&self, now: Duration) -> bool {
        self.asked.is_some_and(|at| now.saturating_sub(at) < THERE)
    }

    /// Whether it has shown a worker since the operator was started.
    pub(super) const fn has_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Whose turn it is: the least goes first.
    pub(super) fn turn(&self) -> (u64, std::cmp::Reverse<u32>) {
        (self.given, std::cmp::Reverse(self.facts.score_millionths))
    }

    /// What work counts for in its turn. A score of one makes it count for a sixth less.
    fn counts(&self, work: Duration) -> u64 {
        let work = (work.as_micros() as u64).clamp(1000, 3600 * MILLION);
        let weight = MILLION + u64::from(self.facts.score_millionths).min(MILLION) / 5;
        work * MILLION / weight
    }

    /// A proof that holds.
    pub(super) fn delivered(&mut self, now: Duration) {
        self.window = self.window.saturating_add(1).min(self.facts.claims.max(WINDOW));
        self.breaker.delivered(now);
    }

    /// A claim that ended by the miner's fault.
    pub(super) fn fault(&mut self, now: Duration) {
        self.shrink();
        self.breaker.fault(now);
    }

    /// One of its claims is so late that somebody else stands in.
    pub(super) fn shrink(&mut self) {
        self.window = (self.window / 2).max(1);
    }
}

/// What stays of a pool that is gone: who makes it again goes on from there.
#[derive(Debug)]
struct Gone {
    breaker: Breaker,
    window: u32,
    at: Duration,
}

/// Every pool.
#[derive(Debug, Default)]
pub(super) struct Standings {
    pools: BTreeMap<PoolId, Standing>,
    gone: BTreeMap<PoolId, Gone>,
    /// The turn of who was served last: who comes later begins there, and not at the beginning.
    clock: u64,
}

impl Standings {
    pub(super) fn get(&self, pool: &PoolId) -> Option<&Standing> {
        self.pools.get(pool)
    }

    pub(super) fn get_mut(&mut self, pool: &PoolId) -> Option<&mut Standing> {
        self.pools.get_mut(pool)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PoolId, &Standing)> {
        self.pools.iter()
    }

    /// Whether something is otherwise than before.
    pub(super) fn know(&mut self, pool: &PoolId, facts: PoolFacts, now: Duration) -> bool {
        if let Some(standing) = self.pools.get_mut(pool) {
            return std::mem::replace(&mut standing.facts, facts.clone()) != facts;
        }
        let (breaker, window) = match self.take_gone(pool, now) {
            Some(gone) => (gone.breaker, gone.window),
            None => (Breaker::new(now), WINDOW),
        };
        let standing = Standing {
            facts,
            breaker,
            service: Service::default(),
            window,
            given: self.clock,
            asked: None,
        };
        self.pools.insert(pool.clone(), standing);
        true
    }

    pub(super) fn forget(&mut self, pool: &PoolId, now: Duration) {
        let Some(Standing { breaker, window, .. }) = self.pools.remove(pool) else {
            return;
        };
        self.keep_gone(now);
        let gone = Gone {
            breaker,
            window,
            at: now,
        };
        self.gone.insert(pool.clone(), gone);
    }

    /// What stays of a pool, or of one of its namespace that was paused when it went: another name is no other miner.
    fn take_gone(&mut self, pool: &PoolId, now: Duration) -> Option<Gone> {
        self.keep_gone(now);
        if let Some(gone) = self.gone.remove(pool) {
            return Some(gone);
        }
        let of_namespace = self
            .gone
            .iter()
            .filter(|(id, _)| id.namespace() == pool.namespace());
        let paused = of_namespace.filter(|(_, gone)| gone.breaker.pause().is_some());
        let (id, _) = paused.min_by_key(|(_, gone)| gone.at)?;
        let id = id.clone();
        self.gone.remove(&id)
    }

    /// After the longest pause nothing of a pool that is gone matters.
    fn keep_gone(&mut self, now: Duration) {
        self.gone.retain(|_, gone| now.saturating_sub(gone.at) < LONGEST);
    }

    /// A worker of the pool asks. A pool that was away has saved nothing up.
    pub(super) fn asks(&mut self, pool: &PoolId, idle: bool, now: Duration) {
        if let Some(standing) = self.pools.get_mut(pool) {
            standing.asked = Some(now);
            if idle {
                standing.given = standing.given.max(self.clock);
            }
        }
    }

    /// The pool is given work that so many pools could have been given.
    pub(super) fn given(&mut self, pool: &PoolId, work: Duration, could: usize) {
        let of_most = could * 2 > self.pools.len();
        let Some(standing) = self.pools.get_mut(pool) else {
            return;
        };
        // What few may be given says nothing of whose turn it is among the others.
        if of_most {
            self.clock = self.clock.max(standing.given);
        }
        standing.given = standing.given.saturating_add(standing.counts(work));
    }

    /// The pool was not given that work after all.
    pub(super) fn not_given(&mut self, pool: &PoolId, work: Duration) {
        if let Some(standing) = self.pools.get_mut(pool) {
            standing.given = standing.given.saturating_sub(standing.counts(work));
        }
    }
}
