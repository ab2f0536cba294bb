//! From scores to the weights that a chain takes.
//!
//! Who is who ([`ss58`], [`hotkey`], [`binding`], [`rotation`]), whose weight goes to which uid ([`assign`]), the vector
//! ([`vector`]), when it counts ([`schedule`]), whether it may leave ([`publication`]) and what
//! left last ([`record`]), as which bytes ([`call`],
//! [`extrinsic`]), locked until a round of a beacon (`lock`, with feature `timelock`), and the signed file of all of it
//! ([`file`]).
//!
//! Invariants: nothing here reads a clock, a file or a network: what a chain says is given, and what leaves is returned.

pub mod assign;
pub mod binding;
pub mod call;
pub mod extrinsic;
pub mod file;
pub mod hotkey;
#[cfg(feature = "timelock")]
pub mod lock;
pub mod publication;
pub mod record;
pub mod rotation;
pub mod schedule;
pub mod ss58;
pub mod vector;

#[cfg(test)]
mod tests;
