//! How long a pool takes for its claims beside what was predicted, and how many at once are of use to it: by what it has delivered.
//!
//! Invariants: a claim's time is the operator's own, from its grant to its proof, so that nothing a miner says takes part; a pool is
//! compared with itself alone, so that no pool's numbers change what another one gets; whatever was measured, a lease is from half
//! as long to four times as long as without it, and a pool may hold one claim. What holding fewer has not shown to be enough is tried again,
//! since only the latest claims count.

use std::collections::VecDeque;
use std::time::Duration;

/// So many of the latest proofs count.
const LATEST: usize = 32;
/// Fewer say nothing.
const ENOUGH: usize = 8;
/// The time of what is smaller is that of the calls around it.
const LEAST: Duration = Duration::from_millis(50);
/// As slow as predicted.
const ONE: u64 = 1000;
/// A pool counts as twice as quick as predicted at most, for another model may be otherwise, and as four times as slow.
const BOUNDS: (u64, u64) = (ONE / 2, ONE * 4);

/// One proof: thousandths of its predicted time, and how many claims its pool held when it was granted; 0: nobody knows.
#[derive(Debug, Clone, Copy)]
struct Proof {
    slowness: u64,
    held: u32,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Service {
    latest: VecDeque<Proof>,
    /// Found whenever a proof comes.
    slowness: Option<u64>,
    most: Option<u32>,
}

impl Service {
    /// A proof of a claim that was predicted to take `predicted`, and took `took`.
    pub(super) fn delivered(&mut self, predicted: Duration, took: Duration, held: u32) {
        if predicted < LEAST {
            return;
        }
        let slowness = took.as_micros().saturating_mul(u128::from(ONE)) / predicted.as_micros().max(1);
        let slowness = u64::try_from(slowness).unwrap_or(u64::MAX).clamp(1, 1000 * ONE);
        if self.latest.len() == LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back(Proof { slowness, held });
        self.slowness = slowness_of(&self.latest);
        self.most = most_of(&self.latest);
    }

    /// How long a slice of this predicted time takes the pool, with nine in ten of its proofs being quicker.
    pub(super) fn takes(&self, predicted: Duration) -> Duration {
        let slowness = self.slowness.unwrap_or(ONE);
        let micros = predicted.as_micros().saturating_mul(u128::from(slowness)) / u128::from(ONE);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// The most claims that are of use to the pool; `None`: nothing says that any number is too many.
    pub(super) const fn most(&self) -> Option<u32> {
        self.most
    }
}

/// The ninth tenth of what proofs took, in bounds.
fn slowness_of(latest: &VecDeque<Proof>) -> Option<u64> {
    if latest.len() < ENOUGH {
        return None;
    }
    let mut all: Vec<u64> = latest.iter().map(|p| p.slowness).collect();
    all.sort_unstable();
    let at = (all.len() * 9).div_ceil(10).saturating_sub(1);
    all.get(at).map(|slowness| (*slowness).clamp(BOUNDS.0, BOUNDS.1))
}

/// Of a pool that holds up to so many: where more than three quarters of that give it hardly more than half of it or less does, it is
/// given as many as those were. Work done at once is claims held by time for each.
fn most_of(latest: &VecDeque<Proof>) -> Option<u32> {
    let most = latest.iter().map(|p| p.held).max()?;
    let few = Side::of(latest, |held| held > 0 && held <= most / 2)?;
    let many = Side::of(latest, |held| u64::from(held) * 4 > u64::from(most) * 3)?;
    // A tenth more is hardly more.
    let hardly = many.throughput(&few) * 10 <= few.throughput(&many) * 11;
    hardly.then(|| few.held.div_ceil(few.count).max(1) as u32)
}

/// Proofs whose pool held as many claims, added up.
struct Side {
    count: u64,
    held: u64,
    slowness: u64,
}

impl Side {
    fn of(latest: &VecDeque<Proof>, belongs: impl Fn(u32) -> bool) -> Option<Self> {
        let of: Vec<&Proof> = latest.iter().filter(|p| belongs(p.held)).collect();
        let side = Self {
            count: of.len() as u64,
            held: of.iter().map(|p| u64::from(p.held)).sum(),
            slowness: of.iter().map(|p| p.slowness).sum(),
        };
        (of.len() >= ENOUGH).then_some(side)
    }

    /// Claims held by what each takes, times the other's, so that two are compared without a quotient.
    fn throughput(&self, other: &Self) -> u128 {
        u128::from(self.held) * u128::from(other.slowness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Proofs of a second's prediction: how long each took, and how many the pool held.
    fn after(proofs: &[(u64, u32)]) -> Service {
        let mut service = Service::default();
        for (took, held) in proofs {
            service.delivered(millis(1000), millis(*took), *held);
        }
        service
    }

    #[test]
    fn a_pool_of_which_little_is_known_takes_what_was_predicted() {
        let few = after(&[(9000, 1); 7]);
        assert_eq!(few.takes(millis(500)), millis(500));
        assert_eq!(few.most(), None);
        // What is too small says nothing.
        let mut small = Service::default();
        (0..32).for_each(|_| small.delivered(millis(10), millis(500), 1));
        assert_eq!(small.takes(millis(500)), millis(500));
    }

    #[test]
    fn a_slow_pool_takes_longer_and_a_quick_one_less_by_nine_in_ten_of_its_latest() {
        assert_eq!(after(&[(2000, 1); 8]).takes(millis(500)), millis(1000));
        assert_eq!(after(&[(500, 1); 8]).takes(millis(500)), millis(250));
        let mixed: Vec<(u64, u32)> = (0..20).map(|n| (if n < 17 { 1000 } else { 3000 }, 1)).collect();
        assert_eq!(after(&mixed).takes(millis(100)), millis(300));
        let once: Vec<(u64, u32)> = (0..20).map(|n| (if n < 19 { 1000 } else { 3000 }, 1)).collect();
        assert_eq!(after(&once).takes(millis(100)), millis(100), "once is nothing");
        // What was long ago is forgotten.
        let better: Vec<(u64, u32)> = (0..64).map(|n| (if n < 32 { 4000 } else { 1000 }, 1)).collect();
        assert_eq!(after(&better).takes(millis(100)), millis(100));
    }

    #[test]
    fn whatever_is_measured_is_from_half_of_to_four_times_what_was_predicted() {
        assert_eq!(after(&[(900_000_000, 1); 9]).takes(millis(100)), millis(400));
        assert_eq!(after(&[(0, 1); 9]).takes(millis(100)), millis(50));
    }

    #[test]
    fn a_pool_whose_claims_share_a_core_is_given_no_more_than_are_of_use() {
        // Whoever holds four of them takes four times as long for each.
        let shared: Vec<(u64, u32)> = (0..32)
            .map(|n| if n % 2 == 0 { (1000, 1) } else { (4000, 4) })
            .collect();
        assert_eq!(after(&shared).most(), Some(1));
        let two_cores: Vec<(u64, u32)> = (0..32)
            .map(|n| if n % 2 == 0 { (1000, 2) } else { (2000, 4) })
            .collect();
        assert_eq!(after(&two_cores).most(), Some(2));
    }

    #[test]
    fn a_pool_that_does_more_when_it_holds_more_is_not_held_back_however_its_workers_differ() {
        let real: Vec<(u64, u32)> = (0..32).map(|n| (1000, 1 + n % 4)).collect();
        assert_eq!(after(&real).most(), None);
        // A quick worker and a slow one, whoever is given more.
        let uneven: Vec<(u64, u32)> = (0..32)
            .map(|n| (if (n / 2) % 2 == 0 { 500 } else { 2000 }, 1 + n % 2))
            .collect();
        assert_eq!(after(&uneven).most(), None);
    }

    #[test]
    fn who_was_held_back_is_tried_again_when_nothing_says_any_more_that_more_are_of_no_use() {
        let mut service = after(
            &(0..32)
                .map(|n| if n % 2 == 0 { (1000, 1) } else { (4000, 4) })
                .collect::<Vec<_>>(),
        );
        assert_eq!(service.most(), Some(1));
        (0..32).for_each(|_| service.delivered(millis(1000), millis(1000), 1));
        assert_eq!(service.most(), None);
    }
}
