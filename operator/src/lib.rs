//! The zkinfer operator: dispatches slices to miners, verifies their proofs, scores and answers.
//!
//! Rooms, each using only those named after it: `cluster` runs all on Kubernetes, `local` on one machine without; `client`
//! has the verbs of those who ask, `answer` what they are told. `controllers` decide, one per kind, and share a `world`;
//! `web` shows it all in a browser; `gateway` speaks HTTP. `fleet` decides which Jobs there are, `specs` makes the objects of a
//! cluster, `scoring` says what the ledger is worth, `in_force` the settings that a Validator changes, `weights` who
//! gets which of them, `sources` reads what
//! objects name. `dispatch` holds the queue, the claims and the ledger's entries;
//! `runs` evaluates, states and verifies; `reference` asks for the float model's answers; `consent` says which pools may
//! see what. At the bottom `artifacts` stores, `metrics` counts, and there are `setup` and `clock`; `traces` says what a
//! collector of OpenTelemetry is told.

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
pub mod in_force;
pub mod legible;
pub mod local;
pub mod logging;
pub mod metrics;
pub mod reference;
pub mod runs;
pub mod scoring;
pub mod setup;
pub mod sources;
pub mod specs;
pub mod traces;
pub mod web;
pub mod weights;
pub mod world;
