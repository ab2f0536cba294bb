//! What the pools' controller works with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::MinerPoolStatus;

use super::news::Choice;
use super::trouble::Trouble;
use crate::dispatch::PoolId;
use crate::fleet::Refusal;
use crate::scoring::Totals;
use crate::world::{Records, World, lock};

/// Of the pools' controller.
pub struct Pools {
    /// What all controllers share.
    pub world: Arc<World>,
    records: Records<PoolId, PoolRecord>,
    ledger: Mutex<Totals>,
}

impl Pools {
    /// Nothing is known of them but what the ledger adds up to.
    #[must_use]
    pub fn new(world: Arc<World>, ledger: Totals) -> Self {
        Self {
            world,
            records: Records::default(),
            ledger: Mutex::new(ledger),
        }
    }

    /// What is known of pools.
    pub fn records(&self) -> MutexGuard<'_, BTreeMap<PoolId, PoolRecord>> {
        self.records.lock()
    }

    /// What the ledger adds up to.
    pub fn ledger(&self) -> MutexGuard<'_, Totals> {
        lock(&self.ledger)
    }

    /// Warm workers of a pool that are up.
    #[must_use]
    pub fn warm(&self, pool: &PoolId) -> u32 {
        self.records().get(pool).map_or(0, |p| p.warm_ready)
    }
}

/// What is known of a pool beside its status.
#[derive(Default)]
pub struct PoolRecord {
    /// The generation that was looked at last.
    pub generation: Option<i64>,
    /// The generation whose objects were applied.
    pub applied: Option<i64>,
    /// Warm workers that are up.
    pub warm_ready: u32,
    /// Its objects that the API server has refused.
    pub objects_refused: Option<Refusal>,
    /// Its Jobs that the API server has refused.
    pub jobs_refused: Option<Refusal>,
    /// Why there are fewer warm workers than there should be, in the words of Kubernetes.
    pub warm_refused: Option<String>,
    /// What keeps workers from running.
    pub trouble: Option<Trouble>,
    /// Requests that were told of the trouble.
    pub warned: BTreeSet<RequestUid>,
    /// It is looked at again soon, for pods that are to come.
    pub looking: bool,
    /// What requests choose by, as it was when they were last told.
    pub told: Option<Choice>,
    /// The status as written last, and when.
    pub written: Option<(MinerPoolStatus, Instant)>,
}
