//! Who is at a listener's doors, and who has to go when there are too many.
//!
//! Invariants: of connections that have sent no whole head yet an address has at most [`SILENT`], and all of them together a
//! quarter of the house; of those whose caller is not known, any gives way to a new one when the house is full: the silent first,
//! the oldest of the address that has most. Whose caller is known never has to go, of each caller up to an eighth of the house;
//! beyond, a caller's connections are as those of nobody. So nobody is kept out by strangers, nor by one caller.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::caller::Caller;

/// Connections of one address that have sent no whole head.
const SILENT: usize = 128;

/// The connections of a listener.
pub(super) struct House {
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    places: BTreeMap<u64, Entry>,
    /// Of these, who was told to go and has not gone yet.
    leaving: usize,
    silent: Crowd,
    /// Those that have asked for something, and nobody knows who they are.
    asking: Crowd,
    known: HashMap<Caller, usize>,
}

struct Entry {
    address: IpAddr,
    stage: Stage,
    out: Arc<Notify>,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Silent,
    Asking,
    Known(Caller),
    /// It was told to go.
    Leaving,
}

/// Connections by address, the oldest first.
#[derive(Default)]
struct Crowd {
    of: HashMap<IpAddr, BTreeSet<u64>>,
    all: usize,
}

impl Crowd {
    fn add(&mut self, address: IpAddr, number: u64) {
        self.all += usize::from(self.of.entry(address).or_default().insert(number));
    }

    fn remove(&mut self, address: IpAddr, number: u64) {
        let Some(own) = self.of.get_mut(&address) else {
            return;
        };
        self.all -= usize::from(own.remove(&number));
        if own.is_empty() {
            self.of.remove(&address);
        }
    }

    fn many(&self, address: IpAddr) -> usize {
        self.of.get(&address).map_or(0, BTreeSet::len)
    }

    fn oldest(&self, address: IpAddr) -> Option<u64> {
        self.of.get(&address)?.first().copied()
    }

    /// The oldest of the address that has most.
    fn oldest_of_most(&self) -> Option<u64> {
        let most = self.of.values().max_by_key(|own| own.len())?;
        most.first().copied()
    }
}

/// A connection's place, until it is dropped.
pub(super) struct Place {
    house: Arc<House>,
    number: u64,
    /// Where it comes from.
    pub(super) address: IpAddr,
    /// It has to go.
    pub(super) out: Arc<Notify>,
}

impl House {
    /// For so many connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            inner: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection; `None` where all are taken by callers who are known.
    pub(super) fn enter(this: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut inner = this.lock();
        if inner.silent.many(address) >= SILENT {
            let oldest = inner.silent.oldest(address);
            inner.send_out(oldest);
        } else if inner.silent.all >= (this.most / 4).max(1) {
            let oldest = inner.silent.oldest_of_most();
            inner.send_out(oldest);
        }
        if inner.places.len() - inner.leaving >= this.most {
            let silent = inner.silent.oldest_of_most();
            let oldest = silent.or_else(|| inner.asking.oldest_of_most());
            oldest?;
            inner.send_out(oldest);
        }
        let (number, out) = (inner.next, Arc::new(Notify::new()));
        inner.next += 1;
        let entry = Entry {
            address,
            stage: Stage::Silent,
            out: Arc::clone(&out),
        };
        inner.places.insert(number, entry);
        inner.silent.add(address, number);
        Some(Place {
            house: Arc::clone(this),
            number,
            address,
            out,
        })
    }
}

impl Inner {
    fn send_out(&mut self, number: Option<u64>) {
        let Some(number) = number else { return };
        self.move_to(number, Stage::Leaving);
        if let Some(entry) = self.places.get(&number) {
            entry.out.notify_one();
        }
    }

    /// Who was told to go stays told.
    fn move_to(&mut self, number: u64, stage: Stage) {
        let Some(entry) = self.places.get_mut(&number) else {
            return;
        };
        match &entry.stage {
            Stage::Leaving => return,
            Stage::Silent => self.silent.remove(entry.address, number),
            Stage::Asking => self.asking.remove(entry.address, number),
            Stage::Known(caller) => {
                if let Some(many) = self.known.get_mut(caller) {
                    *many -= 1;
                    if *many == 0 {
                        self.known.remove(caller);
                    }
                }
            }
        }
        match &stage {
            Stage::Leaving => self.leaving += 1,
            Stage::Silent => self.silent.add(entry.address, number),
            Stage::Asking => self.asking.add(entry.address, number),
            Stage::Known(caller) => *self.known.entry(caller.clone()).or_default() += 1,
        }
        entry.stage = stage;
    }
}

impl Place {
    /// A whole head has come; whose it is has to be found out, whoever sent the one before.
    pub(super) fn asked(&self) {
        self.house.lock().move_to(self.number, Stage::Asking);
    }

    /// What was asked comes from this caller.
    pub(super) fn known(&self, caller: &Caller) {
        let mut inner = self.house.lock();
        let share = (self.house.most / 8).max(1);
        // Of what is asked for one caller may ask as another: the last counts.
        inner.move_to(self.number, Stage::Asking);
        if inner.known.get(caller).is_none_or(|many| *many < share) {
            inner.move_to(self.number, Stage::Known(caller.clone()));
        }
    }

    /// Whether it keeps its line after an answer.
    pub(super) fn stays(&self) -> bool {
        let inner = self.house.lock();
        let entry = inner.places.get(&self.number);
        entry.is_some_and(|entry| matches!(entry.stage, Stage::Known(_)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.house.lock();
        inner.move_to(self.number, Stage::Leaving);
        inner.leaving -= 1;
        inner.places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1024;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn enter(house: &Arc<House>, last: u8) -> Option<Place> {
        House::enter(house, address(last))
    }

    /// So many connections that have asked for something.
    fn asking(house: &Arc<House>, last: u8, many: usize) -> Vec<Place> {
        let places = (0..many).map(|_| enter(house, last).unwrap());
        places.inspect(Place::asked).collect()
    }

    fn leaves(place: &Place) -> bool {
        place.house.lock().places[&place.number].stage == Stage::Leaving
    }

    fn is_empty(house: &House) -> bool {
        let inner = house.lock();
        let crowds = [&inner.silent, &inner.asking];
        inner.places.is_empty()
            && inner.known.is_empty()
            && crowds.iter().all(|c| c.all == 0 && c.of.is_empty())
    }

    #[test]
    fn a_new_connection_takes_the_place_of_the_oldest_of_its_address_that_only_holds_the_line() {
        let house = House::new(MOST);
        let asked = asking(&house, 1, 1);
        let other = enter(&house, 2).unwrap();
        let silent: Vec<Place> = (0..SILENT).map(|_| enter(&house, 1).unwrap()).collect();
        assert!(!silent.iter().any(leaves));
        let newest = enter(&house, 1).unwrap();
        assert!(leaves(&silent[0]) && !leaves(&silent[1]));
        assert!(![&asked[0], &other, &newest].into_iter().any(leaves));
        drop((asked, other, silent, newest));
        assert!(is_empty(&house));
    }

    #[test]
    fn those_who_only_hold_the_line_are_a_quarter_of_the_house_from_however_many_addresses() {
        let house = House::new(MOST);
        let silent: Vec<Place> = (0..2 * MOST)
            .map(|n| enter(&house, (n % 200) as u8).unwrap())
            .collect();
        let stay = silent.iter().filter(|place| !leaves(place));
        assert_eq!(stay.count(), MOST / 4);
        assert!(!leaves(silent.last().unwrap()));
    }

    #[test]
    fn a_full_house_of_connections_whose_callers_nobody_knows_lets_a_new_one_in() {
        let house = House::new(MOST);
        let few = asking(&house, 2, 3);
        let many = asking(&house, 1, MOST - 3);
        let new = enter(&house, 3).unwrap();
        assert!(
            leaves(&many[0]) && !leaves(&many[1]),
            "the oldest of who has most"
        );
        assert!(!few.iter().any(leaves));
        // The silent go first.
        let another = enter(&house, 2).unwrap();
        assert!(leaves(&new) && !leaves(&many[1]) && !leaves(&another));
    }

    #[test]
    fn whose_caller_is_known_never_has_to_go_and_one_caller_does_not_fill_the_house() {
        let house = House::new(MOST);
        let (own, greedy) = (Caller::namespace("own"), Caller::namespace("greedy"));
        let at_work = asking(&house, 1, 1);
        at_work[0].known(&own);
        let rest = asking(&house, 1, MOST - 1);
        rest.iter().for_each(|place| place.known(&greedy));
        let kept = rest.iter().filter(|place| place.stays()).count();
        assert_eq!(kept, MOST / 8);
        let new: Vec<Place> = (0..MOST).map(|_| enter(&house, 3).unwrap()).collect();
        assert!(!leaves(new.last().unwrap()));
        assert!(!leaves(&at_work[0]) && !rest[..MOST / 8].iter().any(leaves));
        // Of callers who are known eight fill it.
        let house = House::new(MOST);
        let all = asking(&house, 1, MOST);
        for (n, place) in all.iter().enumerate() {
            place.known(&Caller::namespace(&(n % 8).to_string()));
        }
        assert!(all.iter().all(Place::stays));
        assert!(enter(&house, 2).is_none());
        drop(all);
        assert!(enter(&house, 2).is_some() && is_empty(&house));
    }

    #[test]
    fn who_was_known_is_so_until_they_ask_for_something_else() {
        let house = House::new(MOST);
        let place = enter(&house, 1).unwrap();
        assert!(!place.stays());
        place.asked();
        assert!(!place.stays());
        place.known(&Caller::user("alice"));
        assert!(place.stays());
        place.asked();
        assert!(!place.stays());
        drop(place);
        assert!(is_empty(&house));
    }
}
