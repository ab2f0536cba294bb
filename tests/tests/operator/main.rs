//! The operator against a real API server, with workers that a fake node runs as processes: one file per behaviour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

mod api;
mod audit;
mod behaviours;
mod benchmarks;
mod classes;
mod client;
mod compiler;
mod conditions;
mod consent;
mod container;
mod dispatch;
mod disturbances;
mod doors;
mod erase;
mod gitops;
mod install;
mod judging;
mod keys;
mod limits;
mod load;
mod logs;
mod long;
mod memory;
mod miners;
mod mistakes;
mod namespaced;
mod overlays;
mod prometheus;
mod report;
mod requests;
mod restart;
mod restore;
mod rights;
mod schemas;
mod sight;
mod submit;
mod traces;
mod upgrade;
mod validator;
mod volume;
mod weights;
mod world;
