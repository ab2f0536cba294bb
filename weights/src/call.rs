//! The calls by which weights reach the chain, in SCALE.
//!
//! ```text
//! call    = 7 index arguments                     7: the pallet SubtensorModule
//!   0   set_weights                               netuid uids values version_key
//!   113 commit_timelocked_weights                 netuid commit round commit_version
//! payload = hotkey uids values version_key        what a commit holds, before it is locked
//! ```
//!
//! Invariant: bytes are those that the chain's own SDK composes from the chain's metadata, for the runtimes that
//! [`crate::publication`] lets through: an index that another runtime gives to another call is never sent there.

use parity_scale_codec::Encode;

use crate::hotkey::Hotkey;
use crate::vector::Vector;

/// The pallet `SubtensorModule`.
const PALLET: u8 = 7;
const SET_WEIGHTS: u8 = 0;
const COMMIT_TIMELOCKED_WEIGHTS: u8 = 113;
/// How a commit is locked; the chain takes no other.
pub const COMMIT_VERSION: u16 = 4;
/// The most bytes of a commit that the chain takes.
pub const MAX_COMMIT: usize = 5000;

/// A commit is too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a commit of {0} bytes is more than the {MAX_COMMIT} that the chain takes")]
pub struct CommitTooLong(pub usize);

/// A call, as it is signed and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call(Vec<u8>);

impl Call {
    /// `set_weights`: for all to see, where commits are off.
    #[must_use]
    pub fn set_weights(netuid: u16, vector: &Vector, version_key: u64) -> Self {
        Self(
            (
                (PALLET, SET_WEIGHTS),
                netuid,
                vector.uids(),
                vector.values(),
                version_key,
            )
                .encode(),
        )
    }

    /// `commit_timelocked_weights`: locked until a round of the beacon.
    ///
    /// # Errors
    /// More bytes than the chain takes.
    pub fn commit_timelocked_weights(netuid: u16, commit: &[u8], round: u64) -> Result<Self, CommitTooLong> {
        if commit.len() > MAX_COMMIT {
            return Err(CommitTooLong(commit.len()));
        }
        Ok(Self(
            (
                (PALLET, COMMIT_TIMELOCKED_WEIGHTS),
                netuid,
                commit,
                round,
                COMMIT_VERSION,
            )
                .encode(),
        ))
    }

    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What is locked: the chain refuses it under another hotkey than the one that committed it.
#[must_use]
pub fn commit_payload(hotkey: &Hotkey, vector: &Vector, version_key: u64) -> Vec<u8> {
    (
        hotkey.as_bytes().as_slice(),
        vector.uids(),
        vector.values(),
        version_key,
    )
        .encode()
}
