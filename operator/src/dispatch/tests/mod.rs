//! Behaviour of the queue, with the time as an argument.

mod benchmarks;
mod claims;
mod consents;
mod fairness;
mod hedging;
mod hostile;
mod measured;
mod owners;

use std::time::Duration;

use zkinfer_crds::k8s::ServedBy;
use zkinfer_crds::wire::RefuseReason;
use zkinfer_crds::{ClaimId, Digest, Identity, ParameterId, RequestUid, SliceIndex};

use super::*;
use crate::consent::{Consent, Lists, decide};

const PARAMETERS: ParameterId = ParameterId::Halo2KzgBn254V1;

fn uid(n: u8) -> RequestUid {
    RequestUid::new([n; 16])
}

/// A pool of the namespace `default`, or of the one that is named.
fn pool(name: &str) -> PoolId {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    PoolId::new(namespace, name)
}

fn worker() -> Worker {
    Worker {
        name: "w".to_owned(),
        parameters: vec![PARAMETERS],
        memory_bytes: 1 << 30,
        request: None,
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn request(n: u8, slices: u32, pools: &[&str]) -> QueuedRequest {
    let slice = |i| QueuedSlice {
        index: SliceIndex(i),
        digest: Digest::new([i as u8; 32]),
        predicted: millis(100 + u64::from(i)),
        memory_bytes: 1 << 20,
        parameter_id: PARAMETERS,
    };
    QueuedRequest {
        uid: uid(n),
        benchmark: false,
        priority: 0,
        redundancy: 1,
        pools: pools.iter().map(|p| pool(p)).collect(),
        slices: (0..slices).map(slice).collect(),
    }
}

/// A Model of the namespace `home` is served by these namespaces too.
fn only(namespaces: &[&str]) -> Consent {
    let entry = |namespace: &&str| ServedBy {
        namespace: (*namespace).to_owned(),
        identity: None,
    };
    let served_by: Vec<ServedBy> = namespaces.iter().map(entry).collect();
    consent(Some(&served_by))
}

/// Everybody may serve it.
fn everybody() -> Consent {
    consent(None).or_of_the_runner()
}

fn consent(served_by: Option<&[ServedBy]>) -> Consent {
    let lists = Lists {
        own: None,
        installation: None,
    };
    decide("home", "model", served_by, &lists)
}

fn invalid() -> AttemptEnd {
    AttemptEnd::Invalid("no".to_owned())
}

fn draining() -> AttemptEnd {
    AttemptEnd::HandedBack(RefuseReason::Draining, "bye".to_owned())
}

/// A queue whose pools have a name as identity, and workers that ask one by one.
struct Bench {
    queue: Queue,
    claims: u64,
}

fn identity(name: &str) -> Identity {
    Identity::new(*Digest::of(name.as_bytes()).as_bytes())
}

fn facts(name: &str) -> PoolFacts {
    PoolFacts {
        identity: identity(name),
        claims: 8,
        score_millionths: 0,
        drained: false,
    }
}

impl Bench {
    /// With these requests, and every pool that they name: each may see them.
    fn new(requests: Vec<QueuedRequest>) -> Self {
        let mut bench = Self {
            queue: Queue::new((seconds(5), seconds(600))),
            claims: 0,
        };
        for request in requests {
            bench.add(request, Duration::ZERO);
        }
        bench
    }

    fn add(&mut self, request: QueuedRequest, now: Duration) {
        for id in &request.pools {
            if self.queue.standings.get(id).is_none() {
                self.queue.know(id, facts(&id.to_string()), now);
            }
        }
        self.queue.consent(request.uid, everybody(), now);
        self.queue.add(request, now);
    }

    /// Each of these pools has shown a worker.
    fn show(&mut self, names: &[&str], now: Duration) {
        for name in names {
            let ticket = self.wait(name, now);
            self.queue.leave(ticket);
        }
    }

    /// A worker of the pool waits from now on.
    fn wait(&mut self, name: &str, now: Duration) -> Ticket {
        self.wait_as(name, &worker(), now)
    }

    fn wait_as(&mut self, name: &str, worker: &Worker, now: Duration) -> Ticket {
        self.claims += 1;
        let ticket = self.claims;
        let asking = (&pool(name), identity(name));
        self.queue.ask(ticket, asking, worker.clone(), now);
        ticket
    }

    fn assign(&mut self, now: Duration) -> Vec<(Ticket, Claimed)> {
        let claims = &mut self.claims;
        self.queue.assign(now, &mut || {
            *claims += 1;
            ClaimId::new(u128::from(*claims).to_be_bytes())
        })
    }

    /// What a worker gets that asks and does not wait.
    fn ask_as(&mut self, name: &str, worker: &Worker, now: Duration) -> Option<Claimed> {
        let ticket = self.wait_as(name, worker, now);
        let mut answers = self.assign(now);
        self.queue.leave(ticket);
        assert!(answers.len() <= 1, "nobody else waits");
        answers.pop().map(|(_, claimed)| claimed)
    }

    fn ask(&mut self, name: &str, now: Duration) -> Option<Claimed> {
        self.ask_as(name, &worker(), now)
    }

    fn take(&mut self, name: &str, now: Duration) -> ClaimedSlice {
        match self.ask(name, now) {
            Some(Claimed::Slice(s)) => s,
            other => panic!("{name} got {other:?}"),
        }
    }

    fn end(&mut self, claimed: &ClaimedSlice, end: AttemptEnd, now: Duration) {
        assert!(self.queue.end(claimed.request, claimed.claim, end, now));
    }

    fn submit(&mut self, claimed: &ClaimedSlice, now: Duration) {
        assert!(self.queue.submitted(claimed.request, claimed.claim, 2000, now));
    }

    fn verify(&mut self, claimed: &ClaimedSlice, now: Duration) {
        self.submit(claimed, now);
        self.end(claimed, AttemptEnd::Verified, now);
    }

    fn causes(&mut self) -> Vec<Option<Cause>> {
        self.queue.take_ended().iter().map(|a| a.end.cause()).collect()
    }
}
