//! A chain of segments: followed by whoever verifies, extended by the validator.
//!
//! Invariant: an entry is in a [`Ledger`] only once everything before it has been verified.

use std::collections::HashSet;

use ed25519_dalek::SigningKey;
use zkinfer_crds::{ClaimId, Digest, Identity};

use super::bytes::LedgerError;
use super::head::Head;
use super::hours::Hours;
use super::lifetime::Lifetimes;
use super::rule::RuleRecord;
use super::segment::{Content, Segment};
use crate::entry::Entry;

/// Where a chain ends: what the next segment has to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Who signs the next segment.
    pub validator: Identity,
    /// The next segment's number.
    pub next: u64,
    /// The last segment's digest; zeros before the first.
    pub last: Digest,
    /// Entries of all segments.
    pub entries: u64,
}

impl Chain {
    /// A chain that has not begun.
    #[must_use]
    pub const fn new(validator: Identity) -> Self {
        Self {
            validator,
            next: 0,
            last: Digest::new([0; 32]),
            entries: 0,
        }
    }

    /// Signs what comes next: its bytes, and the chain with it.
    ///
    /// # Errors
    /// More than fits a segment, or another key than the chain's.
    pub fn append(&self, content: Content, key: &SigningKey) -> Result<(Vec<u8>, Self), LedgerError> {
        let (added, validator) = match &content {
            Content::Entries(entries) => (entries.len() as u64, self.validator),
            Content::Rotation(next) => (0, *next),
            Content::Rule(_) => (0, self.validator),
            // It stands for what is there, and adds nothing.
            Content::Checkpoint(_) => return Err(LedgerError::Checkpoint(self.next)),
        };
        let segment = Segment {
            validator: self.validator,
            sequence: self.next,
            previous: self.last,
            content,
        };
        let bytes = segment.sign(key)?;
        let next = Self {
            validator,
            next: self.next + 1,
            last: Digest::of(&bytes),
            entries: self.entries.saturating_add(added),
        };
        Ok((bytes, next))
    }

    /// The head of this chain; `None` before the first segment.
    #[must_use]
    pub fn head(&self, at: u64) -> Option<Head> {
        Some(Head {
            validator: self.validator,
            sequence: self.next.checked_sub(1)?,
            digest: self.last,
            entries: self.entries,
            at,
        })
    }
}

/// A ledger that has been read and verified.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    chain: Option<Chain>,
    entries: Vec<Entry>,
    /// From this hour on all entries are here.
    whole_from: u64,
    hours: Hours,
    lifetimes: Lifetimes,
    rules: Vec<RuleRecord>,
    claims: HashSet<ClaimId>,
}

impl Ledger {
    /// What comes after a chain that has been verified; nothing of before is in it.
    #[must_use]
    pub fn after(chain: Chain) -> Self {
        Self {
            chain: Some(chain),
            ..Self::default()
        }
    }

    /// Adds the next segment. The first one may be of any validator, unless one is expected.
    ///
    /// # Errors
    /// Bytes that are no segment, a wrong signature, or a segment that does not follow; nothing of it is added.
    pub fn add(&mut self, bytes: &[u8], expected: Option<Identity>) -> Result<(), LedgerError> {
        let segment = Segment::decode(bytes)?;
        let chain = match self.chain {
            Some(chain) => chain,
            None => Self::begin(&segment, expected)?,
        };
        let sequence = segment.sequence;
        if segment.validator != chain.validator {
            return Err(LedgerError::Validator {
                sequence,
                expected: chain.validator,
                got: segment.validator,
            });
        }
        if sequence != chain.next {
            return Err(LedgerError::Sequence {
                expected: chain.next,
                got: sequence,
            });
        }
        if segment.previous != chain.last {
            return Err(LedgerError::Previous {
                sequence,
                expected: chain.last,
                got: segment.previous,
            });
        }
        let next = sequence.checked_add(1).ok_or(LedgerError::Unknown {
            what: "a sequence",
            got: sequence,
        })?;
        let mut new = Chain {
            next,
            last: Digest::of(bytes),
            ..chain
        };
        let mut counted = None;
        let (entries, rule) = match segment.content {
            Content::Entries(entries) => {
                new.entries = new.entries.saturating_add(entries.len() as u64);
                (entries, None)
            }
            Content::Rotation(validator) => {
                new.validator = validator;
                (Vec::new(), None)
            }
            Content::Rule(rule) => (Vec::new(), Some(rule)),
            Content::Checkpoint(_) if self.chain.is_some() => {
                return Err(LedgerError::Checkpoint(sequence));
            }
            Content::Checkpoint(of) => {
                // What follows names the last of those that it stands for.
                (new.last, new.entries) = (segment.previous, of.entries);
                counted = Some((of.from, of.hours, of.lifetimes));
                (of.kept, of.rule)
            }
        };
        self.once(&entries, sequence)?;
        self.entries.extend(entries);
        // It is the first, before which there is nothing.
        if let Some(counted) = counted {
            (self.whole_from, self.hours, self.lifetimes) = counted;
        }
        self.rules.extend(rule);
        self.chain = Some(new);
        Ok(())
    }

    /// What a first segment has to follow: nothing, or what a checkpoint says of itself.
    fn begin(segment: &Segment, expected: Option<Identity>) -> Result<Chain, LedgerError> {
        let validator = expected.unwrap_or(segment.validator);
        let chain = Chain::new(validator);
        Ok(match segment.content {
            Content::Checkpoint(_) => Chain {
                next: segment.sequence,
                last: segment.previous,
                ..chain
            },
            _ => chain,
        })
    }

    fn once(&mut self, entries: &[Entry], sequence: u64) -> Result<(), LedgerError> {
        for (place, entry) in entries.iter().enumerate() {
            if !self.claims.insert(entry.claim) {
                // Nothing of a segment that is refused stays.
                for entry in &entries[..place] {
                    self.claims.remove(&entry.claim);
                }
                return Err(LedgerError::Twice {
                    claim: entry.claim,
                    sequence,
                });
            }
        }
        Ok(())
    }

    /// Whether the ledger ends where a head says that it does.
    ///
    /// # Errors
    /// What differs.
    pub fn ends_at(&self, head: &Head) -> Result<(), LedgerError> {
        let here = self
            .chain
            .and_then(|chain| chain.head(head.at))
            .ok_or(LedgerError::Empty)?;
        let differ = |what, head: String, here: String| Err(LedgerError::Head { what, head, here });
        if here.sequence != head.sequence {
            return differ("segment", head.sequence.to_string(), here.sequence.to_string());
        }
        if here.digest != head.digest {
            return differ("digest", head.digest.to_string(), here.digest.to_string());
        }
        if here.validator != head.validator {
            return differ(
                "validator",
                head.validator.to_string(),
                here.validator.to_string(),
            );
        }
        if here.entries != head.entries {
            return differ(
                "a count of entries of",
                head.entries.to_string(),
                here.entries.to_string(),
            );
        }
        Ok(())
    }

    /// Where it ends.
    ///
    /// # Errors
    /// Nothing was added.
    pub fn chain(&self) -> Result<Chain, LedgerError> {
        self.chain.ok_or(LedgerError::Empty)
    }

    /// The entries that it has, in the order of the segments.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries, where nothing else of it is needed.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// What a checkpoint keeps of the entries that are not here any more, by hour since 1970, miner and model.
    #[must_use]
    pub const fn hours(&self) -> &Hours {
        &self.hours
    }

    /// What a checkpoint keeps of each miner of the entries that are not here any more.
    #[must_use]
    pub const fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    /// The hour since 1970 from which on all entries are here; 0 where none is missing.
    #[must_use]
    pub const fn whole_from(&self) -> u64 {
        self.whole_from
    }

    /// The rules that it names, in the order of the segments; of what a checkpoint stands for the last.
    #[must_use]
    pub fn rules(&self) -> &[RuleRecord] {
        &self.rules
    }

    /// The rule that was in force at a time: of those of then or before the last that was named. `None` where none was.
    #[must_use]
    pub fn rule_at(&self, at: u64) -> Option<&RuleRecord> {
        self.rules.iter().rev().find(|rule| rule.at <= at)
    }

    /// Whether a claim's entry is here.
    #[must_use]
    pub fn has(&self, claim: &ClaimId) -> bool {
        self.claims.contains(claim)
    }
}
