//! What miners have earned: the ledger of every ended claim, and the score that follows from it.
//!
//! Invariants: a claim is scored once, by its ledger entry; a score is a function of entries alone, so anyone with the
//! ledger finds the same; only a miner's fault costs a miner.

mod ledger;
mod score;
mod totals;

pub use ledger::{Entry, record};
pub use score::PoolScore;
pub use totals::Totals;
