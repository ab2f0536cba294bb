//! The controllers, one folder per kind: `gather` reads, `plan` is a pure function of what was observed and the time,
//! `apply` is the only writer. The same plans serve a cluster and local mode.

pub mod model;
pub mod pool;
pub mod request;
