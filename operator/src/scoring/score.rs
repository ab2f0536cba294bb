//! What is told of one miner: counts and causes of all its claims, and its score by the rule in force.

use std::collections::{BTreeMap, VecDeque};

use zkinfer_scoring::{Cause, Score};

use crate::dispatch::{Entry, Why};

const MILLION: u128 = 1_000_000;
/// Quantiles are of this many claims.
const RECENT: usize = 1024;

/// What a miner has earned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MinerScore {
    /// The score by the rule in force, in millionths: what its work is worth beside what it could be, whatever there is of it.
    pub score_millionths: u32,
    /// Its part of everything that all miners have earned, in millionths.
    pub share_millionths: u32,
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

/// What the entries of one miner add up to. Adding one costs the same however many there were.
#[derive(Debug, Clone, Default)]
pub(super) struct MinerTotals {
    /// Counts and causes; the rest is filled in by [`MinerTotals::told`].
    counts: MinerScore,
    work_micros: u64,
    /// Microseconds of the latest verified claims, oldest first.
    recent: VecDeque<u64>,
}

impl MinerTotals {
    pub(super) fn add(&mut self, entry: &Entry) {
        let counts = &mut self.counts;
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
        match entry.cause() {
            Some(Cause::InvalidProof | Cause::TooLarge) => counts.invalid += 1,
            Some(Cause::LeaseExpired) => counts.late += 1,
            // It delivered; it is counted by its cause alone.
            Some(Cause::Overtaken) => {}
            Some(
                Cause::LateHandBack
                | Cause::Unsupported
                | Cause::Failed
                | Cause::TooLittleMemory
                | Cause::Fetch
                | Cause::Draining
                | Cause::Cancelled
                | Cause::ConsentWithdrawn
                | Cause::Operator,
            )
            // A word of another version.
            | None => counts.lost += 1,
        }
        let word = entry.cause.as_ref().map_or("", Why::word);
        *counts.failures.entry(word.to_owned()).or_default() += 1;
    }

    /// All of it, with the score that the rule in force gives; `None` where nothing bears on one.
    pub(super) fn told(&self, score: Option<&Score>) -> MinerScore {
        let mut told = self.counts.clone();
        told.work_delivered = self.work_micros / 1000;
        let mut micros: Vec<u64> = self.recent.iter().copied().collect();
        micros.sort_unstable();
        let quantile = |percent: usize| {
            let at = (micros.len().saturating_sub(1) * percent).div_ceil(100);
            micros.get(at).map(|micros| micros.div_ceil(1000))
        };
        (told.p50_millis, told.p95_millis) = (quantile(50), quantile(95));
        let counted = u128::from(told.verified + told.faults);
        let success = (u128::from(told.verified) * MILLION).checked_div(counted);
        told.success_millionths = success.unwrap_or_default() as u32;
        if let Some(score) = score {
            told.score_millionths = score.quality_millionths;
            told.share_millionths = score.share_millionths;
        }
        told
    }
}
