//! The controllers, one folder per kind. `gather` only reads; `observed` is what it found, and `plan` a pure function of
//! that and the time; `apply` alone writes. `records` is what the controller works with. Whether the
//! API server is a cluster's or that of local mode they cannot tell.

pub mod model;
pub mod pool;
pub mod request;
