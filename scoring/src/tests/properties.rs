//! What holds of any entries: order, repetition, splitting, and the greatest numbers.

use proptest::prelude::*;

use super::*;

type Any = (u32, u64, u64, u64, u64, Option<Cause>);

fn any_entry() -> impl Strategy<Value = Any> {
    let cause = proptest::option::weighted(0.2, proptest::sample::select(Cause::ALL));
    (
        0u32..6,
        5_000u64..1_000_000,
        1u64..10_000_000,
        1u64..100_000,
        0u64..30 * HOUR,
        cause,
    )
}

fn entry(n: usize, (of, work, micros, bytes, ago, cause): Any) -> Entry {
    Entry {
        work,
        micros,
        bytes: Some(bytes),
        at: NOW - ago,
        end: cause.map_or(End::Verified, End::Ended),
        ..proof(n as u64, of)
    }
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let all = proptest::collection::vec(any_entry(), 1..80);
    all.prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(n, any)| entry(n, any))
            .collect()
    })
}

proptest! {
    #[test]
    fn neither_order_nor_repetition_changes_a_score(given in entries(), seed: u64, name in 0usize..3) {
        let rule = warm(RuleName::ALL[name]);
        let mut other = [given.clone(), given.clone()].concat();
        let turn = |e: &Entry| u64::from_be_bytes(e.claim.as_bytes()[..8].try_into().unwrap_or_default());
        other.sort_by_key(|e| (turn(e) ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        prop_assert_eq!(Scores::of(&rule, &given, NOW), Scores::of(&rule, &other, NOW));
    }

    /// Entries within a minute, in any of the minute's milliseconds, score alike.
    #[test]
    fn within_a_tick_time_makes_no_difference(given in entries(), moved: u64, name in 0usize..3) {
        let rule = warm(RuleName::ALL[name]);
        let minute = |at: u64| at / 60_000 * 60_000;
        let place = |e: &Entry, by: u64| Entry { at: minute(e.at) + by % 60_000, ..e.clone() };
        let same: Vec<_> = given.iter().map(|e| place(e, 0)).collect();
        let other: Vec<_> = given.iter().enumerate().map(|(i, e)| place(e, moved.rotate_left(i as u32))).collect();
        let last = minute(NOW) + 59_999;
        let of = |entries: &[Entry]| {
            let scores = Scores::of(&rule, entries, last);
            // Until when a lie counts is told to the millisecond.
            let shares = scores.miners.values().map(|s| (s.total, s.share_millionths));
            shares.collect::<Vec<_>>()
        };
        prop_assert_eq!(of(&same), of(&other));
    }

    #[test]
    fn a_machine_under_several_names_earns_what_it_earns_under_one(given in entries(), names in 2u64..8) {
        // Without lies: an identity that lied is left behind by whoever can make another (see the cold start).
        let honest: Vec<Entry> = given.into_iter().filter(|e| !e.lie()).collect();
        let split: Vec<Entry> = honest
            .iter()
            .enumerate()
            .map(|(i, e)| {
                let name = 100 + (i as u64 % names) as u32;
                if e.miner == miner(0) { Entry { miner: miner(name), ..e.clone() } } else { e.clone() }
            })
            .collect();
        let of = |entries: &[Entry]| -> u32 {
            let scores = Scores::of(&ours(), entries, NOW);
            scores.miners.values().filter(|s| &*s.owner == "owner-0").map(|s| s.share_millionths).sum()
        };
        let (one, several) = (of(&honest), of(&split));
        prop_assert!(u64::from(several) <= u64::from(one) * 102 / 100 + 10, "{one} {several}");
    }

    #[test]
    fn faults_of_others_change_nobodys_score(given in entries(), name in 0usize..3) {
        let rule = warm(RuleName::ALL[name]);
        let counted = |e: &Entry| e.end.cause().is_none_or(|c| c.blame() == crate::Blame::Miner);
        let without: Vec<Entry> = given.iter().filter(|e| counted(e)).cloned().collect();
        let of = |entries: &[Entry]| {
            let scores = Scores::of(&rule, entries, NOW);
            let shares = scores.miners.into_iter().map(|(m, s)| (m, s.total, s.share_millionths));
            shares.collect::<Vec<_>>()
        };
        prop_assert_eq!(of(&given), of(&without));
    }

    #[test]
    fn shares_are_of_one(given in entries(), name in 0usize..3) {
        let sum: u64 = shares(&warm(RuleName::ALL[name]), &given).iter().map(|s| u64::from(*s)).sum();
        prop_assert!(sum == 0 || (1_000_000 - 10..=1_000_000).contains(&sum), "{sum}");
    }

    #[test]
    fn an_explanation_adds_up(given in entries(), name in 0usize..2) {
        let scores = Scores::of(&warm(RuleName::ALL[name]), &given, NOW);
        for (miner, score) in &scores.miners {
            let told: i128 = scores.explain(&given, miner).iter().map(|(_, worth)| worth).sum();
            let total = score.total;
            prop_assert_eq!(told, total.credit as i128 - total.debit as i128);
        }
    }
}

#[test]
fn a_million_entries_of_the_greatest_numbers_overflow_nothing() {
    let (namespace, pattern): (Arc<str>, Entry) = (Arc::from("one"), proof(0, 0));
    let extreme = |n: u64| {
        let end = if n.is_multiple_of(7) {
            End::Ended(Cause::Failed)
        } else {
            End::Verified
        };
        Entry {
            end,
            work: u64::MAX,
            micros: if n.is_multiple_of(2) { u64::MAX } else { 1_000_000 },
            bytes: Some(if n.is_multiple_of(3) { u64::MAX } else { 0 }),
            namespace: Arc::clone(&namespace),
            claim: proof_id(n),
            miner: miner((n % 1000) as u32),
            at: u64::MAX - n % HOUR,
            ..pattern.clone()
        }
    };
    let entries: Vec<Entry> = (0..1_000_000).map(extreme).collect();
    for name in RuleName::ALL {
        let scores = Scores::of(&warm(name), &entries, u64::MAX);
        let sum: u64 = scores
            .miners
            .values()
            .map(|s| u64::from(s.share_millionths))
            .sum();
        assert!(sum <= 1_000_000, "{name}: {sum}");
        assert!(sum > 990_000, "{name}: {sum}");
    }
}
