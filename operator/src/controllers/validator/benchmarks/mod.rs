//! Benchmarks: which is made next, when, and which go.
//!
//! Invariants: a benchmark has the next number, and its name, Model and input follow from that and the operator's key, so that a
//! crash at any point makes no two; one is made only while no more work of others waits than the Validator says; what is kept of them
//! is bounded.

mod apply;
mod gather;
mod plan;

pub(super) use apply::step;
