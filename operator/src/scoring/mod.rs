//! What miners have earned: what is told of them from the ledger of every ended claim, and the score by the rule in force.
//!
//! Invariants: a claim is scored once, by its ledger entry; a score is a function of entries, rule and time alone
//! (`zkinfer-scoring`), so anyone with the ledger finds the same; only a miner's fault costs a miner; what a miner arranges for
//! itself alone scores nothing.

mod cells;
mod explained;
mod history;
mod score;
mod stated;
#[cfg(test)]
mod tests;
mod totals;

pub use explained::{Explained, Standing};
pub use history::{HISTORY_HOURS, Series, Span, Spans, TREND_HOURS, Trend};
pub use score::MinerScore;
pub use stated::{stated, told};
pub use totals::Totals;
