//! A second pool stands in for one that is late.

use super::*;

#[test]
fn a_late_claim_is_hedged_elsewhere_and_the_first_valid_proof_counts() {
    let mut bench = Bench::new(vec![request(1, 1, &["slow", "quick"])]);
    let first = bench.take("slow", seconds(0));
    assert_eq!(bench.ask("quick", millis(999)), None);
    assert_eq!(bench.queue.next_wakeup(millis(1)), Some(seconds(1)));
    let second = bench.take("quick", seconds(1));
    assert!(second.stands_in && !first.stands_in);
    assert!(bench.queue.is_open(uid(1), first.claim, seconds(2)), "it lives");
    bench.verify(&second, millis(1100));
    assert!(bench.queue.all_verified(uid(1)));
    // A later valid one within its lease earns and costs nothing, even when the request is over.
    bench.queue.remove(uid(1), true, millis(1200));
    assert_eq!(bench.queue.take_gone(), []);
    assert_eq!(bench.queue.lingering(), [(uid(1), pool("slow"))].into());
    assert!(bench.queue.loads(seconds(2)).is_empty());
    bench.verify(&first, seconds(2));
    assert_eq!(bench.causes(), [None, Some(Cause::Overtaken)]);
    assert_eq!(bench.queue.take_gone(), [uid(1)]);
}

#[test]
fn the_slow_one_may_be_first_after_all() {
    let mut bench = Bench::new(vec![request(1, 1, &["slow", "quick"])]);
    let first = bench.take("slow", seconds(0));
    let second = bench.take("quick", seconds(1));
    bench.verify(&first, seconds(2));
    assert!(bench.queue.all_verified(uid(1)));
    bench.verify(&second, seconds(2));
    assert_eq!(bench.causes(), [None, Some(Cause::Overtaken)]);
}

#[test]
fn who_never_delivers_is_late_even_when_the_request_is_over() {
    let mut bench = Bench::new(vec![request(1, 1, &["hoard", "quick"])]);
    bench.take("hoard", seconds(0));
    let second = bench.take("quick", seconds(1));
    bench.verify(&second, seconds(1));
    bench.queue.remove(uid(1), true, seconds(1));
    bench.queue.remove(uid(1), true, seconds(2));
    bench.queue.expire(seconds(5));
    assert_eq!(bench.causes(), [None, Some(Cause::LeaseExpired)]);
    assert_eq!(bench.queue.take_gone(), [uid(1)]);
}

#[test]
fn a_pool_with_a_hedged_claim_gets_nothing_until_it_delivers() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "b"]), request(2, 3, &["a", "b"])]);
    let late = bench.take("a", seconds(0));
    bench.take("b", seconds(1));
    assert_eq!(bench.ask("a", seconds(1)), None);
    bench.submit(&late, seconds(2));
    bench.take("a", seconds(2));
}

#[test]
fn what_is_late_follows_from_the_prediction() {
    let mut long = request(1, 1, &["a", "b"]);
    long.slices[0].predicted = seconds(2);
    let mut bench = Bench::new(vec![long]);
    bench.take("a", seconds(0));
    assert_eq!(bench.ask("b", millis(5999)), None);
    bench.take("b", seconds(6));
}

#[test]
fn a_pool_does_not_stand_in_for_itself_and_who_stands_in_may_be_late_too() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "b", "c"])]);
    bench.take("a", seconds(0));
    assert_eq!(bench.ask("a", seconds(1)), None);
    bench.take("b", seconds(1));
    assert_eq!(bench.ask("c", millis(1999)), None);
    bench.take("c", seconds(2));
}

#[test]
fn at_most_eight_claims_are_hedged_at_a_time() {
    let names: Vec<String> = (0..20).map(|n| format!("p{n}")).collect();
    let pools: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut bench = Bench::new(vec![request(1, 10, &pools)]);
    for name in &names[..10] {
        bench.take(name, seconds(0));
    }
    names[10..].iter().for_each(|name| {
        bench.wait(name, seconds(1));
    });
    assert_eq!(bench.assign(seconds(1)).len(), 8);
    assert_eq!(bench.assign(millis(1500)).len(), 0);
}

#[test]
fn the_place_of_a_claim_that_ends_is_taken_by_who_stands_in() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "b", "c"])]);
    let first = bench.take("a", seconds(0));
    let second = bench.take("b", seconds(1));
    bench.end(&first, invalid(), millis(1500));
    assert_eq!(bench.ask("c", millis(1500)), None, "b is at work, and not late");
    bench.verify(&second, millis(1900));
    assert!(bench.queue.all_verified(uid(1)));
}

#[test]
fn a_pool_that_hoards_delays_nobody_by_more_than_a_second() {
    let mut bench = Bench::new(Vec::new());
    let mut worst = Duration::ZERO;
    let mut now = seconds(0);
    for n in 1..=60 {
        bench.add(request(n, 1, &["hoard", "honest"]), now);
        let began = now;
        bench.wait("hoard", now);
        bench.wait("honest", now);
        while !bench.queue.all_verified(uid(n)) {
            assert!(now < began + seconds(10));
            for (_, claimed) in bench.assign(now) {
                let Claimed::Slice(s) = claimed else { continue };
                let attempt = bench.queue.leases().find(|l| l.claim == s.claim).unwrap();
                if attempt.pool == pool("honest") {
                    bench.verify(&s, now);
                }
            }
            now += millis(10);
        }
        bench.queue.remove(uid(n), true, now);
        worst = worst.max(now - began);
    }
    assert!(worst <= millis(1020), "{worst:?}");
    let hoarded = bench
        .causes()
        .iter()
        .filter(|c| **c == Some(Cause::LeaseExpired))
        .count();
    assert!(hoarded <= 4, "the breaker holds: {hoarded}");
}

#[test]
fn a_stand_in_that_is_taken_back_leaves_the_late_one_as_it_was() {
    let mut bench = Bench::new(vec![request(1, 1, &["slow", "quick"])]);
    let late = bench.take("slow", seconds(0));
    let hedge = bench.take("quick", seconds(1));
    assert!(hedge.stands_in);
    bench.queue.take_back(uid(1), hedge.claim);
    bench.add(request(2, 1, &["slow", "quick"]), seconds(1));
    let other = bench.take("slow", seconds(1));
    assert_eq!(other.request, uid(2), "nobody stands in for it");
    let hedge = bench.take("quick", seconds(1));
    assert_eq!((hedge.request, hedge.stands_in, hedge.attempt), (uid(1), true, 2));
    // The late one's claim is taken back: the other has its place.
    bench.queue.take_back(uid(1), late.claim);
    assert_eq!(bench.ask("slow", seconds(1)), None);
    bench.verify(&hedge, seconds(1));
    assert!(bench.queue.all_verified(uid(1)));
    assert_eq!(bench.causes(), [None]);
}

#[test]
fn who_stands_in_is_of_another_miner_and_owner_where_one_waits() {
    let pools = ["evil/a", "evil/b", "evil/c", "ally/d", "honest/h"];
    let mut bench = Bench::new(vec![request(1, 1, &pools)]);
    bench.take("evil/a", seconds(0));
    let owners = [("evil", "acme"), ("ally", "acme")];
    let owners = owners.map(|(namespace, owner)| (namespace.to_owned(), owner.to_owned()));
    bench.queue.set_owners(owners.into());
    for name in ["evil/b", "ally/d", "honest/h"] {
        bench.wait(name, seconds(1));
    }
    bench.assign(seconds(1));
    let held = bench.queue.leases().map(|l| l.pool.clone()).collect::<Vec<_>>();
    assert_eq!(held, [pool("evil/a"), pool("honest/h")]);
    // Where there is nobody else, one of theirs does.
    let mut bench = Bench::new(vec![request(1, 1, &pools)]);
    bench.take("evil/a", seconds(0));
    assert!(bench.take("evil/b", seconds(1)).stands_in);
}

#[test]
fn pools_of_one_miner_that_all_stall_delay_nobody_by_more_than_two_seconds() {
    let evil: Vec<String> = (0..16).map(|n| format!("evil/p{n}")).collect();
    let names: Vec<&str> = evil.iter().map(String::as_str).chain(["honest/h"]).collect();
    let mut bench = Bench::new(Vec::new());
    bench.queue.leases = (seconds(20), seconds(600));
    let (mut worst, mut now) = (Duration::ZERO, seconds(0));
    let mut waiting = std::collections::BTreeSet::new();
    for n in 1..=60 {
        bench.add(request(n, 1, &names), now);
        let began = now;
        while !bench.queue.all_verified(uid(n)) {
            assert!(now < began + seconds(30), "request {n} waits");
            for name in names.iter().copied() {
                if waiting.insert(name) {
                    bench.wait(name, now);
                }
            }
            for (_, claimed) in bench.assign(now) {
                let Claimed::Slice(s) = claimed else { continue };
                let holder = bench.queue.leases().find(|l| l.claim == s.claim).unwrap();
                let holder = holder.pool.to_string();
                waiting.remove(holder.as_str());
                if holder == "honest/h" {
                    bench.verify(&s, now);
                }
            }
            now += millis(10);
        }
        bench.queue.remove(uid(n), true, now);
        worst = worst.max(now - began);
    }
    assert!(worst <= seconds(2), "{worst:?}");
}

#[test]
fn a_claim_that_stands_in_and_is_late_itself_keeps_no_other_from_being_stood_in_for() {
    let names: Vec<String> = (0..40).map(|n| format!("n{n}/p")).collect();
    let pools: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut bench = Bench::new(vec![request(1, 16, &pools)]);
    bench.queue.leases = (seconds(20), seconds(600));
    for name in &names[..16] {
        bench.take(name, seconds(0));
    }
    names[16..].iter().for_each(|name| {
        bench.wait(name, seconds(1));
    });
    let hedged = |bench: &mut Bench, now| {
        let answers = bench.assign(now).into_iter();
        let slices = answers.map(|(_, claimed)| match claimed {
            Claimed::Slice(s) => s.slice,
            Claimed::Over => panic!("nothing is over"),
        });
        slices.collect::<Vec<_>>()
    };
    let first = hedged(&mut bench, seconds(1));
    assert_eq!(first.len(), 8);
    assert_eq!(hedged(&mut bench, millis(1900)), [], "they may be in time");
    let second = hedged(&mut bench, seconds(2));
    assert_eq!(second.len(), 8, "they are late");
    assert!(
        second.iter().all(|slice| !first.contains(slice)),
        "each slice in its turn"
    );
    assert_eq!(bench.queue.hedges(seconds(2)), 8);
}

#[test]
fn of_several_claims_of_a_slice_each_that_is_late_is_stood_in_for_and_keeps_its_pool_from_more() {
    let mut twice = request(1, 1, &["a", "b", "c", "d"]);
    twice.redundancy = 2;
    let mut bench = Bench::new(vec![twice, request(2, 4, &["a", "b", "c", "d"])]);
    bench.queue.suspend(uid(2), true);
    let old = bench.take("a", seconds(0));
    let new = bench.take("b", millis(500));
    assert_eq!(bench.ask("c", millis(999)), None);
    assert!(bench.take("c", seconds(1)).stands_in, "the older is late");
    assert_eq!(bench.ask("d", millis(1499)), None, "two may be in time");
    assert!(bench.take("d", millis(1500)).stands_in, "the newer is late too");
    bench.queue.suspend(uid(2), false);
    for held in ["a", "b"] {
        assert_eq!(bench.ask(held, millis(1500)), None, "{held} has a late claim");
    }
    bench.take("c", millis(1500));
    // A proof that is being looked at is to be expected.
    bench.verify(&old, millis(1600));
    bench.submit(&new, millis(1600));
    bench.take("a", millis(1600));
    bench.take("b", millis(1600));
}

#[test]
fn one_whose_place_is_not_the_newest_is_hedged_though_another_is_being_verified() {
    let mut twice = request(1, 1, &["a", "b", "c"]);
    twice.redundancy = 2;
    let mut bench = Bench::new(vec![twice]);
    let late = bench.take("a", seconds(0));
    let quick = bench.take("b", millis(100));
    bench.submit(&quick, millis(200));
    assert_eq!(bench.ask("c", millis(999)), None);
    let stands_in = bench.take("c", seconds(1));
    assert!(stands_in.stands_in);
    bench.end(&quick, AttemptEnd::Verified, seconds(1));
    bench.verify(&stands_in, seconds(1));
    assert!(bench.queue.all_verified(uid(1)));
    bench.verify(&late, seconds(2));
    assert_eq!(bench.causes(), [None, None, Some(Cause::Overtaken)]);
}
