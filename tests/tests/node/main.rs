//! The node tier: real pods of the released images on a real node, installed as a person installs them.
//!
//! Each test has a cluster of its own, one at a time: two cores carry one well, and the bars need them. `scripts/kube.sh`
//! and `scripts/images.sh` make what these tests need.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

mod bars;
mod chart;
mod charts;
mod kustomize;
mod pages;
mod remains;
mod trouble;
mod world;
