//! The Validator that rules: which one that is, what of it is in force, and its status.

mod apply;
mod benchmarks;
mod controller;
mod gather;
mod made;
mod news;
mod observed;
mod plan;
mod records;

pub use records::Validators;
