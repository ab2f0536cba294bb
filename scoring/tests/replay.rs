//! A million entries are verified and scored within their bar: some seconds, and 500 MB with the segments.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};
use zkinfer_scoring::ledger::{Chain, Content, Ledger, MAX_ENTRIES};
use zkinfer_scoring::{Cause, End, Entry, Rule, RuleName, Scores};

const ENTRIES: u64 = 1_000_000;
const MINERS: u64 = 1500;
const DAY: u64 = 24 * 3_600_000;
const BAR: Duration = Duration::from_secs(20);

fn bytes<const N: usize>(n: u64) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn entry(n: u64, names: &[Arc<str>]) -> Entry {
    // Neither times nor miners repeat in a short cycle.
    let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    let miner = mixed % MINERS;
    let work = 20_000 + mixed % 500_000;
    let micros = work / 4 + mixed % work;
    Entry {
        claim: ClaimId::new(bytes(n)),
        request: RequestUid::new(bytes(n / 40)),
        model: Some(Digest::new(bytes(mixed % 7))),
        slice: SliceIndex((n % 40) as u32),
        key: Some(Digest::new(bytes(mixed % 200))),
        namespace: Arc::clone(&names[miner as usize]),
        pool: Arc::clone(&names[0]),
        miner: Identity::new(bytes(miner)),
        attempt: 1,
        // Of other bits than miner and slice are: nobody fails always, and no slice is never proved.
        end: if (mixed >> 20).is_multiple_of(50) {
            End::Ended(Cause::LeaseExpired)
        } else {
            End::Verified
        },
        comparable: true,
        benchmark: false,
        work,
        micros,
        bytes: Some(50_000 + mixed % 1000),
        proof: Some(Digest::new(bytes(n))),
        at: 500_000 * 3_600_000 + n * DAY / ENTRIES,
    }
}

#[test]
fn a_million_entries_replay_within_twenty_seconds_and_always_alike() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let names: Vec<Arc<str>> = (0..MINERS).map(|n| Arc::from(format!("miner-{n}"))).collect();
    let mut chain = Chain::new(Identity::new(key.verifying_key().to_bytes()));
    let mut segments = Vec::new();
    let all: Vec<u64> = (0..ENTRIES).collect();
    for numbers in all.chunks(MAX_ENTRIES) {
        let entries = numbers.iter().map(|n| entry(*n, &names)).collect();
        let (bytes, next) = chain.append(Content::Entries(entries), &key).unwrap();
        segments.push(bytes);
        chain = next;
    }
    let began = Instant::now();
    let mut ledger = Ledger::default();
    for bytes in &segments {
        ledger.add(bytes, None).unwrap();
    }
    assert_eq!(ledger.ends_at(&chain.head(0).unwrap()), Ok(()));
    let read = began.elapsed();
    let at = ledger.entries().iter().map(|e| e.at).max().unwrap();
    for name in RuleName::ALL {
        let began = Instant::now();
        let scores = Scores::of(&Rule::from(name), ledger.entries(), at);
        let took = read + began.elapsed();
        println!("measured: replay of {ENTRIES} entries by {name}: {took:?}, of which {read:?} to verify");
        assert_eq!(scores.miners.len() as u64, MINERS);
        assert!(took < BAR, "{name}: {took:?}");
        assert!(
            scores == Scores::of(&Rule::from(name), ledger.entries(), at),
            "{name}"
        );
    }
}
