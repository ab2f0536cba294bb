//! What is kept of a miner for good: counts, causes, work, and the times of its latest proofs.
//!
//! Invariant: what is added up is the same in whatever order it is added, and costs the same however much there was.

use std::collections::{BTreeMap, VecDeque};

use zkinfer_crds::Identity;

use super::bytes::{LedgerError, Reader, put_count};
use super::hours::{one_more, put_counts, read_counts};
use crate::cause::Cause;
use crate::entry::Entry;

/// Of how many proofs times are kept.
pub const LATEST: usize = 1024;

/// The microseconds of the latest proofs, each with the Unix millisecond at which its claim ended, in that order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Latest(VecDeque<(u64, u64)>);

impl Latest {
    /// One more; of more than [`LATEST`] the oldest goes, which may be this one.
    pub fn add(&mut self, at: u64, micros: u64) {
        let mut place = self.0.partition_point(|old| *old <= (at, micros));
        if self.0.len() == LATEST {
            if place == 0 {
                return;
            }
            self.0.pop_front();
            place -= 1;
        }
        self.0.insert(place, (at, micros));
    }

    /// The times, in microseconds, the oldest proof's first.
    pub fn micros(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|(_, micros)| *micros)
    }
}

/// One miner's claims.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lifetime {
    /// Claims whose proof was verified.
    pub verified: u64,
    /// Predicted microseconds of their slices.
    pub work: u64,
    /// The others, by the code of their cause.
    pub causes: BTreeMap<u8, u64>,
    /// How long the latest proofs took.
    pub latest: Latest,
}

/// By miner.
pub(crate) type Lifetimes = BTreeMap<Identity, Lifetime>;

/// Miner, verified, work and two empty lists.
const LEAST: usize = 32 + 8 + 8 + 2 * 4;

pub(super) fn add(lifetimes: &mut Lifetimes, entry: &Entry) {
    let lifetime = lifetimes.entry(entry.miner).or_default();
    match entry.end.cause() {
        Some(cause) => one_more(&mut lifetime.causes, cause.code()),
        None => {
            lifetime.verified = lifetime.verified.saturating_add(1);
            lifetime.work = lifetime.work.saturating_add(entry.work);
            lifetime.latest.add(entry.at, entry.micros);
        }
    }
}

pub(super) fn put_lifetimes(out: &mut Vec<u8>, lifetimes: &Lifetimes) -> Result<(), LedgerError> {
    put_count(out, lifetimes.len(), "miners")?;
    for (miner, lifetime) in lifetimes {
        let Lifetime {
            verified,
            work,
            causes,
            latest,
        } = lifetime;
        out.extend(miner.as_bytes());
        out.extend(verified.to_be_bytes());
        out.extend(work.to_be_bytes());
        put_counts(out, causes)?;
        put_count(out, latest.0.len(), "times")?;
        for (at, micros) in &latest.0 {
            out.extend(at.to_be_bytes());
            out.extend(micros.to_be_bytes());
        }
    }
    Ok(())
}

/// Reads them; an order or a miner twice that is not what they are written as, whoever reads a segment finds by its bytes.
pub(super) fn read_lifetimes(from: &mut Reader<'_>) -> Result<Lifetimes, LedgerError> {
    let many = from.count(usize::MAX, LEAST, "miners")?;
    let mut lifetimes = Lifetimes::new();
    for _ in 0..many {
        let miner = Identity::new(from.array("a miner")?);
        let mut lifetime = Lifetime {
            verified: from.u64("verified claims")?,
            work: from.u64("work")?,
            causes: read_counts(from, "causes", |code| Cause::of_code(code).is_some())?,
            latest: Latest::default(),
        };
        for _ in 0..from.count(LATEST, 16, "times")? {
            let at = from.u64("the time of an end")?;
            lifetime.latest.add(at, from.u64("a time")?);
        }
        lifetimes.insert(miner, lifetime);
    }
    Ok(lifetimes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_the_same_in_whatever_order_they_come() {
        let all: Vec<(u64, u64)> = (0..3000).map(|n| (n / 2, n * 7 % 1000)).collect();
        let of = |all: &mut dyn Iterator<Item = &(u64, u64)>| {
            let mut latest = Latest::default();
            all.for_each(|(at, micros)| latest.add(*at, *micros));
            latest
        };
        let forwards = of(&mut all.iter());
        assert_eq!(forwards, of(&mut all.iter().rev()));
        assert_eq!(forwards.0.len(), LATEST);
        assert_eq!(
            forwards.0[0].0,
            (3000 - LATEST as u64) / 2,
            "the oldest have gone"
        );
    }
}
