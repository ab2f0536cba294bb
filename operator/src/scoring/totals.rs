//! What the whole ledger adds up to, miner by miner.
//!
//! Invariants: of entries that no score needs any more only counts are kept; a score belongs to an identity: a pool of another
//! name with the same key goes on with it, one of the same name with another key begins anew.

use std::collections::BTreeMap;

use zkinfer_crds::Identity;
use zkinfer_scoring::{BUCKET_MILLIS, Rule, Scores};

use super::score::{MinerScore, MinerTotals};
use crate::dispatch::Entry;

/// Scores are a millisecond old for each so many entries that they are of, at most: what they cost is a small part of the time.
const ENTRIES_PER_MILLI: u64 = 20;

/// See the module. Entries are added in the order in which claims ended, each once.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    rule: Rule,
    miners: BTreeMap<Identity, MinerTotals>,
    /// Those that bear on scores, or will.
    entries: Vec<zkinfer_scoring::Entry>,
    scores: Option<Scores>,
    /// An entry has been added since.
    changed: bool,
}

impl Totals {
    /// Nothing yet.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self {
            rule,
            ..Self::default()
        }
    }

    /// The totals of these entries.
    #[must_use]
    pub fn of<'a>(rule: Rule, entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut totals = Self::new(rule);
        entries.into_iter().for_each(|entry| totals.add(entry));
        totals
    }

    /// Adds a claim that has ended.
    pub fn add(&mut self, entry: &Entry) {
        self.miners.entry(entry.identity).or_default().add(entry);
        // An entry whose cause is a word of another version is counted, and scores nothing.
        if let Some(scored) = entry.scored() {
            self.entries.push(scored);
            self.changed = true;
        }
    }

    /// A miner's score at a time, in Unix milliseconds.
    #[must_use]
    pub fn score(&mut self, miner: &Identity, now: u64) -> MinerScore {
        self.refresh(now);
        let score = self.scores.as_ref().and_then(|scores| scores.miners.get(miner));
        let totals = self.miners.get(miner);
        totals.map(|totals| totals.told(score)).unwrap_or_default()
    }

    /// Everybody's scores at a time, in Unix milliseconds, by entries that may be a moment old.
    pub fn scores(&mut self, now: u64) -> Option<&Scores> {
        self.refresh(now);
        self.scores.as_ref()
    }

    /// The entries that bear on scores, or will: those of the rule's window, and what has ended since the last score.
    #[must_use]
    pub fn entries(&self) -> &[zkinfer_scoring::Entry] {
        &self.entries
    }

    fn refresh(&mut self, now: u64) {
        let old = self.entries.len() as u64 / ENTRIES_PER_MILLI;
        let fresh = self.scores.as_ref().is_some_and(|scores| {
            let same_hour = scores.at / BUCKET_MILLIS == now / BUCKET_MILLIS;
            same_hour && (!self.changed || now.saturating_sub(scores.at) < old)
        });
        if fresh {
            return;
        }
        let constants = self.rule.constants();
        let hours = constants.window_hours.max(constants.skip_hours);
        let from = (now / BUCKET_MILLIS).saturating_sub(hours);
        self.entries.retain(|entry| entry.at / BUCKET_MILLIS >= from);
        self.scores = Some(Scores::of(&self.rule, &self.entries, now));
        self.changed = false;
    }
}
