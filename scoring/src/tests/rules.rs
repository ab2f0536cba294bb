//! What scores, and what does not.

use zkinfer_crds::Digest;

use super::*;
use crate::{RuleError, Zero};

/// `count` proofs by a miner, from claim `from` on.
fn proofs(from: u64, count: u64, of: u32) -> Vec<Entry> {
    (from..from + count).map(|n| proof(n, of)).collect()
}

#[test]
fn shares_are_of_the_work() {
    let entries = [proofs(0, 30, 1), proofs(100, 10, 2)].concat();
    assert_eq!(shares(&ours(), &entries), [750_000, 250_000]);
    // To the power of 1.3 who has more has more than its part, unless the cap takes it: 3^1.3 = 4.171.
    let constants = Constants {
        owner_cap_millionths: 1_000_000,
        ..warm(RuleName::DeliveredWork).constants().clone()
    };
    let uncapped = Rule::new(RuleName::DeliveredWork, constants).unwrap();
    let of = shares(&uncapped, &entries);
    assert!((806_000..807_500).contains(&of[0]), "{of:?}");
    // What a cap takes is rounded, to its owner's loss.
    let of = shares(&warm(RuleName::DeliveredWork), &entries);
    assert!(
        of.iter().all(|share| (499_999..=500_000).contains(share)),
        "{of:?}"
    );
    // The curve knows no work at all, only how long it has seen the miner.
    let of = shares(&RuleName::ResponseCurve.into(), &entries);
    assert!(of[0] < 620_000, "{of:?}");
}

/// The example of docs/scoring.md.
#[test]
fn the_pages_example_is_what_the_rule_finds() {
    let beta = |n| Entry {
        micros: 300_000,
        ..proof(n, 2)
    };
    let gamma = |n| Entry {
        bytes: Some(4000),
        ..proof(n, 3)
    };
    let entries: Vec<Entry> = (0..30)
        .map(|n| proof(n, 1))
        .chain((100..120).map(beta))
        .chain((200..220).map(gamma))
        .chain((300..302).map(|n| ended(n, 3, Cause::LeaseExpired)))
        .collect();
    let page = include_str!("../../../docs/scoring.md");
    let scores = Scores::of(&ours(), &entries, NOW);
    for (name, of) in ["alpha", "beta", "gamma"].iter().zip(scores.miners.values()) {
        let thousands = |n: u128| {
            let (million, rest) = (n / 1_000_000, n % 1_000_000);
            match (million, n) {
                (_, 0) => "0".to_owned(),
                (0, _) => format!("{},{:03}", rest / 1000, rest % 1000),
                _ => format!("{million},{:03},{:03}", rest / 1000, rest % 1000),
            }
        };
        let decimal = |n: u32| format!("{}.{:06}", n / 1_000_000, n % 1_000_000);
        let row = format!(
            "| {} | {} | {} | {} | {} |",
            thousands(of.total.credit),
            thousands(of.total.debit),
            thousands(of.net),
            decimal(of.quality_millionths),
            decimal(of.share_millionths)
        );
        let line = page.lines().find(|line| line.starts_with(&format!("| {name} |")));
        assert!(line.is_some_and(|line| line.ends_with(&row)), "{name}: {row}");
    }
}

#[test]
fn quality_is_of_the_work_that_was_done_however_much_it_is() {
    let mut entries = [proofs(0, 30, 1), proofs(40, 3, 2)].concat();
    let quality =
        |entries: &[Entry], of| Scores::of(&ours(), entries, NOW).miners[&miner(of)].quality_millionths;
    assert_eq!(
        (quality(&entries, 1), quality(&entries, 2)),
        (1_000_000, 1_000_000)
    );
    // One fault in ten: nine less two, of ten.
    entries.extend([proofs(50, 6, 2), vec![ended(80, 2, Cause::LeaseExpired)]].concat());
    assert_eq!(quality(&entries, 2), 699_999);
}

#[test]
fn a_slower_and_a_larger_proof_is_worth_less_and_the_best_tenth_is_worth_all() {
    let mut entries = proofs(0, 50, 1);
    let total = |entries: &[Entry], of| Scores::of(&ours(), entries, NOW).miners[&miner(of)].total.credit;
    assert_eq!(total(&entries, 1), 50 * 100_000);
    // Three times as long: 2 / (1 + 3) of seven tenths, and three tenths for the size.
    entries.push(Entry {
        micros: 300_000,
        ..proof(100, 2)
    });
    assert_eq!(total(&entries, 2), 35_000 + 30_000 - 1);
    entries[50].bytes = Some(6000);
    assert_eq!(total(&entries, 2), 35_000 + 15_000);
    // A thousand times quicker than the best tenth earns what the best tenth earns.
    entries[50] = Entry {
        micros: 100,
        ..proof(100, 2)
    };
    assert_eq!(total(&entries, 2), 100_000);
}

#[test]
fn what_was_earned_halves_in_two_hours_and_is_forgotten_after_a_day() {
    let aged = |hours: u64| {
        let entry = Entry {
            at: NOW - hours * HOUR,
            ..proof(0, 1)
        };
        let scores = Scores::of(&ours(), &[entry], NOW);
        scores.miners.get(&miner(1)).map(|s| s.total.credit)
    };
    assert_eq!(aged(0), Some(100_000));
    assert_eq!(aged(2), Some(50_000));
    assert_eq!(aged(24), Some(100_000 >> 12));
    assert_eq!(aged(25), None);
}

#[test]
fn faults_of_the_miner_owe_twice_the_work_and_those_of_others_nothing() {
    let earned = proofs(0, 4, 1);
    for cause in Cause::ALL.iter().copied() {
        let with = [earned.clone(), vec![ended(9, 1, cause)]].concat();
        let of = &Scores::of(&ours(), &with, NOW).miners[&miner(1)];
        let debit = if cause.blame() == crate::Blame::Miner {
            200_000
        } else {
            0
        };
        assert_eq!((of.total.credit, of.total.debit), (400_000, debit), "{cause:?}");
        let skipped = matches!(cause, Cause::InvalidProof | Cause::TooLarge);
        assert_eq!(of.zero.is_some(), skipped, "{cause:?}");
    }
}

#[test]
fn after_a_lie_a_miner_has_no_share_for_a_day_wherever_it_lied() {
    let lie = Entry {
        comparable: false,
        at: NOW - 23 * HOUR,
        ..ended(90, 1, Cause::InvalidProof)
    };
    let mut entries = [proofs(0, 30, 1), proofs(40, 10, 2), vec![lie]].concat();
    assert_eq!(shares(&ours(), &entries), [0, 1_000_000]);
    let zero = Scores::of(&ours(), &entries, NOW).miners[&miner(1)].zero;
    assert_eq!(zero, Some(Zero::Skipped { until: NOW + HOUR }));
    entries[40].at = NOW - 24 * HOUR;
    assert_eq!(shares(&ours(), &entries), [750_000, 250_000]);
}

#[test]
fn a_miner_scores_after_twenty_proofs() {
    let few = [proofs(0, 19, 1), proofs(100, 20, 2)].concat();
    let scores = Scores::of(&Rule::default(), &few, NOW);
    let cold = Zero::ColdStart {
        samples: 19,
        needed: 20,
    };
    assert_eq!(scores.miners[&miner(1)].zero, Some(cold));
    assert_eq!(scores.miners[&miner(2)].share_millionths, 1_000_000);
}

#[test]
fn what_cannot_be_compared_and_what_is_too_small_scores_nothing() {
    let own = |n| Entry {
        comparable: false,
        micros: 1,
        bytes: Some(1),
        ..proof(n, 1)
    };
    let small = |n| Entry {
        work: 4999,
        ..proof(n, 1)
    };
    let of_before = |n| Entry {
        key: None,
        ..proof(n, 1)
    };
    let base = [proofs(0, 5, 1), proofs(10, 5, 2)].concat();
    let more: Vec<_> = (100..140)
        .flat_map(|n| [own(n), small(n + 100), of_before(n + 200)])
        .collect();
    let with = [base.clone(), more].concat();
    for name in RuleName::ALL {
        assert_eq!(shares(&warm(name), &base), shares(&warm(name), &with), "{name}");
    }
}

#[test]
fn an_owner_keeps_no_more_than_the_cap_and_the_others_have_the_rest() {
    let constants = Constants {
        owner_cap_millionths: 400_000,
        owners: [("owner-1", "group"), ("owner-2", "group")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into(),
        ..ours().constants().clone()
    };
    let capped = Rule::new(RuleName::SpeedSizeAccuracy, constants).unwrap();
    let entries = [
        proofs(0, 30, 1),
        proofs(40, 30, 2),
        proofs(80, 10, 3),
        proofs(100, 10, 4),
    ]
    .concat();
    let of = shares(&capped, &entries);
    for (share, wanted) in of.iter().zip([200_000u32, 200_000, 300_000, 300_000]) {
        assert!(share.abs_diff(wanted) <= 1, "{of:?}");
    }
    assert_ne!(capped.digest(), ours().digest());
    // With two owners a cap below a half is a half.
    assert_eq!(shares(&capped, &entries[..70])[2], 500_000);
}

#[test]
fn what_one_identity_owes_its_owners_others_pay() {
    let in_debt: Vec<_> = (0..5).map(|n| ended(n, 1, Cause::LeaseExpired)).collect();
    let mut entries = [in_debt, proofs(10, 20, 2), proofs(40, 10, 3)].concat();
    assert_eq!(shares(&ours(), &entries), [0, 666_666, 333_333]);
    // One owner: five faults owe what ten proofs earn.
    entries.iter_mut().for_each(|e| {
        if e.miner == miner(1) {
            e.namespace = Arc::from("owner-2");
        }
    });
    assert_eq!(shares(&ours(), &entries), [0, 500_000, 500_000]);
}

#[test]
fn a_miner_is_in_every_rules_list_though_all_it_has_done_is_to_fail_where_there_is_no_price() {
    let failed = Entry {
        key: Some(Digest::new([9; 32])),
        ..ended(50, 2, Cause::LeaseExpired)
    };
    let unpriced = Entry {
        key: Some(Digest::new([9; 32])),
        ..proof(51, 3)
    };
    let entries = [proofs(0, 30, 1), vec![failed, unpriced]].concat();
    for name in RuleName::ALL {
        let scores = Scores::of(&warm(name), &entries, NOW);
        let listed: Vec<_> = scores.miners.keys().copied().collect();
        assert_eq!(listed, [miner(1), miner(2), miner(3)], "{name}");
        assert_eq!(scores.miners[&miner(2)].share_millionths, 0, "{name}");
    }
    let delivered = Scores::of(&warm(RuleName::DeliveredWork), &entries, NOW);
    for of in [2, 3] {
        let score = &delivered.miners[&miner(of)];
        assert_eq!(
            (score.total, score.zero),
            (crate::Total::default(), Some(Zero::InDebt))
        );
    }
    // What has no price takes nothing from those who have earned.
    assert_eq!(delivered.miners[&miner(1)].share_millionths, 1_000_000);
    // On a cold start it is told how many proofs it lacks.
    let cold = Scores::of(&RuleName::DeliveredWork.into(), &entries, NOW);
    let lacks = Zero::ColdStart {
        samples: 0,
        needed: 100,
    };
    assert_eq!(cold.miners[&miner(2)].zero, Some(lacks));
}

#[test]
fn a_slice_has_a_price_from_eight_proofs_on() {
    let rule = warm(RuleName::DeliveredWork);
    let seven = proofs(0, 7, 1);
    assert_eq!(shares(&rule, &seven), [0]);
    let eight = proofs(0, 8, 1);
    assert_eq!(
        Scores::of(&rule, &eight, NOW).miners[&miner(1)].total.credit,
        800_000
    );
    // What a proof took makes no difference to who made it, and slow proofs of one make its slice no dearer.
    let slow = Entry {
        micros: 900_000,
        ..proof(50, 2)
    };
    let with = [eight, vec![slow]].concat();
    assert_eq!(
        Scores::of(&rule, &with, NOW).miners[&miner(2)].total.credit,
        100_000
    );
}

#[test]
fn the_curve_follows_times_and_falls_by_faults_of_the_miner_alone() {
    let rule: Rule = RuleName::ResponseCurve.into();
    let at = |n: u64, of, micros| Entry {
        micros,
        at: NOW - 60_000 * (50 - n),
        ..proof(n, of)
    };
    let mut entries: Vec<_> = (0..20)
        .flat_map(|n| [at(n, 1, 100_000), at(n + 20, 2, 9_000_000)])
        .collect();
    let of = |entries: &[Entry], n| Scores::of(&rule, entries, NOW).miners[&miner(n)].total.credit;
    let (quick, slow) = (of(&entries, 1), of(&entries, 2));
    assert!(quick > 10 * slow.max(1), "{quick} {slow}");
    entries.push(ended(100, 1, Cause::Fetch));
    assert_eq!(of(&entries, 1), quick);
    entries.push(ended(101, 1, Cause::Failed));
    assert!(of(&entries, 1).abs_diff(quick * 6 / 10) < 1 << 8);
}

#[test]
fn a_slice_of_another_key_sets_no_measure_of_size() {
    let tiny = Entry {
        key: Some(Digest::new([8; 32])),
        bytes: Some(1),
        ..proof(90, 2)
    };
    let entries = [proofs(0, 10, 1), vec![tiny]].concat();
    assert_eq!(
        Scores::of(&ours(), &entries, NOW).miners[&miner(1)].total.credit,
        1_000_000
    );
}

#[test]
fn rules_are_chosen_by_name_and_told_apart_by_digest() {
    for name in RuleName::ALL {
        assert_eq!(name.word().parse(), Ok(name));
        assert_eq!(Rule::new(name, name.constants()), Ok(name.into()));
    }
    assert_eq!(Rule::default().name(), RuleName::SpeedSizeAccuracy);
    let digests: std::collections::BTreeSet<_> = RuleName::ALL.map(|n| Rule::from(n).digest()).into();
    assert_eq!(digests.len(), 3);
    let unknown = "Best".parse::<RuleName>().unwrap_err().to_string();
    assert_eq!(
        unknown,
        "there is no scoring rule `Best`; there are SpeedSizeAccuracy, DeliveredWork, ResponseCurve"
    );
    let wrong = Constants {
        power_millionths: 5_000_000,
        ..RuleName::DeliveredWork.constants()
    };
    let error = Rule::new(RuleName::DeliveredWork, wrong).unwrap_err();
    assert!(
        matches!(
            error,
            RuleError::Range {
                name: "powerMillionths",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn an_explanation_adds_up_to_the_total() {
    let entries = [
        proofs(0, 10, 1),
        vec![ended(20, 1, Cause::Failed)],
        proofs(30, 5, 2),
    ]
    .concat();
    let scores = Scores::of(&ours(), &entries, NOW);
    let told = scores.explain(&entries, &miner(1));
    let sum = |sign: i128| told.iter().map(|(_, w)| (w * sign).max(0) as u128).sum::<u128>();
    let total = scores.miners[&miner(1)].total;
    assert_eq!((told.len(), sum(1), sum(-1)), (11, total.credit, total.debit));
}
