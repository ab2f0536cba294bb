//! A MinerPool's status, folded from the ledger.

mod plan;

pub use plan::{Observed, derived_identity, plan};
