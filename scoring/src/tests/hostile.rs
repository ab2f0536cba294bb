//! Attacks on the default rule, each beside honest work with the same machine.

use super::*;

/// A network of nine honest miners that does `each` proofs, at the usual pace.
fn network(each: u64) -> Vec<Entry> {
    (1..10)
        .flat_map(|of| (0..each).map(move |n| proof(u64::from(of) * 10_000 + n, of)))
        .collect()
}

/// What owner 0 has of all.
fn earned(own: Vec<Entry>) -> u64 {
    let entries = [network(100), own].concat();
    let scores = Scores::of(&Rule::default(), &entries, NOW);
    let shares = scores.miners.values().filter(|s| s.owner.starts_with("owner-0"));
    shares.map(|s| u64::from(s.share_millionths)).sum()
}

fn honest() -> u64 {
    let earned = earned((0..100).map(|n| proof(n, 0)).collect());
    assert_eq!(earned, 100_000);
    earned
}

#[test]
fn many_names_in_many_namespaces_earn_what_one_earns() {
    let sybil = |n: u64| Entry {
        miner: miner(1000 + (n % 5) as u32),
        namespace: Arc::from(format!("owner-0-{}", n % 5)),
        ..proof(n, 0)
    };
    assert!(earned((0..100).map(sybil).collect()) <= honest() * 102 / 100);
    // Ten names are too many for a hundred proofs: none of them is known well enough.
    let many = |n: u64| Entry {
        miner: miner(1000 + (n % 10) as u32),
        ..proof(n, 0)
    };
    assert_eq!(earned((0..100).map(many).collect()), 0);
}

#[test]
fn who_lets_leases_end_pays_for_them() {
    let lazy = |n: u64| match n % 2 {
        0 => ended(n, 0, Cause::LeaseExpired),
        _ => proof(n, 0),
    };
    assert_eq!(earned((0..100).map(lazy).collect()), 0);
    let withholding = |n: u64| match n % 10 {
        0 => ended(n, 0, Cause::LeaseExpired),
        _ => proof(n, 0),
    };
    assert!(earned((0..100).map(withholding).collect()) < honest() * 8 / 10);
}

#[test]
fn a_copied_proof_costs_a_day() {
    // A proof is bound to its miner: another's is none.
    let mut own: Vec<_> = (0..100).map(|n| proof(n, 0)).collect();
    own.push(ended(100, 0, Cause::InvalidProof));
    assert_eq!(earned(own), 0);
}

#[test]
fn who_hands_back_what_it_does_not_like_earns_only_what_it_does() {
    let censor = |n: u64| match n % 4 {
        0 => ended(n, 0, Cause::Draining),
        _ => proof(n, 0),
    };
    assert!(earned((0..100).map(censor).collect()) < honest());
}

#[test]
fn requests_of_ones_own_earn_nothing_that_only_oneself_could_serve() {
    let own = |n: u64| Entry {
        comparable: false,
        micros: 1,
        ..proof(n, 0)
    };
    assert_eq!(earned((0..1000).map(own).collect()), 0);
}

#[test]
fn slow_proofs_of_a_model_that_nobody_else_sees_are_worth_no_more_than_slow_proofs() {
    let slow = |key: u8| {
        move |n: u64| Entry {
            key: Some(zkinfer_crds::Digest::new([key; 32])),
            micros: 400_000,
            ..proof(n, 0)
        }
    };
    let private = earned((0..100).map(slow(9)).collect());
    assert_eq!(private, earned((0..100).map(slow(7)).collect()));
    assert!(private < honest() * 7 / 10);
}

/// Benchmarks of the network, each so many.
fn benchmarks(each: u64) -> Vec<Entry> {
    let benchmark = |e: Entry| Entry {
        benchmark: true,
        claim: proof_id(1_000_000 + u64::from_be_bytes(e.claim.as_bytes()[..8].try_into().unwrap())),
        ..e
    };
    network(each).into_iter().map(benchmark).collect()
}

/// What the rule makes of each entry of owner 1, which is honest, beside requests of owner 0's own client.
fn worth_to_others(name: RuleName, benchmarked: bool, own: impl Fn(u64) -> Entry) -> i128 {
    let rule = warm(name);
    let beside = if benchmarked { benchmarks(10) } else { Vec::new() };
    let own: Vec<Entry> = (0..400).map(own).collect();
    let entries = [network(20), beside, own].concat();
    let scores = Scores::of(&rule, &entries, NOW);
    let told = scores.explain(&entries, &miner(1));
    told.iter().map(|(_, worth)| worth).sum()
}

#[test]
fn a_client_of_ones_own_moves_no_reference_where_there_are_benchmarks() {
    // Ten times as quick as anybody is, and a tenth as large: what two machines can agree upon.
    let quick = |n: u64| Entry {
        micros: 10_000,
        bytes: Some(200),
        ..proof(n, 0)
    };
    let usual = |n: u64| proof(n, 0);
    for name in [RuleName::SpeedSizeAccuracy, RuleName::DeliveredWork] {
        let moved = |benchmarked| {
            let (with, without) = (
                worth_to_others(name, benchmarked, quick),
                worth_to_others(name, benchmarked, usual),
            );
            with != without
        };
        assert!(moved(false), "{name}: without benchmarks others lose by it");
        assert!(!moved(true), "{name}");
    }
}

#[test]
fn few_benchmarks_are_no_reference() {
    let rule = warm(RuleName::SpeedSizeAccuracy);
    let slow = |n: u64| Entry {
        benchmark: true,
        micros: 10_000_000,
        ..proof(1_000_000 + n, 2)
    };
    let with = |many: u64| {
        let entries = [network(20), (0..many).map(slow).collect()].concat();
        let scores = Scores::of(&rule, &entries, NOW);
        let told = scores.explain(&entries, &miner(1));
        told.iter().map(|(_, worth)| worth).sum::<i128>()
    };
    // Eight of a slice say how large its proofs are, which these leave as it was; 64 how quick all are.
    assert_eq!(with(0), with(63));
    // Now everybody is quicker than the reference, which is worth no more than being as quick.
    assert_eq!(with(0), with(64));
}
