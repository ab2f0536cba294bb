//! Reading and writing bytes, within bounds.

use zkinfer_crds::{ClaimId, Digest, Identity};

use crate::bytes::{Fault, shows};

/// Why a ledger is none, or not this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The bytes end too early.
    #[error("the bytes end at {at}, where {what} is expected")]
    Short {
        /// Where.
        at: usize,
        /// What is missing.
        what: &'static str,
    },
    /// It is something else.
    #[error("these are not bytes of {0}, or of another version of it")]
    Magic(&'static str),
    /// There are too many.
    #[error("{what}: {got} are more than the {most} that fit")]
    Many {
        /// What.
        what: &'static str,
        /// How many are said to be there.
        got: u64,
        /// How many can be.
        most: u64,
    },
    /// A number that means nothing here.
    #[error("{what}: {got} is none")]
    Unknown {
        /// What it should be.
        what: &'static str,
        /// The number.
        got: u64,
    },
    /// A text that is not UTF-8, or that nobody should be shown.
    #[error("the text at {at} is not UTF-8, or has control characters")]
    Text {
        /// Where.
        at: usize,
    },
    /// The value has other bytes.
    #[error("the bytes are not those that this content is written as")]
    Canonical,
    /// The signature is not the validator's.
    #[error("the signature of {what} {sequence} is not one of {validator}")]
    Signature {
        /// A segment, or a head.
        what: &'static str,
        /// Which one.
        sequence: u64,
        /// Who should have signed.
        validator: Identity,
    },
    /// Another validator than expected.
    #[error("segment {sequence} is of validator {got}, and {expected} is expected")]
    Validator {
        /// Which one.
        sequence: u64,
        /// Whose it has to be.
        expected: Identity,
        /// Whose it is.
        got: Identity,
    },
    /// A segment is missing or twice there.
    #[error("segment {got} stands where segment {expected} is expected")]
    Sequence {
        /// The number that is next.
        expected: u64,
        /// The number that is there.
        got: u64,
    },
    /// It follows another segment than the one before.
    #[error("segment {sequence} follows {got}, and the one before it is {expected}")]
    Previous {
        /// Which one.
        sequence: u64,
        /// The digest of the one before.
        expected: Digest,
        /// What it says.
        got: Digest,
    },
    /// What stands for older segments comes after some.
    #[error("segment {0} stands for all before it, and some of them are here: give the one or the others")]
    Checkpoint(u64),
    /// A claim has two entries.
    #[error("claim {claim} has a second entry in segment {sequence}")]
    Twice {
        /// The claim.
        claim: ClaimId,
        /// Where the second is.
        sequence: u64,
    },
    /// There is nothing.
    #[error("there is no segment")]
    Empty,
    /// The head is of another ledger, or of more of this one.
    #[error("the head is of {what} {head}, and the ledger here has {here}")]
    Head {
        /// Of what.
        what: &'static str,
        /// What the head says.
        head: String,
        /// What there is.
        here: String,
    },
    /// A checkpoint says something else than the segments that it stands for.
    #[error("the checkpoint is not what the segments come to that it stands for: {0} is otherwise")]
    Untrue(&'static str),
    /// A number has no place in its bytes.
    #[error("{0} is too long to be written")]
    Long(&'static str),
}

/// Reads a ledger's bytes.
pub(super) type Reader<'a> = crate::bytes::Reader<'a, LedgerError>;

impl Fault for LedgerError {
    fn short(at: usize, what: &'static str) -> Self {
        Self::Short { at, what }
    }

    fn many(what: &'static str, got: u64, most: u64) -> Self {
        Self::Many { what, got, most }
    }
}

/// A text of these bytes, which stand before `end`.
pub(super) fn text(bytes: &[u8], end: usize) -> Result<&str, LedgerError> {
    let at = end - bytes.len();
    let text = std::str::from_utf8(bytes).ok().filter(|text| shows(text));
    text.ok_or(LedgerError::Text { at })
}

/// The length of a list, as it is written.
pub(super) fn put_count(out: &mut Vec<u8>, many: usize, what: &'static str) -> Result<(), LedgerError> {
    let many = u32::try_from(many).map_err(|_| LedgerError::Long(what))?;
    out.extend(many.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_moves_a_terminal_or_is_none_is_refused_by_its_place() {
        assert_eq!(text("team-a".as_bytes(), 10), Ok("team-a"));
        for bytes in [b"team\x1b[2J".as_slice(), b"a\nb", b"\xff"] {
            assert_eq!(text(bytes, 40), Err(LedgerError::Text { at: 40 - bytes.len() }));
        }
    }
}
