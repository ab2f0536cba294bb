//! A MinerPool's objects, and its status, folded from the ledger and from what its pods say.

mod apply;
mod gather;
mod plan;
mod trouble;

pub use apply::reconcile;
pub use plan::{Observed, derived_identity, plan};
pub use trouble::{Cause, Trouble};
