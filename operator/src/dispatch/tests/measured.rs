//! Leases and claims at once, by what was measured.

use super::*;

/// A pool has these proofs behind it: how long each took of a slice of a second.
fn bench(took: &[u64]) -> Bench {
    let mut bench = Bench::new(Vec::new());
    bench.queue.leases = (millis(1), seconds(600));
    bench.queue.know(&pool("a"), facts("a"), seconds(0));
    for (n, took) in took.iter().enumerate() {
        let at = seconds(100 * (n as u64 + 1));
        bench.add(long(n as u8 + 1, 1), at);
        let claim = bench.take("a", at);
        bench.verify(&claim, at + millis(*took));
        bench.queue.remove(uid(n as u8 + 1), true, at + millis(*took));
    }
    bench
}

/// A request whose slices are predicted to take a second.
fn long(n: u8, slices: u32) -> QueuedRequest {
    let mut request = request(n, slices, &["a"]);
    for slice in &mut request.slices {
        slice.predicted = seconds(1);
    }
    request
}

fn lease(bench: &mut Bench) -> Duration {
    bench.add(long(200, 1), seconds(10_000));
    bench.take("a", seconds(10_000)).lease
}

#[test]
fn a_lease_is_eight_times_what_was_predicted_until_a_pool_is_known() {
    assert_eq!(lease(&mut bench(&[])), seconds(8));
    assert_eq!(lease(&mut bench(&[3000; 7])), seconds(8));
}

#[test]
fn a_slow_pool_has_more_time_and_a_quick_one_less_within_the_bounds() {
    assert_eq!(lease(&mut bench(&[3000; 8])), seconds(24));
    assert_eq!(lease(&mut bench(&[500; 8])), seconds(4));
    let mut bounded = bench(&[3000; 8]);
    bounded.queue.leases = (seconds(5), seconds(20));
    assert_eq!(lease(&mut bounded), seconds(20));
    let mut bounded = bench(&[500; 8]);
    bounded.queue.leases = (seconds(5), seconds(20));
    assert_eq!(lease(&mut bounded), seconds(5));
}

#[test]
fn handing_back_costs_a_quick_pool_no_sooner_than_one_of_which_nothing_is_known() {
    for (took, free) in [(500, 2000), (1000, 2000), (3000, 6000)] {
        for late in [false, true] {
            let mut bench = bench(&[took; 8]);
            bench.add(long(200, 1), seconds(10_000));
            let claim = bench.take("a", seconds(10_000));
            let at = seconds(10_000) + millis(free + u64::from(late));
            bench.end(&claim, draining(), at);
            let expected = if late {
                Cause::LateHandBack
            } else {
                Cause::Draining
            };
            assert_eq!(bench.causes().last(), Some(&Some(expected)), "{took}");
        }
    }
}

#[test]
fn whoever_has_let_leases_end_has_gained_no_time_by_it() {
    let mut bench = bench(&[1000; 8]);
    bench.add(long(100, 1), seconds(5000));
    bench.take("a", seconds(5000));
    bench.queue.expire(seconds(5100));
    assert_eq!(bench.causes().last(), Some(&Some(Cause::LeaseExpired)));
    bench.queue.remove(uid(100), false, seconds(5100));
    assert_eq!(lease(&mut bench), seconds(8));
}

#[test]
fn what_the_ledger_has_of_a_pools_times_counts_after_a_restart() {
    let mut bench = Bench::new(Vec::new());
    bench.queue.leases = (millis(1), seconds(600));
    let past = Past {
        pool: pool("a"),
        at: seconds(1),
        blame: None,
        took: Some((seconds(1), seconds(2))),
    };
    bench.queue.remember(vec![past; 8]);
    bench.queue.know(&pool("a"), facts("a"), seconds(2));
    assert_eq!(lease(&mut bench), seconds(16));
}

#[test]
fn a_pool_whose_claims_share_one_core_is_given_one_at_a_time_and_more_when_that_is_forgotten() {
    let mut bench = bench(&[1000; 16]);
    // Four at a time take four times as long.
    for round in 0..4u8 {
        let at = seconds(20_000 + 100 * u64::from(round));
        let n = 100 + round;
        bench.add(long(n, 4), at);
        let claims: Vec<_> = (0..4).map(|_| bench.take("a", at)).collect();
        claims
            .iter()
            .for_each(|claim| bench.verify(claim, at + millis(4000)));
        bench.queue.remove(uid(n), true, at + millis(4000));
    }
    let most = |bench: &mut Bench, n: u8, at: u64| {
        bench.add(long(n, 4), seconds(at));
        let given = std::iter::from_fn(|| bench.ask("a", seconds(at))).count();
        bench.queue.remove(uid(n), false, seconds(at));
        given
    };
    assert_eq!(most(&mut bench, 150, 30_000), 1);
    for n in 0..32u8 {
        let at = seconds(40_000 + 100 * u64::from(n));
        bench.add(long(160 + n, 1), at);
        let claim = bench.take("a", at);
        bench.verify(&claim, at + millis(1000));
        bench.queue.remove(uid(160 + n), true, at + millis(1000));
    }
    assert_eq!(most(&mut bench, 220, 50_000), 4);
}
