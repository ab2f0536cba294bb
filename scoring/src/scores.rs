//! Everybody's scores, by a rule, at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use zkinfer_crds::{ClaimId, Identity};

use crate::entry::Entry;
use crate::rules::{BUCKET_MILLIS, Owner, Rule, Seen, Total, Worth};
use crate::shares::{Standing, Weighed, Zero, weigh};

/// One miner's score, and how it came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// The owner: a namespace, or who is listed for it.
    pub owner: Arc<str>,
    /// What it has earned and owes.
    pub total: Total,
    /// What is left of that, and of its owner's debts.
    pub net: u128,
    /// Its weight before caps.
    pub uncapped: u128,
    /// Its weight.
    pub weight: u128,
    /// Its part of all weights, in millionths.
    pub share_millionths: u32,
    /// What it has earned, less what it owes, of what it could have: how good its work is, however much it is.
    pub quality_millionths: u32,
    /// Why it has none.
    pub zero: Option<Zero>,
}

/// Everybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scores {
    /// The rule.
    pub rule: Rule,
    /// The Unix millisecond that they are of.
    pub at: u64,
    /// Miners that have a claim in the window that bears on scores.
    pub miners: BTreeMap<Identity, Score>,
}

impl Scores {
    /// The scores of these entries at a time: entries of later than that have not happened yet, and of several of one claim
    /// the earliest counts.
    #[must_use]
    pub fn of(rule: &Rule, entries: &[Entry], at: u64) -> Self {
        let constants = rule.constants();
        let seen = Seen::new(entries, at, constants);
        let totals = rule.totals(&seen);
        let skipped = skipped(entries, at, constants.skip_hours);
        // Whose a miner is, says its latest claim.
        let mut latest: BTreeMap<Identity, ((u64, ClaimId), &Arc<str>)> = BTreeMap::new();
        for entry in entries.iter().filter(|e| e.at <= at) {
            let of = ((entry.at, entry.claim), &entry.namespace);
            let held = latest.entry(entry.miner).or_insert(of);
            *held = (*held).max(of);
        }
        let mut miners = Vec::new();
        let mut standings = Vec::new();
        for (miner, (_, namespace)) in &latest {
            let (total, until) = (totals.get(miner), skipped.get(miner));
            if total.is_none() && until.is_none() {
                continue;
            }
            miners.push(*miner);
            standings.push(Standing {
                owner: constants.owner(namespace),
                total: total.copied().unwrap_or_default(),
                skipped: until.copied(),
            });
        }
        let weighed = weigh(&standings, constants);
        let scores = standings
            .iter()
            .zip(weighed)
            .map(|(of, weighed)| score(of, weighed));
        Self {
            rule: rule.clone(),
            at,
            miners: miners.into_iter().zip(scores).collect(),
        }
    }

    /// What each entry of a miner adds to what it has earned (positive) or owes (negative): in the order of time, as the
    /// place among the entries given and the amount.
    #[must_use]
    pub fn explain<'a>(&'a self, entries: &'a [Entry], miner: &Identity) -> Vec<(&'a Entry, i128)> {
        let seen = Seen::new(entries, self.at, self.rule.constants());
        let worth = self.rule.worth(&seen).into_iter();
        let whole = |much: u128| i128::try_from(much).unwrap_or(i128::MAX);
        let signed = |worth: Worth| whole(worth.credit).saturating_sub(whole(worth.debit));
        worth
            .map(|(index, worth)| (seen.entries[index], signed(worth)))
            .filter(|(entry, _)| entry.miner == *miner)
            .collect()
    }
}

fn score(of: &Standing<'_>, weighed: Weighed) -> Score {
    let (Owner::Group(owner) | Owner::Namespace(owner)) = of.owner;
    Score {
        owner: owner.into(),
        total: of.total,
        net: weighed.net,
        uncapped: weighed.uncapped,
        weight: weighed.weight,
        share_millionths: weighed.share_millionths,
        quality_millionths: weighed.quality_millionths,
        zero: weighed.zero,
    }
}

/// Miners that handed in what was no proof of what was claimed, wherever: until when they are not counted.
fn skipped(entries: &[Entry], at: u64, hours: u64) -> BTreeMap<Identity, u64> {
    let mut until = BTreeMap::new();
    let lasts = hours.saturating_mul(BUCKET_MILLIS);
    for entry in entries.iter().filter(|e| e.lie() && e.at <= at) {
        let ends = entry.at.saturating_add(lasts);
        if ends > at {
            let held: &mut u64 = until.entry(entry.miner).or_default();
            *held = (*held).max(ends);
        }
    }
    until
}
