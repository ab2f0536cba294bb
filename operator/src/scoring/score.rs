//! The score: `validity² · (7 · speed + 3 · size) / 10`, in millionths.
//!
//! - validity: verified claims of those that ended verified or by the miner's fault. Squared: a miner that lies half of
//!   the time earns a quarter, so that lying never pays.
//! - speed: `work / (work + time)` over the verified claims, where work is the slices' predicted time on the reference
//!   machine. As fast as the reference: one half; ten times as fast: ten elevenths.
//! - size: `least / mean` bytes, with the least proof that any verified claim in the entries had.

use std::collections::{BTreeMap, VecDeque};

use super::ledger::Entry;

const MILLION: u128 = 1_000_000;
/// Quantiles are of this many claims.
const RECENT: usize = 1024;

/// What a pool has earned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolScore {
    /// The score, in millionths.
    pub score_millionths: u32,
    /// Verified claims of those that count, in millionths.
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
    /// Claims that ended by the miner's fault.
    pub faults: u64,
    /// Failures by cause.
    pub failures: BTreeMap<String, u64>,
    /// Half of the latest verified claims took at most this long.
    pub p50_millis: Option<u64>,
    /// 95 % of the latest verified claims took at most this long.
    pub p95_millis: Option<u64>,
}

/// What the entries of one pool add up to. Adding one costs the same however many there were.
#[derive(Debug, Clone, Default)]
pub(super) struct PoolTotals {
    /// Counts and causes; the rest is filled in by [`PoolTotals::score`].
    counts: PoolScore,
    /// Milliseconds and bytes of all verified claims.
    millis: u64,
    bytes: u64,
    /// Milliseconds of the latest verified claims, oldest first.
    recent: VecDeque<u64>,
}

impl PoolTotals {
    pub(super) fn add(&mut self, entry: &Entry) {
        let counts = &mut self.counts;
        if entry.verified {
            counts.verified += 1;
            counts.work_delivered += entry.work;
            self.millis += entry.millis;
            self.bytes += entry.bytes.unwrap_or_default();
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(entry.millis);
            return;
        }
        counts.faults += u64::from(entry.miners_fault);
        let cause = entry.cause.clone().unwrap_or_default();
        match cause.as_str() {
            "InvalidProof" | "TooLarge" => counts.invalid += 1,
            "LeaseExpired" => counts.late += 1,
            _ => counts.lost += 1,
        }
        *counts.failures.entry(cause).or_default() += 1;
    }

    /// The score; `least_bytes` is the smallest proof in the whole ledger.
    pub(super) fn score(&self, least_bytes: Option<u64>) -> PoolScore {
        let mut result = self.counts.clone();
        let mut millis: Vec<u64> = self.recent.iter().copied().collect();
        millis.sort_unstable();
        let quantile = |percent: usize| {
            millis
                .get((millis.len().saturating_sub(1) * percent).div_ceil(100))
                .copied()
        };
        (result.p50_millis, result.p95_millis) = (quantile(50), quantile(95));
        let verified = u128::from(result.verified);
        if verified == 0 {
            return result;
        }
        let validity = verified * MILLION / (verified + u128::from(result.faults));
        let (work, time) = (u128::from(result.work_delivered.max(1)), u128::from(self.millis));
        let speed = work * MILLION / (work + time);
        let size = (u128::from(least_bytes.unwrap_or_default()) * verified * MILLION)
            .checked_div(u128::from(self.bytes))
            .unwrap_or(0);
        let quality = (7 * speed + 3 * size.min(MILLION)) / 10;
        result.success_millionths = validity as u32;
        result.score_millionths = (validity * validity / MILLION * quality / MILLION) as u32;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::PoolId;
    use zkinfer_crds::{ClaimId, Identity, RequestUid, SliceIndex};

    fn entry(verified: bool, cause: Option<&str>, fault: bool, millis: u64) -> Entry {
        Entry {
            claim: ClaimId::new([0; 16]),
            request: RequestUid::new([0; 16]),
            slice: SliceIndex(0),
            pool: PoolId::new("a", "b"),
            identity: Identity::new([0; 32]),
            attempt: 1,
            verified,
            cause: cause.map(str::to_owned),
            miners_fault: fault,
            work: 100,
            millis,
            bytes: verified.then_some(2000),
            at: 0,
        }
    }

    fn score<'a>(entries: impl IntoIterator<Item = &'a Entry>, least_bytes: Option<u64>) -> PoolScore {
        let mut totals = PoolTotals::default();
        entries.into_iter().for_each(|entry| totals.add(entry));
        totals.score(least_bytes)
    }

    #[test]
    fn a_miner_as_fast_as_the_reference_scores_sixty_five_percent() {
        let good: Vec<_> = (0..4).map(|_| entry(true, None, false, 100)).collect();
        let score = score(&good, Some(2000));
        assert_eq!(score.score_millionths, 650_000);
        assert_eq!(
            (score.p50_millis, score.p95_millis, score.work_delivered),
            (Some(100), Some(100), 400)
        );
    }

    #[test]
    fn half_lies_earn_a_quarter_and_others_faults_cost_nothing() {
        let mixed = [
            entry(true, None, false, 100),
            entry(false, Some("InvalidProof"), true, 100),
        ];
        assert_eq!(score(&mixed, Some(2000)).score_millionths, 650_000 / 4);
        let unlucky = [
            entry(true, None, false, 100),
            entry(false, Some("Operator"), false, 100),
        ];
        let score_of = score(&unlucky, Some(2000));
        assert_eq!((score_of.score_millionths, score_of.lost), (650_000, 1));
        assert_eq!(score_of.failures["Operator"], 1);
        assert_eq!(score(&[], None), PoolScore::default());
    }

    #[test]
    fn faster_and_smaller_scores_more() {
        let of = |millis| score(&[entry(true, None, false, millis)], Some(2000)).score_millionths;
        assert!(of(10) > of(100) && of(100) > of(1000));
        let larger = score(&[entry(true, None, false, 100)], Some(1000)).score_millionths;
        assert!(larger < of(100));
    }

    #[test]
    fn what_is_kept_of_a_pool_does_not_grow_with_its_claims() {
        let mut totals = PoolTotals::default();
        for _ in 0..RECENT {
            totals.add(&entry(true, None, false, 900));
        }
        for _ in 0..RECENT {
            totals.add(&entry(true, None, false, 100));
        }
        assert_eq!(totals.recent.len(), RECENT);
        let score = totals.score(Some(2000));
        assert_eq!(
            (score.verified, score.p95_millis),
            (2 * RECENT as u64, Some(100)),
            "quantiles are of the latest"
        );
        // The score is of all: their mean is 500 ms, and 7 * 1/6 + 3 of 10 is 416666 millionths.
        assert_eq!(score.score_millionths, 416_666);
    }
}
