//! What ended in stretches of time of one length: as few bytes as a chart needs.
//!
//! Invariants: only so many stretches are held, the latest; a stretch in which nothing ended takes nothing. Times are held by the
//! ledger's own ranges, of which a stretch has at most 252, and a percentile is told by its range's end, whether it is of entries or
//! of what a checkpoint keeps of them.

use std::collections::VecDeque;
use std::ops::Range;

use zkinfer_scoring::ledger::{self, range, range_end};
use zkinfer_scoring::{Blame, Cause};

use crate::dispatch::Entry;

/// What ended in one stretch.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    /// Requests whose first slice was proved.
    pub(super) requests: u32,
    /// Claims whose proof was verified, that ended by a miner's fault, and otherwise.
    pub(super) verified: u32,
    pub(super) faults: u32,
    pub(super) others: u32,
    /// Bytes of the verified proofs, each by its range's end.
    pub(super) bytes: u64,
    /// How many verified claims took microseconds of a range; ascending.
    micros: Vec<(u8, u32)>,
}

impl Cell {
    fn add(&mut self, entry: &Entry) {
        if entry.verified {
            self.verified += 1;
            self.requests += u32::from(entry.slice.0 == 0);
            // As a checkpoint keeps them.
            let bytes = entry.bytes.map_or(0, |bytes| range_end(range(bytes)));
            self.bytes = self.bytes.saturating_add(bytes);
            self.count(range(entry.micros), 1);
        } else if entry.miners_fault {
            self.faults += 1;
        } else {
            self.others += 1;
        }
    }

    /// What a checkpoint keeps of an hour.
    pub(super) fn of_hour(hour: &ledger::Hour) -> Self {
        let count = |many: u64| u32::try_from(many).unwrap_or(u32::MAX);
        let by = |miners: bool| {
            let is = |code: u8| Cause::of_code(code).is_some_and(|cause| cause.blame() == Blame::Miner);
            let of = hour.causes.iter().filter(|(code, _)| is(**code) == miners);
            count(of.fold(0, |sum: u64, (_, many)| sum.saturating_add(*many)))
        };
        let bytes = hour
            .bytes
            .iter()
            .map(|(range, many)| range_end(*range).saturating_mul(*many));
        Self {
            requests: count(hour.requests),
            verified: count(hour.verified),
            faults: by(true),
            others: by(false),
            bytes: bytes.fold(0, u64::saturating_add),
            micros: hour
                .micros
                .iter()
                .map(|(range, many)| (*range, count(*many)))
                .collect(),
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
        found.map(|(range, _)| range_end(*range))
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
        if let Some(cell) = self.cell(entry.at) {
            cell.add(entry);
        }
    }

    /// Adds what ended in a stretch that begins at `at`.
    pub(super) fn join(&mut self, at: u64, counted: &Cell) {
        if let Some(cell) = self.cell(at) {
            cell.join(counted);
        }
    }

    /// The stretch of a time; none where it is older than all that are held, of as many as may be: it would be dropped at once.
    fn cell(&mut self, at: u64) -> Option<&mut Cell> {
        let at = at / self.length;
        let place = match self.cells.binary_search_by_key(&at, |(at, _)| *at) {
            Ok(place) => place,
            Err(0) if self.cells.len() >= self.most => return None,
            Err(mut place) => {
                if self.cells.len() >= self.most {
                    self.cells.pop_front();
                    place -= 1;
                }
                self.cells.insert(place, (at, Cell::default()));
                place
            }
        };
        self.cells.get_mut(place).map(|(_, cell)| cell)
    }

    /// The stretches of a range of them in which something ended.
    pub(super) fn range(&self, of: Range<u64>) -> impl Iterator<Item = &Cell> {
        let first = self.cells.partition_point(|(at, _)| *at < of.start);
        let from = self.cells.range(first..);
        from.take_while(move |(at, _)| *at < of.end).map(|(_, cell)| cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
