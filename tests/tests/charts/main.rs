//! The Helm charts: what they render of values, what they refuse, and what is written of them. No cluster runs here; that an API
//! server takes the objects is tested where one runs (`operator/miners.rs`, `node/chart.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

mod kustomize;
mod miner;
mod operator;
mod prometheus;
mod refused;
mod schema;
mod watching;
mod written;
