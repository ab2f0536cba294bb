//! What is told of miners, and that the rule in force decides their scores.

use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};
use zkinfer_scoring::{Cause, Constants, Rule, RuleName};

use super::{MinerScore, Series, Totals};
use crate::dispatch::{Entry, PoolId};

const OWN: Identity = Identity::new([1; 32]);
const OTHER: Identity = Identity::new([2; 32]);
const NOW: u64 = 1000;

fn good(n: u8, identity: Identity, micros: u64) -> Entry {
    Entry {
        claim: ClaimId::new([n; 16]),
        request: RequestUid::new([0; 16]),
        slice: SliceIndex(0),
        digest: Some(Digest::new([7; 32])),
        model: None,
        proof: None,
        pool: PoolId::new(if identity == OWN { "a" } else { "c" }, "b"),
        identity,
        attempt: 1,
        verified: true,
        cause: None,
        miners_fault: false,
        scores: true,
        benchmark: false,
        work_micros: 100_000,
        micros,
        bytes: Some(2000),
        at: 0,
    }
}

fn failed(n: u8, cause: &str, miners_fault: bool) -> Entry {
    Entry {
        verified: false,
        cause: Some(cause.to_owned().into()),
        miners_fault,
        bytes: None,
        ..good(n, OWN, 100_000)
    }
}

/// The default rule without a cold start.
fn warm() -> Rule {
    let name = RuleName::SpeedSizeAccuracy;
    let constants = Constants {
        cold_start: 0,
        ..name.constants()
    };
    Rule::new(name, constants).unwrap()
}

fn score<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> MinerScore {
    Totals::of(warm(), entries).score(&OWN, NOW)
}

#[test]
fn the_best_score_all_and_share_by_what_they_did() {
    let entries: Vec<_> = (0..4)
        .map(|n| good(n, if n == 0 { OTHER } else { OWN }, 100_000))
        .collect();
    let of = score(&entries);
    assert_eq!((of.score_millionths, of.share_millionths), (1_000_000, 750_000));
    assert_eq!(
        (of.p50_millis, of.p95_millis, of.work_delivered),
        (Some(100), Some(100), 300)
    );
}

#[test]
fn the_rule_in_force_has_a_cold_start() {
    let entries: Vec<_> = (0..19).map(|n| good(n, OWN, 100_000)).collect();
    let mut totals = Totals::of(Rule::default(), &entries);
    let of = totals.score(&OWN, NOW);
    assert_eq!((of.score_millionths, of.verified), (0, 19));
    totals.add(&good(19, OWN, 100_000));
    assert_eq!(totals.score(&OWN, NOW + 1).score_millionths, 1_000_000);
}

#[test]
fn a_lie_costs_a_day_and_others_faults_cost_nothing() {
    let mixed = [good(0, OWN, 100), failed(1, "InvalidProof", true)];
    let mut totals = Totals::of(warm(), &mixed);
    let of = totals.score(&OWN, NOW);
    assert_eq!((of.score_millionths, of.success_millionths), (0, 500_000));
    let day = 24 * 3_600_000;
    totals.add(&Entry {
        at: day,
        ..good(2, OWN, 100)
    });
    // What is left of the fault after a day is next to nothing.
    assert!(totals.score(&OWN, day + NOW).score_millionths > 999_000);
    let unlucky = [good(0, OWN, 100), failed(1, "Operator", false)];
    let of = score(&unlucky);
    assert_eq!((of.score_millionths, of.lost), (1_000_000, 1));
    assert_eq!(of.failures["Operator"], 1);
    assert_eq!(score(&[]), MinerScore::default());
}

#[test]
fn what_does_not_score_changes_no_score_either_way() {
    let before = [good(0, OWN, 100), good(1, OTHER, 100)];
    // Forty requests of one's own, quick and small.
    let own = (2..42).map(|n| Entry {
        scores: false,
        bytes: Some(1),
        ..good(n, OWN, 1)
    });
    let after: Vec<_> = before.iter().cloned().chain(own).collect();
    let (mut old, mut new) = (Totals::of(warm(), &before), Totals::of(warm(), &after));
    for miner in [OWN, OTHER] {
        let (old, new) = (old.score(&miner, NOW), new.score(&miner, NOW));
        assert_eq!(
            (old.score_millionths, old.share_millionths),
            (new.score_millionths, new.share_millionths)
        );
    }
    assert_eq!(new.score(&OWN, NOW).verified, 41, "they are counted all the same");
}

#[test]
fn a_score_goes_with_the_key_and_not_with_the_name() {
    let late = failed(0, "LeaseExpired", true);
    let renamed = |n| Entry {
        pool: PoolId::new("c", "d"),
        ..good(n, OWN, 100)
    };
    // Three proofs less two for the fault, of four.
    let own = [late, renamed(1), renamed(2), renamed(3)];
    assert_eq!(score(&own).score_millionths, 250_000);
    let mut totals = Totals::of(warm(), own.iter().chain(&[good(9, OTHER, 100)]));
    assert_eq!(totals.score(&OTHER, NOW).score_millionths, 1_000_000);
}

#[test]
fn a_proof_that_came_second_earns_and_costs_nothing() {
    let of = score(&[good(0, OWN, 100), failed(1, "Overtaken", false)]);
    assert_eq!(
        (of.score_millionths, of.success_millionths),
        (1_000_000, 1_000_000)
    );
    assert_eq!((of.verified, of.lost, of.failures["Overtaken"]), (1, 0, 1));
}

#[test]
fn quantiles_are_of_the_latest() {
    let all = [900_000, 100_000]
        .into_iter()
        .flat_map(|micros| (0..1024).map(move |_| good(0, OWN, micros)));
    let all = all.enumerate().map(|(at, entry)| Entry {
        at: at as u64,
        ..entry
    });
    let all: Vec<_> = all.collect();
    let of = score(&all);
    assert_eq!((of.verified, of.p95_millis), (2048, Some(100)));
}

#[test]
fn a_cause_of_another_version_is_counted_and_scores_nothing() {
    let of = score(&[good(0, OWN, 100), failed(1, "Sunspots", true)]);
    assert_eq!((of.score_millionths, of.failures["Sunspots"]), (1_000_000, 1));
    assert_eq!(of.lost, 1);
}

#[test]
fn every_cause_is_counted_once_by_what_it_says_of_the_proof() {
    for cause in Cause::ALL {
        let of = score(&[failed(0, cause.word(), false)]);
        let expected = match cause {
            Cause::InvalidProof | Cause::TooLarge => (1, 0, 0),
            Cause::LeaseExpired => (0, 1, 0),
            Cause::Overtaken => (0, 0, 0),
            _ => (0, 0, 1),
        };
        assert_eq!((of.invalid, of.late, of.lost), expected, "{}", cause.word());
        assert_eq!(of.failures[cause.word()], 1);
    }
}

/// Of whatever version: a reader of another one has to find what its writer meant.
#[test]
fn a_cause_stands_in_an_entry_as_its_word() {
    for word in Cause::ALL.iter().map(|cause| cause.word()).chain(["Sunspots"]) {
        let entry = failed(0, word, true);
        let json = serde_json::to_string(&entry).unwrap();
        assert!(json.contains(&format!(r#""cause":"{word}""#)), "{json}");
        assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
    }
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

#[test]
fn another_rule_scores_what_there_is_anew_and_one_that_looks_further_back_wants_what_was_let_go() {
    const HOUR: u64 = 3_600_000;
    let rule = |window_hours: u64| {
        let constants = Constants {
            window_hours,
            skip_hours: 0,
            cold_start: 1,
            ..RuleName::SpeedSizeAccuracy.constants()
        };
        Rule::new(RuleName::SpeedSizeAccuracy, constants).unwrap()
    };
    let now = 100 * HOUR;
    let old = Entry {
        at: now - 30 * HOUR,
        ..good(1, OWN, 100)
    };
    let all = [
        old,
        Entry {
            at: now,
            ..good(2, OTHER, 100)
        },
    ];
    let mut totals = Totals::of(rule(24), &all);
    assert_eq!(totals.score(&OWN, now).score_millionths, 0);
    assert!(!totals.score_by(&rule(24)), "it is the same");
    assert!(!totals.score_by(&rule(2)), "it sees less");
    assert!(totals.score_by(&rule(48)), "it sees more");
    totals.recall(all.iter().filter_map(Entry::scored));
    totals.recall(all.iter().filter_map(Entry::scored));
    let mut fresh = Totals::of(rule(48), &all);
    for miner in [OWN, OTHER] {
        let found = totals.score(&miner, now);
        assert_eq!(found, fresh.score(&miner, now));
        assert_eq!((found.score_millionths, found.verified), (1_000_000, 1));
    }
    // Of a run that counts only itself nothing is of use again.
    assert!(!Totals::new(rule(2)).score_by(&rule(48)));
}

#[test]
fn a_score_is_explained_by_its_latest_claims_and_what_each_is_worth() {
    let lie = failed(9, "InvalidProof", true);
    let entries = [
        good(0, OWN, 100_000),
        Entry {
            at: 1,
            ..good(1, OWN, 100_000)
        },
        Entry { at: 2, ..lie },
        good(3, OTHER, 100_000),
    ];
    let mut totals = Totals::of(warm(), &entries);
    let told = totals.explain(&OWN, NOW, 2).unwrap();
    assert_eq!((told.count, told.entries.len(), told.at), (3, 2, NOW));
    assert_eq!(told.rule.digest(), warm().digest());
    let (last, debit) = &told.entries[0];
    assert_eq!(
        (last.claim, last.end.word()),
        (ClaimId::new([9; 16]), "InvalidProof")
    );
    let (earlier, credit) = &told.entries[1];
    assert_eq!(
        (earlier.claim, earlier.end.word()),
        (ClaimId::new([1; 16]), "Verified")
    );
    assert!(*debit < 0 && *credit > 0, "{debit} {credit}");
    let why = told.score.zero.unwrap().to_string();
    assert!(why.starts_with("handed in what was no proof"), "{why}");
    assert_eq!(totals.explain(&Identity::new([7; 32]), NOW, 2), None);
}

#[test]
fn who_has_most_stands_first() {
    let entries: Vec<_> = (0..4)
        .map(|n| good(n, if n == 0 { OTHER } else { OWN }, 100_000))
        .collect();
    let mut totals = Totals::of(warm(), &entries);
    let miners = |standing: super::Standing| -> Vec<_> {
        let miners = standing.miners.into_iter();
        miners
            .map(|(miner, score)| (miner, score.share_millionths))
            .collect()
    };
    assert_eq!(
        miners(totals.standing(NOW, 9)),
        [(OWN, 750_000), (OTHER, 250_000)]
    );
    assert_eq!(miners(totals.standing(NOW, 1)), [(OWN, 750_000)]);
    assert!(miners(Totals::new(warm()).standing(NOW, 9)).is_empty());
}

#[test]
fn what_ended_is_told_by_hours_and_by_longer_spans() {
    const HOUR: u64 = 3_600_000;
    let at = |hour: u64, entry: Entry| Entry {
        at: hour * HOUR + 5,
        ..entry
    };
    let second = Entry {
        slice: SliceIndex(1),
        ..good(1, OWN, 400_000)
    };
    let entries = [
        at(1100, good(0, OWN, 100_000)),
        at(1100, second),
        at(1101, failed(2, "LeaseExpired", true)),
        at(1103, failed(3, "Operator", false)),
    ];
    let totals = Totals::of(warm(), &entries);
    let now = 1103 * HOUR + 1;
    let counts = |span: &super::Span| {
        (
            span.from / HOUR,
            span.requests,
            span.verified,
            span.faults,
            span.others,
        )
    };
    let hours = totals.spans(&Series::All, now, 4);
    assert_eq!(hours.step_millis, HOUR);
    let told: Vec<_> = hours.spans.iter().map(counts).collect();
    assert_eq!(
        told,
        [
            (1100, 1, 2, 0, 0),
            (1101, 0, 0, 1, 0),
            (1102, 0, 0, 0, 0),
            (1103, 0, 0, 0, 1)
        ]
    );
    let p95 = hours.spans[0].p95_micros.unwrap();
    assert!((400_000..=500_000).contains(&p95), "{p95}");
    assert_eq!(hours.spans[2].p50_micros, None);
    // As a checkpoint keeps them: by the ends of their ranges.
    assert_eq!(hours.spans[0].bytes, 2 * 2047);
    let week = totals.spans(&Series::All, now, 168);
    assert_eq!((week.step_millis, week.spans.len()), (2 * HOUR, 84));
    let long: Vec<_> = week.spans[82..].iter().map(counts).collect();
    assert_eq!(long, [(1100, 1, 2, 1, 0), (1102, 0, 0, 0, 1)]);
    // The last hour is told by the minute.
    let hour = totals.spans(&Series::All, now, 1);
    assert_eq!((hour.step_millis, hour.spans.len()), (60_000, 60));
    assert_eq!(counts(&hour.spans[59]).4, 1);
    // What is asked for is bounded, whatever is asked for.
    let all = totals.spans(&Series::All, 0, u64::MAX);
    assert_eq!((all.step_millis, all.spans.len()), (18 * HOUR, 120));
    assert_eq!(totals.spans(&Series::All, now, 0), hour);
}

#[test]
fn a_miners_history_and_a_manifests_are_of_their_claims_alone_and_long_ones_are_told_by_the_day() {
    const HOUR: u64 = 3_600_000;
    const MODEL: Digest = Digest::new([8; 32]);
    let of = |n: u8, identity, hour: u64| Entry {
        at: hour * HOUR,
        model: (identity == OTHER).then_some(MODEL),
        ..good(n, identity, 100_000)
    };
    let entries = [
        of(0, OWN, 0),
        of(1, OWN, 1000),
        of(2, OTHER, 1000),
        of(3, OWN, 1001),
    ];
    let totals = Totals::of(warm(), &entries);
    let now = 1001 * HOUR + 1;
    let verified = |of: &Series, hours| {
        let told = totals.spans(of, now, hours);
        (
            told.step_millis / HOUR,
            told.spans.iter().map(|span| span.verified).collect::<Vec<_>>(),
        )
    };
    assert_eq!(verified(&Series::Miner(OWN), 2), (1, vec![1, 1]));
    assert_eq!(verified(&Series::Miner(OTHER), 2), (1, vec![1, 0]));
    assert_eq!(verified(&Series::Models(vec![MODEL]), 2), (1, vec![1, 0]));
    let (step, days) = verified(&Series::Miner(OWN), 2160);
    assert_eq!((step, days.len(), days.iter().sum::<u64>()), (24, 90, 3));
    let nobody = Series::Miner(Identity::new([9; 32]));
    assert_eq!(verified(&nobody, 2), (1, vec![0, 0]));
    assert_eq!(verified(&Series::Models(Vec::new()), 2), (1, vec![0, 0]));
    let trend = totals.trend(&OWN, now).unwrap();
    assert_eq!((trend.verified.len(), &trend.verified[22..]), (24, &[1, 1][..]));
    assert_eq!((trend.faults, trend.mean_bytes), (0, Some(2047)));
    assert_eq!(totals.trend(&Identity::new([9; 32]), now), None);
    // The same whatever the order in which a restart reads them.
    let mut turned = entries.to_vec();
    turned.reverse();
    let again = Totals::of(warm(), &turned);
    assert_eq!(
        again.spans(&Series::Miner(OWN), now, 2160),
        totals.spans(&Series::Miner(OWN), now, 2160)
    );
}

#[test]
fn of_very_many_miners_those_that_have_ended_nothing_for_longest_are_forgotten_first() {
    let of = |n: u16, at| {
        let mut key = [9; 32];
        key[..2].copy_from_slice(&n.to_le_bytes());
        let entry = Entry {
            at,
            ..good(0, Identity::new(key), 100_000)
        };
        (entry.identity, entry)
    };
    let mut totals = Totals::new(warm());
    let (first, entry) = of(0, 1);
    totals.add(&entry);
    let (second, entry) = of(1, 2);
    totals.add(&entry);
    // It works again, so that the other has rested for longer.
    totals.add(&of(0, 3).1);
    for n in 2..=2048 {
        totals.add(&of(n, 4).1);
    }
    assert!(totals.trend(&first, 5).is_some() && totals.trend(&second, 5).is_none());
}
