//! The score: `validity² · (7 · speed + 3 · size) / 10`, in millionths.
//!
//! A claim bears on it only if two miners without a common owner were candidates for the slice when it was claimed, and
//! the slice's predicted work is at least [`crate::dispatch::LEAST_WORK`]: nobody scores by requests that only they could serve, nor
//! by slices so small that their time says nothing. Speed and size are taken among the proofs of one slice (one verifying
//! key), and averaged over the slices, each with the work that the miner has done of it: no model is worth more than
//! another because it is quicker to prove than was predicted, or has small proofs.
//!
//! - validity: verified claims of those that ended verified or by the miner's fault. Squared: a miner that lies half of
//!   the time earns a quarter, so that lying never pays.
//! - speed: `usual / (usual + time)`, where time is the miner's mean for the slice and usual the mean of all miners' means.
//!   As fast as the others, or alone: one half; ten times as fast: ten elevenths.
//! - size: `least / mean` bytes, with the least proof of the slice that any miner has made.

use std::collections::{BTreeMap, VecDeque};

use zkinfer_crds::Digest;

use crate::dispatch::Entry;

const MILLION: u128 = 1_000_000;
/// Quantiles are of this many claims.
const RECENT: usize = 1024;

/// What a miner has earned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MinerScore {
    /// The score, in millionths.
    pub score_millionths: u32,
    /// Verified claims of those that count, whether they bear on the score or not, in millionths.
    pub success_millionths: u32,
    /// Predicted milliseconds of all verified slices.
    pub work_delivered: u64,
    /// Claims that ended verified.
    pub verified: u64,
    /// Proofs that did not hold.
    pub invalid: u64,
    /// Leases that ended without a proof.
    pub late: u64,
    /// Claims that ended otherwise.
    pub lost: u64,
    /// Those of all these that ended by the miner's fault.
    pub faults: u64,
    /// Failures by cause.
    pub failures: BTreeMap<String, u64>,
    /// Half of the latest verified claims took at most this long.
    pub p50_millis: Option<u64>,
    /// 95 % of the latest verified claims took at most this long.
    pub p95_millis: Option<u64>,
}

/// Sums over the proofs of one slice by one miner.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    proofs: u64,
    micros: u64,
    bytes: u64,
    work_micros: u64,
}

impl Sums {
    fn mean(self) -> u128 {
        let micros = u128::from(self.micros).checked_div(u128::from(self.proofs));
        micros.unwrap_or(0).max(1)
    }
}

/// What all miners' proofs of one slice come to.
#[derive(Debug, Clone, Default)]
pub(super) struct OfSlice {
    miners: u128,
    /// The sum of the miners' mean times.
    means: u128,
    least_bytes: Option<u64>,
}

impl OfSlice {
    /// Adds a proof to a miner's sums, and to everybody's.
    pub(super) fn add(&mut self, own: &mut Sums, entry: &Entry) {
        if own.proofs == 0 {
            self.miners += 1;
        } else {
            self.means -= own.mean();
        }
        own.proofs += 1;
        own.micros = own.micros.saturating_add(entry.micros);
        own.bytes = own.bytes.saturating_add(entry.bytes.unwrap_or_default());
        own.work_micros = own.work_micros.saturating_add(entry.work_micros);
        self.means += own.mean();
        self.least_bytes = self.least_bytes.into_iter().chain(entry.bytes).min();
    }

    /// Seven parts speed and three parts size, in millionths.
    fn quality(&self, own: Sums) -> u128 {
        let usual = (self.means / self.miners.max(1)).max(1);
        let speed = usual * MILLION / (usual + own.mean());
        let least = u128::from(self.least_bytes.unwrap_or_default());
        let size = (least * u128::from(own.proofs) * MILLION).checked_div(u128::from(own.bytes));
        (7 * speed + 3 * size.unwrap_or(0).min(MILLION)) / 10
    }
}

/// What the entries of one miner add up to. Adding one costs the same however many there were.
#[derive(Debug, Clone, Default)]
pub(super) struct MinerTotals {
    /// Counts and causes; the rest is filled in by [`MinerTotals::score`].
    counts: MinerScore,
    work_micros: u64,
    /// Claims that bear on the score: verified, and ended by the miner's fault.
    scoring: (u64, u64),
    pub(super) slices: BTreeMap<Digest, Sums>,
    /// Microseconds of the latest verified claims, oldest first.
    recent: VecDeque<u64>,
}

impl MinerTotals {
    pub(super) fn add(&mut self, entry: &Entry) {
        let counts = &mut self.counts;
        self.scoring.0 += u64::from(entry.scores && entry.verified);
        self.scoring.1 += u64::from(entry.scores && entry.miners_fault);
        if entry.verified {
            counts.verified += 1;
            self.work_micros = self.work_micros.saturating_add(entry.work_micros);
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(entry.micros);
            return;
        }
        counts.faults += u64::from(entry.miners_fault);
        let cause = entry.cause.clone().unwrap_or_default();
        match cause.as_str() {
            "InvalidProof" | "TooLarge" => counts.invalid += 1,
            "LeaseExpired" => counts.late += 1,
            // It delivered; it is counted by its cause alone.
            "Overtaken" => {}
            _ => counts.lost += 1,
        }
        *counts.failures.entry(cause).or_default() += 1;
    }

    /// The score, given what everybody's proofs come to.
    pub(super) fn score(&self, slices: &BTreeMap<Digest, OfSlice>) -> MinerScore {
        let mut result = self.counts.clone();
        result.work_delivered = self.work_micros / 1000;
        let mut micros: Vec<u64> = self.recent.iter().copied().collect();
        micros.sort_unstable();
        let quantile = |percent: usize| {
            let at = (micros.len().saturating_sub(1) * percent).div_ceil(100);
            micros.get(at).map(|micros| micros.div_ceil(1000))
        };
        (result.p50_millis, result.p95_millis) = (quantile(50), quantile(95));
        let validity = |verified: u64, faults: u64| {
            let share = (u128::from(verified) * MILLION).checked_div(u128::from(verified + faults));
            share.unwrap_or(0)
        };
        result.success_millionths = validity(result.verified, result.faults) as u32;
        let mut quality = 0;
        let mut work = 0;
        for (digest, own) in &self.slices {
            let Some(all) = slices.get(digest) else { continue };
            quality += u128::from(own.work_micros) * all.quality(*own);
            work += u128::from(own.work_micros);
        }
        let quality = quality.checked_div(work).unwrap_or(0);
        let validity = validity(self.scoring.0, self.scoring.1);
        result.score_millionths = (validity * validity / MILLION * quality / MILLION) as u32;
        result
    }
}
