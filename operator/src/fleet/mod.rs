//! The workers that requests need beside the warm ones: Jobs per request and pool, in rounds.
//!
//! Invariants: a pool never has more workers than its spec allows; a request has at most one Job per pool at work; a
//! round is made once, whatever is restarted. The plan is a pure function of the queue, the pools and the Jobs.
//!
//! What Kubernetes does to the pods is looked at ([`at_pool`], [`at_compiler`]), and told by one table of symptoms.

mod evidence;
mod jobs;
mod look;
mod plan;
mod refusal;
mod remove;
mod symptoms;

pub use evidence::{PodView, Seen, together};
pub use jobs::{JobIndex, JobPods, JobState, JobView, Purpose};
pub use look::{Look, at_compiler, at_pool};
pub use plan::{Fate, Observed, Plan, PoolView, Start, plan};
pub use refusal::{Refusal, without_name};
pub use remove::{remove, start_over};
pub use symptoms::{Evidence, Finding, Kind, Mends, Whose, diagnose};
