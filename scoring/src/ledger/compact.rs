//! A checkpoint: what stands for all segments of a ledger, without the entries that no score needs any more.

use ed25519_dalek::SigningKey;

use super::bytes::LedgerError;
use super::chain::Ledger;
use super::hours::{Hours, add};
use super::segment::{Content, Segment};
use crate::rules::{BUCKET_MILLIS, Constants};

/// Hours of which counts are kept.
const KEPT_HOURS: u64 = 90 * 24;

/// Makes the checkpoint of a ledger at a time: entries that bear on scores under these constants, now or later, stay whole;
/// the others become counts of their hour, kept for 90 days.
///
/// # Errors
/// An empty ledger, another key than its validator's, or more than fits.
pub fn compact(
    ledger: &Ledger,
    constants: &Constants,
    at: u64,
    key: &SigningKey,
) -> Result<Vec<u8>, LedgerError> {
    let chain = ledger.chain()?;
    let this_hour = at / BUCKET_MILLIS;
    // A score of any later time looks back no further than one of now.
    let from = this_hour.saturating_sub(constants.window_hours.max(constants.skip_hours));
    let (kept, old): (Vec<_>, Vec<_>) = ledger
        .entries()
        .iter()
        .partition(|entry| entry.at / BUCKET_MILLIS >= from);
    let mut hours: Hours = ledger.hours().clone();
    old.into_iter().for_each(|entry| add(&mut hours, entry));
    hours.retain(|(hour, ..), _| *hour >= this_hour.saturating_sub(KEPT_HOURS));
    let sequence = chain.next.checked_sub(1).ok_or(LedgerError::Empty)?;
    let segment = Segment {
        validator: chain.validator,
        sequence,
        previous: chain.last,
        content: Content::Checkpoint {
            kept: kept.into_iter().cloned().collect(),
            hours,
            entries: chain.entries,
            rule: ledger.rules().last().cloned(),
        },
    };
    segment.sign(key)
}
