//! The commands that people run by hand, one file each.

pub(crate) mod compile;
pub(crate) mod inspect;
pub(crate) mod join;
pub(crate) mod ledger;
mod model;
mod progress;
pub(crate) mod prove;
pub(crate) mod qualify;
pub(crate) mod sample;
pub(crate) mod srs;
pub(crate) mod verify;
pub(crate) mod weights;
