//! A MinerPool's objects, and its status, folded from the ledger and from what its pods say.

mod apply;
mod facts;
mod gather;
mod identity;
mod plan;
mod trouble;

pub use apply::reconcile;
pub use facts::facts;
pub use identity::{Possession, identity, identity_of, possession};
pub use plan::{Observed, plan};
pub use trouble::Trouble;
