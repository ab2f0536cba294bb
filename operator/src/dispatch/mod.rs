//! Who proves what: the queue of slices, claims with leases, retries, and the tokens that carry claims.
//!
//! Invariants: a slice is claimed by at most `redundancy` workers at once, of different pools, and by others only where
//! one of them is late; an attempt ends exactly once, in one verdict with one cause; only a miner's fault costs a miner.
//! [`Queue`] is a pure state machine: the time is an argument, there is no I/O. [`Dispatcher`] puts it to work.
//!
//! The way of a claim: [`assign`] gives the slice, [`claims`] tells the worker, [`proofs`] takes what comes back, [`queue`]
//! ends it; [`standing`] and [`breaker`] keep what that says of the pool, [`hedge`] says when somebody stands in, and
//! [`consents`] who may see anything of it at all.

mod assign;
mod attempt;
mod breaker;
mod cause;
mod claims;
mod consents;
mod dispatcher;
mod hedge;
mod load;
mod proofs;
mod queue;
mod record;
mod request;
mod standing;
mod token;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use assign::{Claimed, ClaimedSlice, Ticket};
pub use attempt::{Attempt, AttemptEnd};
pub use breaker::{Pause, PauseCause};
pub use cause::{Blame, Cause};
pub use claims::ClaimAnswer;
pub use dispatcher::{Dispatcher, WorkerAuth};
pub use load::{PoolLoad, RequestLoad};
pub use proofs::SubmitAnswer;
pub use queue::{Past, Queue, Worker};
pub use request::{QueuedRequest, QueuedSlice};
pub use standing::PoolFacts;
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

    /// The namespace: who may do as they like in it owns the pool.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// `namespace/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
