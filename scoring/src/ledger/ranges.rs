//! Numbers by ranges: what a histogram keeps of each, and what it tells.
//!
//! Invariant: a range is a fifth to a quarter of its numbers wide, and below [`PARTS`] of one number, so that whatever is told of a
//! histogram is at most a quarter above what it is of.

use std::collections::BTreeMap;

/// Parts of a doubling.
const PARTS: u32 = 4;
/// The greatest range, in which `u64::MAX` is.
pub(super) const LAST: u8 = 251;

/// How many numbers are in which range.
pub type Histogram = BTreeMap<u8, u64>;

/// The range of a number.
#[must_use]
pub fn range(value: u64) -> u8 {
    let Some(log2) = value.checked_ilog2().filter(|log2| *log2 >= PARTS.ilog2()) else {
        return value as u8;
    };
    let shift = log2 - PARTS.ilog2();
    // The bits after the highest one.
    (PARTS * (shift + 1) + ((value >> shift) as u32 - PARTS)) as u8
}

/// The greatest number of a range.
#[must_use]
pub fn range_end(range: u8) -> u64 {
    let range = u32::from(range);
    if range < PARTS {
        return u64::from(range);
    }
    let (shift, part) = (range / PARTS - 1, range % PARTS);
    let last = (u128::from(PARTS + part) + 1) << shift;
    u64::try_from(last - 1).unwrap_or(u64::MAX)
}

/// What so many percent of the numbers do not exceed, told by their range's end; `None` of no number.
#[must_use]
pub fn at_most(ranges: &Histogram, percent: u64) -> Option<u64> {
    let count = ranges.values().fold(0u128, |sum, many| sum + u128::from(*many));
    let place = (count * u128::from(percent)).div_ceil(100).max(1);
    let mut seen = 0;
    let found = ranges.iter().find(|(_, many)| {
        seen += u128::from(**many);
        seen >= place
    });
    found.map(|(range, _)| range_end(*range))
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
            let end = range_end(range(value));
            assert!(end >= value && end - value <= value / 4, "{value} {end}");
            assert!(range(value) >= last, "ranges are in the order of their numbers");
            last = range(value);
        }
        assert_eq!(last, LAST);
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
        // Whoever writes a ledger writes what counts it likes.
        let huge = Histogram::from([(1, u64::MAX), (2, u64::MAX)]);
        assert_eq!((at_most(&huge, 50), at_most(&huge, 51)), (Some(1), Some(2)));
    }
}
