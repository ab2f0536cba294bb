//! What a start finds from a checkpoint is what it finds from all segments; a checkpoint that is none of ours is refused by name.

use zkinfer_scoring::Constants;

use super::*;
use crate::dispatch::signed::{Refused, Signed, from_the_first, read as read_signed};
use crate::scoring::{Series, Totals};

const HOUR: u64 = 3_600_000;
const NOW: u64 = 500_000 * HOUR + 7;

/// Claims of two miners over three days: proofs, and faults of each kind.
fn claim(n: u64) -> Entry {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    let failed = match n % 11 {
        3 => Some(("LeaseExpired", true)),
        7 => Some(("Draining", false)),
        _ => None,
    };
    Entry {
        claim: ClaimId::new(id),
        request: RequestUid::new([(n / 10) as u8; 16]),
        slice: SliceIndex((n % 3) as u32),
        pool: PoolId::new(if n.is_multiple_of(2) { "a" } else { "b" }, "pool"),
        identity: Identity::new([1 + (n % 2) as u8; 32]),
        verified: failed.is_none(),
        cause: failed.map(|(word, _)| word.to_owned().into()),
        miners_fault: failed.is_some_and(|(_, fault)| fault),
        micros: 50_000 + n * 977 % 400_000,
        bytes: Some(2000 + n),
        at: NOW - 72 * HOUR + n * 72 * HOUR / 400,
        ..entry(0)
    }
}

fn warm() -> Rule {
    let name = RuleName::SpeedSizeAccuracy;
    let constants = Constants {
        cold_start: 0,
        ..name.constants()
    };
    Rule::new(name, constants).unwrap()
}

/// A ledger of 400 claims in segments of ten, with a checkpoint after the 300th; the first `living` claims' requests are there still.
async fn compacted(living: u64) -> Artifacts {
    let artifacts = Artifacts::memory();
    for n in 0..living {
        let of = claim(n);
        artifacts
            .put_claim(of.request, of.slice, of.claim, b"{}".to_vec())
            .await
            .unwrap();
    }
    let segments = Segments::open(&artifacts, key(1), &[]).await.unwrap();
    for n in 0..400 {
        let of = claim(n);
        stand(&artifacts, &of).await;
        segments.add(&of);
        if n % 10 == 9 {
            segments.write().await.unwrap();
        }
        if n == 299 {
            let made = segments
                .compact(warm().constants(), of.at)
                .await
                .unwrap()
                .unwrap();
            assert_eq!((made.sequence, made.counted > 100), (29, true));
        }
    }
    artifacts
}

fn ours() -> Identity {
    super::super::named(&key(1))
}

/// What is told of both miners, and of the hours.
fn told(signed: &Signed) -> (Vec<crate::scoring::MinerScore>, Vec<crate::scoring::Span>) {
    let mut totals = Totals::of_ledger(warm(), &signed.ledger, &[]);
    let scores = [1, 2].map(|n| totals.score(&Identity::new([n; 32]), NOW));
    (scores.to_vec(), totals.spans(&Series::All, NOW, 24 * 90).spans)
}

#[tokio::test]
async fn a_start_from_the_checkpoint_and_one_from_all_segments_tell_the_same_bit_by_bit() {
    let artifacts = compacted(0).await;
    let short = read_signed(&artifacts, &[ours()]).await.unwrap();
    let whole = from_the_first(&artifacts, &[ours()]).await.unwrap();
    assert_eq!(short.refused, None);
    assert_eq!(short.checkpoint.map(|chain| chain.next), Some(30));
    assert_eq!(whole.ledger.entries().len(), 400);
    assert!(short.ledger.entries().len() < 300);
    assert_eq!(short.ledger.chain(), whole.ledger.chain());
    assert_eq!(told(&short), told(&whole));
    assert!(
        told(&whole)
            .0
            .iter()
            .all(|of| of.verified > 100 && of.score_millionths > 0)
    );
    for later in [0, 1, 23] {
        let of = |signed: &Signed| {
            zkinfer_scoring::Scores::of(&warm(), signed.ledger.entries(), NOW + later * HOUR)
        };
        assert_eq!(of(&short), of(&whole), "{later} h later");
    }
}

#[tokio::test]
async fn what_a_checkpoint_counts_stands_by_itself_no_more_and_is_in_no_segment_again() {
    let artifacts = compacted(60).await;
    let left = artifacts.ledger(|_| false).await.unwrap().len();
    assert!(left < 300, "{left}");
    for restart in 0..3 {
        let opened = Segments::open_or_hold(&artifacts, key(1)).await.unwrap();
        assert!(opened.standing.is_empty(), "{restart}");
        opened.segments.write().await.unwrap();
        assert_eq!(artifacts.segments().await.unwrap().len(), 40);
        // Those of requests that are there still are asked for by their claims.
        for n in 0..60 {
            assert!(artifacts.ledger_entry(claim(n).claim).await.unwrap().is_some());
        }
        opened.segments.compact(warm().constants(), NOW).await.unwrap();
    }
    assert_eq!(
        from_the_first(&artifacts, &[ours()])
            .await
            .unwrap()
            .ledger
            .entries()
            .len(),
        400
    );
}

#[tokio::test]
async fn an_entry_that_was_counted_and_comes_back_with_an_older_copy_is_in_no_second_segment() {
    let artifacts = compacted(0).await;
    assert!(artifacts.ledger_entry(claim(5).claim).await.unwrap().is_none());
    stand(&artifacts, &claim(5)).await;
    stand(&artifacts, &claim(450)).await;
    let opened = Segments::open_or_hold(&artifacts, key(1)).await.unwrap();
    let standing: Vec<_> = opened.standing.iter().map(|entry| entry.claim).collect();
    assert_eq!(standing, [claim(450).claim]);
    opened.segments.write().await.unwrap();
    let whole = from_the_first(&artifacts, &[ours()]).await.unwrap();
    assert_eq!(whole.ledger.entries().len(), 401, "each claim once");
}

#[tokio::test]
async fn an_operator_that_ends_between_its_steps_loses_nothing() {
    let artifacts = compacted(0).await;
    let before = artifacts.ledger_checkpoint().await.unwrap().unwrap();
    let opened = Segments::open_or_hold(&artifacts, key(1)).await.unwrap();
    opened.segments.compact(warm().constants(), NOW).await.unwrap();
    // The entries are gone, and the checkpoint that counts them was not written.
    artifacts.put_ledger_checkpoint(before.to_vec()).await.unwrap();
    let again = Segments::open_or_hold(&artifacts, key(1)).await.unwrap();
    assert!(again.standing.is_empty());
    let whole = from_the_first(&artifacts, &[ours()]).await.unwrap();
    let short = read_signed(&artifacts, &[ours()]).await.unwrap();
    assert_eq!(told(&short), told(&whole));
}

/// Reads with another checkpoint in its place: why it is refused. All that follows from the segments stays.
async fn refused(artifacts: &Artifacts, checkpoint: Vec<u8>) -> Refused {
    let whole = told(&from_the_first(artifacts, &[ours()]).await.unwrap());
    artifacts.put_ledger_checkpoint(checkpoint).await.unwrap();
    let read = read_signed(artifacts, &[ours()]).await.unwrap();
    assert_eq!((read.checkpoint, told(&read)), (None, whole));
    read.refused.unwrap()
}

#[tokio::test]
async fn a_forged_checkpoint_is_refused_by_name_and_all_segments_are_read() {
    let artifacts = compacted(0).await;
    let good = artifacts.ledger_checkpoint().await.unwrap().unwrap().to_vec();
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    let told = refused(&artifacts, changed).await;
    assert!(
        matches!(told, Refused::Forged(LedgerError::Signature { .. })),
        "{told}"
    );
    assert!(
        told.to_string()
            .starts_with("its checkpoint is forged or damaged")
    );
    let told = refused(&artifacts, b"nothing".to_vec()).await;
    assert!(matches!(told, Refused::Forged(LedgerError::Magic(_))), "{told}");
    let segment = artifacts.segment(29).await.unwrap().to_vec();
    assert_eq!(refused(&artifacts, segment).await, Refused::NotOne);
    // Somebody else signs what they like.
    let stranger = compact_by(&artifacts, 9).await;
    let theirs = super::super::named(&key(9));
    assert_eq!(refused(&artifacts, stranger).await, Refused::Signer(theirs));
}

/// A checkpoint of another ledger, of this key, as long as this one.
async fn compact_by(artifacts: &Artifacts, n: u8) -> Vec<u8> {
    let other = Artifacts::memory();
    let segments = Segments::open(&other, key(n), &[]).await.unwrap();
    for number in 0..artifacts.segments().await.unwrap().len() as u64 {
        segments.add(&claim(1000 + number));
        segments.write().await.unwrap();
    }
    segments.compact(warm().constants(), NOW).await.unwrap().unwrap();
    other.ledger_checkpoint().await.unwrap().unwrap().to_vec()
}

#[tokio::test]
async fn a_stale_checkpoint_is_refused_by_name_and_all_segments_are_read() {
    let artifacts = compacted(0).await;
    let first = artifacts.ledger_checkpoint().await.unwrap().unwrap().to_vec();
    // Another history of the same key.
    let other = compact_by(&artifacts, 1).await;
    let told = refused(&artifacts, other).await;
    assert!(matches!(told, Refused::History { sequence: 39, .. }), "{told}");
    // One that stands for more than the head of a store that was restored.
    artifacts.put_ledger_checkpoint(first.clone()).await.unwrap();
    let cut = Artifacts::memory();
    let opened = Segments::open(&cut, key(1), &[]).await.unwrap();
    opened.add(&claim(0));
    opened.write().await.unwrap();
    assert_eq!(
        refused(&cut, first.clone()).await,
        Refused::Ahead {
            checkpoint: 29,
            head: 0
        }
    );
    // What follows it is not all there.
    artifacts.put_ledger_checkpoint(first).await.unwrap();
    artifacts.remove_segment(31).await.unwrap();
    let error = read_signed(&artifacts, &[ours()]).await.unwrap_err();
    assert!(
        matches!(error, SignedError::Broken { sequence: 32, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn where_the_first_segments_are_gone_nothing_is_read_without_their_checkpoint() {
    let artifacts = compacted(0).await;
    let whole = told(&from_the_first(&artifacts, &[ours()]).await.unwrap());
    let opened = Segments::open_or_hold(&artifacts, key(1)).await.unwrap();
    let for_ever = opened.segments.remove_old(&Default::default()).await.unwrap();
    assert_eq!(for_ever, 0);
    let bytes = serde_json::from_str(r#"{"ledgerBytes":"1"}"#).unwrap();
    assert_eq!(opened.segments.remove_old(&bytes).await.unwrap(), 30);
    assert_eq!(artifacts.segments().await.unwrap().first(), Some(&30));
    let read = from_the_first(&artifacts, &[ours()]).await.unwrap();
    assert_eq!(told(&read), whole);
    // Everything goes on from there.
    opened.segments.add(&claim(500));
    opened.segments.write().await.unwrap();
    opened
        .segments
        .compact(warm().constants(), NOW)
        .await
        .unwrap()
        .unwrap();
    let mut changed = artifacts.ledger_checkpoint().await.unwrap().unwrap().to_vec();
    changed[200] ^= 1;
    artifacts.put_ledger_checkpoint(changed).await.unwrap();
    let error = Segments::open_or_hold(&artifacts, key(1)).await.err().unwrap();
    let told = error.to_string();
    assert!(
        told.contains("begins with segment 30")
            && told.contains("forged or damaged")
            && told.contains("restore"),
        "{told}"
    );
    // Of another key nothing is added, and what is known stays.
    let error = Keys::from(key(5)).read(&artifacts).await.err().unwrap();
    assert!(
        matches!(error, SegmentsError::Signed(SignedError::Checkpoint { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_checkpoint_of_the_key_before_is_gone_on_from_by_whoever_has_both() {
    let artifacts = compacted(0).await;
    let bytes = serde_json::from_str(r#"{"ledgerBytes":"1"}"#).unwrap();
    let turned = Segments::open(&artifacts, turning(1, 2), &[]).await.unwrap();
    turned.remove_old(&bytes).await.unwrap();
    turned.write().await.unwrap();
    let new = super::super::named(&key(2));
    let both = Segments::open_or_hold(&artifacts, turning(1, 2)).await.unwrap();
    assert_eq!(
        (both.segments.held(), both.ledger.chain().unwrap().validator),
        (None, new)
    );
    let alone = Segments::open_or_hold(&artifacts, key(2)).await.unwrap();
    assert!(
        alone.segments.held().is_some(),
        "nobody vouches for what the checkpoint says"
    );
    assert_eq!(alone.ledger.chain(), both.ledger.chain());
    // The first thing that the new key does.
    turned.compact(warm().constants(), NOW).await.unwrap().unwrap();
    let alone = Segments::open_or_hold(&artifacts, key(2)).await.unwrap();
    assert_eq!(alone.segments.held(), None);
}
