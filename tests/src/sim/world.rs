//! Virtual time: what machines and clients do, and what the operator's queue and its ledger's totals make of it.
//!
//! Invariants: who is given what is decided by the operator's own [`Queue`] and by nothing here; what ends becomes an entry and
//! a score by the operator's own [`Entry`] and [`Totals`]. There is no clock and no chance but the seed's, so that the same
//! settings give the same network, event by event.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use zkinfer_crds::wire::RefuseReason;
use zkinfer_crds::{ClaimId, Digest, RequestUid};
use zkinfer_operator::consent::{Consent, Lists, decide};
use zkinfer_operator::dispatch::{
    AttemptEnd, Claimed, ClaimedSlice, Entry, PoolFacts, PoolId, Queue, Ticket, Worker,
};
use zkinfer_operator::scoring::Totals;

use super::event::Event;
use super::load::{MEMORY, Model, PARAMETERS, by_day, models};
use super::machine::{Deed, Kind, Machine};
use super::measure::Measured;
use super::random::Random;
use super::settings::Settings;

/// The wall clock when virtual time begins, in Unix milliseconds: the beginning of an hour.
const BEGIN: u64 = 500_000 * 3_600_000;
/// As often as the operator looks at its queue by itself.
const TICK: Duration = Duration::from_secs(1);
/// A colluding client's requests go before everybody's, and benchmarks after.
const OWN_PRIORITY: i32 = 10;
const BENCHMARK_PRIORITY: i32 = -1;

/// A request that is under way.
#[derive(Debug)]
struct Job {
    model: usize,
    client: u64,
    organic: bool,
    began: Duration,
}

/// See the module.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) machines: Vec<Machine>,
    pub(super) queue: Queue,
    pub(super) totals: Totals,
    pub(super) measured: Measured,
    random: Random,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    scheduled: u64,
    models: Vec<Model>,
    jobs: BTreeMap<RequestUid, Job>,
    /// Who waits: the machine, and the first ticket of the worker that has this one.
    asking: BTreeMap<Ticket, (usize, Ticket)>,
    /// What a worker that waits has asked for, under each of its machine's names.
    workers: BTreeMap<Ticket, Vec<Ticket>>,
    next_ticket: Ticket,
    /// Every pool that there is: what an organic request may be proved by.
    pools: Vec<PoolId>,
    /// The last benchmark, and the last request of each colluding client.
    benchmark: Option<RequestUid>,
    own: BTreeMap<usize, RequestUid>,
    consent: Consent,
}

impl World {
    pub(super) fn new(settings: Settings, machines: Vec<Machine>) -> Self {
        let mut random = Random::of(&settings.seed);
        let lists = Lists {
            own: None,
            installation: None,
        };
        let models = models(settings.slice, &mut random);
        let mut world = Self {
            queue: Queue::new((Duration::from_secs(20), Duration::from_secs(7200))),
            totals: Totals::new(settings.rule.clone()),
            measured: Measured::new(machines.len()),
            random,
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            scheduled: 0,
            models,
            jobs: BTreeMap::new(),
            asking: BTreeMap::new(),
            workers: BTreeMap::new(),
            next_ticket: 0,
            pools: Vec::new(),
            benchmark: None,
            own: BTreeMap::new(),
            consent: decide("clients", "model", None, &lists).or_of_the_runner(),
            settings,
            machines,
        };
        for machine in 0..world.machines.len() {
            for name in 0..world.machines[machine].names.len() {
                world.know(machine, name);
            }
            world.at(world.machines[machine].joins, Event::Comes(machine));
        }
        world.name_pools();
        world.at(TICK, Event::Tick);
        world.at(Duration::from_secs(3600), Event::Hour);
        world.at(Duration::ZERO, Event::Client);
        world
    }

    /// Until the end.
    pub(super) fn run(&mut self) {
        let end = Duration::from_secs_f64(self.settings.hours * 3600.0);
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > end {
                break;
            }
            self.now = at;
            self.happens(event);
            self.settle();
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    fn after(&mut self, seconds: f64, event: Event) {
        self.at(self.now + Duration::from_secs_f64(seconds), event);
    }

    pub(super) fn unix_millis(&self) -> u64 {
        BEGIN + self.now.as_millis() as u64
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Tick => self.after(TICK.as_secs_f64(), Event::Tick),
            Event::Hour => {
                self.hour_is_over();
                self.after(3600.0, Event::Hour);
            }
            Event::Client => self.client_asks(),
            Event::Comes(machine) => self.comes(machine),
            Event::Goes { machine, announced } => self.goes(machine, announced),
            Event::Asks(machine, life) => self.is_free(machine, life),
            Event::Done {
                machine,
                life,
                request,
                claim,
                deed,
                bytes,
            } => {
                if self.machines[machine].life == life {
                    self.done((request, claim), deed, bytes);
                }
                self.is_free(machine, life);
            }
        }
    }

    // What the operator's other rooms tell the queue.

    fn know(&mut self, machine: usize, name: usize) {
        let of = &self.machines[machine];
        let (pool, identity) = &of.names[name];
        let score_millionths = of.scores.get(identity).copied().unwrap_or_default();
        let facts = PoolFacts {
            identity: *identity,
            claims: of.claims(),
            score_millionths,
            drained: !of.up && of.kind != Kind::Absent,
        };
        self.queue.know(pool, facts, self.now);
    }

    fn know_all(&mut self) {
        let at = self.unix_millis();
        for machine in 0..self.machines.len() {
            for name in 0..self.machines[machine].names.len() {
                let identity = self.machines[machine].names[name].1;
                let score = self.totals.score(&identity, at).score_millionths;
                self.machines[machine].scores.insert(identity, score);
                self.know(machine, name);
            }
        }
    }

    fn name_pools(&mut self) {
        let names = self.machines.iter().flat_map(|m| &m.names);
        self.pools = names.map(|(pool, _)| pool.clone()).collect();
        self.pools.sort();
    }

    // What clients do.

    fn client_asks(&mut self) {
        let capacity: f64 = self.machines.iter().filter(|m| m.up).map(Machine::capacity).sum();
        let load = by_day(self.settings.organic, self.now) * capacity;
        let mean = self.models.iter().map(Model::work).sum::<f64>() / self.models.len() as f64;
        if load > 0.0 {
            if self.now > Duration::ZERO {
                let model = self.random.below(self.models.len() as u64) as usize;
                let client = self.random.next();
                let pools = self.pools.clone();
                self.request((model, client, true), 0, pools);
            }
            let wait = self.random.until(mean / load);
            self.after(wait, Event::Client);
        } else {
            self.after(1.0, Event::Client);
        }
    }

    fn request(
        &mut self,
        (model, client, organic): (usize, u64, bool),
        priority: i32,
        pools: Vec<PoolId>,
    ) -> RequestUid {
        let uid = RequestUid::new(self.random.bytes());
        let benchmark = priority == BENCHMARK_PRIORITY;
        let request = self.models[model].request(uid, (priority, benchmark), pools);
        self.queue.consent(uid, self.consent.clone(), self.now);
        self.queue.add(request, self.now);
        self.jobs.insert(
            uid,
            Job {
                model,
                client,
                organic,
                began: self.now,
            },
        );
        uid
    }

    /// Whether slices of a request are still to be given out.
    fn has_open(&self, uid: Option<RequestUid>) -> bool {
        let counts = uid.and_then(|uid| self.queue.counts(uid));
        counts.is_some_and(|counts| counts.queued > 0)
    }

    // What machines do.

    fn comes(&mut self, machine: usize) {
        let of = &mut self.machines[machine];
        if of.kind == Kind::Absent {
            return;
        }
        of.up = true;
        of.unwell = Some(self.now);
        let free = of.askers().saturating_sub(of.busy);
        for name in 0..self.machines[machine].names.len() {
            self.know(machine, name);
        }
        (0..free).for_each(|_| self.asks(machine));
        let mean = self.settings.hours_between_absences * 3600.0;
        let wait = match self.machines[machine].kind {
            Kind::Restarting => Some((1800.0, true)),
            Kind::Honest if mean > 0.0 => Some((self.random.until(mean), !self.random.chance(0.2))),
            _ => None,
        };
        if let Some((wait, announced)) = wait {
            self.after(wait, Event::Goes { machine, announced });
        }
    }

    fn goes(&mut self, machine: usize, announced: bool) {
        let of = &mut self.machines[machine];
        of.up = false;
        of.unwell = Some(self.now);
        let restarting = of.kind == Kind::Restarting;
        // One in ten is replaced by a machine that nobody knows.
        let replaced = !restarting && self.random.chance(0.1);
        if !announced || replaced {
            self.machines[machine].dies();
        }
        let asking = self.asking.iter().filter(|(_, (of, _))| *of == machine);
        let tickets: Vec<Ticket> = asking.map(|(ticket, _)| *ticket).collect();
        self.leave(&tickets);
        if replaced {
            for (pool, _) in self.machines[machine].names.clone() {
                self.queue.forget(&pool, self.now);
            }
            self.machines[machine].be_born(machine);
            self.name_pools();
        }
        // A crash is nothing that anybody is told.
        if announced || replaced {
            for name in 0..self.machines[machine].names.len() {
                self.know(machine, name);
            }
        }
        let away = if restarting {
            300.0
        } else {
            self.random.between(600.0, 3600.0)
        };
        self.after(away, Event::Comes(machine));
    }

    /// A worker has ended what it was at, if its machine lives that life still.
    fn is_free(&mut self, machine: usize, life: u32) {
        let of = &mut self.machines[machine];
        if of.life == life {
            of.busy = of.busy.saturating_sub(1);
            self.asks(machine);
        }
    }

    /// One worker of a machine asks, under every name that the machine has.
    fn asks(&mut self, machine: usize) {
        let of = &mut self.machines[machine];
        if !of.up {
            return;
        }
        let names = of.names.len();
        let first = of.next_name;
        of.next_name = (first + 1) % names;
        let under = if of.kind == Kind::SybilAtOnce { 1 } else { names };
        if of.kind == Kind::Collusion && !self.has_open(self.own.get(&machine).copied()) {
            let names = self.machines[machine].names.iter();
            let pools = names.map(|(pool, _)| pool.clone()).collect();
            let model = machine % self.models.len();
            let uid = self.request((model, 1, false), OWN_PRIORITY, pools);
            self.own.insert(machine, uid);
        }
        let worker = Worker {
            name: String::new(),
            parameters: vec![PARAMETERS],
            memory_bytes: MEMORY,
            request: None,
        };
        let own = self.next_ticket;
        self.workers.insert(own, Vec::with_capacity(names));
        for name in (first..names).chain(0..first).take(under) {
            let (pool, identity) = self.machines[machine].names[name].clone();
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            self.queue
                .ask(ticket, (&pool, identity), worker.clone(), self.now);
            self.asking.insert(ticket, (machine, own));
            self.workers.entry(own).or_default().push(ticket);
            if under > 1 {
                self.give();
            }
            // Who is given something under one name does not ask under the next.
            if !self.workers.contains_key(&own) {
                return;
            }
        }
    }

    /// The workers behind these tickets wait no more.
    fn leave(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            self.queue.leave(*ticket);
            if let Some((_, worker)) = self.asking.remove(ticket) {
                self.workers.remove(&worker);
            }
        }
    }

    /// Brings the queue up to date, as the operator does after whatever happens.
    fn settle(&mut self) {
        while self.give() {}
        self.fetch_ended();
    }

    /// Gives what there is. Whether there is more to be given now.
    fn give(&mut self) -> bool {
        let random = &mut self.random;
        let answers = self.queue.assign(self.now, &mut || ClaimId::new(random.bytes()));
        let mut more = false;
        for (ticket, claimed) in answers {
            if let Claimed::Slice(slice) = claimed {
                more |= !self.granted(ticket, &slice);
            }
        }
        let idle = !self.asking.is_empty();
        if self.settings.benchmarks && idle && !self.has_open(self.benchmark) {
            let model = self.random.below(self.models.len() as u64) as usize;
            let pools = self.pools.clone();
            let uid = self.request((model, 1, false), BENCHMARK_PRIORITY, pools);
            self.benchmark = Some(uid);
            more = true;
        }
        more
    }

    /// A worker sets to work. `false` where it was given something under another name, so that the slice is free again.
    fn granted(&mut self, ticket: Ticket, slice: &ClaimedSlice) -> bool {
        let Some((machine, worker)) = self.asking.remove(&ticket) else {
            self.queue
                .end(slice.request, slice.claim, AttemptEnd::left(), self.now);
            return false;
        };
        let others = self.workers.remove(&worker).unwrap_or_default();
        self.leave(&others);
        let Some(job) = self.jobs.get(&slice.request) else {
            return true;
        };
        let (of, model) = (&mut self.machines[machine], &self.models[job.model]);
        of.busy += 1;
        let (life, deed) = (of.life, of.deed(job.client, &mut self.random));
        let mut takes = model.predicted(slice.slice) * self.random.around_one(0.05) / of.speed;
        if of.kind == Kind::SybilAtOnce {
            of.free = of.free.max(self.now) + Duration::from_secs_f64(takes);
            takes = of.free.saturating_sub(self.now).as_secs_f64();
        }
        let bytes = (model.bytes(slice.slice) as f64 * self.random.around_one(0.01)) as u64;
        let (request, claim) = (slice.request, slice.claim);
        match deed {
            Deed::Lapse => self.after(1.0, Event::Asks(machine, life)),
            deed => {
                let seconds = if deed == Deed::Prove { takes } else { 1.0 };
                let done = Event::Done {
                    machine,
                    life,
                    request,
                    claim,
                    deed,
                    bytes,
                };
                self.after(seconds, done);
            }
        }
        true
    }

    fn done(&mut self, (request, claim): (RequestUid, ClaimId), deed: Deed, bytes: u64) {
        let refused = |reason| AttemptEnd::HandedBack(reason, String::new());
        let end = match deed {
            Deed::Prove => AttemptEnd::Verified,
            // Its statement names somebody else.
            Deed::Copy => AttemptEnd::Invalid("the proof is of another statement".to_owned()),
            Deed::HandBack => refused(RefuseReason::Draining),
            Deed::Fail | Deed::Lapse => refused(RefuseReason::Failed),
        };
        if matches!(deed, Deed::Prove | Deed::Copy) {
            if !self.queue.submitted(request, claim, bytes, self.now) {
                return;
            }
            let proof = Digest::of(claim.as_bytes());
            self.queue.judged(request, claim, proof, Duration::ZERO);
            self.queue.end(request, claim, end, self.now);
        } else {
            self.queue.give_up(request, claim, end, self.now);
        }
        let failed = self.queue.failure(request).is_some();
        if let Some(job) = self.jobs.get(&request)
            && (failed || self.queue.all_verified(request))
        {
            let took = self.now.saturating_sub(job.began);
            self.measured.over(job.organic, failed, took);
            self.queue.remove(request, true, self.now);
        }
    }

    fn fetch_ended(&mut self) {
        let at = self.unix_millis();
        for mut attempt in self.queue.take_ended() {
            let job = self.jobs.get(&attempt.request);
            attempt.model = job.map(|job| self.models[job.model].manifest);
            let entry = Entry::of(&attempt, at);
            self.measured.ended(&entry);
            self.totals.add(&entry);
        }
        for uid in self.queue.take_gone() {
            self.jobs.remove(&uid);
        }
    }

    fn hour_is_over(&mut self) {
        self.fetch_ended();
        self.know_all();
        let at = self.unix_millis();
        self.measured.hour(
            &self.settings,
            &self.machines,
            (&self.queue, &mut self.totals),
            (self.now, at),
        );
    }
}
