//! Reading and writing bytes, within bounds.

use zkinfer_crds::{ClaimId, Digest, Identity};

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
    /// A text that is not UTF-8.
    #[error("the text at {at} is not UTF-8")]
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
    /// A number has no place in its bytes.
    #[error("{0} is too long to be written")]
    Long(&'static str),
}

/// Reads from the front.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, many: usize, what: &'static str) -> Result<&'a [u8], LedgerError> {
        let end = self.at.checked_add(many);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(LedgerError::Short { at: self.at, what })?;
        self.at += many;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], LedgerError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, LedgerError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, LedgerError> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, LedgerError> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// The length of a list whose members have at least `each` bytes: what cannot be there is not allocated for.
    pub(super) fn count(
        &mut self,
        most: usize,
        each: usize,
        what: &'static str,
    ) -> Result<usize, LedgerError> {
        let got = self.u32(what)? as usize;
        let most = most.min((self.bytes.len() - self.at) / each.max(1));
        if got > most {
            return Err(LedgerError::Many {
                what,
                got: got as u64,
                most: most as u64,
            });
        }
        Ok(got)
    }
}

/// The length of a list, as it is written.
pub(super) fn put_count(out: &mut Vec<u8>, many: usize, what: &'static str) -> Result<(), LedgerError> {
    let many = u32::try_from(many).map_err(|_| LedgerError::Long(what))?;
    out.extend(many.to_be_bytes());
    Ok(())
}
