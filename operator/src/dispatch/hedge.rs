//! When a second pool stands in for one that is late, and how often.
//!
//! Invariant: what is late follows from the time that the operator's own compiler has predicted, and from when the claim
//! was granted by the operator's clock; nothing that a miner says takes part. What hedging may cost is bounded: at most
//! [`LEAST`] or a tenth of the latest claims are proved a second time at once. A claim that stands in and is late itself is no more
//! to be expected than the one it stands in for, and keeps nobody's late claim from being stood in for.

use std::collections::BTreeMap;
use std::time::Duration;

/// A claim is late after so many times its predicted time, and not before a second.
const FACTOR: u32 = 3;
const SOONEST: Duration = Duration::from_secs(1);
/// So many claims may be stood in for at any time.
const LEAST: u64 = 8;
/// Claims of so many minutes count.
const MINUTES: u64 = 10;

/// How long after its grant a claim is late.
pub(super) fn late_after(predicted: Duration) -> Duration {
    predicted.saturating_mul(FACTOR).max(SOONEST)
}

/// How many claims were granted in the last minutes.
#[derive(Debug, Default)]
pub(super) struct Granted {
    by_minute: BTreeMap<u64, u64>,
}

impl Granted {
    pub(super) fn add(&mut self, now: Duration) {
        let minute = now.as_secs() / 60;
        *self.by_minute.entry(minute).or_default() += 1;
        self.by_minute.retain(|at, _| at + MINUTES > minute);
    }

    /// One that was granted then is taken back.
    pub(super) fn take_back(&mut self, at: Duration) {
        if let Some(n) = self.by_minute.get_mut(&(at.as_secs() / 60)) {
            *n = n.saturating_sub(1);
        }
    }

    /// The most hedges at once.
    pub(super) fn most_hedges(&self, now: Duration) -> u64 {
        let minute = now.as_secs() / 60;
        let recent = self.by_minute.iter().filter(|(at, _)| **at + MINUTES > minute);
        (recent.map(|(_, n)| n).sum::<u64>() / 10).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_late_after_three_times_its_prediction_and_no_sooner_than_a_second() {
        assert_eq!(late_after(Duration::from_millis(20)), Duration::from_secs(1));
        assert_eq!(late_after(Duration::from_secs(2)), Duration::from_secs(6));
    }

    #[test]
    fn a_tenth_of_the_last_ten_minutes_claims_may_be_hedged_and_always_eight() {
        let mut granted = Granted::default();
        let at = Duration::from_secs;
        assert_eq!(granted.most_hedges(at(0)), 8);
        (0..200).for_each(|_| granted.add(at(30)));
        assert_eq!(granted.most_hedges(at(599)), 20);
        assert_eq!(granted.most_hedges(at(600)), 8);
    }
}
