//! Whether the artifact store takes and gives: tried every few seconds, and told.
//!
//! Invariant: what the store does not do now decides nothing: whoever needs it waits, and says for what.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use super::Context;
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
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Tries it for ever.
pub(super) async fn run(ctx: Arc<Context>) {
    loop {
        let problem = match tokio::time::timeout(TIME, ctx.artifacts.try_it()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("it has not answered for {} s", TIME.as_secs())),
        };
        let before = std::mem::replace(&mut *ctx.store.lock(), problem.clone());
        if before.is_some() != problem.is_some() {
            match &problem {
                Some(problem) => tracing::error!(
                    problem,
                    "the artifact store fails: everything that needs it waits"
                ),
                None => tracing::info!("the artifact store is back"),
            }
            ctx.wake_requests(|_| true);
            for model in ctx.stores.models.state() {
                ctx.wake.model(ObjectRef::from_obj(&*model));
            }
        }
        let _ = tokio::time::timeout(EVERY, ctx.store.look.notified()).await;
        // Many may be let down at once.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
