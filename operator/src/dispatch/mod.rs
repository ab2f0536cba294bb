//! Who proves what: the queue of slices, claims with leases, retries, and the tokens that carry claims.
//!
//! Invariants: a slice is claimed by at most `redundancy` workers at once, of different pools, and by others only where
//! one of them is late; an attempt ends exactly once, in one verdict with one cause; only a miner's fault costs a miner.
//! [`Queue`] is a pure state machine: the time is an argument, there is no I/O. [`Dispatcher`] puts it to work.
//!
//! The way of a claim: [`assign`] gives the slice, [`claims`] tells the worker, [`proofs`] takes what comes back, [`queue`]
//! ends it; [`standing`], [`service`] and [`breaker`] keep what that says of the pool, [`hedge`] says when somebody stands in,
//! [`consents`] who may see anything of it at all, [`owners`] whose the pools are; [`benchmarks`] keeps what nobody asked for behind
//! everything else.

mod assign;
mod attempt;
mod benchmarks;
mod breaker;
mod claims;
mod consents;
mod dispatcher;
mod ended;
mod hedge;
mod ledger;
mod load;
mod owners;
mod pool_id;
mod proofs;
mod queue;
mod record;
mod request;
mod service;
pub mod signed;
mod sizes;
mod standing;
mod token;
mod waiting;

#[cfg(test)]
mod tests;

pub use attempt::{Attempt, AttemptEnd};
pub use breaker::{Pause, PauseCause};
pub use claims::ClaimAnswer;
pub use dispatcher::{Dispatcher, WorkerAuth};
pub(crate) use ledger::unix_millis;
pub use ledger::{Entry, LEAST_WORK, Why, entries, record};
pub use load::{PoolLoad, RequestLoad};
pub use pool_id::{BadPoolId, PoolId};
pub use proofs::SubmitAnswer;
pub use queue::{Past, Queue};
pub use request::{QueuedRequest, QueuedSlice, Worker};
pub use sizes::Sizes;
pub use standing::PoolFacts;
pub use token::{Author, BenchmarkNote, ClaimToken, CompileToken, TokenError, TokenKey, benchmark_seed};
pub use waiting::{Claimed, ClaimedSlice, Ticket};
pub use zkinfer_crds::k8s::request_status::SliceCounts;
pub use zkinfer_scoring::{Blame, Cause};
