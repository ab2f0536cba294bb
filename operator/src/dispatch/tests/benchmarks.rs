//! What nobody asked for, behind everything that somebody asked for.

use super::*;

fn benchmark(n: u8, slices: u32, pools: &[&str]) -> QueuedRequest {
    QueuedRequest {
        benchmark: true,
        // A number says nothing among those that somebody asked for.
        priority: 100,
        ..request(n, slices, pools)
    }
}

#[test]
fn a_benchmark_is_proved_where_nobody_asks_and_its_claims_say_what_they_are_of() {
    let mut bench = Bench::new(vec![benchmark(1, 1, &["a", "b"])]);
    let claim = bench.take("a", seconds(0));
    assert_eq!(claim.request, uid(1));
    bench.verify(&claim, seconds(1));
    assert!(bench.queue.all_verified(uid(1)));
    bench.add(request(2, 1, &["a"]), seconds(2));
    let claim = bench.take("a", seconds(2));
    bench.verify(&claim, seconds(3));
    let ended = bench.queue.take_ended();
    let told: Vec<bool> = ended.iter().map(|attempt| attempt.benchmark).collect();
    assert_eq!(told, [true, false]);
}

#[test]
fn no_claim_of_a_benchmark_is_granted_while_a_slice_waits_that_the_worker_could_take() {
    let mut bench = Bench::new(vec![benchmark(1, 4, &["a", "b"])]);
    bench.take("a", seconds(0));
    bench.add(request(2, 2, &["a", "b"]), seconds(1));
    for (name, at) in [("a", 1), ("b", 1)] {
        assert_eq!(bench.take(name, seconds(at)).request, uid(2), "{name}");
    }
    // Nothing of it waits any more: it is being proved.
    assert_eq!(bench.take("a", seconds(1)).request, uid(1));
}

#[test]
fn a_slice_that_comes_back_is_waited_for_again() {
    let mut bench = Bench::new(vec![benchmark(1, 4, &["a", "b"]), request(2, 1, &["a", "b"])]);
    let claim = bench.take("a", seconds(0));
    bench.end(&claim, invalid(), seconds(1));
    // The pool that has failed gives way to the other one for a while, and has no benchmark meanwhile.
    assert_eq!(bench.ask("a", seconds(1)), None);
    assert_eq!(bench.take("b", seconds(1)).request, uid(2));
    assert_eq!(bench.take("a", seconds(1)).request, uid(1));
}

#[test]
fn a_request_that_one_pool_alone_could_serve_holds_back_benchmarks_from_that_pool_alone() {
    let mut bench = Bench::new(vec![benchmark(1, 4, &["a", "b"]), request(2, 1, &["a"])]);
    assert_eq!(bench.take("b", seconds(0)).request, uid(1));
    assert_eq!(bench.take("a", seconds(0)).request, uid(2));
}

#[test]
fn a_worker_that_is_too_small_for_what_waits_proves_a_benchmark() {
    let large = QueuedRequest {
        slices: vec![QueuedSlice {
            memory_bytes: 1 << 40,
            ..request(2, 1, &[]).slices.remove(0)
        }],
        ..request(2, 1, &["a"])
    };
    let mut bench = Bench::new(vec![benchmark(1, 1, &["a"]), large]);
    assert_eq!(bench.take("a", seconds(0)).request, uid(1));
}

#[test]
fn a_suspended_request_waits_for_nobody() {
    let mut bench = Bench::new(vec![benchmark(1, 1, &["a"]), request(2, 1, &["a"])]);
    bench.queue.suspend(uid(2), true);
    assert_eq!(bench.queue.organic_waiting(seconds(0)), 0);
    assert_eq!(bench.take("a", seconds(0)).request, uid(1));
}

#[test]
fn nobody_stands_in_for_a_late_benchmark_and_no_job_is_made_for_one() {
    let mut bench = Bench::new(vec![benchmark(1, 1, &["a", "b"])]);
    let late = bench.take("a", seconds(0));
    assert_eq!(bench.ask("b", seconds(4)), None, "it is late by then");
    assert!(bench.queue.loads(seconds(4)).is_empty());
    bench.queue.expire(seconds(6));
    assert_eq!(bench.causes(), [Some(Cause::LeaseExpired)]);
    assert!(!bench.queue.is_open(uid(1), late.claim, seconds(6)));
}

#[test]
fn what_waits_for_workers_that_are_not_there_is_no_pressure() {
    let mut bench = Bench::new(vec![request(1, 3, &["a"]), request(2, 2, &["b"])]);
    // Both are new, and may be expected; neither has asked.
    assert_eq!(bench.queue.organic_waiting(seconds(0)), 0);
    bench.take("a", seconds(0));
    assert_eq!(bench.queue.organic_waiting(seconds(1)), 2);
    // Whoever has not asked for a minute is not there.
    assert_eq!(bench.queue.organic_waiting(seconds(100)), 0);
}

#[test]
fn what_one_pool_of_three_could_be_given_is_no_pressure_and_what_most_could_be_is() {
    let mut bench = Bench::new(vec![request(1, 9, &["a"]), request(2, 5, &["a", "b"])]);
    bench.queue.know(&pool("c"), facts("c"), seconds(0));
    for name in ["a", "b", "c"] {
        bench.ask(name, seconds(0));
    }
    // Of the first, eight are left, and nobody but its own pool could take them; of the second, four.
    assert_eq!(bench.queue.organic_waiting(seconds(1)), 4);
}
