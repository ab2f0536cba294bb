//! Who holds room, who waits for it, and who gives way.

use std::future::pending;

use super::*;

const GRACE: Duration = Duration::from_millis(400);
const KIB: usize = 1024;

fn caller(name: &str) -> Caller {
    Caller::namespace(name)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

/// Takes room and never lets it go, unless it has to: what comes over it never ends.
async fn stalled(room: &Arc<Room>, name: &str, kib: usize) -> tokio::task::JoinHandle<NoRoom> {
    let place = room.take(&caller(name), kib * KIB, soon()).await.unwrap();
    tokio::spawn(async move { place.during(pending::<()>()).await.unwrap_err() })
}

#[tokio::test]
async fn there_is_never_more_held_than_there_is() {
    let room = Room::new(100, GRACE);
    let first = room.take(&caller("a"), 40 * KIB, soon()).await.unwrap();
    let second = room.take(&caller("b"), 50 * KIB, soon()).await.unwrap();
    assert_eq!(
        room.take(&caller("c"), 11 * KIB, soon()).await.err(),
        Some(NoRoom::Others)
    );
    let third = room.take(&caller("c"), 10 * KIB, soon()).await.unwrap();
    drop(second);
    let fourth = room.take(&caller("c"), 40 * KIB, soon()).await.unwrap();
    drop((first, third, fourth));
    let state = room.lock();
    assert_eq!((state.held, state.by_caller.len(), state.all.len()), (0, 0, 0));
}

#[tokio::test]
async fn a_caller_holds_at_most_half_unless_one_thing_is_larger() {
    let room = Room::new(100, GRACE);
    let half = room.take(&caller("a"), 50 * KIB, soon()).await.unwrap();
    assert_eq!(room.take(&caller("a"), 1, soon()).await.err(), Some(NoRoom::Own));
    drop(half);
    let large = room.take(&caller("a"), 80 * KIB, soon()).await.unwrap();
    drop(large);
    assert_eq!(
        room.take(&caller("a"), 101 * KIB, soon()).await.err(),
        Some(NoRoom::Own)
    );
}

#[tokio::test]
async fn who_holds_least_goes_first_however_many_of_another_wait() {
    let room = Room::new(100, GRACE);
    let held = [
        room.take(&caller("many"), 40 * KIB, soon()).await.unwrap(),
        room.take(&caller("other"), 50 * KIB, soon()).await.unwrap(),
    ];
    let waiting: Vec<Place> = (0..50).map(|_| room.ask(&caller("many"), 10)).collect();
    // One of them fits beside.
    let holds = |place: &Place| room.lock().all[&place.number].since.is_some();
    assert_eq!(waiting.iter().filter(|place| holds(place)).count(), 1);
    let one = room.ask(&caller("one"), 10);
    assert!(!holds(&one));
    drop(held);
    assert!(holds(&one));
    // Half of it is theirs: 50 KiB.
    assert_eq!(waiting.iter().filter(|place| holds(place)).count(), 5);
}

#[tokio::test]
async fn what_comes_slowly_gives_way_to_who_holds_less_and_not_before_its_grace() {
    let room = Room::new(100, GRACE);
    let slow = [
        stalled(&room, "a", 30).await,
        stalled(&room, "a", 20).await,
        stalled(&room, "b", 25).await,
        stalled(&room, "b", 25).await,
    ];
    let begun = Instant::now();
    let one = room.take(&caller("one"), 10 * KIB, soon()).await.unwrap();
    assert!(begun.elapsed() >= GRACE / 2, "{:?}", begun.elapsed());
    // The oldest of who holds most, and no other.
    tokio::task::yield_now().await;
    assert_eq!(
        slow.each_ref().map(|s| s.is_finished()),
        [true, false, false, false]
    );
    // What is slow already gives way at once.
    let begun = Instant::now();
    let two = room.take(&caller("two"), 25 * KIB, soon()).await.unwrap();
    assert!(begun.elapsed() < GRACE, "{:?}", begun.elapsed());
    drop((one, two));
}

#[tokio::test]
async fn nobody_gives_way_to_who_would_hold_as_much_and_nothing_does_that_has_come() {
    let room = Room::new(100, GRACE);
    let slow = [
        stalled(&room, "a", 30).await,
        stalled(&room, "b", 30).await,
        stalled(&room, "c", 30).await,
    ];
    assert_eq!(
        room.take(&caller("d"), 30 * KIB, soon()).await.err(),
        Some(NoRoom::Others)
    );
    assert!(!slow.iter().any(tokio::task::JoinHandle::is_finished));
    // What has come is at work, and will be over.
    let room = Room::new(100, GRACE);
    let come = [
        room.take(&caller("a"), 50 * KIB, soon()).await.unwrap(),
        room.take(&caller("b"), 50 * KIB, soon()).await.unwrap(),
    ];
    for place in &come {
        place.during(std::future::ready(())).await.unwrap();
    }
    assert_eq!(
        room.take(&caller("d"), KIB, soon()).await.err(),
        Some(NoRoom::Others)
    );
}

#[tokio::test]
async fn who_gives_up_waiting_holds_nothing() {
    let room = Room::new(100, GRACE);
    let held = room.take(&caller("a"), 50 * KIB, soon()).await.unwrap();
    let waiting = {
        let room = Arc::clone(&room);
        tokio::spawn(async move { room.take(&caller("a"), 50 * KIB, soon()).await.map(drop) })
    };
    tokio::task::yield_now().await;
    waiting.abort();
    let _ = waiting.await;
    drop(held);
    assert!(room.lock().all.is_empty());
}
