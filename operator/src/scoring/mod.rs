//! What miners have earned: the ledger of every ended claim, and the score that follows from it.
//!
//! Invariants: a claim is scored once, by its ledger entry; a score is a function of entries alone, so anyone with the
//! ledger finds the same; only a miner's fault costs a miner; what a miner arranges for itself alone scores nothing.

mod score;
#[cfg(test)]
mod tests;
mod totals;

pub use score::MinerScore;
pub use totals::Totals;
