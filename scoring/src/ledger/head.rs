//! The validator's word on where its ledger ends.

use ed25519_dalek::{Signer as _, SigningKey};
use zkinfer_crds::{Digest, Identity};

use super::bytes::{LedgerError, Reader};
use super::segment::verify;

const MAGIC: &[u8; 21] = b"zkinfer/ledger-head\0\x01";
const WHAT: &str = "a ledger's head";
const LENGTH: usize = 21 + 32 + 8 + 32 + 8 + 8 + 64;

/// A head: the last segment, and how many entries all have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Who signs it.
    pub validator: Identity,
    /// The last segment's number.
    pub sequence: u64,
    /// The last segment's digest.
    pub digest: Digest,
    /// Entries of all segments, compacted ones too.
    pub entries: u64,
    /// When it was signed, in Unix milliseconds.
    pub at: u64,
}

impl Head {
    /// Encodes and signs it.
    ///
    /// # Errors
    /// A key that is not its validator's.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, LedgerError> {
        if key.verifying_key().as_bytes() != self.validator.as_bytes() {
            return Err(LedgerError::Signature {
                what: "head",
                sequence: self.sequence,
                validator: self.validator,
            });
        }
        let mut out = Vec::with_capacity(LENGTH);
        out.extend(MAGIC);
        out.extend(self.validator.as_bytes());
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.digest.as_bytes());
        out.extend(self.entries.to_be_bytes());
        out.extend(self.at.to_be_bytes());
        let signature = key.sign(&out);
        out.extend(signature.to_bytes());
        Ok(out)
    }

    /// Decodes it, and verifies its signature.
    ///
    /// # Errors
    /// Bytes that are not a head's, or a signature that is not the validator's.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        if !bytes.starts_with(MAGIC) {
            return Err(LedgerError::Magic(WHAT));
        }
        if bytes.len() > LENGTH {
            return Err(LedgerError::Canonical);
        }
        let mut from = Reader::new(bytes);
        from.take(MAGIC.len(), WHAT)?;
        let head = Self {
            validator: Identity::new(from.array("a validator")?),
            sequence: from.u64("a sequence")?,
            digest: Digest::new(from.array("a digest")?),
            entries: from.u64("a count of entries")?,
            at: from.u64("a time")?,
        };
        verify(bytes, &head.validator, "head", head.sequence)?;
        // With a shorter end the signature would be some of the fields.
        match bytes.len() {
            LENGTH => Ok(head),
            at => Err(LedgerError::Short {
                at,
                what: "a signature",
            }),
        }
    }
}
