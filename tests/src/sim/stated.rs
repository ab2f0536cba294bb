//! The default rule as docs/scoring.md states it, computed a second time, in floats and without the rule's own code.
//!
//! Invariant: nothing here is shared with the rule but the entries and the constants.

use std::collections::BTreeMap;

use zkinfer_crds::{Digest, Identity};
use zkinfer_scoring::{Constants, Entry, Score};

const HOUR: u64 = 3_600_000;

/// A value, and the work that it is of.
type Weighed = (f64, f64);

/// The value that a tenth of all weight has, or a better one.
fn best_tenth(mut of: Vec<Weighed>) -> f64 {
    of.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: f64 = of.iter().map(|(_, weight)| weight).sum();
    let mut sum = 0.0;
    for (value, weight) in of {
        sum += weight;
        if sum * 10.0 >= all {
            return value;
        }
    }
    1.0
}

/// Of benchmarks alone, where there are so many.
fn reference(of: Vec<(bool, Weighed)>, enough: usize) -> Vec<Weighed> {
    let benchmarks: Vec<_> = of.iter().filter(|(is_one, _)| *is_one).collect();
    match benchmarks.len() >= enough {
        true => benchmarks.into_iter().map(|(_, value)| *value).collect(),
        false => of.into_iter().map(|(_, value)| value).collect(),
    }
}

#[derive(Debug, Default)]
struct Sum<'a> {
    owner: &'a str,
    credit: f64,
    debit: f64,
    samples: u64,
    lied: bool,
}

/// Everybody's share.
pub(super) fn shares(constants: &Constants, entries: &[Entry], at: u64) -> BTreeMap<Identity, f64> {
    let age = |e: &Entry| (at / HOUR).saturating_sub(e.at / HOUR);
    let counts = |e: &&Entry| {
        let bears = e.verified() || e.fault();
        bears && e.comparable && e.work >= constants.least_work && age(e) <= constants.window_hours
    };
    let seen: Vec<&Entry> = entries.iter().filter(counts).collect();
    let rate = |e: &Entry| e.micros as f64 / e.work as f64;
    let verified = || seen.iter().filter(|e| e.verified());
    let rates = verified().map(|e| (e.benchmark, (rate(e), e.work as f64)));
    let best_rate = best_tenth(reference(rates.collect(), 64));
    let mut sizes: BTreeMap<Option<Digest>, Vec<(bool, Weighed)>> = BTreeMap::new();
    for e in verified() {
        let size = e.bytes.unwrap_or_default() as f64;
        let size = (e.benchmark, (size, e.work as f64));
        sizes.entry(e.key).or_default().push(size);
    }
    let least: BTreeMap<_, f64> = sizes
        .into_iter()
        .map(|(key, of)| (key, best_tenth(reference(of, 8))))
        .collect();
    let beside = |best: f64, took: f64| (2.0 * best / (best + took)).min(1.0);
    let part = f64::from(constants.speed_millionths) / 1e6;
    let mut sums: BTreeMap<Identity, Sum> = BTreeMap::new();
    for e in &seen {
        let sum = sums.entry(e.miner).or_default();
        let minutes = age(e) as f64 * 60.0;
        let aged = e.work as f64 * 0.5f64.powf(minutes / constants.half_life_minutes as f64);
        if e.fault() {
            sum.debit += aged * f64::from(constants.fault_millionths) / 1e6;
            continue;
        }
        let best = least.get(&e.key).copied().unwrap_or(1.0);
        let (speed, size) = (
            beside(best_rate, rate(e)),
            beside(best, e.bytes.unwrap_or_default() as f64),
        );
        sum.credit += aged * (part * speed + (1.0 - part) * size);
        sum.samples += 1;
    }
    for e in entries {
        if let Some(sum) = sums.get_mut(&e.miner) {
            sum.owner = &e.namespace;
            sum.lied |= e.lie() && at.saturating_sub(e.at) < constants.skip_hours * HOUR;
        }
    }
    let own = |s: &Sum| {
        let known = s.samples >= constants.cold_start && !s.lied;
        if known { (s.credit - s.debit).max(0.0) } else { 0.0 }
    };
    let mut owners: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for sum in sums.values() {
        let (has, owes) = owners.entry(sum.owner).or_default();
        *has += own(sum);
        *owes += (sum.debit - sum.credit).max(0.0);
    }
    let net = |s: &Sum| {
        let (has, owes) = owners.get(s.owner).copied().unwrap_or_default();
        own(s) * (has - owes).max(0.0) / has.max(f64::MIN_POSITIVE)
    };
    let all: f64 = sums.values().map(net).sum();
    let share = |(miner, sum): (&Identity, &Sum)| (*miner, net(sum) / all.max(f64::MIN_POSITIVE));
    sums.iter().map(share).collect()
}

/// By how much the shares of the rule differ from those stated, at most, in parts of the stated one.
pub(super) fn deviation(stated: &BTreeMap<Identity, f64>, found: &BTreeMap<Identity, Score>) -> f64 {
    let all: f64 = found.values().map(|s| s.weight as f64).sum();
    let share = |of: &Identity| found.get(of).map_or(0.0, |s| s.weight as f64) / all.max(1.0);
    let differ = |(of, stated): (&Identity, &f64)| (share(of) - stated).abs() / stated.max(1e-9);
    let known = stated
        .iter()
        .filter(|(of, stated)| **stated > 0.0 || share(of) > 0.0);
    known.map(differ).fold(0.0, f64::max)
}
