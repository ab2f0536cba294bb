//! Whatever pools do, in whatever order, the queue's invariants hold, and an honest pool gets every request done.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const HOSTILE: [&str; 3] = ["evil/a", "evil/b", "crash/c"];
const HONEST: &str = "honest/h";

/// A claim that somebody holds.
#[derive(Clone)]
struct Holding {
    pool: &'static str,
    slice: ClaimedSlice,
    since: Duration,
    submitted: bool,
}

struct Storm {
    bench: Bench,
    random: StdRng,
    now: Duration,
    waiting: BTreeMap<Ticket, &'static str>,
    held: Vec<Holding>,
    ended: BTreeSet<ClaimId>,
    granted: u64,
    over: BTreeSet<RequestUid>,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let names: Vec<&str> = HOSTILE.iter().copied().chain([HONEST]).collect();
        let mut random = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(Vec::new());
        for n in 1..=12 {
            let mut request = request(n, random.gen_range(1..5), &names);
            request.redundancy = random.gen_range(1..3);
            bench.add(request, Duration::ZERO);
        }
        Self {
            bench,
            random,
            now: Duration::ZERO,
            waiting: BTreeMap::new(),
            held: Vec::new(),
            ended: BTreeSet::new(),
            granted: 0,
            over: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        self.now += millis(self.random.gen_range(0..400));
        if self.random.gen_bool(0.1) {
            self.change_consent();
        }
        for name in HOSTILE.iter().copied().chain([HONEST]) {
            if self.random.gen_bool(0.7) && self.waiting.values().filter(|n| **n == name).count() < 3 {
                let ticket = self.bench.wait(name, self.now);
                self.waiting.insert(ticket, name);
            }
        }
        if !self.waiting.is_empty() && self.random.gen_bool(0.1) {
            let tickets: Vec<Ticket> = self.waiting.keys().copied().collect();
            let left = tickets[self.random.gen_range(0..tickets.len())];
            self.bench.queue.leave(left);
            self.waiting.remove(&left);
        }
        let answers = self.bench.assign(self.now);
        for (ticket, claimed) in answers {
            let pool = self
                .waiting
                .remove(&ticket)
                .expect("an answer to somebody who waits");
            let Claimed::Slice(slice) = claimed else { continue };
            self.granted += 1;
            assert!(!self.over.contains(&slice.request));
            self.held.push(Holding {
                pool,
                slice,
                since: self.now,
                submitted: false,
            });
        }
        self.check();
        let held = std::mem::take(&mut self.held);
        for mut holding in held {
            if self.act(&mut holding) {
                self.held.push(holding);
            }
        }
        for n in 1..=12 {
            if self.bench.queue.all_verified(uid(n)) && !self.over.contains(&uid(n)) {
                self.over.insert(uid(n));
                self.bench.queue.remove(uid(n), true, self.now);
            }
        }
        self.account();
    }

    /// Other pools than before may see a request; the honest one always may.
    fn change_consent(&mut self) {
        let uid = uid(self.random.gen_range(1..=12));
        let who = match self.random.gen_range(0..3) {
            0 => only(&["honest"]),
            1 => only(&["honest", "crash"]),
            _ => everybody(),
        };
        if self.bench.queue.find(uid).is_some() {
            self.bench.queue.consent(uid, who, self.now);
        }
    }

    /// What a holder does with its claim; whether it still holds it.
    fn act(&mut self, holding: &mut Holding) -> bool {
        let (uid, claim, now) = (holding.slice.request, holding.slice.claim, self.now);
        let queue = &mut self.bench.queue;
        let open = queue.is_open(uid, claim, now);
        if holding.submitted {
            let honest = holding.pool == HONEST;
            let end = match self.random.gen_range(0..4) {
                0..3 if honest => AttemptEnd::Verified,
                0 => AttemptEnd::Verified,
                1 => AttemptEnd::Operator("storm".to_owned()),
                _ if honest => AttemptEnd::Operator("storm".to_owned()),
                _ => invalid(),
            };
            assert!(queue.end(uid, claim, end, now), "a proof gets its verdict");
            return false;
        }
        if !open {
            assert!(!queue.submitted(uid, claim, 9, now));
            return false;
        }
        if holding.pool == HONEST {
            if now >= holding.since + millis(200) {
                holding.submitted = queue.submitted(uid, claim, 9, now);
                assert!(holding.submitted);
            }
            return true;
        }
        match self.random.gen_range(0..8) {
            0 => {
                holding.submitted = queue.submitted(uid, claim, 9, now);
                true
            }
            1 => {
                let reason = [
                    RefuseReason::Draining,
                    RefuseReason::Fetch,
                    RefuseReason::TooLittleMemory,
                ];
                let reason = reason[self.random.gen_range(0..3)];
                !queue.give_up(uid, claim, AttemptEnd::HandedBack(reason, String::new()), now)
            }
            2 => !queue.give_up(uid, claim, AttemptEnd::TooLarge, now),
            _ => true,
        }
    }

    fn check(&self) {
        let queue = &self.bench.queue;
        let mut by_pool: BTreeMap<&PoolId, u32> = BTreeMap::new();
        for request in &queue.requests {
            for slice in &request.slices {
                let pools: BTreeSet<&PoolId> = slice.leases.iter().map(|l| &l.pool).collect();
                assert_eq!(pools.len(), slice.leases.len(), "different pools");
                let places = slice.leases.iter().filter(|l| !l.stands_in).count();
                assert!(places <= request.redundancy);
                for lease in slice.leases.iter().filter(|l| l.submitted.is_none()) {
                    assert!(queue.may_see(request.uid, &lease.pool, &lease.identity));
                }
            }
        }
        for lease in queue.leases().filter(|l| l.submitted.is_none()) {
            *by_pool.entry(&lease.pool).or_default() += 1;
        }
        assert!(by_pool.values().all(|n| *n <= 8), "{by_pool:?}");
        assert!(queue.hedges(self.now) <= queue.granted.most_hedges(self.now));
        queue.assert_remembers(self.now);
    }

    /// Every attempt ends once, in one verdict, and nothing that nobody holds is open.
    fn account(&mut self) {
        for attempt in self.bench.queue.take_ended() {
            assert!(self.ended.insert(attempt.claim), "ended twice: {attempt:?}");
            if attempt.pool == pool(HONEST) {
                let blamed = attempt.end.blame() == Some(Blame::Miner);
                assert!(!blamed, "an honest pool is blamed: {attempt:?}");
            }
        }
        let open = self.bench.queue.leases().count() as u64;
        assert_eq!(open + self.ended.len() as u64, self.granted);
    }
}

#[test]
fn invariants_hold_under_hostile_sequences_and_every_request_is_done() {
    for seed in 0..60 {
        let mut storm = Storm::new(seed);
        let mut steps = 0;
        while storm.over.len() < 12 {
            storm.step();
            steps += 1;
            for n in 1..=12 {
                assert_eq!(storm.bench.queue.failure(uid(n)), None, "seed {seed}");
            }
            assert!(steps < 20_000, "seed {seed}: {} of 12 are done", storm.over.len());
        }
        // What lingers ends with its lease.
        storm.now += seconds(700);
        storm.bench.assign(storm.now);
        for holding in std::mem::take(&mut storm.held) {
            if holding.submitted {
                storm.bench.end(&holding.slice, AttemptEnd::Verified, storm.now);
            }
        }
        storm.account();
        assert!(storm.bench.queue.requests.is_empty(), "seed {seed}");
        assert!(storm.bench.queue.consents.is_empty(), "seed {seed}");
    }
}

#[test]
fn hand_backs_in_a_tight_loop_delay_another_pools_request_by_nothing() {
    let mut bench = Bench::new(Vec::new());
    let mut granted = 0;
    for n in 1..=100 {
        let now = millis(u64::from(n) * 10);
        bench.add(request(n, 1, &["evil/a", HONEST]), now);
        bench.wait("evil/a", now);
        bench.wait(HONEST, now);
        while !bench.queue.all_verified(uid(n)) {
            let answers = bench.assign(now);
            assert!(!answers.is_empty(), "request {n} waits for nothing");
            for (_, claimed) in answers {
                let Claimed::Slice(s) = claimed else { panic!() };
                let of = bench.queue.leases().find(|l| l.claim == s.claim).unwrap();
                if of.pool == pool(HONEST) {
                    bench.verify(&s, now);
                } else {
                    granted += 1;
                    assert!(bench.queue.give_up(uid(n), s.claim, draining(), now));
                    bench.wait("evil/a", now);
                }
            }
        }
        bench.queue.remove(uid(n), true, now);
    }
    assert!(granted <= 9, "the ration is over: {granted}");
    assert_eq!(
        bench.queue.pause(&pool("evil/a")).map(|p| p.cause),
        Some(PauseCause::HandBacks)
    );
}

#[test]
fn what_the_ledger_tells_of_a_pool_survives_a_restart() {
    let mut bench = Bench::new(Vec::new());
    let past = |blame| Past {
        pool: pool("evil/a"),
        at: seconds(100),
        blame,
        took: None,
    };
    bench.queue.remember(vec![past(Some(Blame::Miner)); 3]);
    bench.add(request(1, 1, &["evil/a", HONEST]), seconds(110));
    assert!(bench.queue.pause(&pool("evil/a")).is_some());
    assert_eq!(bench.ask("evil/a", seconds(110)), None);
    bench.take(HONEST, seconds(110));
}
