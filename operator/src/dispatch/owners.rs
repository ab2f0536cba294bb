//! Whose pools are: what makes a claim contested, and who stands in for whom.
//!
//! Invariants: an owner is a namespace, or several that the Validator lists as one; miners of one owner, and pools of one miner,
//! are no competitors of each other. A pool is a candidate for a claim only if it could have been given it, and has shown a worker:
//! one that is paused, has failed at the request, or never had a worker makes no claim of another's contested.

use std::collections::BTreeMap;
use std::time::Duration;

use zkinfer_scoring::Owner;

use super::PoolId;
use super::dispatcher::{Dispatcher, lock};
use super::queue::Queue;
use super::request::{Lease, RequestEntry};
use super::waiting::Waiting;

impl Queue {
    /// Which namespaces have one owner, from now on; claims that were granted keep what was found of them.
    pub fn set_owners(&mut self, owners: BTreeMap<String, String>) {
        self.owners = owners;
    }

    fn owner<'a>(&'a self, pool: &'a PoolId) -> Owner<'a> {
        Owner::of(&self.owners, pool.namespace())
    }

    /// Whether a worker is of the same miner, or of the same owner, as one who holds a claim.
    pub(super) fn shares(&self, waiting: &Waiting, leases: &[Lease]) -> bool {
        let owner = self.owner(&waiting.pool);
        let shares = |l: &Lease| l.identity == waiting.identity || self.owner(&l.pool) == owner;
        leases.iter().any(shares)
    }

    /// Whether two of the candidates for a request's slices are of different miners and of different owners.
    pub(super) fn is_contested(&self, request: &RequestEntry, now: Duration) -> bool {
        let candidate = |pool: &PoolId| {
            let standing = self.standings.get(pool).filter(|s| s.has_asked())?;
            let could = self.could(request, pool, now);
            could.then_some(standing.facts.identity)
        };
        let pools = request.pools.iter();
        let mut candidates = pools.filter_map(|pool| Some((self.owner(pool), candidate(pool)?)));
        let Some(first) = candidates.next() else {
            return false;
        };
        // Who is not both another owner's and another miner than the first shares one of them with it. Of two that share
        // different ones neither is in common.
        let (mut shares_owner, mut shares_miner) = (false, false);
        for (owner, miner) in candidates {
            match (owner == first.0, miner == first.1) {
                (false, false) => return true,
                (true, false) => shares_owner = true,
                (false, true) => shares_miner = true,
                (true, true) => {}
            }
        }
        shares_owner && shares_miner
    }
}

impl Dispatcher {
    /// Which namespaces have one owner, from now on; open claims keep what was found of them.
    pub fn set_owners(&self, owners: BTreeMap<String, String>) {
        lock(&self.state).queue.set_owners(owners);
    }
}
