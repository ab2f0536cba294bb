//! What is told of one miner: counts and causes of all its claims, and its score by the rule in force.

use std::collections::BTreeMap;

use zkinfer_scoring::ledger::{Latest, Lifetime};
use zkinfer_scoring::{Blame, Cause, Score};

use crate::dispatch::{Entry, Why};

const MILLION: u128 = 1_000_000;

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
    /// How long the latest verified claims took.
    latest: Latest,
}

impl MinerTotals {
    /// What is kept of a miner whose entries are not there any more.
    pub(super) fn of(lifetime: &Lifetime) -> Self {
        let mut totals = Self {
            counts: MinerScore {
                verified: lifetime.verified,
                ..MinerScore::default()
            },
            work_micros: lifetime.work,
            latest: lifetime.latest.clone(),
        };
        for (code, many) in &lifetime.causes {
            // A ledger with another code is not read.
            if let Some(cause) = Cause::of_code(*code) {
                totals.ended(Some(cause), cause.word(), cause.blame() == Blame::Miner, *many);
            }
        }
        totals
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        if entry.verified {
            self.counts.verified += 1;
            self.work_micros = self.work_micros.saturating_add(entry.work_micros);
            self.latest.add(entry.at, entry.micros);
            return;
        }
        let word = entry.cause.as_ref().map_or("", Why::word);
        self.ended(entry.cause(), word, entry.miners_fault, 1);
    }

    /// So many claims ended without a proof that counts.
    fn ended(&mut self, cause: Option<Cause>, word: &str, fault: bool, many: u64) {
        let counts = &mut self.counts;
        let sum = |of: &mut u64| *of = of.saturating_add(many);
        if fault {
            sum(&mut counts.faults);
        }
        match cause {
            Some(Cause::InvalidProof | Cause::TooLarge) => sum(&mut counts.invalid),
            Some(Cause::LeaseExpired) => sum(&mut counts.late),
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
            | None => sum(&mut counts.lost),
        }
        sum(counts.failures.entry(word.to_owned()).or_default());
    }

    /// All of it, with the score that the rule in force gives; `None` where nothing bears on one.
    pub(super) fn told(&self, score: Option<&Score>) -> MinerScore {
        let mut told = self.counts.clone();
        told.work_delivered = self.work_micros / 1000;
        let mut micros: Vec<u64> = self.latest.micros().collect();
        micros.sort_unstable();
        let quantile = |percent: usize| {
            let at = (micros.len().saturating_sub(1) * percent).div_ceil(100);
            micros.get(at).map(|micros| micros.div_ceil(1000))
        };
        (told.p50_millis, told.p95_millis) = (quantile(50), quantile(95));
        let counted = u128::from(told.verified) + u128::from(told.faults);
        let success = (u128::from(told.verified) * MILLION).checked_div(counted);
        told.success_millionths = success.unwrap_or_default() as u32;
        if let Some(score) = score {
            told.score_millionths = score.quality_millionths;
            told.share_millionths = score.share_millionths;
        }
        told
    }
}
