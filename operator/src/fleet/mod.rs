//! The workers that requests need beside the warm ones: Jobs per request and pool, in rounds.
//!
//! Invariants: a pool never has more workers than its spec allows; a request has at most one Job per pool at work; a
//! round is made once, whatever is restarted. The plan is a pure function of the queue, the pools and the Jobs.

mod jobs;
mod plan;
mod run;

pub use jobs::{JobIndex, JobState, JobView, Purpose};
pub use plan::{Fate, Observed, Plan, PoolView, Start, plan};
pub use run::{run, start_over, watch_jobs};
