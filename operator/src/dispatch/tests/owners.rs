//! Whose pools are: contested claims, and who stands in for whom.

use super::*;

/// Whether a claim of the first of these pools is contested, after something has happened.
fn contested(pools: &[&str], happens: impl FnOnce(&mut Bench)) -> bool {
    let mut bench = Bench::new(vec![request(1, 4, pools)]);
    bench.show(pools, seconds(0));
    happens(&mut bench);
    bench.take(pools[0], seconds(0)).contested
}

/// The namespaces have one owner.
fn one_owner(bench: &mut Bench, namespaces: &[&str]) {
    let owners = namespaces.iter().map(|n| ((*n).to_owned(), "acme".to_owned()));
    bench.queue.set_owners(owners.collect());
}

#[test]
fn a_claim_is_contested_only_by_another_miner_of_another_owner() {
    let one_key = |bench: &mut Bench| {
        for name in ["evil/a", "other/b"] {
            bench.queue.know(&pool(name), facts("one key"), seconds(0));
        }
    };
    assert!(contested(&["evil/a", "honest/b"], |_| ()));
    assert!(!contested(&["evil/a"], |_| ()), "nobody else could");
    assert!(!contested(&["evil/a", "evil/b"], |_| ()), "one owner");
    assert!(!contested(&["evil/a", "other/b"], one_key), "one miner");
}

#[test]
fn namespaces_that_the_validator_lists_as_one_owner_contest_nothing_of_each_other() {
    let listed = |bench: &mut Bench| one_owner(bench, &["evil", "friend"]);
    assert!(!contested(&["evil/a", "friend/b"], listed));
    assert!(contested(&["evil/a", "friend/b", "honest/c"], listed));
    // A listed owner's name is no namespace's.
    assert!(contested(&["evil/a", "acme/b"], listed));
}

#[test]
fn a_claim_is_contested_by_two_that_each_have_something_in_common_with_a_third() {
    let pools = ["evil/a", "evil/b", "other/c"];
    // `a` and `b` have one owner, `a` and `c` one key; `b` and `c` have nothing in common.
    assert!(contested(&pools, |bench| {
        for (name, key) in pools.iter().zip(["one", "two", "one"]) {
            bench.queue.know(&pool(name), facts(key), seconds(0));
        }
    }));
}

#[test]
fn who_could_not_have_been_given_a_claim_does_not_contest_it() {
    let pools = ["evil/a", "other/b"];
    let mut bench = Bench::new(vec![request(1, 4, &pools)]);
    assert!(
        !bench.take("evil/a", seconds(0)).contested,
        "it never had a worker"
    );
    bench.show(&["other/b"], seconds(1));
    assert!(bench.take("evil/a", seconds(1)).contested);
    let faults = |bench: &mut Bench, times: u32| {
        for _ in 0..times {
            let claimed = bench.take("other/b", seconds(0));
            bench.end(&claimed, invalid(), seconds(0));
        }
    };
    assert!(
        !contested(&pools, |bench| faults(bench, 2)),
        "it has failed too often"
    );
    // Paused by what it did elsewhere.
    assert!(!contested(&pools, |bench| {
        bench.add(request(2, 3, &["other/b"]), seconds(0));
        bench.queue.suspend(uid(1), true);
        faults(bench, 3);
        bench.queue.suspend(uid(1), false);
    }));
    let drained = PoolFacts {
        drained: true,
        ..facts("other/b")
    };
    assert!(!contested(&pools, |bench| {
        bench.queue.know(&pool("other/b"), drained, seconds(0));
    }));
}

#[test]
fn a_pool_that_is_made_again_goes_on_with_its_pause_and_so_does_one_in_its_stead() {
    for again in ["evil/a", "evil/b"] {
        let mut bench = Bench::new(vec![request(1, 3, &["evil/a", "honest/h"])]);
        for _ in 0..3 {
            bench.add(request(2, 1, &["evil/a"]), seconds(0));
            let claimed = bench.take("evil/a", seconds(0));
            bench.end(&claimed, invalid(), seconds(0));
            bench.queue.remove(claimed.request, false, seconds(0));
        }
        assert!(bench.queue.pause(&pool("evil/a")).is_some());
        bench.queue.forget(&pool("evil/a"), seconds(1));
        assert_eq!(bench.queue.pause(&pool("evil/a")), None);
        bench.queue.know(&pool(again), facts(again), seconds(2));
        assert!(bench.queue.pause(&pool(again)).is_some(), "{again}");
        // One pause is one pool's; and another namespace has none.
        for name in ["evil/c", "good/a"] {
            bench.queue.know(&pool(name), facts(name), seconds(2));
            assert_eq!(bench.queue.pause(&pool(name)), None, "{name}");
        }
    }
}

#[test]
fn what_a_pool_may_hold_and_hand_back_survives_its_being_made_again_until_no_pause_would_last() {
    let mut bench = Bench::new(vec![request(1, 20, &["a"])]);
    let back = |bench: &mut Bench, now, times| {
        (0..times)
            .filter(|_| match bench.ask("a", now) {
                Some(Claimed::Slice(s)) => bench.queue.give_up(uid(1), s.claim, draining(), now),
                _ => false,
            })
            .count()
    };
    assert_eq!(back(&mut bench, seconds(10), 8), 8);
    let remade = |bench: &mut Bench, gone: u64, now: u64| {
        bench.queue.forget(&pool("a"), seconds(gone));
        bench.queue.know(&pool("a"), facts("a"), seconds(now));
    };
    remade(&mut bench, 11, 12);
    back(&mut bench, seconds(40), 2);
    assert_eq!(
        bench.queue.pause(&pool("a")).map(|p| p.cause),
        Some(PauseCause::HandBacks)
    );
    remade(&mut bench, 50, 650);
    assert_eq!(bench.queue.pause(&pool("a")), None);
}
