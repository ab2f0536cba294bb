//! How much is being done of which no status tells yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Reconciliations that go on, and ends of claims that are being written down.
#[derive(Debug, Clone, Default)]
pub struct AtWork(Arc<AtomicUsize>);

impl AtWork {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// One more, until what is returned is dropped.
    #[must_use]
    pub fn begin(&self) -> Working {
        self.0.fetch_add(1, Ordering::SeqCst);
        Working(Arc::clone(&self.0))
    }
}

/// One of them.
pub struct Working(Arc<AtomicUsize>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
