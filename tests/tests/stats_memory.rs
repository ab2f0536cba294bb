//! What Stats hold of a long ledger. In a process of its own: what is measured is its resident memory.

use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};
use zkinfer_operator::dispatch::{Entry, PoolId};
use zkinfer_operator::scoring::{Series, Totals};
use zkinfer_scoring::Rule;
use zkinfer_tests::sim::resident;

const ENTRIES: u64 = 1_000_000;
const MINERS: u64 = 1_500;
const MODELS: u64 = 40;
const HOUR: u64 = 3_600_000;
const NOW: u64 = 20_000 * 24 * HOUR;
/// What the web app may take of the operator's memory, in bytes.
const MOST: u64 = 100 << 20;

/// The `n`th of a ledger of 90 days: miners, times and ends are spread as unevenly as a small generator spreads them.
fn entry(n: u64) -> Entry {
    let mixed = n
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let digest = |of: u64| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&of.to_le_bytes());
        bytes
    };
    let (miner, verified) = (mixed % MINERS, !(mixed / MINERS).is_multiple_of(50));
    let mut claim = [0; 16];
    claim[..8].copy_from_slice(&n.to_le_bytes());
    Entry {
        claim: ClaimId::new(claim),
        request: RequestUid::new(claim),
        slice: SliceIndex((n % 8) as u32),
        digest: Some(Digest::new(digest(n % 8))),
        model: Some(Digest::new(digest(mixed % MODELS))),
        proof: None,
        pool: PoolId::new(&format!("miner-{miner}"), "pool"),
        identity: Identity::new(digest(miner)),
        attempt: 1,
        verified,
        cause: (!verified).then(|| "LeaseExpired".to_owned().into()),
        miners_fault: !verified,
        scores: true,
        benchmark: false,
        work_micros: 200_000,
        micros: 10_000 + (mixed >> 20) % 4_000_000,
        bytes: verified.then_some(60_000),
        at: NOW - 90 * 24 * HOUR + n * (90 * 24 * HOUR / ENTRIES),
    }
}

#[test]
fn a_million_entries_of_1500_miners_are_told_of_in_less_than_100_mb() {
    let before = resident().unwrap();
    let mut totals = Totals::new(Rule::default());
    for n in 0..ENTRIES {
        totals.add(&entry(n));
        // As a working operator does: what no score needs any more is let go.
        if n % 20_000 == 0 {
            let at = entry(n).at;
            totals.scores(at);
        }
    }
    totals.scores(NOW);
    let took = resident().unwrap().saturating_sub(before);
    println!(
        "measured: {} MiB for a ledger of {ENTRIES} entries and {MINERS} miners",
        took >> 20
    );
    assert!(took < MOST, "{took} bytes");
    let sum = |of: &Series| {
        totals
            .spans(of, NOW, 2160)
            .spans
            .iter()
            .map(|span| span.verified)
            .sum::<u64>()
    };
    let all = (0..ENTRIES).filter(|n| entry(*n).verified).count() as u64;
    assert!(sum(&Series::All).abs_diff(all) < 1000, "all of them are told of");
    let of_one = Series::Miner(entry(0).identity);
    assert!((400..1000).contains(&sum(&of_one)), "{}", sum(&of_one));
}
