//! Who gets room, and who waits.

use super::*;

fn uid(n: u8) -> RequestUid {
    RequestUid::new([n; 16])
}

fn asker(n: u8, namespace: &str) -> Asker {
    Asker {
        uid: uid(n),
        namespace: namespace.to_owned(),
        benchmark: false,
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A hundred bytes, fifty of them for a namespace.
struct Case {
    account: Account,
    budget: Budget,
    now: Duration,
}

impl Case {
    fn new() -> Self {
        Self {
            account: Account::default(),
            budget: Budget::of(100),
            now: Duration::ZERO,
        }
    }

    fn take(&mut self, n: u8, namespace: &str, needs: u64) -> Result<u64, RoomError> {
        let asker = asker(n, namespace);
        self.account.take(&asker, needs, None, &self.budget, self.now)
    }

    /// Whose share keeps it from room.
    fn waits(&mut self, n: u8, namespace: &str, needs: u64) -> Share {
        match self.take(n, namespace, needs) {
            Err(RoomError::Full { share, .. }) => share,
            other => panic!("{other:?}"),
        }
    }

    fn next(&mut self) -> Vec<RequestUid> {
        self.account.next(&self.budget, self.now)
    }
}

#[test]
fn what_is_taken_is_never_more_than_the_budget_and_what_is_given_back_is_for_others() {
    let mut case = Case::new();
    let first = case.take(1, "a", 40).unwrap();
    case.take(2, "b", 50).unwrap();
    assert_eq!(case.waits(3, "c", 11), Share::All);
    assert_eq!(case.next(), []);
    case.account.inside.remove(&first);
    assert_eq!(case.next(), [uid(3)]);
    case.take(3, "c", 11).unwrap();
    assert_eq!(case.account.taken(None, |_| true), (2, 61));
    assert!(case.account.waiting.is_empty());
}

#[test]
fn what_is_larger_than_all_there_is_never_waits_and_names_limit_and_flag() {
    let mut case = Case::new();
    let refused = case.take(1, "a", 101).unwrap_err();
    assert_eq!(
        refused,
        RoomError::TooLarge {
            needs: 101,
            budget: 100
        }
    );
    assert!(refused.to_string().contains("--run-memory=1Mi"), "{refused}");
    assert!(case.account.waiting.is_empty());
}

#[test]
fn a_namespace_has_no_more_than_its_share_but_for_one_request_and_holds_up_nobody_else() {
    let mut case = Case::new();
    case.take(1, "greedy", 80).unwrap();
    assert_eq!(case.waits(2, "greedy", 1), Share::Namespace);
    case.take(3, "other", 20).unwrap();
    let mut case = Case::new();
    for n in 1..=5 {
        case.take(n, "greedy", 10).unwrap();
    }
    assert_eq!(case.waits(6, "greedy", 10), Share::Namespace);
    case.take(7, "other", 50).unwrap();
}

#[test]
fn who_waits_longest_gets_room_first_whoever_asks_and_however_little() {
    let mut case = Case::new();
    let held = case.take(1, "a", 60).unwrap();
    assert_eq!(case.waits(2, "b", 70), Share::All);
    assert_eq!(case.waits(3, "c", 10), Share::All, "it came later");
    case.account.inside.remove(&held);
    assert_eq!(case.next(), [uid(2), uid(3)]);
    case.take(3, "c", 10).unwrap();
    case.take(2, "b", 70).unwrap();
    // In whatever order they ask, nothing is given that was kept for another.
    assert_eq!(case.waits(4, "d", 30), Share::All);
}

#[test]
fn who_asks_no_more_or_leaves_keeps_nobody_waiting() {
    let mut case = Case::new();
    case.take(1, "a", 60).unwrap();
    assert_eq!(case.waits(2, "b", 70), Share::All);
    assert_eq!(case.waits(3, "c", 10), Share::All);
    case.now = seconds(59);
    assert_eq!(case.waits(3, "c", 10), Share::All);
    case.now = seconds(60);
    assert_eq!(case.next(), [uid(3)]);
    case.take(3, "c", 10).unwrap();
    assert_eq!(case.waits(4, "d", 50), Share::All);
    assert_eq!(case.waits(5, "e", 10), Share::All);
    assert!(case.account.leave(uid(4)) && !case.account.leave(uid(4)));
    assert_eq!(case.next(), [uid(5)]);
}

#[test]
fn what_nobody_asked_for_goes_behind_all_that_somebody_asked_for() {
    let mut case = Case::new();
    let held = case.take(1, "a", 90).unwrap();
    let benchmark = Asker {
        benchmark: true,
        ..asker(2, "operator")
    };
    let refused = case.account.take(&benchmark, 20, None, &case.budget, case.now);
    assert!(refused.is_err());
    assert_eq!(case.waits(3, "b", 90), Share::All);
    case.account.inside.remove(&held);
    assert_eq!(case.next(), [uid(3)]);
    let refused = case.account.take(&benchmark, 20, None, &case.budget, case.now);
    assert!(refused.is_err(), "it came first");
    case.take(3, "b", 90).unwrap();
}

#[test]
fn room_grows_in_place_and_what_it_was_stays_until_it_does() {
    let mut case = Case::new();
    let small = case.take(1, "a", 10).unwrap();
    let other = case.take(2, "b", 50).unwrap();
    let grow = |case: &mut Case, needs| {
        let asker = asker(1, "a");
        case.account
            .take(&asker, needs, Some(small), &case.budget, case.now)
    };
    assert!(grow(&mut case, 60).is_err());
    assert_eq!(case.account.taken(None, |_| true), (2, 60));
    assert_eq!(grow(&mut case, 50), Ok(small));
    assert_eq!(case.account.taken(None, |_| true), (2, 100));
    // Whoever waits keeps nobody from what it has.
    assert_eq!(case.waits(3, "c", 70), Share::All);
    assert_eq!(grow(&mut case, 40), Ok(small));
    assert!(grow(&mut case, 41).is_err(), "that is kept for another");
    assert!(case.account.leave(uid(3)));
    case.account.inside.remove(&other);
    assert_eq!(grow(&mut case, 100), Ok(small));
}

#[test]
fn room_that_is_dropped_or_shrinks_is_told_to_who_waits() {
    let rooms = Rooms::new(Budget::of(100));
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    rooms.on_room(move |uid| telling.lock().unwrap().push(uid));
    let room = rooms.take(&asker(1, "a"), 90).unwrap();
    assert!(rooms.take(&asker(2, "b"), 20).is_err());
    assert!(told.lock().unwrap().is_empty());
    room.shrink(80);
    assert_eq!(*told.lock().unwrap(), [uid(2)]);
    let second = rooms.take(&asker(2, "b"), 20).unwrap();
    assert_eq!(rooms.bytes(), 100);
    assert!(rooms.take(&asker(3, "c"), 50).is_err());
    drop(room);
    assert_eq!(*told.lock().unwrap(), [uid(2), uid(3)]);
    drop(second);
    assert_eq!(rooms.bytes(), 0);
}
