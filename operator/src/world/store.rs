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
            let problem = match tokio::time::timeout(TIME, artifacts.try_it()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("it has not answered for {} s", TIME.as_secs())),
            };
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
