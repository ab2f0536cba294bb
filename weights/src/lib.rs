//! From scores to the weights that a chain takes.
//!
//! Who is who ([`ss58`], [`hotkey`], [`binding`], [`rotation`]), the vector ([`vector`]), and when it counts ([`schedule`]).
//!
//! Invariants: nothing here reads a clock, a file or a network: what a chain says is given, and what leaves is returned.

pub mod binding;
pub mod hotkey;
pub mod rotation;
pub mod schedule;
pub mod ss58;
pub mod vector;

#[cfg(test)]
mod tests;
