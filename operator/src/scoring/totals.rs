//! What the whole ledger adds up to, pool by pool.
//!
//! Invariant: what is kept, and what a score costs, grows with the pools and not with the claims that they ended.

use std::collections::BTreeMap;

use super::ledger::Entry;
use super::score::{PoolScore, PoolTotals};
use crate::dispatch::PoolId;

/// See the module. Entries are added in the order in which claims ended, each once.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    pools: BTreeMap<PoolId, PoolTotals>,
    /// The smallest proof that was verified.
    least_bytes: Option<u64>,
}

impl Totals {
    /// Adds a claim that has ended.
    pub fn add(&mut self, entry: &Entry) {
        if entry.verified {
            self.least_bytes = self.least_bytes.into_iter().chain(entry.bytes).min();
        }
        self.pools.entry(entry.pool.clone()).or_default().add(entry);
    }

    /// A pool's score.
    #[must_use]
    pub fn score(&self, pool: &PoolId) -> PoolScore {
        let totals = self.pools.get(pool);
        totals.map(|t| t.score(self.least_bytes)).unwrap_or_default()
    }
}

impl<'a> FromIterator<&'a Entry> for Totals {
    fn from_iter<I: IntoIterator<Item = &'a Entry>>(entries: I) -> Self {
        let mut totals = Self::default();
        entries.into_iter().for_each(|entry| totals.add(entry));
        totals
    }
}
