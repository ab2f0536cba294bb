//! One segment: encoded and signed, decoded and verified.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zkinfer_crds::{Digest, Identity};

use super::bytes::{LedgerError, Reader};
use super::compact::Checkpoint;
use super::entries::{put_entries, read_entries};
use super::rule::{RuleRecord, put_rule, read_rule};
use super::{MAX_BYTES, MAX_ENTRIES};
use crate::entry::Entry;

const MAGIC: &[u8; 16] = b"zkinfer/ledger\0\x01";
const WHAT: &str = "a ledger's segment";

/// What a segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Claims that have ended.
    Entries(Vec<Entry>),
    /// What stands for all segments up to this one's sequence.
    Checkpoint(Checkpoint),
    /// Who signs from here on.
    Rotation(Identity),
    /// By which rule scores are from a time on.
    Rule(RuleRecord),
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Who signs it.
    pub validator: Identity,
    /// Its number, from 0.
    pub sequence: u64,
    /// The digest of the segment before; zeros before the first. A checkpoint has the last one that it stands for.
    pub previous: Digest,
    /// What it says.
    pub content: Content,
}

impl Segment {
    fn body(&self) -> Result<Vec<u8>, LedgerError> {
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.extend(self.validator.as_bytes());
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.previous.as_bytes());
        match &self.content {
            Content::Entries(entries) => {
                out.push(1);
                if entries.len() > MAX_ENTRIES {
                    return Err(LedgerError::Long("a segment"));
                }
                put_entries(&mut out, entries)?;
            }
            Content::Checkpoint(checkpoint) => {
                out.push(2);
                checkpoint.put(&mut out)?;
            }
            Content::Rotation(next) => {
                out.push(3);
                out.extend(next.as_bytes());
            }
            Content::Rule(rule) => {
                out.push(4);
                put_rule(&mut out, rule)?;
            }
        }
        if out.len() > MAX_BYTES - 64 {
            return Err(LedgerError::Long("a segment"));
        }
        Ok(out)
    }

    /// Encodes and signs it.
    ///
    /// # Errors
    /// Something that has no place in a segment, or a key that is not its validator's.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, LedgerError> {
        let mut out = self.body()?;
        if key.verifying_key().as_bytes() != self.validator.as_bytes() {
            return Err(LedgerError::Signature {
                what: "segment",
                sequence: self.sequence,
                validator: self.validator,
            });
        }
        let signature = key.sign(&out);
        out.extend(signature.to_bytes());
        Ok(out)
    }

    /// Decodes it, and verifies its signature.
    ///
    /// # Errors
    /// Bytes that are not a segment's, or a signature that is not the validator's.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        if bytes.len() > MAX_BYTES {
            return Err(LedgerError::Many {
                what: "bytes of a segment",
                got: bytes.len() as u64,
                most: MAX_BYTES as u64,
            });
        }
        let mut from = Reader::new(bytes);
        if !bytes.starts_with(MAGIC) {
            return Err(LedgerError::Magic(WHAT));
        }
        from.take(MAGIC.len(), WHAT)?;
        let validator = Identity::new(from.array("a validator")?);
        let sequence = from.u64("a sequence")?;
        // Before anything of it is believed.
        verify(bytes, &validator, "segment", sequence)?;
        let previous = Digest::new(from.array("a digest")?);
        let content = match from.u8("a kind of content")? {
            1 => Content::Entries(read_entries(&mut from, MAX_ENTRIES)?),
            2 => Content::Checkpoint(Checkpoint::read(&mut from)?),
            3 => Content::Rotation(Identity::new(from.array("a validator")?)),
            4 => Content::Rule(read_rule(&mut from)?),
            other => {
                return Err(LedgerError::Unknown {
                    what: "a kind of content",
                    got: other.into(),
                });
            }
        };
        let segment = Self {
            validator,
            sequence,
            previous,
            content,
        };
        // No second spelling of a value, and nothing after it.
        if segment.body()?.as_slice() != &bytes[..bytes.len() - 64] {
            return Err(LedgerError::Canonical);
        }
        Ok(segment)
    }
}

/// Verifies the signature at the end of `bytes` over what is before it.
pub(super) fn verify(
    bytes: &[u8],
    validator: &Identity,
    what: &'static str,
    sequence: u64,
) -> Result<(), LedgerError> {
    let wrong = || LedgerError::Signature {
        what,
        sequence,
        validator: *validator,
    };
    let (signed, signature) = bytes.split_last_chunk::<64>().ok_or(LedgerError::Short {
        at: bytes.len(),
        what: "a signature",
    })?;
    let key = VerifyingKey::from_bytes(validator.as_bytes()).map_err(|_| wrong())?;
    // Strict: keys of small order, for which anybody can make signatures, are nobody's.
    let verified = key.verify_strict(signed, &Signature::from_bytes(signature));
    verified.map_err(|_| wrong())
}
