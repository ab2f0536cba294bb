//! How much the queue holds, for whoever sees to it that it does not grow for ever.

use super::queue::Queue;

/// How much a queue holds in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Requests, with those that are over and of which claims are open.
    pub requests: usize,
    /// Their slices.
    pub slices: usize,
    /// Open claims.
    pub claims: usize,
    /// Workers that wait.
    pub waiting: usize,
    /// Pools.
    pub pools: usize,
    /// Consents of requests.
    pub consents: usize,
}

impl Queue {
    /// How much there is in the queue.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            requests: self.requests.len(),
            slices: self.requests.iter().map(|r| r.slices.len()).sum(),
            claims: self.leases().count(),
            waiting: self.waiting.len(),
            pools: self.standings.iter().count(),
            consents: self.consents.len(),
        }
    }
}
