//! A MinerPool's objects, and its status, folded from the ledger and from what its pods say.

mod apply;
mod controller;
mod facts;
mod gather;
mod identity;
mod news;
mod observed;
mod plan;
mod records;
mod trouble;
mod weighted;

pub use identity::identity_of;
pub use records::{PoolRecord, Pools};
