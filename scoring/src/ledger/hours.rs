//! What is kept of an hour when its entries are not: per miner and model, counts, work, causes, and histograms.
//!
//! Invariant: what is added up is the same in whatever order it is added.

use std::collections::BTreeMap;

use zkinfer_crds::{Digest, Identity};

use super::bytes::{LedgerError, Reader, put_count};
use super::ranges::{Histogram, LAST, range};
use crate::cause::Cause;
use crate::entry::Entry;
use crate::rules::BUCKET_MILLIS;

/// One hour of one miner and one model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hour {
    /// Claims whose proof was verified.
    pub verified: u64,
    /// Those of them of a request's first slice: as many requests.
    pub requests: u64,
    /// Predicted microseconds of their slices.
    pub work: u64,
    /// The others, by the code of their cause.
    pub causes: BTreeMap<u8, u64>,
    /// Microseconds of verified claims.
    pub micros: Histogram,
    /// Bytes of verified proofs.
    pub bytes: Histogram,
}

/// Hours by when they were (hours since 1970), miner and model.
pub(crate) type Hours = BTreeMap<(u64, Identity, Option<Digest>), Hour>;

/// Hour, miner, flag, verified, requests, work and three empty lists.
const LEAST: usize = 8 + 32 + 1 + 8 + 8 + 8 + 3 * 4;

/// One more of those under a key.
pub(super) fn one_more(counts: &mut BTreeMap<u8, u64>, key: u8) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

pub(super) fn add(hours: &mut Hours, entry: &Entry) {
    let of = (entry.at / BUCKET_MILLIS, entry.miner, entry.model);
    let hour = hours.entry(of).or_default();
    match entry.end.cause() {
        Some(cause) => one_more(&mut hour.causes, cause.code()),
        None => {
            hour.verified = hour.verified.saturating_add(1);
            hour.requests = hour.requests.saturating_add((entry.slice.0 == 0).into());
            hour.work = hour.work.saturating_add(entry.work);
            one_more(&mut hour.micros, range(entry.micros));
            if let Some(bytes) = entry.bytes {
                one_more(&mut hour.bytes, range(bytes));
            }
        }
    }
}

pub(super) fn put_hours(out: &mut Vec<u8>, hours: &Hours) -> Result<(), LedgerError> {
    put_count(out, hours.len(), "hours")?;
    for ((at, miner, model), hour) in hours {
        let Hour {
            verified,
            requests,
            work,
            causes,
            micros,
            bytes,
        } = hour;
        out.extend(at.to_be_bytes());
        out.extend(miner.as_bytes());
        out.push(model.is_some().into());
        if let Some(model) = model {
            out.extend(model.as_bytes());
        }
        out.extend(verified.to_be_bytes());
        out.extend(requests.to_be_bytes());
        out.extend(work.to_be_bytes());
        for counts in [causes, micros, bytes] {
            put_counts(out, counts)?;
        }
    }
    Ok(())
}

pub(super) fn put_counts(out: &mut Vec<u8>, counts: &BTreeMap<u8, u64>) -> Result<(), LedgerError> {
    put_count(out, counts.len(), "counts")?;
    for (key, count) in counts {
        out.push(*key);
        out.extend(count.to_be_bytes());
    }
    Ok(())
}

pub(super) fn read_counts(
    from: &mut Reader<'_>,
    what: &'static str,
    known: impl Fn(u8) -> bool,
) -> Result<BTreeMap<u8, u64>, LedgerError> {
    let many = from.count(256, 9, what)?;
    let mut counts = BTreeMap::new();
    for _ in 0..many {
        let key = from.u8(what)?;
        if !known(key) {
            return Err(LedgerError::Unknown {
                what,
                got: key.into(),
            });
        }
        counts.insert(key, from.u64(what)?);
    }
    Ok(counts)
}

pub(super) fn read_hours(from: &mut Reader<'_>) -> Result<Hours, LedgerError> {
    let many = from.count(usize::MAX, LEAST, "hours")?;
    let mut hours = Hours::new();
    for _ in 0..many {
        let at = from.u64("an hour")?;
        let miner = Identity::new(from.array("a miner")?);
        let model = match from.u8("whether there is a model")? {
            0 => None,
            1 => Some(Digest::new(from.array("a model")?)),
            other => {
                return Err(LedgerError::Unknown {
                    what: "whether there is a model",
                    got: other.into(),
                });
            }
        };
        let hour = Hour {
            verified: from.u64("verified claims")?,
            requests: from.u64("requests")?,
            work: from.u64("work")?,
            causes: read_counts(from, "causes", |code| Cause::of_code(code).is_some())?,
            micros: read_counts(from, "times", |range| range <= LAST)?,
            bytes: read_counts(from, "sizes", |range| range <= LAST)?,
        };
        hours.insert((at, miner, model), hour);
    }
    Ok(hours)
}
