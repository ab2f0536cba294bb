//! What is in the ledger, whenever the operator ends, and whoever signs.

use zkinfer_crds::encode;
use zkinfer_crds::{ClaimId, Digest, RequestUid, SliceIndex};
use zkinfer_scoring::RuleName;
use zkinfer_scoring::ledger::Head;
use zkinfer_weights::assign::Registry;
use zkinfer_weights::file::{Subnet, WeightsFile};
use zkinfer_weights::vector::OwnerShare;

use super::*;
use crate::dispatch::PoolId;

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn entry(n: u8) -> Entry {
    Entry {
        claim: ClaimId::new([n; 16]),
        request: RequestUid::new([0; 16]),
        slice: SliceIndex(0),
        digest: Some(Digest::new([7; 32])),
        model: None,
        proof: None,
        pool: PoolId::new("a", "b"),
        identity: Identity::new([1; 32]),
        attempt: 1,
        verified: true,
        cause: None,
        miners_fault: false,
        scores: true,
        benchmark: false,
        work_micros: 100_000,
        micros: 100_000,
        bytes: Some(2000),
        at: 5,
    }
}

async fn read(artifacts: &Artifacts) -> Ledger {
    let mut ledger = Ledger::default();
    for sequence in artifacts.segments().await.unwrap() {
        ledger
            .add(&artifacts.segment(sequence).await.unwrap(), None)
            .unwrap();
    }
    ledger
}

/// It stands by itself.
async fn stand(artifacts: &Artifacts, entry: &Entry) {
    artifacts
        .create_ledger_entry(entry.claim, encode(entry))
        .await
        .unwrap();
}

async fn written(artifacts: &Artifacts) {
    let segments = Segments::open(artifacts, key(1), &[entry(1)]).await.unwrap();
    segments.write().await.unwrap();
    segments.add(&entry(2));
    segments.add(&entry(3));
    segments.write().await.unwrap();
    segments.write().await.unwrap();
}

#[tokio::test]
async fn each_entry_is_in_one_segment_whenever_the_operator_ends() {
    let artifacts = Artifacts::memory();
    written(&artifacts).await;
    // After a restart all stand by themselves still, and one has never come into a segment.
    let all = [1, 2, 3, 4].map(entry);
    let again = Segments::open(&artifacts, key(1), &all).await.unwrap();
    again.write().await.unwrap();
    let ledger = read(&artifacts).await;
    let claims: Vec<_> = ledger.entries().iter().map(|e| e.claim).collect();
    assert_eq!(claims, [1, 2, 3, 4].map(|n| ClaimId::new([n; 16])));
    assert_eq!(artifacts.segments().await.unwrap(), [0, 1, 2]);
    let head = Head::decode(&artifacts.ledger_head().await.unwrap().unwrap()).unwrap();
    assert_eq!(ledger.ends_at(&head), Ok(()));
}

/// Weights of the whole ledger, with nobody bound, of which the owner has a part.
async fn weighed(segments: &Segments) -> Result<Weighed, WeighError> {
    let subnet = Subnet {
        network: "mainnet".to_owned(),
        netuid: 2,
        version_key: 11_003,
        owner: Some(OwnerShare {
            uid: 0,
            millionths: 800_000,
        }),
    };
    let rule = Rule::default();
    segments.weigh(&rule, Registry::default(), subnet).await
}

#[tokio::test]
async fn weights_are_of_the_segments_that_they_name_and_what_waits_is_written_before() {
    let artifacts = Artifacts::memory();
    // Scores are of a day.
    let entry = |n| Entry {
        at: crate::dispatch::unix_millis(),
        ..entry(n)
    };
    let segments = Segments::open(&artifacts, key(1), &[]).await.unwrap();
    assert!(matches!(weighed(&segments).await, Err(WeighError::Empty)));
    segments.score_by(&Rule::default(), 1);
    segments.write().await.unwrap();
    assert!(
        matches!(weighed(&segments).await, Err(WeighError::Empty)),
        "a rule is no claim"
    );
    segments.add(&entry(1));
    segments.add(&entry(2));
    let made = weighed(&segments).await.unwrap();
    let validator = Identity::new(key(1).verifying_key().to_bytes());
    let file = WeightsFile::decode(&made.bytes, Some(validator)).unwrap();
    assert_eq!(
        (file.ledger.sequence, file.ledger.entries, file.rows.len()),
        (1, 2, 1)
    );
    let ledger = read(&artifacts).await;
    assert_eq!(file.replay(&ledger, &Rule::default()), Ok(()));
    assert_eq!(file, made.file);
    // What ends later is in later ones.
    segments.add(&entry(3));
    assert_eq!(weighed(&segments).await.unwrap().file.ledger.entries, 3);
}

#[tokio::test]
async fn a_ledger_that_is_held_makes_no_weights() {
    let artifacts = Artifacts::memory();
    written(&artifacts).await;
    let held = Segments::open_or_hold(&artifacts, key(2)).await.unwrap().segments;
    assert!(matches!(weighed(&held).await, Err(WeighError::Held(why)) if why.contains("restore that key")));
}

#[tokio::test]
async fn a_ledger_of_another_key_is_not_gone_on_with() {
    let artifacts = Artifacts::memory();
    written(&artifacts).await;
    let other = Segments::open(&artifacts, key(2), &[]).await;
    assert!(matches!(other.err(), Some(SegmentsError::Key { .. })));
}

#[tokio::test]
async fn a_ledger_whose_end_is_missing_is_not_gone_on_with() {
    let (whole, cut) = (Artifacts::memory(), Artifacts::memory());
    written(&whole).await;
    let first = whole.segment(0).await.unwrap();
    assert!(cut.create_segment(0, first.to_vec()).await.unwrap());
    let head = whole.ledger_head().await.unwrap().unwrap();
    cut.put_ledger_head(head.to_vec()).await.unwrap();
    let opened = Segments::open(&cut, key(1), &[]).await;
    assert!(matches!(
        opened.err(),
        Some(SegmentsError::Signed(SignedError::Cut { head: 1 }))
    ));
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_gone_on_from() {
    let artifacts = Artifacts::memory();
    let segments = Segments::open(&artifacts, key(1), &[entry(1)]).await.unwrap();
    let chain = Chain::new(Identity::new(key(1).verifying_key().to_bytes()));
    let first = vec![entry(1).scored().unwrap()];
    let (bytes, _) = chain.append(Content::Entries(first), &key(1)).unwrap();
    assert!(artifacts.create_segment(0, bytes).await.unwrap());
    segments.add(&entry(2));
    segments.write().await.unwrap();
    assert_eq!(read(&artifacts).await.entries().len(), 2);
    assert_eq!(artifacts.segments().await.unwrap(), [0, 1]);
}

#[tokio::test]
async fn two_that_write_do_not_write_over_each_other() {
    let artifacts = Artifacts::memory();
    let one = Segments::open(&artifacts, key(1), &[entry(1)]).await.unwrap();
    // It has seen an entry of the other's, too.
    let two = Segments::open(&artifacts, key(1), &[entry(1), entry(2)])
        .await
        .unwrap();
    one.write().await.unwrap();
    two.write().await.unwrap();
    one.add(&entry(3));
    one.write().await.unwrap();
    let ledger = read(&artifacts).await;
    let claims: Vec<_> = ledger.entries().iter().map(|e| e.claim).collect();
    assert_eq!(claims, [1, 2, 3].map(|n| ClaimId::new([n; 16])));
}

#[tokio::test]
async fn a_strangers_segment_is_not_gone_on_from() {
    let artifacts = Artifacts::memory();
    let own = Segments::open(&artifacts, key(1), &[entry(1)]).await.unwrap();
    let stranger = Segments::open(&artifacts, key(2), &[entry(2)]).await.unwrap();
    stranger.write().await.unwrap();
    let error = own.write().await.unwrap_err();
    assert!(matches!(
        error,
        SegmentsError::Broken {
            sequence: 0,
            error: LedgerError::Validator { .. }
        }
    ));
}

#[tokio::test]
async fn a_rule_is_named_once_and_again_when_it_changes_and_from_no_earlier_than_it_could_hold() {
    let artifacts = Artifacts::memory();
    let segments = Segments::open(&artifacts, key(1), &[entry(1)]).await.unwrap();
    let default = Rule::default();
    for _ in 0..2 {
        segments.score_by(&default, 0);
        segments.write().await.unwrap();
    }
    let ledger = read(&artifacts).await;
    assert_eq!((ledger.rules().len(), ledger.entries().len()), (1, 1));
    assert!(ledger.rule_at(0).is_some_and(|named| named.is(&default)));
    let other = Rule::from(RuleName::DeliveredWork);
    segments.score_by(&other, u64::MAX - 1);
    segments.write().await.unwrap();
    let ledger = read(&artifacts).await;
    assert_eq!(ledger.rules().len(), 2);
    assert!(ledger.rules()[1].is(&other) && ledger.rules()[1].at == u64::MAX - 1);
    // After a restart it is known to be named; what another settles has no time of before it began.
    let again = Segments::open(&artifacts, key(1), &[entry(1)]).await.unwrap();
    again.score_by(&other, 0);
    again.write().await.unwrap();
    assert_eq!(read(&artifacts).await.rules().len(), 2);
    again.score_by(&default, 0);
    again.write().await.unwrap();
    assert_eq!(read(&artifacts).await.rules()[2].at, u64::MAX - 1);
}

fn turning(old: u8, new: u8) -> Keys {
    Keys {
        key: key(old),
        next: Some(key(new)),
        past: None,
    }
}

#[tokio::test]
async fn a_next_key_is_named_by_the_old_one_and_signs_from_then_on() {
    let artifacts = Artifacts::memory();
    written(&artifacts).await;
    let turned = Segments::open(&artifacts, turning(1, 2), &[]).await.unwrap();
    turned.add(&entry(4));
    turned.write().await.unwrap();
    let ledger = read(&artifacts).await;
    assert_eq!(ledger.entries().len(), 4);
    assert_eq!(ledger.chain().unwrap().validator, super::named(&key(2)));
    let head = Head::decode(&artifacts.ledger_head().await.unwrap().unwrap()).unwrap();
    assert_eq!(ledger.ends_at(&head), Ok(()));
    let many = artifacts.segments().await.unwrap().len();
    // Whoever still has both goes on with the new one and names nobody again; so does whoever has it alone.
    for keys in [turning(1, 2), key(2).into(), turning(2, 2)] {
        let all = [1, 2, 3, 4].map(entry);
        let again = Segments::open(&artifacts, keys, &all).await.unwrap();
        again.write().await.unwrap();
        assert_eq!(artifacts.segments().await.unwrap().len(), many);
    }
    // The old one alone is nobody's any more.
    let old = Segments::open(&artifacts, key(1), &[]).await;
    assert!(matches!(old.err(), Some(SegmentsError::Key { .. })));
}

#[tokio::test]
async fn a_turn_whose_answer_was_lost_is_gone_on_from() {
    let artifacts = Artifacts::memory();
    let segments = Segments::open(&artifacts, turning(1, 2), &[entry(1)])
        .await
        .unwrap();
    let chain = Chain::new(super::named(&key(1)));
    let (bytes, _) = chain
        .append(Content::Rotation(super::named(&key(2))), &key(1))
        .unwrap();
    assert!(artifacts.create_segment(0, bytes).await.unwrap());
    segments.write().await.unwrap();
    let ledger = read(&artifacts).await;
    assert_eq!(ledger.chain().unwrap().validator, super::named(&key(2)));
    assert_eq!(ledger.entries().len(), 1);
}

#[tokio::test]
async fn nothing_is_added_by_a_key_that_nobody_has_named_and_nothing_is_lost_meanwhile() {
    let artifacts = Artifacts::memory();
    written(&artifacts).await;
    let before = artifacts.segments().await.unwrap();
    let opened = Segments::open_or_hold(&artifacts, key(9)).await.unwrap();
    assert_eq!(
        opened.ledger.entries().len(),
        3,
        "what is known of miners stays known"
    );
    let held = opened.segments;
    assert!(held.held().is_some_and(|why| why.contains("restore that key")));
    held.add(&entry(4));
    held.score_by(&Rule::default(), 0);
    held.write().await.unwrap();
    assert_eq!(artifacts.segments().await.unwrap(), before);
    // Its entry stands by itself, so whoever has the right key finds it.
    stand(&artifacts, &entry(4)).await;
    let back = Segments::open_or_hold(&artifacts, turning(1, 9))
        .await
        .unwrap()
        .segments;
    assert_eq!(back.held(), None);
    back.write().await.unwrap();
    assert_eq!(read(&artifacts).await.entries().len(), 4);
}

mod checkpoints;
