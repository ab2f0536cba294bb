//! The validator's side of a request: the compiled model, the evaluated integer graph, statements, verification.
//!
//! Invariants: the operator computes every boundary tensor and every statement itself; from a miner it takes an
//! envelope and nothing else. A slice counts as verified only after its proof has been.

mod model;
mod run;

pub use model::{CompiledModel, LoadError};
pub use run::{PrepareError, Run, VerifyOutcome};
