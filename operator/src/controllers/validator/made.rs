//! What is known of benchmarks that were made, and what is said of them.

use zkinfer_crds::k8s::Truth;

/// How long one that was made counts before the watch has it, in milliseconds.
const UNSEEN: u64 = 10_000;

/// A benchmark that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Benchmark {
    /// Which one of its Validator's it is.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// In Unix milliseconds.
    pub created: u64,
    /// Predicted microseconds of its Model; 0 where that is not known any more.
    pub work: u64,
    /// How it ended, if it has.
    pub end: Option<End>,
}

/// How a benchmark ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a receipt.
    Succeeded,
    /// Otherwise, and why.
    Failed(String),
    /// Somebody gave it up, or nobody was free for it in time.
    GivenUp,
}

/// The benchmark that was made last.
#[derive(Debug, Clone)]
pub struct Latest {
    /// The Validator's uid.
    pub validator: String,
    /// It.
    pub benchmark: Benchmark,
}

impl Latest {
    /// Whether the watch may not have it yet.
    #[must_use]
    pub const fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.benchmark.created) < UNSEEN
    }
}

/// What is said of benchmarks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whether they are made.
    pub truth: Truth,
    /// One of the Validator's reasons.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}
