//! Behaviour of the queue.

use std::collections::BTreeSet;
use std::time::Duration;

use zkinfer_crds::wire::RefuseReason;
use zkinfer_crds::{ClaimId, Identity, ParameterId, RequestUid, SliceIndex};

use super::*;

const PARAMETERS: ParameterId = ParameterId::Halo2KzgBn254V1;

fn uid(n: u8) -> RequestUid {
    RequestUid::new([n; 16])
}

fn pool(name: &str) -> PoolId {
    PoolId::new("default", name)
}

fn worker() -> Worker {
    Worker {
        name: "w".to_owned(),
        parameters: vec![PARAMETERS],
        memory_bytes: 1 << 30,
        request: None,
        barred: BTreeSet::new(),
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn request(n: u8, slices: u32, pools: &[&str]) -> QueuedRequest {
    let slice = |i| QueuedSlice {
        index: SliceIndex(i),
        predicted_millis: 100 + u64::from(i),
        memory_bytes: 1 << 20,
        parameter_id: PARAMETERS,
    };
    QueuedRequest {
        uid: uid(n),
        priority: 0,
        redundancy: 1,
        pools: pools.iter().map(|p| pool(p)).collect(),
        slices: (0..slices).map(slice).collect(),
    }
}

struct Bench {
    queue: Queue,
    claims: u8,
}

impl Bench {
    fn new(requests: Vec<QueuedRequest>) -> Self {
        let mut queue = Queue::new(seconds(5));
        requests.into_iter().for_each(|r| queue.add(r, Duration::ZERO));
        Self { queue, claims: 0 }
    }

    fn ask(&mut self, name: &str, now: Duration) -> Claimed {
        self.ask_as(name, &worker(), now)
    }

    fn ask_as(&mut self, name: &str, worker: &Worker, now: Duration) -> Claimed {
        self.claims += 1;
        self.queue.claim(
            &pool(name),
            Identity::new([0; 32]),
            worker,
            ClaimId::new([self.claims; 16]),
            now,
        )
    }

    fn take(&mut self, name: &str, now: Duration) -> ClaimedSlice {
        match self.ask(name, now) {
            Claimed::Slice(s) => s,
            other => panic!("{name} got {other:?}"),
        }
    }

    fn verify(&mut self, claimed: &ClaimedSlice, now: Duration) {
        assert!(self.queue.submitted(claimed.request, claimed.claim, 2000, now));
        assert!(
            self.queue
                .end(claimed.request, claimed.claim, AttemptEnd::Verified, now)
        );
    }
}

#[test]
fn the_heaviest_slice_goes_first_and_a_share_is_kept_for_each_pool() {
    let mut bench = Bench::new(vec![request(1, 4, &["a", "b"])]);
    assert_eq!(bench.take("a", seconds(0)).slice, SliceIndex(3));
    assert_eq!(bench.take("a", seconds(0)).slice, SliceIndex(2));
    // The rest is b's until it comes, or for five seconds.
    assert_eq!(bench.ask("a", seconds(1)), Claimed::Nothing);
    assert_eq!(bench.take("b", seconds(1)).slice, SliceIndex(1));
    assert_eq!(
        bench.take("a", seconds(1)).slice,
        SliceIndex(0),
        "b has come: faster workers take more"
    );
    let mut bench = Bench::new(vec![request(1, 2, &["a", "b"])]);
    bench.take("a", seconds(0));
    assert_eq!(bench.ask("a", seconds(4)), Claimed::Nothing);
    bench.take("a", seconds(5));
}

#[test]
fn a_request_is_over_when_every_slice_is_verified() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    let only = Worker {
        request: Some(uid(1)),
        ..worker()
    };
    let claimed = bench.take("a", seconds(0));
    assert_eq!(bench.ask_as("a", &only, seconds(0)), Claimed::Nothing);
    bench.verify(&claimed, seconds(1));
    assert!(bench.queue.all_verified(uid(1)));
    assert_eq!(bench.ask_as("a", &only, seconds(1)), Claimed::Over);
    let ended = bench.queue.take_ended();
    assert_eq!(
        (ended.len(), &ended[0].end, ended[0].elapsed),
        (1, &AttemptEnd::Verified, seconds(1))
    );
    assert_eq!(
        bench.ask_as(
            "a",
            &Worker {
                request: Some(uid(9)),
                ..worker()
            },
            seconds(1)
        ),
        Claimed::Over
    );
}

#[test]
fn an_invalid_proof_is_proved_again_elsewhere() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "b"])]);
    let first = bench.take("a", seconds(6));
    assert!(bench.queue.submitted(first.request, first.claim, 10, seconds(6)));
    assert!(bench.queue.end(
        first.request,
        first.claim,
        AttemptEnd::Invalid("no".to_owned()),
        seconds(6)
    ));
    assert_eq!(
        bench.ask("a", seconds(7)),
        Claimed::Nothing,
        "another pool goes first"
    );
    let second = bench.take("b", seconds(7));
    assert_eq!(second.attempt, 2);
    bench.verify(&second, seconds(8));
    // If the other pool does not come, the first may try again.
    let mut bench = Bench::new(vec![request(1, 1, &["a", "b"])]);
    let first = bench.take("a", seconds(6));
    bench
        .queue
        .end(first.request, first.claim, AttemptEnd::TooLarge, seconds(6));
    bench.take("a", seconds(27));
}

#[test]
fn a_lease_that_ends_gives_the_slice_to_another() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "b"])]);
    let stalled = bench.take("a", seconds(5));
    assert_eq!(stalled.lease, seconds(5));
    assert_eq!(bench.ask("b", seconds(9)), Claimed::Nothing);
    assert_eq!(bench.queue.next_wakeup(seconds(9)), Some(seconds(10)));
    let again = bench.take("b", seconds(10));
    assert!(
        !bench
            .queue
            .submitted(stalled.request, stalled.claim, 10, seconds(11)),
        "late"
    );
    bench.verify(&again, seconds(11));
    let causes: Vec<_> = bench.queue.take_ended().iter().map(|a| a.end.cause()).collect();
    assert_eq!(causes, [Some("LeaseExpired"), None]);
}

#[test]
fn a_slice_that_is_handed_back_is_free_at_once_and_costs_nobody() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    let drained = bench.take("a", seconds(0));
    let end = AttemptEnd::HandedBack(RefuseReason::Draining, "bye".to_owned());
    assert_eq!(end.blame(), Some(Blame::Nobody));
    assert!(
        bench
            .queue
            .end(drained.request, drained.claim, end.clone(), seconds(1))
    );
    assert!(
        !bench.queue.end(drained.request, drained.claim, end, seconds(1)),
        "an attempt ends once"
    );
    bench.take("a", seconds(1));
}

#[test]
fn a_pool_that_keeps_failing_gets_no_more_while_another_is_left() {
    let mut bench = Bench::new(vec![request(1, 6, &["bad", "good"])]);
    for _ in 0..2 {
        let s = bench.take("bad", seconds(6));
        bench.queue.end(
            s.request,
            s.claim,
            AttemptEnd::Invalid("no".to_owned()),
            seconds(6),
        );
    }
    assert_eq!(bench.ask("bad", seconds(60)), Claimed::Nothing);
    for _ in 0..6 {
        let s = bench.take("good", seconds(60));
        bench.verify(&s, seconds(61));
    }
    assert!(bench.queue.all_verified(uid(1)));
}

#[test]
fn a_request_fails_when_a_slice_was_tried_too_often() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    for i in 0..8 {
        assert_eq!(bench.queue.failure(uid(1)), None);
        let s = bench.take("a", seconds(i));
        bench.queue.end(
            s.request,
            s.claim,
            AttemptEnd::Invalid("no".to_owned()),
            seconds(i),
        );
    }
    let why = bench.queue.failure(uid(1)).unwrap();
    assert!(
        why.contains("slice 0 was tried 8 times") && why.contains("default/a"),
        "{why}"
    );
    assert_eq!(bench.ask("a", seconds(9)), Claimed::Nothing);
}

#[test]
fn redundancy_asks_different_pools() {
    let mut twice = request(1, 1, &["a", "b"]);
    twice.redundancy = 2;
    let mut bench = Bench::new(vec![twice]);
    let a = bench.take("a", seconds(6));
    assert_eq!(bench.ask("a", seconds(6)), Claimed::Nothing);
    let b = bench.take("b", seconds(6));
    bench.verify(&a, seconds(7));
    assert!(!bench.queue.all_verified(uid(1)));
    bench.verify(&b, seconds(7));
    assert!(bench.queue.all_verified(uid(1)));
}

#[test]
fn workers_get_only_what_they_can_prove() {
    let mut bench = Bench::new(vec![request(1, 1, &["a"])]);
    let small = Worker {
        memory_bytes: 1 << 10,
        ..worker()
    };
    assert_eq!(bench.ask_as("a", &small, seconds(0)), Claimed::Nothing);
    let other = Worker {
        parameters: Vec::new(),
        ..worker()
    };
    assert_eq!(bench.ask_as("a", &other, seconds(0)), Claimed::Nothing);
    assert_eq!(bench.ask("stranger", seconds(60)), Claimed::Nothing);
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
    assert_eq!(bench.ask("a", seconds(0)), Claimed::Nothing);
    bench.queue.suspend(uid(1), false);
    let open = bench.take("a", seconds(0));
    bench.queue.remove(uid(1), seconds(1));
    assert!(!bench.queue.is_open(uid(1), open.claim, seconds(1)));
    assert_eq!(
        bench.queue.take_ended().last().map(|a| a.end.clone()),
        Some(AttemptEnd::Cancelled)
    );
}

#[test]
fn a_pool_that_hands_back_again_and_again_does_not_use_up_the_attempts() {
    let mut bench = Bench::new(vec![request(1, 1, &["alpha", "beta"])]);
    let now = seconds(6);
    let Claimed::Slice(first) = bench.ask("alpha", now) else {
        panic!("alpha gets the slice");
    };
    let back = AttemptEnd::HandedBack(RefuseReason::Draining, "told to stop".to_owned());
    assert!(bench.queue.give_up(uid(1), first.claim, back, now));
    assert!(
        matches!(bench.ask("alpha", now), Claimed::Nothing),
        "another pool goes first"
    );
    assert!(matches!(bench.ask("beta", now), Claimed::Slice(_)));
}

#[test]
fn a_pool_that_is_drained_gets_no_new_slices_and_may_end_what_it_holds() {
    let mut bench = Bench::new(vec![request(1, 2, &["a"])]);
    let only = Worker {
        request: Some(uid(1)),
        ..worker()
    };
    let held = bench.take("a", seconds(0));
    bench.queue.drain(&pool("a"), true);
    assert_eq!(bench.ask("a", seconds(1)), Claimed::Nothing);
    assert_eq!(
        bench.ask_as("a", &only, seconds(1)),
        Claimed::Over,
        "a Job's worker goes home"
    );
    bench.verify(&held, seconds(2));
    bench.queue.drain(&pool("a"), false);
    bench.take("a", seconds(2));
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
    assert_eq!(bench.ask("b", seconds(7)), Claimed::Nothing);
    bench.queue.retarget(uid(1), vec![pool("a"), pool("c")]);
    let second = bench.take("c", seconds(8));
    bench.verify(&second, seconds(8));
    assert!(bench.queue.all_verified(uid(1)));
}

#[test]
fn who_may_see_a_request_no_more_loses_what_it_has_not_proved_and_nobody_is_to_blame() {
    let mut bench = Bench::new(vec![request(1, 3, &["a"])]);
    let (proved, held) = (bench.take("a", seconds(0)), bench.take("a", seconds(0)));
    assert!(bench.queue.submitted(uid(1), proved.claim, 2000, seconds(1)));
    bench.queue.withdraw(uid(1), |_, _| false, seconds(1));
    let ended = bench.queue.take_ended();
    assert_eq!(
        (ended.len(), ended[0].claim, ended[0].end.blame()),
        (1, held.claim, Some(Blame::Nobody))
    );
    let barred = Worker {
        barred: [uid(1)].into(),
        ..worker()
    };
    assert_eq!(bench.ask_as("a", &barred, seconds(1)), Claimed::Nothing);
    let of_the_request = Worker {
        request: Some(uid(1)),
        ..barred
    };
    assert_eq!(bench.ask_as("a", &of_the_request, seconds(1)), Claimed::Over);
    // However often that happens, the request does not fail of it.
    for n in 0..20 {
        bench.take("a", seconds(2 + n));
        bench.queue.withdraw(uid(1), |_, _| false, seconds(2 + n));
    }
    assert_eq!(bench.queue.failure(uid(1)), None);
}

#[test]
fn a_claim_that_was_taken_back_has_never_been_and_an_excused_one_costs_nobody() {
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
    let ended = bench.queue.take_ended();
    assert_eq!((ended.len(), ended[0].end.blame()), (1, Some(Blame::Nobody)));
}
