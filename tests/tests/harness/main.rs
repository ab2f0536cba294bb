//! The harness itself: what the other tests rely on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod clusters;
mod fake_node;
mod objects;
mod remains;
