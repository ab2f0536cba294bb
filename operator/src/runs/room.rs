//! The memory that requests at work take, within a budget: who gets room, and who waits for it.
//!
//! Invariants: what is taken is never more than the budget; beyond its share a namespace has one request at work. Room that
//! becomes free is for whoever waits longest: nobody who comes later takes it meanwhile, and who waits for its own namespace's
//! share holds up nobody else. Who waits and does not ask for so long as [`PATIENCE`] waits no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use zkinfer_crds::RequestUid;

use super::budget::{Budget, Use, mib, too_large};

/// Whoever waits asks every few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose share of the memory is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Everybody's.
    All,
    /// That of the request's namespace.
    Namespace,
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::All => "requests",
            Self::Namespace => "requests of its namespace",
        })
    }
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// It alone takes more than there is.
    #[error("{}", too_large(*needs, *budget, Use::Runs))]
    TooLarge {
        /// What it takes.
        needs: u64,
        /// What there is.
        budget: u64,
    },
    /// Others have it; it can be had later.
    #[error("it takes {} MiB of the operator's memory for requests at work, and of {} MiB {share} hold {}", mib(*needs), mib(*budget), mib(*held))]
    Full {
        /// What it takes.
        needs: u64,
        /// What there is of the share that is full.
        budget: u64,
        /// Whose that is.
        share: Share,
        /// What is held of it, and kept for whoever has waited longer.
        held: u64,
    },
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The request.
    pub uid: RequestUid,
    /// Its namespace.
    pub namespace: String,
    /// Nobody has asked for it: it goes behind all that somebody asked for.
    pub benchmark: bool,
}

/// Benchmarks are last, then who came last.
type Place = (bool, u64);

#[derive(Debug)]
struct Inside {
    namespace: String,
    bytes: u64,
}

#[derive(Debug)]
struct Waiting {
    asker: Asker,
    needs: u64,
    asked: Duration,
}

/// What is taken, in bytes. The time is an argument.
#[derive(Debug, Default)]
struct Account {
    /// By the number of what is taken: a request may be looked at while an older run of it is not yet gone.
    inside: BTreeMap<u64, Inside>,
    /// In their order.
    waiting: BTreeMap<Place, Waiting>,
    next: u64,
}

impl Account {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// What is taken of a namespace and how much that is, without the room `but`.
    fn taken(&self, but: Option<u64>, of: impl Fn(&str) -> bool) -> (usize, u64) {
        let inside = self.inside.iter().filter(|(n, _)| Some(**n) != but);
        let bytes = inside.filter(|(_, i)| of(&i.namespace)).map(|(_, i)| i.bytes);
        bytes.fold((0_usize, 0_u64), |(n, sum), bytes| {
            (n + 1, sum.saturating_add(bytes))
        })
    }

    /// Takes room, in the stead of `old`, or waits for it.
    fn take(
        &mut self,
        asker: &Asker,
        needs: u64,
        old: Option<u64>,
        budget: &Budget,
        now: Duration,
    ) -> Result<u64, RoomError> {
        if needs > budget.bytes {
            self.leave(asker.uid);
            let budget = budget.bytes;
            return Err(RoomError::TooLarge { needs, budget });
        }
        // What it has is enough.
        if let Some(old) = old
            && let Some(inside) = self.inside.get_mut(&old)
            && inside.bytes >= needs
        {
            inside.bytes = needs;
            return Ok(old);
        }
        let place = self.waiting.iter().find(|(_, w)| w.asker.uid == asker.uid);
        let place = place.map(|(place, _)| *place);
        let place = place.unwrap_or_else(|| (asker.benchmark, self.number()));
        let waiting = Waiting {
            asker: asker.clone(),
            needs,
            asked: now,
        };
        self.waiting.insert(place, waiting);
        let mut held_up = None;
        self.walk(budget, old, now, |at, why| {
            if at == place {
                held_up = why;
            }
            at != place
        });
        if let Some(why) = held_up {
            return Err(why);
        }
        self.waiting.remove(&place);
        let number = old.unwrap_or_else(|| self.number());
        let inside = Inside {
            namespace: asker.namespace.clone(),
            bytes: needs,
        };
        self.inside.insert(number, inside);
        Ok(number)
    }

    /// A request waits no more; whether it has waited.
    fn leave(&mut self, uid: RequestUid) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|_, w| w.asker.uid != uid);
        self.waiting.len() < before
    }

    /// Those that wait and may take room now, in their order.
    fn next(&mut self, budget: &Budget, now: Duration) -> Vec<RequestUid> {
        let mut next = BTreeSet::new();
        self.walk(budget, None, now, |at, why| {
            if why.is_none() {
                next.insert(at);
            }
            // Nobody behind has room either.
            !matches!(
                why,
                Some(RoomError::Full {
                    share: Share::All,
                    ..
                })
            )
        });
        let waiting = self.waiting.iter().filter(|(at, _)| next.contains(*at));
        waiting.map(|(_, w)| w.asker.uid).collect()
    }

    /// Those that wait, in their order, and what keeps each from room, as if all before it had taken theirs that may; without
    /// what `but` holds; as long as `go_on`.
    fn walk(
        &mut self,
        budget: &Budget,
        but: Option<u64>,
        now: Duration,
        mut go_on: impl FnMut(Place, Option<RoomError>) -> bool,
    ) {
        self.waiting.retain(|_, w| now.saturating_sub(w.asked) < PATIENCE);
        let this = &*self;
        let (_, mut held) = this.taken(but, |_| true);
        // Of each namespace: how many have room, how much, and whether one waits for the namespace's own share.
        let mut of: BTreeMap<&str, (usize, u64, bool)> = BTreeMap::new();
        let mut full = false;
        for (at, waiting) in &this.waiting {
            let (needs, namespace) = (waiting.needs, waiting.asker.namespace.as_str());
            let own = of.entry(namespace).or_insert_with(|| {
                let (many, bytes) = this.taken(but, |of| of == namespace);
                (many, bytes, false)
            });
            let over = own.0 > 0 && own.1.saturating_add(needs) > budget.per_namespace;
            own.2 |= over;
            full |= !own.2 && held.saturating_add(needs) > budget.bytes;
            let why = if own.2 {
                Some(RoomError::Full {
                    needs,
                    budget: budget.per_namespace,
                    share: Share::Namespace,
                    held: own.1,
                })
            } else if full {
                Some(RoomError::Full {
                    needs,
                    budget: budget.bytes,
                    share: Share::All,
                    held,
                })
            } else {
                held = held.saturating_add(needs);
                (own.0, own.1) = (own.0 + 1, own.1.saturating_add(needs));
                None
            };
            if !go_on(*at, why) {
                return;
            }
        }
    }
}

type Told = Box<dyn Fn(RequestUid) + Send + Sync>;

/// See the module.
pub struct Rooms {
    budget: Budget,
    account: Mutex<Account>,
    began: Instant,
    told: OnceLock<Told>,
}

impl Rooms {
    /// With nobody in it.
    #[must_use]
    pub fn new(budget: Budget) -> Arc<Self> {
        Arc::new(Self {
            budget,
            account: Mutex::default(),
            began: Instant::now(),
            told: OnceLock::new(),
        })
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is told of each request that waits and may take room now; it asks again then. Said once.
    pub fn on_room(&self, told: impl Fn(RequestUid) + Send + Sync + 'static) {
        let _ = self.told.set(Box::new(told));
    }

    /// What is taken, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.account().taken(None, |_| true).1
    }

    /// Takes room, or waits for it until it is asked for again.
    ///
    /// # Errors
    /// There is none, now or ever.
    pub fn take(self: &Arc<Self>, asker: &Asker, needs: u64) -> Result<Room, RoomError> {
        let now = self.began.elapsed();
        let number = self.account().take(asker, needs, None, &self.budget, now)?;
        Ok(Room {
            rooms: Arc::clone(self),
            asker: asker.clone(),
            number,
        })
    }

    /// A request waits no more.
    pub fn leave(&self, uid: RequestUid) {
        if self.account().leave(uid) {
            self.tell();
        }
    }

    fn tell(&self) {
        let Some(told) = self.told.get() else { return };
        let next = self.account().next(&self.budget, self.began.elapsed());
        next.into_iter().for_each(told);
    }
}

/// Room that is taken, until this is dropped.
pub struct Room {
    rooms: Arc<Rooms>,
    asker: Asker,
    number: u64,
}

impl Room {
    /// Takes more room in its stead, or waits for it; what it has it keeps.
    ///
    /// # Errors
    /// There is none, now or ever.
    pub fn grow(&mut self, needs: u64) -> Result<(), RoomError> {
        let (rooms, now) = (&self.rooms, self.rooms.began.elapsed());
        rooms
            .account()
            .take(&self.asker, needs, Some(self.number), &rooms.budget, now)?;
        Ok(())
    }

    /// It needs no more than this from now on.
    pub fn shrink(&self, needs: u64) {
        if let Some(inside) = self.rooms.account().inside.get_mut(&self.number) {
            inside.bytes = inside.bytes.min(needs);
        }
        self.rooms.tell();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.rooms.account().inside.remove(&self.number);
        self.rooms.tell();
    }
}

#[cfg(test)]
mod tests;
