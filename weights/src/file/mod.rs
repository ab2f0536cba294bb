//! The weights file: what a validator has given to whom, and from what, in one signed file.
//!
//! ```text
//! file   = "zkinfer/weights" 0 1  validator network netuid version_key at rule rule_digest head owner rows vector signature
//! head   = sequence digest entries            the end of the ledger of which the totals are
//! owner  = 0 | 1 uid millionths
//! row    = miner owner credit debit possible samples net weight place
//! place  = 0 uid hotkey | 1 | 2 hotkey | 3    a uid, not bound, not registered, revoked
//! vector = uids values
//! ```
//!
//! Numbers are big-endian; each list and text has its length before it. The signature (ed25519, verified strictly) is of all bytes
//! before it. Invariants: one value has one encoding, whatever decodes encodes to the same bytes; whoever has a row has one;
//! the vector is the one that the rows' weights make, so that nothing is signed that does not follow from what is beside it.
//! That the totals follow from the ledger is not in the file: [`WeightsFile::replay`] computes them again.

mod bytes;
mod content;
mod replay;

pub use bytes::FileError;
pub use content::{LedgerEnd, MAX_BYTES, MAX_ROWS, Row, Subnet, WeightsFile};
pub use replay::ReplayError;
