//! The zkinfer operator: dispatches slices to miners, verifies their proofs, scores and answers.
//!
//! Rooms: `controllers` decide, one per kind; `dispatch` holds the queue; `gateway` speaks HTTP with workers; `runs`
//! evaluates, states and verifies; `artifacts` stores; `scoring` keeps the ledger; `local` runs all of it on one
//! machine, without a cluster.

pub mod artifacts;
pub mod controllers;
pub mod dispatch;
pub mod gateway;
pub mod local;
pub mod runs;
pub mod scoring;
