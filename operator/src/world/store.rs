//! Whether the artifact store takes and gives: tried every few seconds, and told.
//!
//! Invariant: what the store does not do now decides nothing: whoever needs it waits, and says for what.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::records::lock;
use crate::artifacts::Artifacts;
use crate::metrics::Metrics;

/// How often it is tried.
const EVERY: Duration = Duration::from_secs(5);
/// Slower is as good as away.
const TIME: Duration = Duration::from_secs(10);

/// What is known of the store.
#[derive(Debug, Default)]
pub struct StoreHealth {
    problem: Mutex<Option<String>>,
    look: Notify,
}

impl StoreHealth {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.problem)
    }

    /// Why nothing can be stored or read; `None` where it can.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Says whether it does.
    pub fn count(&self, metrics: &Metrics) {
        metrics.store(self.problem().is_none());
    }

    /// Somebody was let down by it: it is tried at once.
    pub fn failed(&self) {
        self.look.notify_one();
    }
}

impl StoreHealth {
    /// Tries it for ever; `changed` is called when it fails, and when it is back.
    pub async fn follow(&self, artifacts: &Artifacts, changed: impl Fn()) {
        loop {
            let problem = tried(artifacts, TIME).await;
            let before = std::mem::replace(&mut *self.lock(), problem.clone());
            if before.is_some() != problem.is_some() {
                match &problem {
                    Some(problem) => tracing::error!(
                        problem,
                        "the artifact store fails: everything that needs it waits"
                    ),
                    None => tracing::info!("the artifact store is back"),
                }
                changed();
            }
            let _ = tokio::time::timeout(EVERY, self.look.notified()).await;
            // Many may be let down at once.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// What is wrong with the store, if it is not found good within this time.
async fn tried(artifacts: &Artifacts, time: Duration) -> Option<String> {
    match tokio::time::timeout(time, artifacts.try_it()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("it has not answered for {} s", time.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_does_not_answer_in_time_is_as_good_as_away() {
        let slow = Artifacts::slow(Duration::from_secs(3600));
        let problem = tried(&slow, Duration::from_millis(50)).await;
        assert_eq!(problem.as_deref(), Some("it has not answered for 0 s"));
        let patient = tried(&Artifacts::slow(Duration::from_millis(50)), TIME).await;
        assert_eq!(patient, None);
    }
}
