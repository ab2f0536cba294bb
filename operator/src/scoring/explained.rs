//! Why a miner has its score, and how all of them stand, for who asks.

use zkinfer_crds::Identity;
use zkinfer_scoring::{Entry, Rule, Score};

/// Why a miner has its score: as `prover-worker ledger explain` finds it of the same entries.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The rule in force.
    pub rule: Rule,
    /// The Unix millisecond that it is of.
    pub at: u64,
    /// The score, and how it came to be.
    pub score: Score,
    /// The latest claims that bear on it, the last first, and what each has earned (positive) or owes (negative).
    pub entries: Vec<(Entry, i128)>,
    /// How many there are.
    pub count: usize,
}

/// How all miners stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The rule in force.
    pub rule: Rule,
    /// The Unix millisecond that it is of.
    pub at: u64,
    /// Those with the greatest share first.
    pub miners: Vec<(Identity, Score)>,
}
