//! The controllers, one folder per kind. `gather` only reads; `observed` is what it found, and `plan` a pure function of
//! that and the time; `apply` alone writes. `records` is what the controller works with, `controller` what it says to whoever runs
//! it ([`Controller`]). Whether the API server is a cluster's or that of local mode they cannot tell.

mod controller;

pub use controller::{Controlled, Controller, Given, Making};

macro_rules! folders {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        $(pub mod $one;)*
    };
}

zkinfer_crds::kinds!(folders);
