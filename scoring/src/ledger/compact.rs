//! A checkpoint: what stands for all segments of a ledger, without the entries that no score needs any more.
//!
//! Invariant: an entry is in a checkpoint whole, or in its counts, and never in both.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use zkinfer_crds::ClaimId;

use super::MAX_BYTES;
use super::bytes::{LedgerError, Reader};
use super::chain::Ledger;
use super::entries::{put_entries, read_entries};
use super::hours::{self, Hours, put_hours, read_hours};
use super::lifetime::{self, Lifetimes, put_lifetimes, read_lifetimes};
use super::rule::{RuleRecord, put_rule, read_rule};
use super::segment::{Content, Segment};
use crate::entry::Entry;
use crate::rules::{BUCKET_MILLIS, Constants};

/// Hours of which counts are kept.
const KEPT_HOURS: u64 = 90 * 24;

/// What stands for all segments up to its sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Entries that scores may still need, and those that whoever wrote it still asks for.
    pub kept: Vec<Entry>,
    /// The hour since 1970 from which on all entries are among these.
    pub from: u64,
    /// What the others come to, hour by hour, for 90 days.
    pub hours: Hours,
    /// What the others come to, miner by miner, for good.
    pub lifetimes: Lifetimes,
    /// How many entries all those segments had.
    pub entries: u64,
    /// The last rule that they have named.
    pub rule: Option<RuleRecord>,
}

impl Checkpoint {
    /// Whether it says what these entries come to, which are those of all segments that it stands for, in their order. Of hours that it
    /// has forgotten nothing is said.
    ///
    /// # Errors
    /// What is otherwise.
    pub fn stands_for(&self, entries: &[Entry]) -> Result<(), LedgerError> {
        let same = |same: bool, what| same.then_some(()).ok_or(LedgerError::Untrue(what));
        same(entries.len() as u64 == self.entries, "how many claims have ended")?;
        let standing: BTreeSet<ClaimId> = self.kept.iter().map(|entry| entry.claim).collect();
        let (kept, old): (Vec<&Entry>, Vec<&Entry>) = entries
            .iter()
            .partition(|entry| entry.at / BUCKET_MILLIS >= self.from || standing.contains(&entry.claim));
        same(kept.into_iter().eq(&self.kept), "which claims bear on scores")?;
        let (mut hours, mut lifetimes) = (Hours::new(), Lifetimes::new());
        for entry in old {
            hours::add(&mut hours, entry);
            lifetime::add(&mut lifetimes, entry);
        }
        same(lifetimes == self.lifetimes, "what a miner has done")?;
        let first = self.hours.keys().next().map_or(u64::MAX, |(hour, ..)| *hour);
        hours.retain(|(hour, ..), _| *hour >= first);
        same(hours == self.hours, "what ended in an hour")
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), LedgerError> {
        let Self {
            kept,
            from,
            hours,
            lifetimes,
            entries,
            rule,
        } = self;
        put_entries(out, kept)?;
        out.extend(from.to_be_bytes());
        put_hours(out, hours)?;
        put_lifetimes(out, lifetimes)?;
        out.extend(entries.to_be_bytes());
        out.push(rule.is_some().into());
        rule.iter().try_for_each(|rule| put_rule(out, rule))
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, LedgerError> {
        Ok(Self {
            kept: read_entries(from, MAX_BYTES)?,
            from: from.u64("an hour")?,
            hours: read_hours(from)?,
            lifetimes: read_lifetimes(from)?,
            entries: from.u64("a count of entries")?,
            rule: match from.u8("a flag")? {
                0 => None,
                1 => Some(read_rule(from)?),
                other => {
                    return Err(LedgerError::Unknown {
                        what: "a flag",
                        got: other.into(),
                    });
                }
            },
        })
    }
}

/// The hour since 1970 from which on scores at this time or later need every entry, by a rule with these constants: a score of any
/// later time looks back no further than one of now.
#[must_use]
pub fn whole_from(constants: &Constants, at: u64) -> u64 {
    (at / BUCKET_MILLIS).saturating_sub(constants.window_hours.max(constants.skip_hours))
}

/// Makes the checkpoint of a ledger at a time: entries of this hour or later stay whole, and so do the claims that are listed; the
/// others become counts of their hour, kept for 90 days, and of their miner, kept for good.
///
/// # Errors
/// An empty ledger, another key than its validator's, or more than fits.
pub fn compact(
    ledger: &Ledger,
    from: u64,
    standing: &BTreeSet<ClaimId>,
    at: u64,
    key: &SigningKey,
) -> Result<Vec<u8>, LedgerError> {
    let chain = ledger.chain()?;
    let (kept, old): (Vec<_>, Vec<_>) = ledger
        .entries()
        .iter()
        .partition(|entry| entry.at / BUCKET_MILLIS >= from || standing.contains(&entry.claim));
    let (mut hours, mut lifetimes) = (ledger.hours().clone(), ledger.lifetimes().clone());
    for entry in old {
        hours::add(&mut hours, entry);
        lifetime::add(&mut lifetimes, entry);
    }
    let oldest = (at / BUCKET_MILLIS).saturating_sub(KEPT_HOURS);
    hours.retain(|(hour, ..), _| *hour >= oldest);
    let sequence = chain.next.checked_sub(1).ok_or(LedgerError::Empty)?;
    let checkpoint = Checkpoint {
        kept: kept.into_iter().cloned().collect(),
        // What was compacted before is not here.
        from: from.max(ledger.whole_from()),
        hours,
        lifetimes,
        entries: chain.entries,
        rule: ledger.rules().last().cloned(),
    };
    let segment = Segment {
        validator: chain.validator,
        sequence,
        previous: chain.last,
        content: Content::Checkpoint(checkpoint),
    };
    segment.sign(key)
}
