//! JSON of our own data, where bytes decide: in the store, in tokens, in names made of digests.
//!
//! Invariant: what is returned is the value. Nothing stands in for a value that does not serialise: two of them would have one
//! digest, and an entry of a ledger would be empty.

use serde::Serialize;

/// Encodes a value of a type of ours.
///
/// # Panics
/// Never for such types: they have text for keys, and derive how they are written.
#[must_use]
#[allow(
    clippy::expect_used,
    reason = "only a map with other keys than text, or a Serialize that refuses by itself, has no JSON; ours have neither"
)]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("data of ours has JSON")
}
