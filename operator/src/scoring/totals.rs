//! What the whole ledger adds up to, miner by miner and slice by slice.
//!
//! Invariants: what is kept, and what a score costs, grows with the miners and the slices that they have proved, and not
//! with the claims that they ended; a score belongs to an identity: a pool of another name with the same key goes on with
//! it, one of the same name with another key begins anew.

use std::collections::BTreeMap;

use zkinfer_crds::{Digest, Identity};

use super::score::{MinerScore, MinerTotals, OfSlice};
use crate::dispatch::Entry;

/// See the module. Entries are added in the order in which claims ended, each once.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    miners: BTreeMap<Identity, MinerTotals>,
    slices: BTreeMap<Digest, OfSlice>,
}

impl Totals {
    /// Adds a claim that has ended.
    pub fn add(&mut self, entry: &Entry) {
        let miner = self.miners.entry(entry.identity).or_default();
        miner.add(entry);
        // Only what scores is compared with.
        if let Some(digest) = entry.digest.filter(|_| entry.scores && entry.verified) {
            let own = miner.slices.entry(digest).or_default();
            self.slices.entry(digest).or_default().add(own, entry);
        }
    }

    /// A miner's score.
    #[must_use]
    pub fn score(&self, miner: &Identity) -> MinerScore {
        let totals = self.miners.get(miner);
        totals.map(|t| t.score(&self.slices)).unwrap_or_default()
    }
}

impl<'a> FromIterator<&'a Entry> for Totals {
    fn from_iter<I: IntoIterator<Item = &'a Entry>>(entries: I) -> Self {
        let mut totals = Self::default();
        entries.into_iter().for_each(|entry| totals.add(entry));
        totals
    }
}
