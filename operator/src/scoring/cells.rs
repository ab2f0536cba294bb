//! What ended in stretches of time of one length: as few bytes as a chart needs.
//!
//! Invariants: only so many stretches are held, the latest; a stretch in which nothing ended takes nothing. Times are held by ranges
//! of a fifth of their size, so that a stretch has at most 252 of them, and a percentile is told by its range's end.

use std::collections::VecDeque;
use std::ops::Range;

use crate::dispatch::Entry;

/// Parts of a doubling.
const PARTS: u32 = 4;

/// What ended in one stretch.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    /// Requests whose first slice was proved.
    pub(super) requests: u32,
    /// Claims whose proof was verified, that ended by a miner's fault, and otherwise.
    pub(super) verified: u32,
    pub(super) faults: u32,
    pub(super) others: u32,
    /// Bytes of the verified proofs.
    pub(super) bytes: u64,
    /// How many verified claims took microseconds of a range; ascending.
    micros: Vec<(u8, u32)>,
}

impl Cell {
    fn add(&mut self, entry: &Entry) {
        if entry.verified {
            self.verified += 1;
            self.requests += u32::from(entry.slice.0 == 0);
            self.bytes = self.bytes.saturating_add(entry.bytes.unwrap_or_default());
            self.count(range(entry.micros), 1);
        } else if entry.miners_fault {
            self.faults += 1;
        } else {
            self.others += 1;
        }
    }

    /// Adds what ended in another one.
    pub(super) fn join(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.verified = self.verified.saturating_add(other.verified);
        self.faults = self.faults.saturating_add(other.faults);
        self.others = self.others.saturating_add(other.others);
        self.bytes = self.bytes.saturating_add(other.bytes);
        other
            .micros
            .iter()
            .for_each(|&(range, many)| self.count(range, many));
    }

    fn count(&mut self, range: u8, many: u32) {
        match self.micros.binary_search_by_key(&range, |(range, _)| *range) {
            Ok(at) => self.micros[at].1 = self.micros[at].1.saturating_add(many),
            Err(at) => {
                // Most have a few, and room for them alone.
                self.micros.reserve_exact(1);
                self.micros.insert(at, (range, many));
            }
        }
    }

    /// What so many percent of the verified claims do not exceed, in microseconds.
    pub(super) fn at_most(&self, percent: u64) -> Option<u64> {
        let count: u64 = self.micros.iter().map(|(_, many)| u64::from(*many)).sum();
        let place = (count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.micros.iter().find(|(_, many)| {
            seen += u64::from(*many);
            seen >= place
        });
        found.map(|(range, _)| end(*range))
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    /// The length of a stretch, in milliseconds.
    length: u64,
    /// How many are held.
    most: usize,
    /// By stretches since 1970, ascending: a list, of which each takes what it needs and a map would take twice that.
    cells: VecDeque<(u64, Cell)>,
}

impl Cells {
    pub(super) const fn new(length: u64, most: usize) -> Self {
        Self {
            length,
            most,
            cells: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        let at = entry.at / self.length;
        match self.cells.binary_search_by_key(&at, |(at, _)| *at) {
            Ok(place) => self.cells[place].1.add(entry),
            // What is older than all that are held would be dropped at once.
            Err(0) if self.cells.len() >= self.most => {}
            Err(place) => {
                let mut cell = Cell::default();
                cell.add(entry);
                if self.cells.len() >= self.most {
                    self.cells.pop_front();
                    self.cells.insert(place - 1, (at, cell));
                } else {
                    self.cells.insert(place, (at, cell));
                }
            }
        }
    }

    /// The stretches of a range of them in which something ended.
    pub(super) fn range(&self, of: Range<u64>) -> impl Iterator<Item = &Cell> {
        let first = self.cells.partition_point(|(at, _)| *at < of.start);
        let from = self.cells.range(first..);
        from.take_while(move |(at, _)| *at < of.end).map(|(_, cell)| cell)
    }
}

/// The range of a number: each is a fifth to a quarter of its numbers wide, and below `PARTS` of one number.
fn range(value: u64) -> u8 {
    let Some(log2) = value.checked_ilog2().filter(|log2| *log2 >= PARTS.ilog2()) else {
        return value as u8;
    };
    let shift = log2 - PARTS.ilog2();
    // The bits after the highest one; at most 251 in all.
    (PARTS * (shift + 1) + ((value >> shift) as u32 - PARTS)) as u8
}

/// The greatest number of a range.
fn end(range: u8) -> u64 {
    let range = u32::from(range);
    if range < PARTS {
        return u64::from(range);
    }
    let (shift, part) = (range / PARTS - 1, range % PARTS);
    let last = (u128::from(PARTS + part) + 1) << shift;
    u64::try_from(last - 1).unwrap_or(u64::MAX)
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
        assert_eq!(Cell::default().at_most(50), None);
        let mut cell = Cell::default();
        // Whatever their order.
        for value in (1..=100u64).rev() {
            cell.count(range(value), 1);
        }
        let (p50, p95) = (cell.at_most(50).unwrap(), cell.at_most(95).unwrap());
        assert!(
            (50..=62).contains(&p50) && (95..=118).contains(&p95),
            "{p50} {p95}"
        );
    }
}
