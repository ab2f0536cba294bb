//! What a simulation has shown, hour by hour.
//!
//! The fair share of a machine in an hour is max-min: what has been proved by those that were well all the hour, filled up
//! evenly, to each at most what it can do. Where there is work for all of them that is what each can do; where there is little,
//! it is the same for all.

use std::collections::BTreeMap;
use std::time::Duration;

use zkinfer_operator::dispatch::{Entry, Queue, Sizes};
use zkinfer_operator::scoring::Totals;
use zkinfer_scoring::{Rule, RuleName, Scores};

use super::machine::{Kind, Machine};
use super::settings::Settings;

/// After a fault a pool may be paused, and what it let lapse still counts as held.
const CONVALESCENCE: Duration = Duration::from_secs(2 * 3600);
/// So often in a simulation the rules that are not in force are asked.
const LOOKS: f64 = 6.0;

/// One hour.
#[derive(Debug, Clone)]
pub struct Hour {
    /// Machines that were well all the hour.
    pub well: usize,
    /// What they delivered of their fair shares: the least, and the median.
    pub least: f64,
    /// See above.
    pub median: f64,
    /// Part of their capacity that was used.
    pub busy: f64,
    /// Claims whose proof was verified.
    pub verified: u64,
    /// Claims that ended, in whatever way.
    pub ended: usize,
    /// Claims that ended by a miner's fault.
    pub faults: u64,
    /// Requests of clients that ended, and of all those that failed.
    pub organic: usize,
    /// See above.
    pub failed: u64,
    /// Seconds that 95 % of the clients' requests took at most.
    pub p95: f64,
    /// What the queue holds.
    pub sizes: Sizes,
    /// Entries that the operator keeps for scores.
    pub entries: usize,
    /// Bytes of memory of this process, where the system says.
    pub resident: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) hours: Vec<Hour>,
    /// Shares of machines, added up over the looks, and how many looks there were.
    pub(super) shares: BTreeMap<RuleName, (u32, Vec<f64>)>,
    /// Predicted seconds of verified work of each machine, in all.
    pub(super) delivered: Vec<f64>,
    worked: Vec<f64>,
    verified: u64,
    ended: usize,
    faults: u64,
    failed: u64,
    took: Vec<f64>,
}

/// The machine of a namespace.
pub(super) fn machine_of(namespace: &str) -> Option<usize> {
    namespace.split('-').nth(1)?.parse().ok()
}

/// How high all are filled, each to its capacity at most, when this much is poured.
pub(super) fn level(capacities: &[f64], poured: f64) -> f64 {
    let mut sorted = capacities.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut left = poured;
    for (full, capacity) in sorted.iter().enumerate() {
        let rest = (sorted.len() - full) as f64;
        if capacity * rest >= left {
            return left / rest;
        }
        left -= capacity;
    }
    f64::INFINITY
}

pub(super) fn quantile(of: &mut [f64], part: f64) -> f64 {
    of.sort_by(f64::total_cmp);
    let at = (of.len().saturating_sub(1) as f64 * part).ceil() as usize;
    of.get(at).copied().unwrap_or_default()
}

/// 0: all have the same; towards 1: one has all.
#[must_use]
pub fn gini(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (n, sum) = (sorted.len() as f64, sorted.iter().sum::<f64>());
    if sum <= 0.0 {
        return 0.0;
    }
    let ranked: f64 = sorted.iter().zip(1..).map(|(x, rank)| x * f64::from(rank)).sum();
    2.0 * ranked / (n * sum) - (n + 1.0) / n
}

/// The resident memory of this process, in bytes.
#[must_use]
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

impl Measured {
    pub(super) fn new(machines: usize) -> Self {
        Self {
            worked: vec![0.0; machines],
            delivered: vec![0.0; machines],
            ..Self::default()
        }
    }

    /// A claim has ended.
    pub(super) fn ended(&mut self, entry: &Entry) {
        self.ended += 1;
        self.verified += u64::from(entry.verified);
        self.faults += u64::from(entry.miners_fault);
        if entry.verified
            && let Some(worked) = machine_of(entry.pool.namespace()).and_then(|n| self.worked.get_mut(n))
        {
            *worked += entry.work_micros as f64 / 1e6;
        }
    }

    /// A request is over.
    pub(super) fn over(&mut self, organic: bool, failed: bool, took: Duration) {
        self.failed += u64::from(failed);
        if organic && !failed {
            self.took.push(took.as_secs_f64());
        }
    }

    /// An hour is over. `now` is the queue's time, `at` the wall clock's.
    pub(super) fn hour(
        &mut self,
        settings: &Settings,
        machines: &[Machine],
        (queue, totals): (&Queue, &mut Totals),
        (now, at): (Duration, u64),
    ) {
        let worked = std::mem::replace(&mut self.worked, vec![0.0; machines.len()]);
        for (all, worked) in self.delivered.iter_mut().zip(&worked) {
            *all += worked;
        }
        let well = |m: &Machine| {
            // At its very beginning a network is well.
            let since = m.unwell.filter(|at| *at > Duration::ZERO);
            let sick = if m.life > 0 && m.kind == Kind::Honest {
                CONVALESCENCE
            } else {
                Duration::from_secs(3600)
            };
            m.kind.is_honest() && m.up && since.is_none_or(|at| now.saturating_sub(at) >= sick)
        };
        let well: Vec<(f64, f64)> = machines
            .iter()
            .zip(&worked)
            .filter(|(m, _)| well(m) || (m.kind == Kind::Restarting && m.joins < now))
            .map(|(m, worked)| (m.capacity() * 3600.0, *worked))
            .collect();
        let capacities: Vec<f64> = well.iter().map(|(capacity, _)| *capacity).collect();
        let poured: f64 = well.iter().map(|(_, worked)| worked).sum();
        let level = level(&capacities, poured);
        let mut of_fair: Vec<f64> = well
            .iter()
            .map(|(capacity, worked)| worked / capacity.min(level).max(f64::MIN_POSITIVE))
            .collect();
        let capacity: f64 = capacities.iter().sum();
        self.hours.push(Hour {
            well: well.len(),
            least: quantile(&mut of_fair, 0.0),
            median: quantile(&mut of_fair, 0.5),
            busy: poured / capacity.max(f64::MIN_POSITIVE),
            verified: std::mem::take(&mut self.verified),
            ended: std::mem::take(&mut self.ended),
            faults: std::mem::take(&mut self.faults),
            organic: self.took.len(),
            failed: std::mem::take(&mut self.failed),
            p95: quantile(&mut std::mem::take(&mut self.took), 0.95),
            sizes: queue.sizes(),
            entries: totals.entries().len(),
            resident: resident(),
        });
        // What was earned before miners are known is little, and says little.
        if now.as_secs_f64() * 4.0 < settings.hours * 3600.0 {
            return;
        }
        let every = (settings.hours / LOOKS).ceil().max(1.0) as usize;
        for name in RuleName::ALL {
            if name == settings.rule.name() {
                if let Some(scores) = totals.scores(at) {
                    self.look(name, scores);
                }
            } else if self.hours.len().is_multiple_of(every) {
                self.look(name, &Scores::of(&Rule::from(name), totals.entries(), at));
            }
        }
    }

    fn look(&mut self, rule: RuleName, scores: &Scores) {
        let machines = self.delivered.len();
        let (looks, shares) = self
            .shares
            .entry(rule)
            .or_insert_with(|| (0, vec![0.0; machines]));
        *looks += 1;
        let all: u128 = scores.miners.values().map(|s| s.weight).sum();
        for score in scores.miners.values() {
            if let Some(share) = machine_of(&score.owner).and_then(|n| shares.get_mut(n)) {
                *share += score.weight as f64 / (all as f64).max(1.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_poured_fills_all_alike_up_to_what_each_can_hold() {
        assert_eq!(level(&[1.0, 2.0, 9.0], 3.0), 1.0);
        assert_eq!(level(&[1.0, 2.0, 9.0], 8.0), 5.0);
        assert_eq!(level(&[1.0, 2.0], 4.0), f64::INFINITY);
    }

    #[test]
    fn gini_is_nothing_among_equals_and_nearly_all_where_one_has_everything() {
        assert!(gini(&[2.0; 50]).abs() < 1e-12);
        let mut one = vec![0.0; 100];
        one[7] = 5.0;
        assert!((gini(&one) - 0.99).abs() < 1e-12);
        assert_eq!(gini(&[]), 0.0);
    }
}
