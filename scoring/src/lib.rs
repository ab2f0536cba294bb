//! What miners have earned: entries of ended claims, and the rules by which they become scores.
//!
//! Invariants: a score is a pure function of entries, a rule and a time that is given, in whole numbers: whoever has the
//! ledger finds the same, bit by bit, on every machine. In what order entries are given makes no difference, and neither
//! does one that is given twice. Only a miner's fault costs a miner. There is no clock here, no network and no float.

pub mod bytes;
pub mod cause;
mod entry;
mod fixed;
pub mod ledger;
mod rules;
mod scores;
mod shares;

#[cfg(test)]
mod tests;

pub use cause::{Blame, Cause};
pub use entry::{End, Entry};
pub use fixed::{EXP2, LOG2};
pub use rules::{BUCKET_MILLIS, Constants, Owner, Rule, RuleError, RuleName, Total};
pub use scores::{Score, Scores};
pub use shares::{Standing, Weighed, Zero, weigh};
