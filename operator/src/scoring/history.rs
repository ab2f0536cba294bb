//! What the ledger says of the last 90 days: of all claims, of each miner's, and of each manifest's. The same after a restart, since
//! it is of the ledger alone: of its entries, and of what a checkpoint keeps of them by the hour.
//!
//! Invariants: an entry is added once and costs the same however many there were; what is too old is dropped, and of miners and
//! manifests only so many are told of, so that what is held is bounded ([`cells`](super::cells)): of many those that have ended
//! nothing for longest are forgotten first.

use std::collections::BTreeMap;

use zkinfer_crds::{Digest, Identity};
use zkinfer_scoring::ledger;

use super::cells::{Cell, Cells};
use crate::dispatch::Entry;

/// Hours that are looked back at most.
pub const HISTORY_HOURS: u64 = 90 * 24;
/// Points of a history.
const MOST_SPANS: u64 = 120;
/// Hours of a trend, each a point.
pub const TREND_HOURS: u64 = 24;
/// Miners that are told of one by one, and manifests.
const MOST_MINERS: usize = 2048;
const MOST_MODELS: usize = 256;

const MINUTE: u64 = 60_000;
pub(super) const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// How many minutes, hours and days are held: of all claims, and of one miner's or manifest's.
const MINUTES: usize = 150;
const HOURS: usize = HISTORY_HOURS as usize + 1;
const HOURS_OF_ONE: usize = 7 * 24 + 2;
const DAYS_OF_ONE: usize = 92;

/// Whose claims are told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// Everybody's.
    All,
    /// A miner's.
    Miner(Identity),
    /// Those of slices of these manifests.
    Models(Vec<Digest>),
}

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
    /// Bytes of the verified proofs together; to a quarter.
    pub bytes: u64,
    /// Half of the verified claims took at most this long, in microseconds; to a quarter.
    pub p50_micros: Option<u64>,
    /// 95 % of them.
    pub p95_micros: Option<u64>,
}

/// What ended in a window, in spans of one length, the oldest first; those in which nothing ended are there too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans {
    /// The length of each, in milliseconds.
    pub step_millis: u64,
    /// At most 120 of them.
    pub spans: Vec<Span>,
}

/// How a miner has worked in the last [`TREND_HOURS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trend {
    /// Verified claims by the hour, the latest last.
    pub verified: Vec<u64>,
    /// Claims that ended by its fault, in all of them.
    pub faults: u64,
    /// The mean size of its verified proofs, in bytes; none where there is none.
    pub mean_bytes: Option<u64>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct History {
    minutes: Cells,
    hours: Cells,
    miners: BTreeMap<Identity, One>,
    models: BTreeMap<Digest, One>,
}

/// Of one miner or manifest.
#[derive(Debug, Clone)]
struct One {
    hours: Cells,
    days: Cells,
    /// When the last claim ended.
    last: u64,
}

impl Default for One {
    fn default() -> Self {
        Self {
            hours: Cells::new(HOUR, HOURS_OF_ONE),
            days: Cells::new(DAY, DAYS_OF_ONE),
            last: 0,
        }
    }
}

impl One {
    fn add(&mut self, entry: &Entry) {
        self.hours.add(entry);
        self.days.add(entry);
        self.last = self.last.max(entry.at);
    }

    fn add_hour(&mut self, at: u64, counted: &Cell) {
        self.hours.join(at, counted);
        self.days.join(at, counted);
        self.last = self.last.max(at);
    }
}

impl Default for History {
    fn default() -> Self {
        Self {
            minutes: Cells::new(MINUTE, MINUTES),
            hours: Cells::new(HOUR, HOURS),
            miners: BTreeMap::new(),
            models: BTreeMap::new(),
        }
    }
}

impl History {
    pub(super) fn add(&mut self, entry: &Entry) {
        self.minutes.add(entry);
        self.hours.add(entry);
        one(&mut self.miners, entry.identity, MOST_MINERS).add(entry);
        if let Some(model) = entry.model {
            one(&mut self.models, model, MOST_MODELS).add(entry);
        }
    }

    /// Adds what is kept of an hour of one miner and manifest, where its entries are not. It begins at `at`, in Unix milliseconds.
    pub(super) fn add_hour(&mut self, at: u64, miner: Identity, model: Option<Digest>, hour: &ledger::Hour) {
        let counted = Cell::of_hour(hour);
        self.hours.join(at, &counted);
        one(&mut self.miners, miner, MOST_MINERS).add_hour(at, &counted);
        if let Some(model) = model {
            one(&mut self.models, model, MOST_MODELS).add_hour(at, &counted);
        }
    }

    /// What ended in the last `hours` up to now.
    pub(super) fn spans(&self, of: &Series, now: u64, hours: u64) -> Spans {
        let hours = hours.clamp(1, HISTORY_HOURS);
        let all = match of {
            Series::All if length_of_all(hours) == MINUTE => vec![&self.minutes],
            Series::All => vec![&self.hours],
            Series::Miner(miner) => self
                .miners
                .get(miner)
                .map(|one| one.of(hours))
                .into_iter()
                .collect(),
            Series::Models(models) => {
                let known = models.iter().filter_map(|model| self.models.get(model));
                known.map(|one| one.of(hours)).collect()
            }
        };
        let length = match of {
            Series::All => length_of_all(hours),
            Series::Miner(_) | Series::Models(_) => length_of_one(hours),
        };
        let cells = (hours * HOUR).div_ceil(length);
        let step = cells.div_ceil(MOST_SPANS);
        let count = cells.div_ceil(step);
        let first = (now / length + 1).saturating_sub(count * step);
        let span = |at: u64| {
            let from = first + at * step;
            let mut sum = Cell::default();
            for cells in &all {
                cells.range(from..from + step).for_each(|cell| sum.join(cell));
            }
            told(&sum, from * length)
        };
        Spans {
            step_millis: step * length,
            spans: (0..count).map(span).collect(),
        }
    }

    /// How a miner has worked lately.
    pub(super) fn trend(&self, miner: &Identity, now: u64) -> Option<Trend> {
        let one = self.miners.get(miner)?;
        let first = (now / HOUR + 1).saturating_sub(TREND_HOURS);
        let mut sum = Cell::default();
        let hour = |at: u64| {
            let mut hour = Cell::default();
            one.hours.range(at..at + 1).for_each(|cell| hour.join(cell));
            hour
        };
        let verified = (first..first + TREND_HOURS).map(|at| {
            let hour = hour(at);
            sum.join(&hour);
            u64::from(hour.verified)
        });
        Some(Trend {
            verified: verified.collect(),
            faults: u64::from(sum.faults),
            mean_bytes: sum.bytes.checked_div(u64::from(sum.verified)),
        })
    }
}

impl One {
    fn of(&self, hours: u64) -> &Cells {
        if length_of_one(hours) == HOUR {
            &self.hours
        } else {
            &self.days
        }
    }
}

/// Of all claims, the last hours are told by the minute.
const fn length_of_all(hours: u64) -> u64 {
    if hours * HOUR <= MOST_SPANS * MINUTE {
        MINUTE
    } else {
        HOUR
    }
}

/// Of one miner or manifest, longer windows are told by the day.
const fn length_of_one(hours: u64) -> u64 {
    if hours as usize + 1 < HOURS_OF_ONE {
        HOUR
    } else {
        DAY
    }
}

fn told(of: &Cell, from: u64) -> Span {
    Span {
        from,
        requests: u64::from(of.requests),
        verified: u64::from(of.verified),
        faults: u64::from(of.faults),
        others: u64::from(of.others),
        bytes: of.bytes,
        p50_micros: of.at_most(50),
        p95_micros: of.at_most(95),
    }
}

/// The one of a key; where there are too many, in place of the one that has ended nothing for longest.
fn one<K: Ord + Copy>(all: &mut BTreeMap<K, One>, key: K, most: usize) -> &mut One {
    if !all.contains_key(&key) && all.len() >= most {
        let oldest = all.iter().min_by_key(|(_, one)| one.last).map(|(key, _)| *key);
        if let Some(key) = oldest {
            all.remove(&key);
        }
    }
    all.entry(key).or_default()
}
