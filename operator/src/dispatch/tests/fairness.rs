//! No pool starves, and none gains by what it says of itself.

use std::collections::BTreeMap;

use super::*;

/// Pools of one worker each, which takes so long for a slice, work off requests that come at these times. How many slices
/// each pool proved, and when the last was.
fn work(
    pools: &[(&str, Duration)],
    requests: u8,
    slices: u32,
    every: Duration,
) -> (BTreeMap<String, u32>, Duration) {
    let names: Vec<&str> = pools.iter().map(|p| p.0).collect();
    let mut bench = Bench::new(Vec::new());
    for name in &names {
        bench.queue.know(&pool(name), facts(name), Duration::ZERO);
    }
    let mut at_work: BTreeMap<&str, (Duration, ClaimedSlice)> = BTreeMap::new();
    let mut waiting: BTreeMap<Ticket, &str> = BTreeMap::new();
    let (mut proved, mut now, mut made) = (BTreeMap::new(), Duration::ZERO, 0);
    while proved.values().sum::<u32>() < u32::from(requests) * slices {
        assert!(now < seconds(3600), "{proved:?}");
        if made < requests && now >= every * u32::from(made) {
            made += 1;
            bench.add(request(made, slices, &names), now);
        }
        for (name, takes) in pools {
            if at_work.get(name).is_some_and(|(since, _)| now >= *since + *takes) {
                let (_, claimed) = at_work.remove(name).unwrap();
                bench.verify(&claimed, now);
                *proved.entry((*name).to_owned()).or_default() += 1;
            }
            if !at_work.contains_key(name) && !waiting.values().any(|n| n == name) {
                let ticket = bench.wait(name, now);
                waiting.insert(ticket, name);
            }
        }
        for (ticket, claimed) in bench.assign(now) {
            let Claimed::Slice(claimed) = claimed else {
                continue;
            };
            at_work.insert(waiting.remove(&ticket).unwrap(), (now, claimed));
        }
        now += millis(5);
    }
    (proved, now)
}

fn assert_even(proved: &BTreeMap<String, u32>, pools: u32) {
    let fair = proved.values().sum::<u32>() / pools;
    assert_eq!(proved.len() as u32, pools, "{proved:?}");
    for (name, n) in proved {
        let near = fair * 7 / 10..=fair * 13 / 10;
        assert!(
            near.contains(n),
            "{name} proved {n}, its share is {fair}: {proved:?}"
        );
    }
}

const FIVE: [(&str, Duration); 5] = [
    ("a", Duration::from_millis(50)),
    ("b", Duration::from_millis(50)),
    ("c", Duration::from_millis(50)),
    ("d", Duration::from_millis(50)),
    ("e", Duration::from_millis(50)),
];

#[test]
fn five_equal_pools_share_sixty_requests_of_four_slices() {
    for every in [millis(0), millis(30), millis(400)] {
        assert_even(&work(&FIVE, 60, 4, every).0, 5);
    }
}

#[test]
fn five_equal_pools_share_requests_of_one_slice_even_when_all_are_idle() {
    for every in [millis(0), millis(20), millis(300)] {
        assert_even(&work(&FIVE, 60, 1, every).0, 5);
    }
}

#[test]
fn a_better_score_is_worth_a_little_more_and_never_all() {
    let mut bench = Bench::new(vec![request(1, 1, &["best", "new"])]);
    let best = PoolFacts {
        score_millionths: 900_000,
        ..facts("best")
    };
    bench.queue.know(&pool("best"), best, seconds(0));
    let mut got = BTreeMap::new();
    for n in 1..=110u8 {
        bench.add(request(n, 1, &["best", "new"]), seconds(0));
        let both = [
            ("best", bench.wait("best", seconds(0))),
            ("new", bench.wait("new", seconds(0))),
        ];
        let mut answers = bench.assign(seconds(0));
        let (ticket, Claimed::Slice(claimed)) = answers.pop().unwrap() else {
            panic!()
        };
        bench.verify(&claimed, seconds(0));
        for (name, t) in both {
            bench.queue.leave(t);
            *got.entry(name).or_insert(0) += u32::from(t == ticket);
        }
    }
    assert!(
        got["best"] > got["new"] && got["best"] < got["new"] * 5 / 4,
        "{got:?}"
    );
}

#[test]
fn a_pool_that_says_it_is_large_gets_no_more_than_its_workers_take() {
    let mut bench = Bench::new(vec![request(1, 100, &["large", "small"])]);
    let large = PoolFacts {
        claims: 2048,
        ..facts("large")
    };
    bench.queue.know(&pool("large"), large, seconds(0));
    let mut tickets: BTreeMap<Ticket, &str> = BTreeMap::new();
    for _ in 0..50 {
        tickets.insert(bench.wait("large", seconds(0)), "large");
    }
    tickets.insert(bench.wait("small", seconds(0)), "small");
    let granted: Vec<&str> = bench.assign(seconds(0)).iter().map(|(t, _)| tickets[t]).collect();
    let of = |name| granted.iter().filter(|n| **n == name).count();
    assert_eq!(
        (of("large"), of("small")),
        (4, 1),
        "nothing has shown yet that its workers prove"
    );
}

#[test]
fn a_pool_holds_no_more_claims_than_its_workers_can() {
    let mut bench = Bench::new(vec![request(1, 100, &["a"])]);
    let two = PoolFacts {
        claims: 2,
        ..facts("a")
    };
    bench.queue.know(&pool("a"), two, seconds(0));
    let first = bench.take("a", seconds(0));
    bench.take("a", seconds(0));
    assert_eq!(bench.ask("a", seconds(0)), None);
    bench.submit(&first, millis(100));
    bench.take("a", millis(100));
}

#[test]
fn a_pool_that_was_away_does_not_make_up_for_it() {
    let mut bench = Bench::new(vec![request(1, 1, &["here", "away"])]);
    for n in 2..100 {
        bench.add(request(n, 1, &["here", "away"]), seconds(0));
        let s = bench.take("here", seconds(0));
        bench.verify(&s, seconds(0));
    }
    let mut got = Vec::new();
    for n in 100..110 {
        bench.add(request(n, 1, &["here", "away"]), seconds(1));
        let here = bench.wait("here", seconds(1));
        let away = bench.wait("away", seconds(1));
        let (ticket, Claimed::Slice(claimed)) = bench.assign(seconds(1)).pop().unwrap() else {
            panic!()
        };
        got.push(ticket == here);
        bench.verify(&claimed, seconds(1));
        bench.queue.leave(here);
        bench.queue.leave(away);
    }
    let here = got.iter().filter(|h| **h).count();
    assert!((4..=6).contains(&here), "{got:?}");
}

#[test]
fn a_pool_with_a_client_of_its_own_moves_nobody_elses_turn() {
    let mut bench = Bench::new(Vec::new());
    for name in ["a", "b", "own"] {
        bench.queue.know(&pool(name), facts(name), seconds(0));
    }
    let mut of_a = 0;
    for n in 1..=10u8 {
        let now = millis(100 * u64::from(n));
        bench.add(request(100 + n, 5, &["own"]), now);
        for _ in 0..5 {
            let own = bench.take("own", now);
            bench.verify(&own, now);
        }
        bench.add(request(n, 1, &["a", "b"]), now);
        let (a, b) = (bench.wait("a", now), bench.wait("b", now));
        let (ticket, Claimed::Slice(claimed)) = bench.assign(now).pop().unwrap() else {
            panic!()
        };
        bench.verify(&claimed, now);
        of_a += u32::from(ticket == a);
        bench.queue.leave(a);
        bench.queue.leave(b);
    }
    assert_eq!(of_a, 5, "in turn, whatever `own` is given");
}

#[test]
fn what_is_asked_of_cold_pools_begins_with_the_one_whose_turn_it_is() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "b"])]);
    let s = bench.take("a", seconds(0));
    bench.verify(&s, seconds(0));
    bench.add(request(2, 3, &["a", "b"]), seconds(0));
    let loads = bench.queue.loads(seconds(0));
    let of = loads.iter().find(|l| l.uid == uid(2)).unwrap();
    let order: Vec<&str> = of.pools.iter().map(|p| p.id.name()).collect();
    assert_eq!((of.open, order), (3, vec!["b", "a"]));
}

#[test]
fn of_one_pool_no_more_workers_wait_than_are_of_use_and_others_keep_their_turn() {
    let mut bench = Bench::new(vec![]);
    for name in ["many", "few"] {
        bench.queue.know(&pool(name), facts(name), seconds(0));
    }
    let many: Vec<Ticket> = (0..1000).map(|_| bench.wait("many", seconds(1))).collect();
    // Eight claims, twice, and eight beside.
    assert_eq!(bench.queue.waiting.len(), 24);
    let few = bench.wait("few", seconds(1));
    bench.add(request(1, 2, &["many", "few"]), seconds(1));
    let given: Vec<Ticket> = bench
        .assign(seconds(1))
        .into_iter()
        .map(|(ticket, _)| ticket)
        .collect();
    assert!(given.len() == 2 && given.contains(&few) && many[..24].iter().any(|t| given.contains(t)));
    // Whose place is free again another one has.
    many.iter().for_each(|ticket| bench.queue.leave(*ticket));
    bench.wait("many", seconds(2));
    assert_eq!(bench.queue.waiting.len(), 1);
    // What a pool says of its size is no reason for more than a thousand.
    let huge = PoolFacts {
        claims: u32::MAX,
        ..facts("huge")
    };
    bench.queue.know(&pool("huge"), huge, seconds(2));
    for _ in 0..3000 {
        bench.wait("huge", seconds(2));
    }
    assert_eq!(bench.queue.waiting.len(), 1 + 1024);
}
