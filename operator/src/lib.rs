//! The zkinfer operator: dispatches slices to miners, verifies their proofs, scores and answers.
//!
//! Rooms: `controllers` decide, one per kind; `dispatch` holds the queue; `gateway` speaks HTTP with workers; `runs`
//! evaluates, states and verifies; `artifacts` stores; `scoring` keeps the ledger; `specs` makes the objects of a
//! cluster and `fleet` decides which Jobs there are; `sources` reads what objects name, `reference`
//! asks for the float model's answers; `consent` says which pools may see what; `client` has the verbs of those who
//! ask, `answer` what they are told; `cluster` runs all of it on Kubernetes, `local` on one machine without.

pub mod answer;
pub mod artifacts;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod consent;
pub mod controllers;
pub mod dispatch;
pub mod fleet;
pub mod gateway;
pub mod local;
pub mod logging;
pub mod metrics;
pub mod reference;
pub mod runs;
pub mod scoring;
pub mod setup;
pub mod sources;
pub mod specs;
pub mod world;
