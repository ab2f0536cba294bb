//! What the queue asks of pools that have no worker up.

use std::collections::BTreeMap;
use std::time::Duration;

use zkinfer_crds::RequestUid;

use super::PoolId;
use super::queue::Queue;
use super::request::{RequestEntry, SliceEntry};
use super::standing::Held;

/// What a queued request asks of its pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLoad {
    /// The request.
    pub uid: RequestUid,
    /// Slices that nobody is at work on, counted once per pool that shall prove them, and those that are late.
    pub open: u32,
    /// How many pools shall prove each slice.
    pub redundancy: u32,
    /// How long it has been in the queue.
    pub waited: Duration,
    /// Its pools: those whose turn it is first.
    pub pools: Vec<PoolLoad>,
}

/// A pool of a queued request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLoad {
    /// The pool.
    pub id: PoolId,
    /// A worker of it would be given a slice of the request now.
    pub serves: bool,
    /// Claims of the request that it holds.
    pub holds: u32,
}

impl Queue {
    /// What every request asks of its pools, in the order in which they are served. Benchmarks are for workers that are up already.
    #[must_use]
    pub fn loads(&self, now: Duration) -> Vec<RequestLoad> {
        let held = self.held();
        let requests = self.requests.iter().filter(|r| !r.over && !r.benchmark);
        requests.map(|r| self.load(r, &held, now)).collect()
    }

    /// The requests that a pool is one of the pools of.
    #[must_use]
    pub fn requests_of(&self, pool: &PoolId) -> Vec<RequestUid> {
        let of_pool = self.requests.iter().filter(|r| r.has(pool));
        of_pool.map(|r| r.uid).collect()
    }

    /// How many claims each pool has open.
    #[must_use]
    pub fn busy(&self) -> BTreeMap<PoolId, u32> {
        let held = self.held().into_iter();
        held.map(|(pool, held)| (pool, held.open)).collect()
    }

    fn load(&self, request: &RequestEntry, held: &BTreeMap<PoolId, Held>, now: Duration) -> RequestLoad {
        let late = |s: &SliceEntry| request.missing(s, now);
        let open = if request.is_active() {
            let open: usize = request.slices.iter().map(|s| request.open_places(s)).sum();
            let late: usize = request.slices.iter().map(late).sum();
            open + late.min(self.granted.most_hedges(now) as usize)
        } else {
            0
        };
        let mut pools: Vec<&PoolId> = request.pools.iter().collect();
        pools.sort_by_key(|id| self.standings.get(id).map(super::standing::Standing::turn));
        let pool = |id: &PoolId| {
            let held = held.get(id).copied().unwrap_or_default();
            let may = |s: &SliceEntry| {
                (request.open_places(s) > 0 || late(s) > 0)
                    && self.serves(request, s, id, held, now)
                    && request.may(s, id, |other| self.could(request, other, now), now)
            };
            let leases = request.slices.iter().flat_map(|s| &s.leases);
            let of_pool = leases.filter(|l| l.pool == *id && l.submitted.is_none());
            let standing = self.standings.get(id);
            PoolLoad {
                id: id.clone(),
                serves: standing.is_some_and(|s| !s.facts.drained && held.hedged == 0)
                    && request.slices.iter().any(may),
                holds: of_pool.count() as u32,
            }
        };
        RequestLoad {
            uid: request.uid,
            open: open as u32,
            redundancy: request.redundancy.min(u32::MAX as usize) as u32,
            waited: now.saturating_sub(request.since),
            pools: pools.into_iter().map(pool).collect(),
        }
    }
}
