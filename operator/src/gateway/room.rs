//! Room for what callers send, shared fairly among them.
//!
//! Invariants: what is held never is more than there is; of those who wait the one goes first whose caller holds least, then who
//! came first; a caller holds at most half, unless a single thing is larger; what has been coming for [`Room`]'s grace gives way
//! where somebody waits who with what they ask for would still hold less than its caller does. So a caller who sends slowly, or
//! much at once, takes room that nobody else wants, and keeps nobody out; and nobody gives way to each other in turns, since
//! whoever took the place holds less. All of it is taken at once or not at all: two that are half read would wait for each other.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::caller::Caller;

/// Room, in KiB.
pub(super) struct Room {
    most: u32,
    /// After so long what is coming gives way.
    grace: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    held: u32,
    by_caller: HashMap<Caller, u32>,
    /// Those that hold room and those that wait for it, in the order in which they came.
    all: BTreeMap<u64, Entry>,
    settled: Option<Instant>,
}

struct Entry {
    caller: Caller,
    kib: u32,
    /// Since when it holds its room; absent: it waits.
    since: Option<Instant>,
    /// What it is for is still coming.
    coming: bool,
    /// It has to give its room back.
    leaves: bool,
    told: Arc<Notify>,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// The caller holds as much as one may, or most of all.
    Own,
    /// Others hold it.
    Others,
}

/// Room that is held, or waited for, until it is dropped.
pub(super) struct Place {
    room: Arc<Room>,
    number: u64,
    told: Arc<Notify>,
}

impl Room {
    /// So many KiB.
    pub(super) fn new(most: u32, grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            most,
            grace,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for so many bytes of a caller's, once it is free.
    ///
    /// # Errors
    /// None until then.
    pub(super) async fn take(
        self: &Arc<Self>,
        caller: &Caller,
        bytes: usize,
        until: Instant,
    ) -> Result<Place, NoRoom> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let place = self.ask(caller, kib);
        loop {
            let now = Instant::now();
            {
                let mut state = self.lock();
                // What comes too slowly gives way after a while, and nobody says when.
                if state.settled.is_none_or(|at| at + self.grace / 4 <= now) {
                    state.settle(self, now);
                }
                if state
                    .all
                    .get(&place.number)
                    .is_some_and(|entry| entry.since.is_some())
                {
                    drop(state);
                    return Ok(place);
                }
                if now >= until {
                    return Err(state.why(self, caller, kib));
                }
            }
            let next = until.min(now + self.grace / 2);
            // Whether it was told or the time is over: it is looked at again.
            let _ = timeout_at(next, place.told.notified()).await;
        }
    }

    fn ask(self: &Arc<Self>, caller: &Caller, kib: u32) -> Place {
        let told = Arc::new(Notify::new());
        let entry = Entry {
            caller: caller.clone(),
            kib,
            since: None,
            coming: false,
            leaves: false,
            told: Arc::clone(&told),
        };
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.all.insert(number, entry);
        state.settle(self, Instant::now());
        drop(state);
        Place {
            room: Arc::clone(self),
            number,
            told,
        }
    }
}

impl State {
    fn held_by(&self, caller: &Caller) -> u32 {
        self.by_caller.get(caller).copied().unwrap_or(0)
    }

    /// Whether the caller may hold so much more: half, or one thing that is larger.
    fn may(&self, room: &Room, caller: &Caller, kib: u32) -> bool {
        let held = self.held_by(caller);
        kib <= room.most && (held == 0 || held.saturating_add(kib) <= room.most / 2)
    }

    fn why(&self, room: &Room, caller: &Caller, kib: u32) -> NoRoom {
        if self.may(room, caller, kib) {
            NoRoom::Others
        } else {
            NoRoom::Own
        }
    }

    /// Gives what is free to those whose turn it is, and makes way for the first who does not fit.
    fn settle(&mut self, room: &Room, now: Instant) {
        self.settled = Some(now);
        loop {
            let waits = self.all.iter().filter(|(_, e)| e.since.is_none());
            let able = waits.filter(|(_, e)| self.may(room, &e.caller, e.kib));
            let next = able.min_by_key(|(number, e)| (self.held_by(&e.caller), **number));
            let Some((&number, entry)) = next else { return };
            let (caller, kib) = (entry.caller.clone(), entry.kib);
            if kib > room.most - self.held {
                self.make_way(room, &caller, kib, now);
                return;
            }
            self.held += kib;
            *self.by_caller.entry(caller).or_default() += kib;
            if let Some(entry) = self.all.get_mut(&number) {
                entry.since = Some(now);
                entry.told.notify_one();
            }
        }
    }

    /// Tells those to leave who hold more than this caller would, until it fits; nobody, if it would not fit then.
    fn make_way(&mut self, room: &Room, caller: &Caller, kib: u32, now: Instant) {
        let mut stays = self.by_caller.clone();
        let mut free = room.most - self.held;
        for entry in self.all.values().filter(|e| e.leaves) {
            free += entry.kib;
            if let Some(held) = stays.get_mut(&entry.caller) {
                *held -= entry.kib;
            }
        }
        let wanted = self.held_by(caller).saturating_add(kib);
        let mut leave = Vec::new();
        while free < kib {
            let slow = |e: &Entry| e.coming && !e.leaves && e.since.is_some_and(|at| at + room.grace <= now);
            let holds = |e: &Entry| stays.get(&e.caller).copied().unwrap_or(0);
            let able = self
                .all
                .iter()
                .filter(|(number, e)| slow(e) && !leave.contains(*number));
            let richer = able.filter(|(_, e)| holds(e) > wanted);
            // Of who holds most the oldest: it has come most slowly.
            let most = richer.max_by_key(|(number, e)| (holds(e), std::cmp::Reverse(**number)));
            let Some((&number, entry)) = most else { return };
            free += entry.kib;
            if let Some(held) = stays.get_mut(&entry.caller) {
                *held -= entry.kib;
            }
            leave.push(number);
        }
        for number in leave {
            if let Some(entry) = self.all.get_mut(&number) {
                entry.leaves = true;
                entry.told.notify_one();
            }
        }
    }
}

impl Place {
    /// Does what the room is for while it is coming.
    ///
    /// # Errors
    /// It had to give way.
    pub(super) async fn during<T>(&self, coming: impl Future<Output = T>) -> Result<T, NoRoom> {
        self.set_coming(true);
        let done = tokio::select! {
            done = coming => Ok(done),
            why = self.gives_way() => Err(why),
        };
        self.set_coming(false);
        done
    }

    /// What it is for comes from now on, and gives way.
    pub(super) fn coming(&self) {
        self.set_coming(true);
    }

    /// Waits until it has to give way.
    pub(super) async fn gives_way(&self) -> NoRoom {
        loop {
            {
                let state = self.room.lock();
                if state.all.get(&self.number).is_none_or(|entry| entry.leaves) {
                    return NoRoom::Own;
                }
            }
            self.told.notified().await;
        }
    }

    fn set_coming(&self, coming: bool) {
        if let Some(entry) = self.room.lock().all.get_mut(&self.number) {
            entry.coming = coming;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        let Some(entry) = state.all.remove(&self.number) else {
            return;
        };
        if entry.since.is_some() {
            state.held -= entry.kib;
            if let Some(held) = state.by_caller.get_mut(&entry.caller) {
                *held -= entry.kib;
                if *held == 0 {
                    state.by_caller.remove(&entry.caller);
                }
            }
        }
        state.settle(&self.room, Instant::now());
    }
}

#[cfg(test)]
mod tests;
