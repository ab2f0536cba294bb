//! Claims from their grant to their end.

use super::*;

#[test]
fn the_heaviest_slice_goes_first_and_whoever_is_there_takes_more() {
    let mut bench = Bench::new(vec![request(1, 4, &["a", "b"])]);
    assert_eq!(bench.take("a", seconds(0)).slice, SliceIndex(3));
    assert_eq!(bench.take("a", seconds(0)).slice, SliceIndex(2));
    assert_eq!(bench.take("b", seconds(0)).slice, SliceIndex(1));
    assert_eq!(bench.take("a", seconds(0)).slice, SliceIndex(0));
}

#[test]
fn a_request_is_over_when_every_slice_is_verified() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    let only = Worker {
        request: Some(uid(1)),
        ..worker()
    };
    let claimed = bench.take("a", seconds(0));
    assert_eq!(bench.ask_as("a", &only, seconds(0)), None);
    bench.verify(&claimed, millis(900));
    assert!(bench.queue.all_verified(uid(1)));
    assert_eq!(bench.ask_as("a", &only, seconds(1)), Some(Claimed::Over));
    let ended = bench.queue.take_ended();
    assert_eq!(
        (ended.len(), &ended[0].end, ended[0].elapsed),
        (1, &AttemptEnd::Verified, millis(900))
    );
    let of_another = Worker {
        request: Some(uid(9)),
        ..worker()
    };
    assert_eq!(bench.ask_as("a", &of_another, seconds(1)), Some(Claimed::Over));
}

/// As one does whose answer is too far from the float model's: that is nobody's fault who proved.
#[test]
fn what_was_proved_of_a_request_that_ended_wrong_counts_and_what_is_open_may_be_delivered() {
    let mut bench = Bench::new(vec![request(1, 3, &["a", "b"])]);
    let (first, second) = (bench.take("a", seconds(0)), bench.take("b", seconds(0)));
    bench.verify(&first, millis(900));
    bench.queue.remove(uid(1), true, seconds(1));
    assert_eq!(bench.ask("a", seconds(1)), None, "no more of it is given out");
    bench.verify(&second, millis(1100));
    let ends: Vec<AttemptEnd> = bench.queue.take_ended().into_iter().map(|a| a.end).collect();
    assert_eq!(ends, [AttemptEnd::Verified, AttemptEnd::Verified]);
    assert_eq!(bench.queue.take_gone(), [uid(1)]);
}

#[test]
fn an_invalid_proof_is_proved_again_elsewhere() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "b"])]);
    let first = bench.take("a", seconds(6));
    bench.submit(&first, seconds(6));
    bench.end(&first, invalid(), seconds(6));
    assert_eq!(bench.ask("a", seconds(7)), None, "another pool goes first");
    let second = bench.take("b", seconds(7));
    assert_eq!(second.attempt, 2);
    bench.verify(&second, seconds(8));
    // If the other pool does not come, the first may try again.
    let mut bench = Bench::new(vec![request(1, 1, &["a", "b"])]);
    let first = bench.take("a", seconds(6));
    bench.end(&first, AttemptEnd::TooLarge, seconds(6));
    bench.take("a", seconds(27));
}

#[test]
fn a_lease_that_ends_gives_the_slice_to_another() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "b"])]);
    let stalled = bench.take("a", seconds(5));
    assert_eq!(stalled.lease, seconds(5));
    assert!(bench.queue.is_open(uid(1), stalled.claim, millis(9_999)));
    let again = bench.take("b", seconds(10));
    assert!(!again.stands_in, "the place is free");
    let late = bench
        .queue
        .submitted(stalled.request, stalled.claim, 10, seconds(11));
    assert!(!late);
    bench.verify(&again, millis(10_500));
    assert_eq!(bench.causes(), [Some(Cause::LeaseExpired), None]);
}

#[test]
fn a_slice_that_is_handed_back_is_free_at_once_and_costs_nobody() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    let drained = bench.take("a", seconds(0));
    assert_eq!(draining().blame(), Some(Blame::Infrastructure));
    bench.end(&drained, draining(), seconds(1));
    let again = bench
        .queue
        .end(drained.request, drained.claim, draining(), seconds(1));
    assert!(!again, "an attempt ends once");
    bench.take("a", seconds(1));
    assert_eq!(bench.causes(), [Some(Cause::Draining)]);
}

#[test]
fn handing_back_after_a_quarter_of_the_lease_is_a_fault_whatever_the_reason() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    let held = bench.take("a", seconds(0));
    assert_eq!(held.lease, seconds(5));
    assert!(bench.queue.give_up(uid(1), held.claim, draining(), millis(1250)));
    let held = bench.take("a", seconds(2));
    assert!(bench.queue.give_up(uid(1), held.claim, draining(), millis(3251)));
    assert_eq!(bench.causes(), [Some(Cause::Draining), Some(Cause::LateHandBack)]);
    assert_eq!(Cause::LateHandBack.blame(), Blame::Miner);
}

#[test]
fn a_pool_that_keeps_failing_gets_no_more_while_another_is_left() {
    let mut bench = Bench::new(vec![request(1, 6, &["bad", "good"])]);
    for _ in 0..2 {
        let s = bench.take("bad", seconds(6));
        bench.end(&s, invalid(), seconds(6));
    }
    assert_eq!(bench.ask("bad", seconds(50)), None);
    for _ in 0..6 {
        let s = bench.take("good", seconds(50));
        bench.verify(&s, seconds(50));
    }
    assert!(bench.queue.all_verified(uid(1)));
}

#[test]
fn a_request_fails_when_every_pool_has_failed_at_a_slice_often_enough() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    let mut now = seconds(0);
    for _ in 0..8 {
        assert_eq!(bench.queue.failure(uid(1)), None);
        let s = bench.take("a", now);
        bench.end(&s, invalid(), now);
        now += seconds(11);
    }
    let why = bench.queue.failure(uid(1)).unwrap();
    assert!(
        why.contains("slice 0 was tried 8 times") && why.contains("default/a"),
        "{why}"
    );
    assert_eq!(bench.ask("a", now), None);
}

#[test]
fn pools_that_fail_do_not_fail_a_request_that_another_has_not_tried() {
    let evil: Vec<String> = (0..5).map(|n| format!("evil-{n}")).collect();
    let mut pools: Vec<&str> = evil.iter().map(String::as_str).collect();
    pools.push("honest");
    let mut bench = Bench::new(vec![request(1, 1, &pools)]);
    for round in 0..2 {
        for name in &evil {
            let now = seconds(25 * round);
            let s = bench.take(name, now);
            bench.end(&s, invalid(), now);
        }
    }
    assert_eq!(bench.causes().len(), 10);
    assert_eq!(bench.queue.failure(uid(1)), None);
    let s = bench.take("honest", seconds(25));
    bench.verify(&s, seconds(25));
    assert!(bench.queue.all_verified(uid(1)));
}

#[test]
fn blameless_ends_never_fail_a_request_and_slow_down_who_hands_back() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    let (mut now, mut times) = (seconds(0), 0u32);
    while now < seconds(60) {
        if let Some(Claimed::Slice(s)) = bench.ask("a", now) {
            let end = if times.is_multiple_of(2) {
                draining()
            } else {
                AttemptEnd::Operator("the store is full".to_owned())
            };
            bench.end(&s, end, now);
            times += 1;
        }
        now += millis(10);
    }
    assert!((8..60).contains(&times), "{times} in a minute");
    assert_eq!(bench.queue.failure(uid(1)), None);
}

#[test]
fn redundancy_asks_different_pools() {
    let mut twice = request(1, 1, &["a", "b"]);
    twice.redundancy = 2;
    let mut bench = Bench::new(vec![twice]);
    let a = bench.take("a", seconds(6));
    assert_eq!(bench.ask("a", seconds(6)), None);
    let b = bench.take("b", seconds(6));
    bench.verify(&a, millis(6500));
    assert!(!bench.queue.all_verified(uid(1)));
    bench.verify(&b, millis(6500));
    assert!(bench.queue.all_verified(uid(1)));
}

#[test]
fn workers_get_only_what_they_can_prove() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    let small = Worker {
        memory_bytes: 1 << 10,
        ..worker()
    };
    assert_eq!(bench.ask_as("a", &small, seconds(0)), None);
    let other = Worker {
        parameters: Vec::new(),
        ..worker()
    };
    assert_eq!(bench.ask_as("a", &other, seconds(0)), None);
    assert_eq!(bench.ask("stranger", seconds(60)), None);
    bench.take("a", seconds(0));
}

#[test]
fn a_higher_priority_goes_first_and_a_suspended_request_waits() {
    let urgent = QueuedRequest {
        priority: 5,
        ..request(2, 1, &["a"])
    };
    let mut bench = Bench::new(vec![request(1, 1, &["a"]), urgent]);
    bench.queue.suspend(uid(1), true);
    assert_eq!(bench.take("a", seconds(0)).request, uid(2));
    assert_eq!(bench.ask("a", seconds(0)), None);
    bench.queue.suspend(uid(1), false);
    let open = bench.take("a", seconds(0));
    bench.queue.remove(uid(1), false, seconds(1));
    assert!(!bench.queue.is_open(uid(1), open.claim, seconds(1)));
    assert_eq!(bench.causes(), [Some(Cause::Cancelled)]);
    assert_eq!(bench.queue.take_gone(), [uid(1)]);
}

#[test]
fn a_slice_that_was_handed_back_goes_to_another_pool_first() {
    let mut bench = Bench::new(vec![request(1, 1, &["alpha", "beta"])]);
    let now = seconds(6);
    let first = bench.take("alpha", now);
    assert!(bench.queue.give_up(uid(1), first.claim, draining(), now));
    assert_eq!(bench.ask("alpha", now), None);
    bench.take("beta", now);
}

#[test]
fn a_pool_that_is_drained_gets_no_new_slices_and_may_end_what_it_holds() {
    let mut bench = Bench::new(vec![request(1, 2, &["a"])]);
    let only = Worker {
        request: Some(uid(1)),
        ..worker()
    };
    let held = bench.take("a", seconds(0));
    let drained = |drained| PoolFacts {
        drained,
        ..facts("default/a")
    };
    assert!(bench.queue.know(&pool("a"), drained(true), seconds(0)));
    assert_eq!(bench.ask("a", millis(100)), None);
    assert_eq!(
        bench.ask_as("a", &only, millis(100)),
        Some(Claimed::Over),
        "a Job's worker goes home"
    );
    bench.verify(&held, millis(200));
    bench.queue.know(&pool("a"), drained(false), millis(200));
    bench.take("a", millis(200));
}

#[test]
fn a_request_without_pools_waits_and_is_not_content_with_less() {
    let mut twice = request(1, 1, &["a", "b"]);
    twice.redundancy = 2;
    let mut bench = Bench::new(vec![twice]);
    let first = bench.take("a", seconds(6));
    bench.verify(&first, seconds(6));
    bench.queue.retarget(uid(1), Vec::new());
    assert!(!bench.queue.all_verified(uid(1)), "one of two has proved it");
    assert_eq!(bench.ask("b", seconds(7)), None);
    bench.queue.know(&pool("c"), facts("c"), seconds(7));
    bench.queue.retarget(uid(1), vec![pool("a"), pool("c")]);
    let second = bench.take("c", seconds(8));
    bench.verify(&second, seconds(8));
    assert!(bench.queue.all_verified(uid(1)));
}

#[test]
fn a_claim_that_was_taken_back_has_never_been_and_an_excused_one_costs_no_miner() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    for _ in 0..20 {
        let claimed = bench.take("a", seconds(0));
        assert_eq!(claimed.attempt, 1);
        bench.queue.take_back(uid(1), claimed.claim);
    }
    assert_eq!(bench.queue.take_ended(), []);
    let claimed = bench.take("a", seconds(0));
    bench.queue.excuse(uid(1), claimed.claim);
    bench.queue.expire(seconds(60));
    assert_eq!(bench.causes(), [Some(Cause::Operator)]);
    assert_eq!(Cause::Operator.blame(), Blame::Operator);
    // Nor does it what its worker says in the end.
    let claimed = bench.take("a", seconds(60));
    bench.queue.excuse(uid(1), claimed.claim);
    bench.end(&claimed, draining(), seconds(64));
    assert_eq!(bench.causes(), [Some(Cause::Draining)], "not late");
}

#[test]
fn taking_a_claim_back_leaves_turns_as_they_were() {
    let mut bench = Bench::new(vec![request(1, 2, &["a", "b"])]);
    for _ in 0..5 {
        let (a, b) = (bench.wait("a", seconds(0)), bench.wait("b", seconds(0)));
        let answers = bench.assign(seconds(0));
        let got: Vec<Ticket> = answers.iter().map(|(ticket, _)| *ticket).collect();
        assert_eq!(got, [a, b]);
        for (_, claimed) in answers {
            let Claimed::Slice(s) = claimed else { panic!() };
            bench.queue.take_back(uid(1), s.claim);
        }
    }
}
