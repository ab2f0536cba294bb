//! What the ledger says of the last 90 days, hour by hour: the same after a restart, since it is of its entries alone.
//!
//! Invariants: an entry is added once and costs the same however many there were; hours that are too old are dropped, so that
//! what is held is bounded. Times are held by the ledger's own ranges: a percentile is told by its range's end, whether it is of
//! entries or of what a checkpoint keeps of them.

use std::collections::BTreeMap;

use zkinfer_scoring::ledger::{self, Histogram, at_most, range};
use zkinfer_scoring::{Blame, Cause};

use crate::dispatch::Entry;

const HOUR_MILLIS: u64 = 3_600_000;
/// Hours that are held.
pub const HISTORY_HOURS: u64 = 90 * 24;

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
    micros: Histogram,
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
        self.keep();
    }

    /// Adds what is kept of an hour, in hours since 1970, where its entries are not.
    pub(super) fn add_hour(&mut self, at: u64, counted: &ledger::Hour) {
        let hour = self.hours.entry(at).or_default();
        let sum = |of: &mut u64, many: u64| *of = of.saturating_add(many);
        sum(&mut hour.span.verified, counted.verified);
        sum(&mut hour.span.requests, counted.requests);
        for (code, many) in &counted.causes {
            match Cause::of_code(*code).map(Cause::blame) {
                Some(Blame::Miner) => sum(&mut hour.span.faults, *many),
                _ => sum(&mut hour.span.others, *many),
            }
        }
        for (range, many) in &counted.micros {
            sum(hour.micros.entry(*range).or_default(), *many);
        }
        self.keep();
    }

    fn keep(&mut self) {
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
