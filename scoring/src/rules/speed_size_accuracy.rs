//! The default: verified work, by speed, size and accuracy.
//!
//! ```text
//! rate(e)  = micros(e) / work(e)                  time per unit of predicted work
//! R        = the rate of the network's best tenth, by work: of benchmarks, from 64 proofs of them on
//! B(key)   = the bytes of the best tenth of the slice's proofs, by work: of benchmarks, from 8 proofs of them on
//! speed(e) = min(1, 2 R / (R + rate(e)))          size(e) = min(1, 2 B / (B + bytes(e)))
//! credit  += work(e) · (s · speed(e) + (1 - s) · size(e)) · 2^(-age / half-life)      verified, s = 0.7
//! debit   += 2 · work(e) · 2^(-age / half-life)                                       the miner's fault
//! ```
//!
//! Invariants: what an entry is worth depends on the entry and on what the whole network does, never on which identity it
//! is of: who splits a machine over identities has the same sum. What is worth one at most is worth it for all of the best
//! tenth: nothing is to be had by being absurdly fast at absurdly little, only by doing more.

use std::collections::BTreeMap;

use zkinfer_crds::{Digest, Identity};

use super::reference::{best_tenth, of_benchmarks};
use super::{Constants, Seen, Total, Worth};
use crate::entry::Entry;
use crate::fixed::{MILLION, ONE, part, ratio};

/// Proofs of benchmarks from which on references are of benchmarks alone: of all slices together, and of one.
const BENCHMARKS: usize = 64;
const BENCHMARKS_OF_SLICE: usize = 8;

/// A value, and the work that it is of.
type Weighed = (u128, u64);

pub(super) fn constants() -> Constants {
    Constants {
        window_hours: 24,
        half_life_minutes: 120,
        least_work: 5_000,
        cold_start: 20,
        skip_hours: 24,
        fault_millionths: 2_000_000,
        power_millionths: 1_000_000,
        owner_cap_millionths: 1_000_000,
        speed_millionths: 700_000,
        owners: BTreeMap::new(),
    }
}

/// Time per work, with 20 bits behind the point.
fn rate(entry: &Entry) -> u128 {
    (u128::from(entry.micros) << 20) / u128::from(entry.work.max(1))
}

/// At most one: twice the reference, of the reference and what it took.
fn beside(reference: u128, took: u128) -> u64 {
    ratio(2 * reference, reference + took)
}

pub(super) fn worth(seen: &Seen<'_>) -> Vec<(usize, Worth)> {
    let verified = || seen.entries.iter().filter(|e| e.verified());
    let rates = verified().map(|e| (e.benchmark, (rate(e), e.work))).collect();
    let reference = best_tenth(of_benchmarks(rates, BENCHMARKS))
        .unwrap_or_default()
        .max(1);
    let mut bytes: BTreeMap<Digest, Vec<(bool, Weighed)>> = BTreeMap::new();
    for entry in verified() {
        if let (Some(key), Some(size)) = (entry.key, entry.bytes) {
            let size = (u128::from(size), entry.work);
            bytes.entry(key).or_default().push((entry.benchmark, size));
        }
    }
    let least: BTreeMap<Digest, u128> = bytes
        .into_iter()
        .map(|(key, of)| (key, of_benchmarks(of, BENCHMARKS_OF_SLICE)))
        .filter_map(|(key, of)| Some((key, best_tenth(of)?.max(1))))
        .collect();
    let speed_part = u128::from(seen.constants.speed_millionths);
    let of = |entry: &Entry| {
        let (work, aged) = (u128::from(entry.work), seen.aged(entry));
        let possible = part(work, aged);
        if entry.fault() {
            let owed = work * u128::from(seen.constants.fault_millionths) / u128::from(MILLION);
            return Worth {
                credit: 0,
                debit: part(owed, aged),
                possible,
            };
        }
        let speed = beside(reference, rate(entry));
        let size = entry.key.and_then(|key| least.get(&key)).zip(entry.bytes);
        let size = size.map_or(0, |(least, bytes)| beside(*least, u128::from(bytes)));
        let size_part = u128::from(MILLION) - speed_part;
        let quality = (speed_part * u128::from(speed) + size_part * u128::from(size)) / u128::from(MILLION);
        Worth {
            credit: part(part(work, quality.min(u128::from(ONE)) as u64), aged),
            debit: 0,
            possible,
        }
    };
    seen.entries.iter().enumerate().map(|(i, e)| (i, of(e))).collect()
}

pub(super) fn totals(seen: &Seen<'_>) -> BTreeMap<Identity, Total> {
    seen.sum(&worth(seen))
}
