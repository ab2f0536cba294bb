//! A Model's way: source found → compiled → ready. Its status tells each step, and each obstacle by name.

mod apply;
mod changed;
mod controller;
mod crash;
mod gather;
mod magnitudes;
mod news;
mod observed;
mod plan;
mod records;
mod slo;
mod status;

#[cfg(test)]
mod tests;

pub use records::{Known, ModelRecord, Models};
