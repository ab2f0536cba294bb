//! A moving mean of each proof's place between the network's least and greatest time.
//!
//! ```text
//! t_min(key) = least of the miners' latest verified times of the slice
//! t_max(key) = median of the slowest 5 % of them (at least one); at least t_min + 1 s
//! n          = min((t - t_min) / (t_max - t_min), 0.99)
//! score     += 0.1 · (1 - curve(n) - score)       a verified proof
//! score      = 0.6 · score                        the miner's fault
//! ```
//!
//! Times are those at the end of the minute in which a claim ended, and claims of a minute are taken in the order of their
//! ids: what came first within a minute makes no difference. It is here to be compared with: how much a
//! miner did makes no difference either, so that a machine under two names scores twice.

use std::collections::{BTreeMap, BTreeSet};

use zkinfer_crds::{Digest, Identity};

use super::{Constants, Seen, TICK_MILLIS, Total, Worth};
use crate::entry::Entry;
use crate::fixed::{ONE, curve, part, ratio};

/// 0.1 and 0.6, with 32 bits behind the point.
const RECOVERY: u64 = ONE / 10;
const KEPT: u64 = ONE / 10 * 6;
const GREATEST: u64 = ONE / 100 * 99;
/// What a fast miner has: it is worth as much as a second of work, so that shares have all their digits.
const UNIT: u128 = 1 << 32;

pub(super) fn constants() -> Constants {
    Constants {
        cold_start: 0,
        skip_hours: 0,
        owner_cap_millionths: 1_000_000,
        power_millionths: 1_000_000,
        ..super::speed_size_accuracy::constants()
    }
}

/// Least and greatest of the latest times.
fn ends(latest: &BTreeMap<Identity, u64>) -> (u64, u64) {
    let mut times: Vec<u64> = latest.values().copied().collect();
    let least = times.iter().min().copied().unwrap_or_default();
    if times.len() < 2 {
        return (0, 60_000_000);
    }
    // The median of the slowest is one of them: nothing has to be sorted.
    let slowest = (times.len() / 20).max(1);
    let at = times.len() - 1 - slowest / 2;
    let (_, greatest, _) = times.select_nth_unstable(at);
    (least, (*greatest).max(least.saturating_add(1_000_000)))
}

fn value(micros: u64, (least, greatest): (u64, u64)) -> u64 {
    let over = u128::from(micros.saturating_sub(least));
    let n = ratio(over, u128::from(greatest.saturating_sub(least).max(1)));
    ONE - curve(n.min(GREATEST))
}

/// Calls `change` with each entry's place, its miner's score before it, and after.
fn follow(seen: &Seen<'_>, mut change: impl FnMut(usize, u64, u64)) -> BTreeMap<Identity, (u64, u64)> {
    let mut latest: BTreeMap<Digest, BTreeMap<Identity, u64>> = BTreeMap::new();
    let mut scores: BTreeMap<Identity, (u64, u64)> = BTreeMap::new();
    let tick = |e: &Entry| e.at / TICK_MILLIS;
    let mut index = 0;
    for of_tick in seen.entries.chunk_by(|a, b| tick(a) == tick(b)) {
        let mut touched = BTreeSet::new();
        for entry in of_tick.iter().filter(|e| e.verified()) {
            let Some(key) = entry.key else { continue };
            latest.entry(key).or_default().insert(entry.miner, entry.micros);
            touched.insert(key);
        }
        let ends: BTreeMap<Digest, (u64, u64)> = touched
            .iter()
            .filter_map(|key| Some((*key, ends(latest.get(key)?))))
            .collect();
        for entry in of_tick {
            let (score, samples) = scores.entry(entry.miner).or_default();
            let before = *score;
            if entry.fault() {
                *score = part(u128::from(before), KEPT) as u64;
            } else if let Some(ends) = entry.key.and_then(|key| ends.get(&key)) {
                let kept = part(u128::from(before), ONE - RECOVERY);
                let new = part(u128::from(value(entry.micros, *ends)), RECOVERY);
                *score = (kept + new) as u64;
                *samples += 1;
            }
            change(index, before, *score);
            index += 1;
        }
    }
    scores
}

pub(super) fn totals(seen: &Seen<'_>) -> BTreeMap<Identity, Total> {
    let scores = follow(seen, |_, _, _| ());
    let total = |(score, samples): (u64, u64)| Total {
        credit: part(UNIT, score),
        debit: 0,
        possible: UNIT,
        samples,
    };
    scores.into_iter().map(|(miner, of)| (miner, total(of))).collect()
}

/// What each entry changed: an entry that lowers a score is no debt, but is told as one.
pub(super) fn worth(seen: &Seen<'_>) -> Vec<(usize, Worth)> {
    let mut worth = Vec::with_capacity(seen.entries.len());
    follow(seen, |index, before, after| {
        worth.push((
            index,
            Worth {
                credit: after.saturating_sub(before).into(),
                debit: before.saturating_sub(after).into(),
                possible: 0,
            },
        ));
    });
    worth
}
