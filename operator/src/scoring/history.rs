//! What the ledger says of the last 90 days, hour by hour: the same after a restart, since it is of its entries alone.
//!
//! Invariants: an entry is added once and costs the same however many there were; hours that are too old are dropped, so that
//! what is held is bounded. Times are held by ranges of a fifth of their size: a percentile is told by its range's end.

use std::collections::BTreeMap;

use crate::dispatch::Entry;

const HOUR_MILLIS: u64 = 3_600_000;
/// Hours that are held.
pub const HISTORY_HOURS: u64 = 90 * 24;
/// Parts of a doubling.
const PARTS: u32 = 4;

/// What ended in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Span {
    /// When it begins, in Unix milliseconds.
    pub from: u64,
    /// Requests whose first slice was proved.
    pub requests: u64,
    /// Claims whose proof was verified.
    pub verified: u64,
    /// Claims that ended by a miner's fault.
    pub faults: u64,
    /// Claims that ended otherwise.
    pub others: u64,
    /// Half of the verified claims took at most this long, in microseconds.
    pub p50_micros: Option<u64>,
    /// 95 % of them.
    pub p95_micros: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct Hour {
    span: Span,
    /// Verified claims by the range of their microseconds.
    micros: BTreeMap<u32, u64>,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// By hours since 1970.
    hours: BTreeMap<u64, Hour>,
}

impl History {
    pub(super) fn add(&mut self, entry: &Entry) {
        let at = entry.at / HOUR_MILLIS;
        let hour = self.hours.entry(at).or_default();
        if entry.verified {
            hour.span.verified += 1;
            hour.span.requests += u64::from(entry.slice.0 == 0);
            *hour.micros.entry(range(entry.micros)).or_default() += 1;
        } else if entry.miners_fault {
            hour.span.faults += 1;
        } else {
            hour.span.others += 1;
        }
        while self.hours.len() as u64 > HISTORY_HOURS {
            self.hours.pop_first();
        }
    }

    /// The last `hours` up to now, in spans of `step` hours, the oldest first; those in which nothing ended are there too.
    pub(super) fn spans(&self, now: u64, hours: u64, step: u64) -> Vec<Span> {
        let (hours, step) = (hours.clamp(1, HISTORY_HOURS), step.max(1));
        let end = now / HOUR_MILLIS + 1;
        let count = hours.div_ceil(step);
        let first = end.saturating_sub(count * step);
        let span = |at: u64| {
            let from = first + at * step;
            let mut all = Hour::default();
            for hour in self.hours.range(from..from + step).map(|(_, hour)| hour) {
                let (sum, of) = (&mut all.span, &hour.span);
                sum.requests += of.requests;
                sum.verified += of.verified;
                sum.faults += of.faults;
                sum.others += of.others;
                for (range, many) in &hour.micros {
                    *all.micros.entry(*range).or_default() += many;
                }
            }
            Span {
                from: from * HOUR_MILLIS,
                p50_micros: at_most(&all.micros, 50),
                p95_micros: at_most(&all.micros, 95),
                ..all.span
            }
        };
        (0..count).map(span).collect()
    }
}

/// The range of a number: each is a fifth to a quarter of its numbers wide, and below `PARTS` of one number.
fn range(value: u64) -> u32 {
    let Some(log2) = value.checked_ilog2().filter(|log2| *log2 >= PARTS.ilog2()) else {
        return value as u32;
    };
    let shift = log2 - PARTS.ilog2();
    // The bits after the highest one.
    PARTS * (shift + 1) + ((value >> shift) as u32 - PARTS)
}

/// The greatest number of a range.
fn end(range: u32) -> u64 {
    if range < PARTS {
        return u64::from(range);
    }
    let (shift, part) = (range / PARTS - 1, range % PARTS);
    let last = (u128::from(PARTS + part) + 1) << shift;
    u64::try_from(last - 1).unwrap_or(u64::MAX)
}

fn at_most(ranges: &BTreeMap<u32, u64>, percent: u64) -> Option<u64> {
    let count: u64 = ranges.values().sum();
    let place = (count * percent).div_ceil(100).max(1);
    let mut seen = 0;
    let found = ranges.iter().find(|(_, many)| {
        seen += **many;
        seen >= place
    });
    found.map(|(range, _)| end(*range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_a_range_whose_end_is_at_most_a_quarter_above_it() {
        let near = (0..64).flat_map(|bit| {
            let power = 1u64 << bit;
            [power - 1, power, power + 1, power + power / 3]
        });
        let mut last = 0;
        let mut all: Vec<u64> = near.chain(0..2000).chain([u64::MAX]).collect();
        all.sort_unstable();
        for value in all {
            let end = end(range(value));
            assert!(end >= value && end - value <= value / 4, "{value} {end}");
            assert!(range(value) >= last, "ranges are in the order of their numbers");
            last = range(value);
        }
    }

    #[test]
    fn a_percentile_is_of_what_so_many_percent_do_not_exceed() {
        assert_eq!(at_most(&BTreeMap::new(), 50), None);
        let ranges = (1..=100u64).fold(BTreeMap::new(), |mut all, value| {
            *all.entry(range(value)).or_default() += 1;
            all
        });
        let (p50, p95) = (at_most(&ranges, 50).unwrap(), at_most(&ranges, 95).unwrap());
        assert!(
            (50..=62).contains(&p50) && (95..=118).contains(&p95),
            "{p50} {p95}"
        );
    }
}
