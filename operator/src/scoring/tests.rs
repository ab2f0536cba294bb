//! What scores, and what does not.

use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};

use super::{MinerScore, Totals};
use crate::dispatch::{Entry, PoolId};

const OWN: Identity = Identity::new([1; 32]);
const OTHER: Identity = Identity::new([2; 32]);

fn good(identity: Identity, micros: u64) -> Entry {
    Entry {
        claim: ClaimId::new([0; 16]),
        request: RequestUid::new([0; 16]),
        slice: SliceIndex(0),
        digest: Some(Digest::new([7; 32])),
        pool: PoolId::new("a", "b"),
        identity,
        attempt: 1,
        verified: true,
        cause: None,
        miners_fault: false,
        scores: true,
        work_micros: 100_000,
        micros,
        bytes: Some(2000),
        at: 0,
    }
}

fn failed(cause: &str, miners_fault: bool) -> Entry {
    Entry {
        verified: false,
        cause: Some(cause.to_owned()),
        miners_fault,
        bytes: None,
        ..good(OWN, 100_000)
    }
}

fn score<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> MinerScore {
    entries.into_iter().collect::<Totals>().score(&OWN)
}

#[test]
fn a_miner_as_fast_as_the_others_scores_sixty_five_percent_and_so_does_one_alone() {
    let alone: Vec<_> = (0..4).map(|_| good(OWN, 100_000)).collect();
    let of = score(&alone);
    assert_eq!(of.score_millionths, 650_000);
    assert_eq!(
        (of.p50_millis, of.p95_millis, of.work_delivered),
        (Some(100), Some(100), 400)
    );
    let both = [good(OWN, 30), good(OTHER, 30)];
    assert_eq!(score(&both).score_millionths, 650_000);
}

#[test]
fn half_lies_earn_a_quarter_and_others_faults_cost_nothing() {
    let mixed = [good(OWN, 100), failed("InvalidProof", true)];
    let of = score(&mixed);
    assert_eq!(
        (of.score_millionths, of.success_millionths),
        (650_000 / 4, 500_000)
    );
    let unlucky = [good(OWN, 100), failed("Operator", false)];
    let of = score(&unlucky);
    assert_eq!((of.score_millionths, of.lost), (650_000, 1));
    assert_eq!(of.failures["Operator"], 1);
    assert_eq!(score(&[]), MinerScore::default());
}

#[test]
fn faster_and_smaller_than_others_at_the_same_slice_scores_more() {
    let of = |micros| score(&[good(OWN, micros), good(OTHER, 100)]).score_millionths;
    assert!(of(10) > of(100) && of(100) > of(1000));
    let smaller = Entry {
        bytes: Some(1000),
        ..good(OTHER, 100)
    };
    assert!(score(&[good(OWN, 100), smaller]).score_millionths < of(100));
}

#[test]
fn other_slices_set_no_measure() {
    let tiny = Entry {
        digest: Some(Digest::new([8; 32])),
        micros: 1,
        bytes: Some(1),
        ..good(OTHER, 1)
    };
    assert_eq!(score(&[good(OWN, 100), tiny]).score_millionths, 650_000);
}

#[test]
fn what_does_not_score_changes_no_score_either_way() {
    let before = [good(OWN, 100), good(OTHER, 100)];
    // Forty requests of one's own, quick and small.
    let unscored = |entry: Entry| Entry {
        scores: false,
        ..entry
    };
    let own = (0..40).map(|_| {
        unscored(Entry {
            bytes: Some(1),
            ..good(OWN, 1)
        })
    });
    let after: Vec<_> = before.iter().cloned().chain(own).collect();
    let (old, new) = (
        before.iter().collect::<Totals>(),
        after.iter().collect::<Totals>(),
    );
    for miner in [OWN, OTHER] {
        assert_eq!(
            old.score(&miner).score_millionths,
            new.score(&miner).score_millionths
        );
    }
    assert_eq!(new.score(&OWN).verified, 41, "they are counted all the same");
    let fault = [good(OWN, 100), unscored(failed("InvalidProof", true))];
    let of = score(&fault);
    assert_eq!((of.score_millionths, of.success_millionths), (650_000, 500_000));
}

#[test]
fn a_score_goes_with_the_key_and_not_with_the_name() {
    let lied = failed("InvalidProof", true);
    let renamed = Entry {
        pool: PoolId::new("c", "d"),
        ..good(OWN, 100)
    };
    assert_eq!(score(&[lied.clone(), renamed]).score_millionths, 650_000 / 4);
    let same_name = good(OTHER, 100);
    let totals: Totals = [lied, same_name].iter().collect();
    assert_eq!(totals.score(&OTHER).score_millionths, 650_000);
}

#[test]
fn a_proof_that_came_second_earns_and_costs_nothing() {
    let of = score(&[good(OWN, 100), failed("Overtaken", false)]);
    assert_eq!((of.score_millionths, of.success_millionths), (650_000, 1_000_000));
    assert_eq!((of.verified, of.lost, of.failures["Overtaken"]), (1, 0, 1));
}

#[test]
fn what_is_kept_of_a_miner_does_not_grow_with_its_claims() {
    let entries = (0..1024)
        .map(|_| good(OWN, 900_000))
        .chain((0..1024).map(|_| good(OWN, 100_000)));
    let mut totals = Totals::default();
    entries.for_each(|e| totals.add(&e));
    totals.add(&good(OTHER, 500_000));
    let of = totals.score(&OWN);
    assert_eq!(
        (of.verified, of.p95_millis),
        (2048, Some(100)),
        "quantiles are of the latest"
    );
    // The score is of all: their mean is the other's time.
    assert_eq!(of.score_millionths, 650_000);
}

#[test]
fn entries_of_before_are_read_and_do_not_score() {
    let old = r#"{"claim":"00000000000000000000000000000000","request":"00000000-0000-0000-0000-000000000000","slice":0,
        "pool":"a/b","identity":"ed25519:0101010101010101010101010101010101010101010101010101010101010101","attempt":1,
        "verified":true,"minersFault":false,"work":100,"millis":100,"bytes":2000,"at":0}"#;
    let entry: Entry = serde_json::from_str(old).unwrap();
    let of = score(&[entry]);
    assert_eq!((of.verified, of.score_millionths), (1, 0));
}
