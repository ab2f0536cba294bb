//! From scores to the weights that a chain takes.
//!
//! Who is who ([`ss58`], [`hotkey`], [`binding`], [`rotation`]), the vector ([`vector`]), when it counts ([`schedule`]), whether
//! it may leave ([`publication`]), and as which bytes ([`call`], [`extrinsic`]).
//!
//! Invariants: nothing here reads a clock, a file or a network: what a chain says is given, and what leaves is returned.

pub mod binding;
pub mod call;
pub mod extrinsic;
pub mod hotkey;
pub mod publication;
pub mod rotation;
pub mod schedule;
pub mod ss58;
pub mod vector;

#[cfg(test)]
mod tests;
