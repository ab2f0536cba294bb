//! A file's value: encoded and signed, decoded and verified.

use std::collections::BTreeMap;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zkinfer_crds::{Digest, Identity};
use zkinfer_scoring::ledger::Head;
use zkinfer_scoring::{Scores, Total};

use super::bytes::{self, FileError, Reader};
use crate::assign::{Place, Registry};
use crate::hotkey::Hotkey;
use crate::vector::{OwnerShare, Vector, VectorError};

const MAGIC: &[u8; 17] = b"zkinfer/weights\0\x01";
/// Bytes of a file.
pub const MAX_BYTES: usize = 1 << 24;
/// Miners of a file.
pub const MAX_ROWS: usize = 1 << 15;
/// The least bytes of a row: an identity, an owner of one letter, five sums, a count and a place.
const LEAST_ROW: usize = 32 + 3 + 5 * 16 + 8 + 1;

/// One miner: what it has earned and owes, and where its weight goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The miner, as the ledger has it.
    pub miner: Identity,
    /// Its owner.
    pub owner: String,
    /// What it has earned and owes.
    pub total: Total,
    /// What is left of that, and of its owner's debts.
    pub net: u128,
    /// Its weight.
    pub weight: u128,
    /// Where that goes.
    pub place: Place,
}

/// For which subnet, and by which rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The network that the installation serves.
    pub network: String,
    /// The subnet.
    pub netuid: u16,
    /// The version key of its rules.
    pub version_key: u64,
    /// The owner's part.
    pub owner: Option<OwnerShare>,
}

/// The end of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerEnd {
    /// The last segment's number.
    pub sequence: u64,
    /// Its digest.
    pub digest: Digest,
    /// Entries of all segments.
    pub entries: u64,
}

/// Weights, and from what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsFile {
    /// Who signs it.
    pub validator: Identity,
    /// For which subnet.
    pub subnet: Subnet,
    /// Of when the scores are, in Unix milliseconds.
    pub at: u64,
    /// The rule's name.
    pub rule: String,
    /// The rule's digest: of its version and constants too.
    pub rule_digest: Digest,
    /// Of which ledger.
    pub ledger: LedgerEnd,
    /// Everybody, in the order of the miners.
    pub rows: Vec<Row>,
}

impl WeightsFile {
    /// What these scores come to, with everybody in their place.
    #[must_use]
    pub fn of(scores: &Scores, registry: &Registry, head: &Head, subnet: Subnet) -> Self {
        let rows = scores.miners.iter().map(|(miner, score)| Row {
            miner: *miner,
            owner: score.owner.to_string(),
            total: score.total,
            net: score.net,
            weight: score.weight,
            place: registry.place(miner),
        });
        Self {
            validator: head.validator,
            subnet,
            at: scores.at,
            rule: scores.rule.name().word().to_owned(),
            rule_digest: scores.rule.digest(),
            ledger: LedgerEnd {
                sequence: head.sequence,
                digest: head.digest,
                entries: head.entries,
            },
            rows: rows.collect(),
        }
    }

    /// What each uid has of the rows' weights.
    ///
    /// # Errors
    /// Sums that no number holds.
    pub fn weights(&self) -> Result<BTreeMap<u16, u128>, VectorError> {
        let mut weights: BTreeMap<u16, u128> = BTreeMap::new();
        for row in &self.rows {
            if let Place::Uid { uid, .. } = row.place {
                let sum = weights.entry(uid).or_default();
                *sum = sum.checked_add(row.weight).ok_or(VectorError::Great)?;
            }
        }
        Ok(weights)
    }

    /// The vector.
    ///
    /// # Errors
    /// Weights that make none.
    pub fn vector(&self) -> Result<Vector, VectorError> {
        Vector::of(&self.weights()?, self.subnet.owner)
    }

    fn body(&self) -> Result<Vec<u8>, FileError> {
        let vector = self.vector()?;
        self.one_hotkey_each()?;
        let mut out = MAGIC.to_vec();
        out.extend(self.validator.as_bytes());
        bytes::text(&mut out, &self.subnet.network, "the network")?;
        out.extend(self.subnet.netuid.to_be_bytes());
        out.extend(self.subnet.version_key.to_be_bytes());
        out.extend(self.at.to_be_bytes());
        bytes::text(&mut out, &self.rule, "the rule")?;
        out.extend(self.rule_digest.as_bytes());
        out.extend(self.ledger.sequence.to_be_bytes());
        out.extend(self.ledger.digest.as_bytes());
        out.extend(self.ledger.entries.to_be_bytes());
        match self.subnet.owner {
            None => out.push(0),
            Some(OwnerShare { uid, millionths }) => {
                out.push(1);
                out.extend(uid.to_be_bytes());
                out.extend(millionths.to_be_bytes());
            }
        }
        bytes::count(&mut out, self.rows.len(), MAX_ROWS, "miners")?;
        for row in &self.rows {
            row.put(&mut out)?;
        }
        for list in [vector.uids(), vector.values()] {
            bytes::count(&mut out, list.len(), 1 << 16, "uids")?;
            list.iter().for_each(|number| out.extend(number.to_be_bytes()));
        }
        Ok(out)
    }

    fn one_hotkey_each(&self) -> Result<(), FileError> {
        let mut whose = BTreeMap::new();
        for row in &self.rows {
            if let Place::Uid { uid, hotkey } = row.place
                && *whose.entry(uid).or_insert(hotkey) != hotkey
            {
                return Err(FileError::TwoHotkeys(uid));
            }
        }
        Ok(())
    }

    /// Encodes and signs it.
    ///
    /// # Errors
    /// Weights that make no vector, what has no place in a file, or a key that is not its validator's.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, FileError> {
        if key.verifying_key().as_bytes() != self.validator.as_bytes() {
            return Err(FileError::Signature(self.validator));
        }
        if !self.rows.is_sorted_by(|a, b| a.miner < b.miner) {
            return Err(FileError::Canonical);
        }
        let mut out = self.body()?;
        let signature = key.sign(&out);
        out.extend(signature.to_bytes());
        Ok(out)
    }

    /// Decodes it, and verifies its signature and its vector.
    ///
    /// # Errors
    /// Bytes that are not a file's, a signature that is not the validator's, or of another validator than expected.
    pub fn decode(bytes: &[u8], expected: Option<Identity>) -> Result<Self, FileError> {
        if bytes.len() > MAX_BYTES {
            return Err(FileError::Many {
                what: "bytes",
                got: bytes.len() as u64,
                most: MAX_BYTES as u64,
            });
        }
        if !bytes.starts_with(MAGIC) {
            return Err(FileError::Magic);
        }
        let mut from = Reader::new(bytes);
        from.take(MAGIC.len(), "a weights file")?;
        let validator = Identity::new(from.array("a validator")?);
        // Before anything of it is believed.
        verify(bytes, validator)?;
        if let Some(expected) = expected.filter(|expected| *expected != validator) {
            return Err(FileError::Validator {
                expected,
                got: validator,
            });
        }
        let (network, netuid) = (bytes::read_text(&mut from, "a network")?, from.u16("a netuid")?);
        let (version_key, at) = (from.u64("a version key")?, from.u64("a time")?);
        let (rule, rule_digest) = (
            bytes::read_text(&mut from, "a rule")?,
            Digest::new(from.array("a rule's digest")?),
        );
        let ledger = LedgerEnd {
            sequence: from.u64("a sequence")?,
            digest: Digest::new(from.array("a segment's digest")?),
            entries: from.u64("a count of entries")?,
        };
        let owner = match from.u8("an owner")? {
            0 => None,
            1 => Some(OwnerShare {
                uid: from.u16("the owner's uid")?,
                millionths: from.u32("the owner's share")?,
            }),
            _ => return Err(FileError::Unknown("a kind of owner")),
        };
        let many = from.count(MAX_ROWS, LEAST_ROW, "miners")?;
        let rows: Vec<Row> = (0..many)
            .map(|_| Row::read(&mut from))
            .collect::<Result<_, _>>()?;
        if !rows.is_sorted_by(|a, b| a.miner < b.miner) {
            return Err(FileError::Canonical);
        }
        let file = Self {
            validator,
            subnet: Subnet {
                network,
                netuid,
                version_key,
                owner,
            },
            at,
            rule,
            rule_digest,
            ledger,
            rows,
        };
        file.check(bytes, &mut from)?;
        Ok(file)
    }

    /// That the vector is the rows', and the bytes are those of the value.
    fn check(&self, bytes: &[u8], from: &mut Reader<'_>) -> Result<(), FileError> {
        let vector = self.vector()?;
        for list in [vector.uids(), vector.values()] {
            let many = from.count(1 << 16, 2, "uids")?;
            let said: Vec<u16> = (0..many)
                .map(|_| from.u16("a weight"))
                .collect::<Result<_, _>>()?;
            if said != list {
                return Err(FileError::OtherVector);
            }
        }
        // No second spelling of a value, and nothing after it.
        match bytes.strip_prefix(self.body()?.as_slice()) {
            Some(rest) if rest.len() == 64 => Ok(()),
            _ => Err(FileError::Canonical),
        }
    }
}

impl Row {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), FileError> {
        out.extend(self.miner.as_bytes());
        bytes::text(out, &self.owner, "an owner")?;
        let Total {
            credit,
            debit,
            possible,
            samples,
        } = self.total;
        for sum in [credit, debit, possible] {
            out.extend(sum.to_be_bytes());
        }
        out.extend(samples.to_be_bytes());
        out.extend(self.net.to_be_bytes());
        out.extend(self.weight.to_be_bytes());
        match self.place {
            Place::Uid { hotkey, uid } => {
                out.push(0);
                out.extend(uid.to_be_bytes());
                out.extend(hotkey.as_bytes());
            }
            Place::NotBound => out.push(1),
            Place::NotRegistered(hotkey) => {
                out.push(2);
                out.extend(hotkey.as_bytes());
            }
            Place::Revoked => out.push(3),
        }
        Ok(())
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FileError> {
        let hotkey = |from: &mut Reader<'_>| {
            let key = from.array("a hotkey")?;
            Hotkey::new(key).map_err(|_| FileError::Unknown("a hotkey"))
        };
        Ok(Self {
            miner: Identity::new(from.array("a miner")?),
            owner: bytes::read_text(from, "an owner")?,
            total: Total {
                credit: from.u128("what is earned")?,
                debit: from.u128("what is owed")?,
                possible: from.u128("what is possible")?,
                samples: from.u64("a count of proofs")?,
            },
            net: from.u128("what is left")?,
            weight: from.u128("a weight")?,
            place: match from.u8("a place")? {
                0 => {
                    let uid = from.u16("a uid")?;
                    let hotkey = hotkey(from)?;
                    Place::Uid { hotkey, uid }
                }
                1 => Place::NotBound,
                2 => Place::NotRegistered(hotkey(from)?),
                3 => Place::Revoked,
                _ => return Err(FileError::Unknown("a kind of place")),
            },
        })
    }
}

fn verify(bytes: &[u8], validator: Identity) -> Result<(), FileError> {
    let (signed, signature) = bytes.split_last_chunk::<64>().ok_or(FileError::Short {
        at: bytes.len(),
        what: "a signature",
    })?;
    let wrong = |_| FileError::Signature(validator);
    let key = VerifyingKey::from_bytes(validator.as_bytes()).map_err(wrong)?;
    // Strict: keys of small order, for which anybody can make signatures, are nobody's.
    key.verify_strict(signed, &Signature::from_bytes(signature))
        .map_err(wrong)
}
