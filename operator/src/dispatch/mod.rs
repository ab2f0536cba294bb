//! Who proves what: the queue of slices, claims with leases, retries, and the tokens that carry claims.
//!
//! Invariants: a slice is claimed by at most `redundancy` workers at once, of different pools; an attempt ends exactly
//! once, in one verdict with one cause; only a miner's fault costs a miner. [`Queue`] is a pure state machine: the time
//! is an argument, there is no I/O. [`Dispatcher`] puts it to work.

mod attempt;
mod dispatcher;
mod queue;
mod record;
mod request;
mod token;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use attempt::{Attempt, AttemptEnd, Blame};
pub use dispatcher::{ClaimAnswer, Dispatcher, SubmitAnswer, WorkerAuth};
pub use queue::{Claimed, ClaimedSlice, Queue, Worker};
pub use request::{PoolLoad, QueuedRequest, QueuedSlice, RequestLoad};
pub use token::{ClaimToken, CompileToken, TokenError, TokenKey};
pub use zkinfer_crds::k8s::request_status::SliceCounts;

/// A pool, as `namespace/name`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolId(String);

impl PoolId {
    /// Names a pool.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self(format!("{namespace}/{name}"))
    }

    /// `namespace/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |(namespace, _)| namespace)
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
