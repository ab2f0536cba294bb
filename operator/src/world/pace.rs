//! How often is written what changes all the time.

use std::time::Duration;

/// Least times between two writes that tell of progress alone.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Of a pool's scores.
    pub scores: Duration,
    /// From a verified proof to a look at its pool.
    pub proofs: Duration,
    /// Of a request's slices.
    pub slices: Duration,
    /// Of what a compiler says.
    pub compiler: Duration,
}

impl Pace {
    /// What an API server that others use too bears.
    pub const SHARED: Self = Self {
        scores: Duration::from_secs(5),
        proofs: Duration::from_secs(1),
        slices: Duration::from_secs(1),
        compiler: Duration::from_secs(2),
    };
    /// At once, where objects are in memory.
    pub const OWN: Self = Self {
        scores: Duration::ZERO,
        proofs: Duration::ZERO,
        slices: Duration::ZERO,
        compiler: Duration::ZERO,
    };
}
