//! Delivered work at a reference price.
//!
//! ```text
//! price(key) = the time of the best tenth of the latest 256 verified proofs of the slice, all miners', from 8 proofs on; of
//!              those of benchmarks alone, where there are 8 of them
//! credit    += price(key) · 2^(-age / half-life)          a verified proof
//! debit     += 2 · price(key) · 2^(-age / half-life)      the miner's fault
//! score      = max(0, credit - debit)^1.3
//! ```
//!
//! How long a proof took makes no difference. A slice with fewer proofs has no price, and pays nothing until it has one; from
//! then on all its proofs of the window do.

use std::collections::BTreeMap;

use zkinfer_crds::{Digest, Identity};

use super::{Constants, Seen, Total, Worth};
use crate::entry::Entry;
use crate::fixed::{MILLION, part};

/// Prices are of that many proofs.
const LATEST: usize = 256;
/// There is none of fewer.
const ENOUGH: usize = 8;

pub(super) fn constants() -> Constants {
    Constants {
        cold_start: 100,
        power_millionths: 1_300_000,
        owner_cap_millionths: 250_000,
        ..super::speed_size_accuracy::constants()
    }
}

/// The latest times of a slice's proofs: all, and those of benchmarks.
#[derive(Default)]
struct Latest {
    all: Vec<u64>,
    benchmarks: Vec<u64>,
}

impl Latest {
    fn add(&mut self, entry: &Entry) {
        let of = [(&mut self.all, true), (&mut self.benchmarks, entry.benchmark)];
        for (times, is_one) in of {
            if is_one && times.len() < LATEST {
                times.push(entry.micros);
            }
        }
    }

    fn price(self) -> Option<u64> {
        let of = [self.benchmarks, self.all];
        let mut times = of.into_iter().find(|times| times.len() >= ENOUGH)?;
        times.sort_unstable();
        times.get(times.len() / 10).copied()
    }
}

fn prices(seen: &Seen<'_>) -> BTreeMap<Digest, u64> {
    let mut latest: BTreeMap<Digest, Latest> = BTreeMap::new();
    for entry in seen.entries.iter().rev().filter(|e| e.verified()) {
        if let Some(key) = entry.key {
            latest.entry(key).or_default().add(entry);
        }
    }
    let priced = latest.into_iter();
    priced
        .filter_map(|(key, latest)| Some((key, latest.price()?)))
        .collect()
}

pub(super) fn worth(seen: &Seen<'_>) -> Vec<(usize, Worth)> {
    let prices = prices(seen);
    let mut worth = Vec::new();
    for (index, entry) in seen.entries.iter().enumerate() {
        let Some(price) = entry.key.and_then(|key| prices.get(&key)) else {
            continue;
        };
        let (price, aged) = (u128::from(*price), seen.aged(entry));
        let (credit, debit) = if entry.fault() {
            let owed = price * u128::from(seen.constants.fault_millionths) / u128::from(MILLION);
            (0, part(owed, aged))
        } else {
            (part(price, aged), 0)
        };
        let possible = part(price, aged);
        worth.push((
            index,
            Worth {
                credit,
                debit,
                possible,
            },
        ));
    }
    worth
}

pub(super) fn totals(seen: &Seen<'_>) -> BTreeMap<Identity, Total> {
    let mut totals = seen.sum(&worth(seen));
    // Whoever has done nothing yet that has a price is in the list all the same, with nothing.
    for entry in &seen.entries {
        totals.entry(entry.miner).or_default();
    }
    totals
}
