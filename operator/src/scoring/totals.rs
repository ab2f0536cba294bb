//! What the whole ledger adds up to, miner by miner.
//!
//! Invariants: of entries that no score needs any more only counts are kept; what is told is the same whether it was read from all
//! entries or from a checkpoint and what follows it, in whatever order; a score belongs to an identity: a pool of another
//! name with the same key goes on with it, one of the same name with another key begins anew.

use std::collections::{BTreeMap, HashSet};

use zkinfer_crds::{ClaimId, Identity};
use zkinfer_scoring::ledger::Ledger;
use zkinfer_scoring::{BUCKET_MILLIS, Rule, Score, Scores};

use super::explained::{Explained, Standing};
use super::history::{HOUR, History, Series, Spans, Trend};
use super::score::{MinerScore, MinerTotals};
use crate::dispatch::Entry;

/// Scores are a millisecond old for each so many entries that they are of, at most: what they cost is a small part of the time.
const ENTRIES_PER_MILLI: u64 = 20;

/// See the module. Each entry is added once.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    rule: Rule,
    miners: BTreeMap<Identity, MinerTotals>,
    /// Those that bear on scores, or will.
    entries: Vec<zkinfer_scoring::Entry>,
    scores: Option<Scores>,
    history: History,
    /// An entry has been added since.
    changed: bool,
    /// All that the store has was added at the start.
    whole: bool,
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
        let mut totals = Self {
            whole: true,
            ..Self::new(rule)
        };
        entries.into_iter().for_each(|entry| totals.add(entry));
        totals
    }

    /// The totals of a ledger, and of entries that stand in none of its segments.
    #[must_use]
    pub fn of_ledger<'a>(rule: Rule, ledger: &Ledger, standing: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut totals = Self {
            whole: true,
            ..Self::new(rule)
        };
        for (miner, lifetime) in ledger.lifetimes() {
            totals.miners.insert(*miner, MinerTotals::of(lifetime));
        }
        for ((hour, miner, model), counted) in ledger.hours() {
            totals
                .history
                .add_hour(hour.saturating_mul(HOUR), *miner, *model, counted);
        }
        for entry in ledger.entries() {
            totals.count(&Entry::of_ledger(entry));
            totals.entries.push(entry.clone());
        }
        totals.changed = true;
        standing.into_iter().for_each(|entry| totals.add(entry));
        totals
    }

    /// Adds a claim that has ended.
    pub fn add(&mut self, entry: &Entry) {
        self.count(entry);
        // An entry whose cause is a word of another version is counted, and scores nothing.
        if let Some(scored) = entry.scored() {
            self.entries.push(scored);
            self.changed = true;
        }
    }

    fn count(&mut self, entry: &Entry) {
        self.miners.entry(entry.identity).or_default().add(entry);
        self.history.add(entry);
    }

    /// Scores are by this rule from now on. Whether it looks further back than the one before, so that entries that were let go are
    /// of use again.
    #[must_use]
    pub fn score_by(&mut self, rule: &Rule) -> bool {
        if self.rule == *rule {
            return false;
        }
        let further = self.whole && reach(rule) > reach(&self.rule);
        self.rule = rule.clone();
        self.scores = None;
        further
    }

    /// Adds those of these entries that were let go: scores alone see them, since they are counted.
    pub fn recall(&mut self, entries: impl IntoIterator<Item = zkinfer_scoring::Entry>) {
        let here: HashSet<ClaimId> = self.entries.iter().map(|entry| entry.claim).collect();
        let gone = entries.into_iter().filter(|entry| !here.contains(&entry.claim));
        self.entries.extend(gone);
        self.scores = None;
    }

    /// A miner's score at a time, in Unix milliseconds.
    #[must_use]
    pub fn score(&mut self, miner: &Identity, now: u64) -> MinerScore {
        self.refresh(now);
        let score = self.scores.as_ref().and_then(|scores| scores.miners.get(miner));
        let totals = self.miners.get(miner);
        totals.map(|totals| totals.told(score)).unwrap_or_default()
    }

    /// What ended in the last `hours`, of everybody's claims or of some, in at most 120 spans.
    #[must_use]
    pub fn spans(&self, of: &Series, now: u64, hours: u64) -> Spans {
        self.history.spans(of, now, hours)
    }

    /// How a miner has worked in the last [`TREND_HOURS`](super::TREND_HOURS); nothing of one that has ended no claim.
    #[must_use]
    pub fn trend(&self, miner: &Identity, now: u64) -> Option<Trend> {
        self.history.trend(miner, now)
    }

    /// Why a miner has its score, with the latest `most` of the claims that bear on it; nothing where none does.
    #[must_use]
    pub fn explain(&mut self, miner: &Identity, now: u64, most: usize) -> Option<Explained> {
        self.refresh(now);
        let scores = self.scores.as_ref()?;
        let score = scores.miners.get(miner)?.clone();
        let all = scores.explain(&self.entries, miner);
        let latest = all.iter().rev().take(most);
        Some(Explained {
            rule: scores.rule.clone(),
            at: scores.at,
            score,
            entries: latest.map(|(entry, worth)| ((*entry).clone(), *worth)).collect(),
            count: all.len(),
        })
    }

    /// How the `most` miners with the greatest shares stand.
    #[must_use]
    pub fn standing(&mut self, now: u64, most: usize) -> Standing {
        self.refresh(now);
        let scores = self.scores.as_ref();
        let miners = scores.into_iter().flat_map(|scores| &scores.miners);
        let mut miners: Vec<_> = miners.map(|(miner, score)| (*miner, score.clone())).collect();
        let order = |(miner, score): &(Identity, Score)| {
            let best = (score.share_millionths, score.quality_millionths);
            (std::cmp::Reverse(best), *miner)
        };
        miners.sort_by_key(order);
        miners.truncate(most);
        Standing {
            rule: self.rule.clone(),
            at: scores.map_or(now, |scores| scores.at),
            miners,
        }
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
        let from = (now / BUCKET_MILLIS).saturating_sub(reach(&self.rule));
        self.entries.retain(|entry| entry.at / BUCKET_MILLIS >= from);
        // What a start has read of a long ledger is given back.
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(2 * self.entries.len());
        }
        self.scores = Some(Scores::of(&self.rule, &self.entries, now));
        self.changed = false;
    }
}

/// The hours that a rule looks back.
fn reach(rule: &Rule) -> u64 {
    let constants = rule.constants();
    constants.window_hours.max(constants.skip_hours)
}
