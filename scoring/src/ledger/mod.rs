//! The ledger: segments of entries, each signed by the validator and chained to the one before by its digest.
//!
//! ```text
//! segment = "zkinfer/ledger\0\1"  validator  sequence  previous  content  signature
//! content = 1 texts words entries            entries of ended claims
//!         | 2 texts words entries from hours miners count rule
//!                                            what stands for all segments up to this sequence; `previous` is the last's digest
//!         | 3 validator                      who signs from here on
//!         | 4 rule                           by which rule scores are from a time on, with its constants
//! head    = "zkinfer/ledger-head\0\1"  validator  sequence  digest  entries  at  signature
//! ```
//!
//! Numbers are big-endian; each list has its length before it. The digest of a segment is SHA-256 of all its bytes, and the
//! signature (ed25519, verified strictly) is of all bytes before it.
//!
//! Invariants: one value has one encoding: whatever decodes encodes to the same bytes. Decoding never panics, and allocates no
//! more than a small multiple of the bytes that it is given. Whatever follows a segment names its digest, so that no byte of a
//! chain can be changed, and none of its segments left out, without it being seen; that the end is missing, a head tells.

mod bytes;
mod chain;
mod compact;
mod entries;
mod head;
mod hours;
mod lifetime;
mod ranges;
mod rule;
mod segment;

#[cfg(test)]
mod tests;

pub use bytes::LedgerError;
pub use chain::{Chain, Ledger};
pub use compact::{Checkpoint, compact, whole_from};
pub use head::Head;
pub use hours::Hour;
pub use lifetime::{LATEST, Latest, Lifetime};
pub use ranges::{Histogram, at_most, range, range_end};
pub use rule::RuleRecord;
pub use segment::{Content, Segment};

/// Entries of one segment that is appended.
pub const MAX_ENTRIES: usize = 1 << 16;
/// Bytes of one segment, compacted ones too.
pub const MAX_BYTES: usize = 1 << 30;
