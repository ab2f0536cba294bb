//! When something that failed is tried again: the one rule for every loop of worker and operator.
//!
//! Invariant: pauses grow while it fails, never beyond the longest, and no two loops that failed at the same time try again at
//! the same time: each of their pauses is between half and one and a half of the mean. Planners take the mean: the same facts give
//! the same plan.

use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Pauses between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    first: Duration,
    longest: Duration,
}

/// How long something is tried.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// So many times.
    Tries(u32),
    /// As long as the pause before a try ends by then.
    Until(Instant),
}

impl Pauses {
    /// Means from `first`, twice as long after each failure, to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The mean after so many failures in a row; none after none.
    #[must_use]
    pub fn mean(&self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doubled) => self
                .first
                .saturating_mul(2u32.saturating_pow(doubled))
                .min(self.longest),
        }
    }

    /// The pause after so many failures in a row.
    #[must_use]
    pub fn after(&self, failures: u32) -> Duration {
        self.mean(failures).mul_f64(0.5 + rand::random::<f64>())
    }
}

/// Tries until it is done, the error is one that trying again cannot mend, or the limit is reached; the last error then.
///
/// # Errors
/// That of the last try.
pub async fn retry<T, E>(
    pauses: Pauses,
    limit: Limit,
    mends: impl Fn(&E) -> bool,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut failures = 0u32;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        failures = failures.saturating_add(1);
        let pause = pauses.after(failures);
        let again = match limit {
            Limit::Tries(most) => failures < most,
            Limit::Until(end) => Instant::now() + pause <= end,
        };
        if !again || !mends(&error) {
            return Err(error);
        }
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses::new(Duration::from_millis(2), Duration::from_millis(20));

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let means: Vec<u128> = (0..7).map(|n| PAUSES.mean(n).as_millis()).collect();
        assert_eq!(means, [0, 2, 4, 8, 16, 20, 20]);
        assert_eq!(PAUSES.mean(u32::MAX), Duration::from_millis(20));
    }

    #[test]
    fn a_pause_is_about_its_mean_and_two_differ() {
        let pauses: Vec<Duration> = (0..100).map(|_| PAUSES.after(5)).collect();
        let (least, most) = (Duration::from_millis(10), Duration::from_millis(30));
        assert!(pauses.iter().all(|p| (least..=most).contains(p)));
        assert!(pauses.iter().any(|p| *p != pauses[0]));
    }

    async fn tries(limit: Limit, mends: bool, failures: u32) -> (Result<u32, u32>, u32) {
        let mut tried = 0;
        let ended = retry(
            PAUSES,
            limit,
            |_| mends,
            async || {
                tried += 1;
                if tried > failures { Ok(tried) } else { Err(tried) }
            },
        );
        (ended.await, tried)
    }

    #[tokio::test]
    async fn what_fails_is_tried_again_as_often_as_was_said() {
        assert_eq!(tries(Limit::Tries(4), true, 2).await, (Ok(3), 3));
        assert_eq!(tries(Limit::Tries(4), true, 9).await, (Err(4), 4));
    }

    #[tokio::test]
    async fn what_trying_cannot_mend_is_tried_once() {
        assert_eq!(tries(Limit::Tries(4), false, 2).await, (Err(1), 1));
    }

    #[tokio::test]
    async fn nothing_is_tried_after_the_end() {
        let began = Instant::now();
        let (ended, tried) = tries(Limit::Until(began + Duration::from_millis(40)), true, u32::MAX).await;
        assert!(tried > 1 && ended == Err(tried));
        assert_eq!(tries(Limit::Until(began), true, 1).await, (Err(1), 1));
    }
}
