//! A MinerPool's objects, and its status, folded from the ledger.

mod apply;
mod plan;

pub use apply::reconcile;
pub use plan::{Observed, derived_identity, plan};
