//! Nobody is given anything of a request who may not see it, whatever else is true of them.

use super::*;

/// Of the namespace `default`, which is not the Model's.
const DEFAULT: &[&str] = &["default"];

#[test]
fn who_may_see_a_request_no_more_loses_what_it_has_not_proved_and_nobody_is_to_blame() {
    let mut bench = Bench::new(vec![request(1, 3, &["a"])]);
    let (proved, held) = (bench.take("a", seconds(0)), bench.take("a", seconds(0)));
    bench.submit(&proved, seconds(1));
    assert!(bench.queue.consent(uid(1), only(&[]), seconds(1)));
    assert!(!bench.queue.consent(uid(1), only(&[]), seconds(1)), "no news");
    let ended = bench.queue.take_ended();
    assert_eq!(
        (ended.len(), ended[0].claim, ended[0].end.cause()),
        (1, held.claim, Some(Cause::ConsentWithdrawn))
    );
    assert_eq!(Cause::ConsentWithdrawn.blame(), Blame::Nobody);
    assert_eq!(bench.ask("a", seconds(1)), None);
    let of_the_request = Worker {
        request: Some(uid(1)),
        ..worker()
    };
    let told = bench.ask_as("a", &of_the_request, seconds(1));
    assert_eq!(told, Some(Claimed::Over), "its Job has nothing to wait for");
    bench.end(&proved, AttemptEnd::Verified, seconds(1));
    // However often that happens, the request does not fail of it, and its pools are as good as before.
    for n in 0..20 {
        bench.queue.consent(uid(1), only(DEFAULT), seconds(2 + n));
        bench.take("a", seconds(2 + n));
        bench.queue.consent(uid(1), only(&[]), seconds(2 + n));
    }
    assert_eq!(bench.queue.failure(uid(1)), None);
    assert_eq!(bench.queue.pause(&pool("a")), None);
}

#[test]
fn of_a_request_of_which_no_consent_is_known_nobody_is_given_anything() {
    let mut bench = Bench::new(Vec::new());
    bench.queue.know(&pool("home/a"), facts("home/a"), seconds(0));
    bench.queue.add(request(1, 1, &["home/a"]), seconds(0));
    assert_eq!(bench.ask("home/a", seconds(0)), None);
    bench.queue.consent(uid(1), only(&[]), seconds(1));
    bench.take("home/a", seconds(1));
}

#[test]
fn who_may_not_see_a_request_does_not_stand_in_and_waits_until_it_may() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "evil/b"])]);
    bench.queue.consent(uid(1), only(DEFAULT), seconds(0));
    let barred = bench.wait("evil/b", seconds(0));
    let late = bench.take("a", seconds(0));
    assert!(!late.contested, "nobody else could");
    for now in [1, 2, 4] {
        assert!(bench.assign(seconds(now)).is_empty());
    }
    let serves = |bench: &Bench| -> Vec<(String, bool)> {
        let loads = bench.queue.loads(seconds(4));
        let pools = loads[0].pools.iter();
        pools.map(|p| (p.id.to_string(), p.serves)).collect()
    };
    let no_job = ("evil/b".to_owned(), false);
    assert!(serves(&bench).contains(&no_job));
    assert!(bench.queue.consent(uid(1), everybody(), seconds(4)));
    assert!(serves(&bench).contains(&("evil/b".to_owned(), true)));
    let answers = bench.assign(seconds(4));
    let [(ticket, Claimed::Slice(slice))] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert!(*ticket == barred && slice.stands_in && slice.contested);
    // It loses that too, and the late one goes on.
    bench.queue.consent(uid(1), only(DEFAULT), millis(4500));
    assert_eq!(bench.causes(), [Some(Cause::ConsentWithdrawn)]);
    bench.verify(&late, millis(4600));
    assert!(bench.queue.all_verified(uid(1)));
}

#[test]
fn who_may_not_see_a_request_is_not_waited_for() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "evil/b"])]);
    let first = bench.take("a", seconds(0));
    bench.end(&first, invalid(), seconds(0));
    assert_eq!(bench.ask("a", seconds(0)), None, "another goes first");
    bench.queue.consent(uid(1), only(DEFAULT), seconds(0));
    bench.take("a", seconds(0));
}

#[test]
fn what_lingers_of_a_request_that_is_over_ends_with_the_consent() {
    let mut bench = Bench::new(vec![request(1, 1, &["a", "evil/b"])]);
    bench.take("evil/b", seconds(0));
    let second = bench.take("a", seconds(1));
    bench.verify(&second, seconds(1));
    bench.queue.remove(uid(1), true, seconds(1));
    assert_eq!(bench.queue.take_gone(), []);
    bench.queue.consent(uid(1), only(DEFAULT), seconds(2));
    assert_eq!(bench.causes(), [None, Some(Cause::ConsentWithdrawn)]);
    assert_eq!(bench.queue.take_gone(), [uid(1)]);
    assert!(bench.queue.consents.is_empty());
}
