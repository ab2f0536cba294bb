//! Who may begin: at most so many requests at once, in all and of one client; the others wait in a line.
//!
//! Invariants: nobody begins beyond a limit but what was begun already; what its client's own limit holds back holds back nobody
//! else; who waits and may begin does so before anybody that stands behind it for the same limit.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::InferenceRequest;
use zkinfer_crds::k8s::request_status::QueuePlace;
use zkinfer_crds::k8s::validator::Limits;

/// The limits, as the Validator's fields are called.
pub(super) const IN_FLIGHT: &str = "requestsInFlight";
pub(super) const PER_CLIENT: &str = "requestsPerClient";

/// Whose request it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// Who made it through the gateway, by the API server's name.
    User(String),
    /// Nobody says who made it: all such requests of a namespace are one client's.
    Namespace(String),
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(name) => write!(f, "{name}"),
            Self::Namespace(name) => write!(f, "namespace {name}"),
        }
    }
}

/// A request that asks to begin.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The request.
    pub uid: RequestUid,
    /// Its name.
    pub key: ObjectRef<InferenceRequest>,
    /// Whose it is.
    pub client: Client,
    /// Those with a higher number go first.
    pub priority: i32,
    /// When it was created, in seconds; the older goes first.
    pub created: i64,
    /// It was begun before.
    pub begun: bool,
}

/// What it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It begins.
    Begins,
    /// It waits; who waits with it begins when the line says so.
    Waits(QueuePlace),
}

type Order = (Reverse<i32>, i64, RequestUid);

#[derive(Debug)]
struct Waiting {
    key: ObjectRef<InferenceRequest>,
    client: Client,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Line {
    inside: BTreeMap<RequestUid, Client>,
    /// How many of each are inside.
    of: BTreeMap<Client, u32>,
    waiting: BTreeMap<Order, Waiting>,
    orders: BTreeMap<RequestUid, Order>,
}

impl Line {
    /// A request that was begun: it is inside, whatever the limits say.
    pub fn hold(&mut self, uid: RequestUid, client: Client) {
        if let Some(order) = self.orders.remove(&uid) {
            self.waiting.remove(&order);
        }
        if !self.inside.contains_key(&uid) {
            *self.of.entry(client.clone()).or_default() += 1;
            self.inside.insert(uid, client);
        }
    }

    /// May it begin now? From then on it is inside, or waits, until it leaves.
    pub fn ask(&mut self, ask: Ask, limits: &Limits) -> Turn {
        if self.inside.contains_key(&ask.uid) {
            return Turn::Begins;
        }
        if ask.begun || (limits.requests_in_flight.is_none() && limits.requests_per_client.is_none()) {
            self.hold(ask.uid, ask.client);
            return Turn::Begins;
        }
        let order = (Reverse(ask.priority), ask.created, ask.uid);
        let waiting = Waiting {
            key: ask.key,
            client: ask.client.clone(),
        };
        if let Some(old) = self.orders.insert(ask.uid, order) {
            self.waiting.remove(&old);
        }
        self.waiting.insert(order, waiting);
        let mut place = None;
        self.walk(limits, |at, _, held| {
            if *at == order {
                place = held;
            }
            *at != order
        });
        match place {
            Some(place) => Turn::Waits(place),
            None => {
                self.hold(ask.uid, ask.client);
                Turn::Begins
            }
        }
    }

    /// Neither inside nor waiting any more; whether it was.
    pub fn leave(&mut self, uid: RequestUid) -> bool {
        if let Some(order) = self.orders.remove(&uid) {
            self.waiting.remove(&order);
            return true;
        }
        let Some(client) = self.inside.remove(&uid) else {
            return false;
        };
        if let Some(many) = self.of.get_mut(&client) {
            *many -= 1;
            if *many == 0 {
                self.of.remove(&client);
            }
        }
        true
    }

    /// Those that wait and may begin now, in their order.
    pub fn next(&self, limits: &Limits) -> Vec<ObjectRef<InferenceRequest>> {
        let mut next = Vec::new();
        self.walk(limits, |_, waiting, held| {
            let full = held.as_ref().is_some_and(|place| place.limit == IN_FLIGHT);
            if held.is_none() {
                next.push(waiting.key.clone());
            }
            !full
        });
        next
    }

    /// Those that wait, in their order, and what holds each back, as if all before it had begun that may; as long as `go_on`.
    fn walk(&self, limits: &Limits, mut go_on: impl FnMut(&Order, &Waiting, Option<QueuePlace>) -> bool) {
        let most = |limit: Option<u32>| limit.unwrap_or(u32::MAX);
        let mut inside = u32::try_from(self.inside.len()).unwrap_or(u32::MAX);
        let mut begun: BTreeMap<&Client, u32> = BTreeMap::new();
        let (mut behind_all, mut behind_own) = (0, BTreeMap::<&Client, u32>::new());
        for (order, waiting) in &self.waiting {
            let client = &waiting.client;
            let own = self.of.get(client).copied().unwrap_or(0) + begun.get(client).copied().unwrap_or(0);
            let held = if own >= most(limits.requests_per_client) {
                let behind = behind_own.entry(client).or_default();
                *behind += 1;
                Some(QueuePlace {
                    position: *behind,
                    limit: PER_CLIENT.to_owned(),
                    client: Some(client.to_string()),
                })
            } else if inside >= most(limits.requests_in_flight) {
                behind_all += 1;
                Some(QueuePlace {
                    position: behind_all,
                    limit: IN_FLIGHT.to_owned(),
                    client: None,
                })
            } else {
                inside += 1;
                *begun.entry(client).or_default() += 1;
                None
            };
            if !go_on(order, waiting, held) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(in_flight: Option<u32>, per_client: Option<u32>) -> Limits {
        Limits {
            requests_in_flight: in_flight,
            requests_per_client: per_client,
            ..Limits::default()
        }
    }

    fn uid(n: u8) -> RequestUid {
        RequestUid::new([n; 16])
    }

    fn client(name: &str) -> Client {
        Client::User(name.to_owned())
    }

    /// Created in the order of its number.
    fn ask(n: u8, who: &str) -> Ask {
        Ask {
            uid: uid(n),
            key: ObjectRef::new(&format!("r{n}")).within("n"),
            client: client(who),
            priority: 0,
            created: i64::from(n),
            begun: false,
        }
    }

    fn waits(turn: Turn) -> (u32, String) {
        match turn {
            Turn::Waits(place) => (place.position, place.limit),
            Turn::Begins => panic!("it begins"),
        }
    }

    fn names(next: &[ObjectRef<InferenceRequest>]) -> Vec<&str> {
        next.iter().map(|key| key.name.as_str()).collect()
    }

    #[test]
    fn without_limits_everybody_begins() {
        let mut line = Line::default();
        for n in 0..200 {
            assert_eq!(line.ask(ask(n, "a"), &Limits::default()), Turn::Begins);
        }
        assert!(line.next(&Limits::default()).is_empty());
    }

    #[test]
    fn beyond_the_limit_of_all_requests_wait_by_priority_and_then_by_age() {
        let (mut line, two) = (Line::default(), limits(Some(2), None));
        assert_eq!(line.ask(ask(1, "a"), &two), Turn::Begins);
        assert_eq!(line.ask(ask(2, "b"), &two), Turn::Begins);
        assert_eq!(
            waits(line.ask(ask(4, "c"), &two)),
            (1, "requestsInFlight".to_owned())
        );
        assert_eq!(waits(line.ask(ask(3, "d"), &two)).0, 1, "it is older");
        assert_eq!(waits(line.ask(ask(4, "c"), &two)).0, 2);
        let urgent = Ask {
            priority: 7,
            ..ask(9, "e")
        };
        assert_eq!(waits(line.ask(urgent.clone(), &two)).0, 1);
        assert!(line.next(&two).is_empty());
        assert!(line.leave(uid(1)));
        assert_eq!(names(&line.next(&two)), ["r9"]);
        // Whoever asks first, the place is that one's.
        assert_eq!(waits(line.ask(ask(3, "d"), &two)).0, 1);
        assert_eq!(line.ask(urgent.clone(), &two), Turn::Begins);
        assert_eq!(line.ask(urgent, &two), Turn::Begins, "it is inside");
        assert_eq!(waits(line.ask(ask(3, "d"), &two)).0, 1);
    }

    #[test]
    fn a_client_beyond_its_own_limit_waits_and_holds_back_nobody_else() {
        let (mut line, limits) = (Line::default(), limits(Some(3), Some(1)));
        assert_eq!(line.ask(ask(1, "greedy"), &limits), Turn::Begins);
        for (n, place) in [(2, 1), (3, 2)] {
            let turn = line.ask(ask(n, "greedy"), &limits);
            assert_eq!(waits(turn), (place, "requestsPerClient".to_owned()));
        }
        let namespace = Ask {
            client: Client::Namespace("greedy".to_owned()),
            ..ask(4, "")
        };
        assert_eq!(line.ask(namespace, &limits), Turn::Begins, "another client");
        assert_eq!(line.ask(ask(5, "b"), &limits), Turn::Begins);
        assert_eq!(
            waits(line.ask(ask(6, "c"), &limits)),
            (1, "requestsInFlight".to_owned())
        );
        line.leave(uid(1));
        assert_eq!(names(&line.next(&limits)), ["r2"], "it is older than r6");
        assert_eq!(waits(line.ask(ask(3, "greedy"), &limits)).0, 1);
    }

    #[test]
    fn what_was_begun_goes_on_beyond_the_limit_and_counts() {
        let (mut line, one) = (Line::default(), limits(Some(1), None));
        for n in [1, 2] {
            let begun = Ask {
                begun: true,
                ..ask(n, "a")
            };
            assert_eq!(line.ask(begun, &one), Turn::Begins);
        }
        line.hold(uid(2), client("a"));
        assert_eq!(waits(line.ask(ask(3, "b"), &one)).0, 1);
        line.leave(uid(1));
        assert!(line.next(&one).is_empty());
        line.leave(uid(2));
        assert_eq!(names(&line.next(&one)), ["r3"]);
        // A limit that was raised, or is gone, lets them in at once.
        assert_eq!(names(&line.next(&Limits::default())), ["r3"]);
    }

    #[test]
    fn whoever_leaves_is_forgotten() {
        let (mut line, one) = (Line::default(), limits(Some(1), Some(1)));
        for n in 1..=100 {
            let _ = line.ask(ask(n, "a"), &one);
        }
        for n in 1..=100 {
            assert!(line.leave(uid(n)));
            assert!(!line.leave(uid(n)));
        }
        assert!(line.inside.is_empty() && line.of.is_empty());
        assert!(line.waiting.is_empty() && line.orders.is_empty());
    }
}
