//! Benchmarks in the queue: what nobody asked for, behind everything that somebody asked for.
//!
//! Invariants: a worker is given a slice of a benchmark only where no slice of another request waits that it could be given; nobody
//! stands in for a late one, and no Job is made for one. What few pools could be given holds benchmarks back from those pools and
//! from no others, so that nobody stops everybody's by a request that is never served.

use std::time::Duration;

use super::PoolId;
use super::dispatcher::{Dispatcher, lock};
use super::queue::Queue;
use super::request::RequestEntry;
use super::token::{BenchmarkNote, TokenError, benchmark_seed};
use super::waiting::Waiting;

impl Queue {
    /// The places among the requests of those that are no benchmarks and have a slice that nobody holds.
    pub(super) fn organic_open(&self, now: Duration) -> Vec<usize> {
        let open = |r: &RequestEntry| {
            let looked = r.is_active() && now >= r.nothing_before;
            looked && r.slices.iter().any(|s| r.open_places(s) > 0)
        };
        let all = self.requests.iter().enumerate();
        let organic = all.take_while(|(_, r)| !r.benchmark);
        organic.filter(|(_, r)| open(r)).map(|(at, _)| at).collect()
    }

    /// Whether one of these requests has a slice for this worker.
    pub(super) fn is_waited_for(&self, waiting: &Waiting, open: &[usize]) -> bool {
        let Waiting {
            pool,
            identity,
            worker,
            ..
        } = waiting;
        open.iter()
            .filter_map(|at| self.requests.get(*at))
            .any(|request| {
                worker.request.is_none_or(|uid| uid == request.uid)
                    && request.has(pool)
                    && request.slices.iter().any(|entry| {
                        request.open_places(entry) > 0
                            && worker.fits(&entry.slice)
                            && entry.is_new_to(pool)
                            && !request.faulty(pool)
                    })
                    && self.may_see(request.uid, pool, identity)
            })
    }

    /// Slices of requests that are no benchmarks which wait, of those that most of the pools that are there could be given: what few
    /// may serve, and do not, stops nobody's benchmarks.
    #[must_use]
    pub fn organic_waiting(&self, now: Duration) -> u32 {
        let there = self.standings.iter();
        let there = there.filter(|(_, s)| !s.facts.drained && s.is_there(now)).count();
        let waiting = self.organic_open(now).into_iter().map(|at| {
            let request = &self.requests[at];
            let is_able = |pool: &&PoolId| {
                let there = self.standings.get(pool).is_some_and(|s| s.is_there(now));
                there && self.could(request, pool, now)
            };
            match request.pools.iter().filter(is_able).count() * 2 > there {
                true => request
                    .slices
                    .iter()
                    .map(|s| request.open_places(s))
                    .sum::<usize>(),
                false => 0,
            }
        });
        u32::try_from(waiting.sum::<usize>()).unwrap_or(u32::MAX)
    }
}

impl Dispatcher {
    /// Slices of requests that are no benchmarks which wait: see [`Queue::organic_waiting`].
    #[must_use]
    pub fn organic_waiting(&self) -> u32 {
        let now = self.now();
        lock(&self.state).queue.organic_waiting(now)
    }

    /// A note that the operator has made a benchmark, as text.
    #[must_use]
    pub fn seal_benchmark(&self, note: &BenchmarkNote) -> String {
        note.seal(&self.key)
    }

    /// Opens a note that the operator has made a benchmark.
    ///
    /// # Errors
    /// A note that was not written here.
    pub fn open_benchmark(&self, note: &str) -> Result<BenchmarkNote, TokenError> {
        BenchmarkNote::open(note, &self.key)
    }

    /// What a Validator's benchmark of this number is drawn with.
    #[must_use]
    pub fn benchmark_seed(&self, validator: &str, number: u64) -> Option<[u8; 32]> {
        benchmark_seed(validator, number, &self.key)
    }
}
