//! Which Jobs to make and to remove.
//!
//! Invariants: a Job is made only for slices that nobody who is up, or on the way, can be expected to take; so a request
//! of one slice gets one Job, in the pool whose turn it is, however many pools may prove it. A Job whose workers do not
//! come covers its slices for 2 s, for twice as long with each further one of the request; then another pool has its turn.
//!
//! So many Jobs are made: none while warm workers are idle; else one for each slice that is open, in up to [`SPREAD`]
//! pools (or as many as the request's redundancy) of so many workers each, and in more pools only where those have no
//! room for more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zkinfer_client::Pauses;
use zkinfer_crds::RequestUid;

use super::jobs::{JobState, JobView, Purpose};
use crate::dispatch::{PoolId, RequestLoad};

/// Pause before the second round of a pool that ended its first with slices left; it doubles with each round.
const ROUND_PAUSES: Pauses = Pauses::new(Duration::from_secs(5), Duration::from_secs(300));
/// Workers of a request that is over are told so by the gateway; a Job that is still there after this has none that asks.
const TIME_TO_END: Duration = Duration::from_secs(15);
/// How long workers that are up are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// And those that begin to come: longer the more Jobs have none.
const PATIENCES: Pauses = Pauses::new(PATIENCE, Duration::from_secs(120));
/// A request's Jobs are spread over so many pools: each further one costs more in starting than it brings.
const SPREAD: u32 = 4;

/// A pool's room for workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolView {
    /// Most workers at once.
    pub parallelism: u32,
    /// Workers that are kept running.
    pub warm: u32,
    /// Those of them that are up.
    pub warm_ready: u32,
    /// It may be given slices.
    pub usable: bool,
    /// Something keeps its workers from starting: others go first.
    pub troubled: bool,
}

/// What became of a request, as far as its Jobs are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is not over.
    Alive,
    /// It is not over, and nobody works for it until it is resumed.
    Suspended,
    /// It ended, this long ago.
    Over(Duration),
    /// Nobody wants it any more: it was cancelled.
    Cancelled,
}

/// Everything that a plan is made from.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The queue, in order.
    pub loads: &'a [RequestLoad],
    /// Open claims by pool.
    pub busy: &'a BTreeMap<PoolId, u32>,
    /// The pools.
    pub pools: &'a BTreeMap<PoolId, PoolView>,
    /// The Jobs for requests.
    pub jobs: &'a [JobView],
    /// Requests that exist; a Job of any other is removed.
    pub requests: &'a BTreeMap<RequestUid, Fate>,
    /// Pools whose workers may still deliver something for a request that is over.
    pub lingering: &'a BTreeSet<(RequestUid, PoolId)>,
    /// Time since any fixed moment.
    pub now: Duration,
}

/// A Job to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// For this request.
    pub request: RequestUid,
    /// With workers of this pool.
    pub pool: PoolId,
    /// Which Job of the pool for the request it is, from 0.
    pub round: u32,
    /// So many at once.
    pub workers: u32,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Jobs to make.
    pub start: Vec<Start>,
    /// Jobs to remove, as namespace and name.
    pub remove: Vec<(String, String)>,
}

/// Decides.
#[must_use]
pub fn plan(observed: &Observed<'_>) -> Plan {
    Plan {
        start: start(observed),
        remove: observed
            .jobs
            .iter()
            .filter(|job| unwanted(observed, job))
            .map(|job| (job.namespace.clone(), job.name.clone()))
            .collect(),
    }
}

fn unwanted(observed: &Observed<'_>, job: &JobView) -> bool {
    let Purpose::Prove { request, pool, .. } = &job.purpose else {
        return false;
    };
    if job.state == JobState::Lost {
        return true;
    }
    match observed.requests.get(request) {
        None => true,
        Some(Fate::Alive) => false,
        Some(Fate::Suspended | Fate::Cancelled) => job.state == JobState::Running,
        Some(Fate::Over(since)) => {
            let lingers = observed.lingering.contains(&(*request, pool.clone()));
            job.state == JobState::Running && *since >= TIME_TO_END && !lingers
        }
    }
}

/// A pool's workers while Jobs are handed out.
struct Room {
    /// Workers that may still be made.
    free: u32,
    /// Workers that have nothing to do.
    idle: u32,
    /// Workers that are at work, or on the way.
    used: u32,
}

impl Room {
    /// How full the pool is, in thousandths.
    fn fullness(&self) -> u32 {
        let all = u64::from(self.used) + u64::from(self.free);
        (u64::from(self.used) * 1000).checked_div(all).unwrap_or(1000) as u32
    }
}

fn start(observed: &Observed<'_>) -> Vec<Start> {
    let mut rooms: BTreeMap<&PoolId, Room> = BTreeMap::new();
    for (id, pool) in observed.pools {
        let in_jobs: u32 = running(observed)
            .filter(|(_, of, _, _)| *of == id)
            .map(|(_, _, _, job)| job.workers)
            .sum();
        let busy = observed.busy.get(id).copied().unwrap_or(0);
        let room = Room {
            free: pool
                .parallelism
                .saturating_sub(pool.warm.max(pool.warm_ready) + in_jobs),
            // Workers of Jobs are there for their own request alone.
            idle: pool.warm_ready.saturating_sub(busy),
            used: in_jobs + busy.min(pool.warm_ready),
        };
        rooms.insert(id, room);
    }
    let mut starts = Vec::new();
    // A request that is suspended, or gone, is nobody's work and takes nobody's room.
    let wanted = |load: &&RequestLoad| {
        let fate = observed.requests.get(&load.uid);
        load.open > 0 && fate.is_some_and(|fate| *fate != Fate::Suspended)
    };
    for load in observed.loads.iter().filter(wanted) {
        let mut need = load.open.saturating_sub(coming(observed, load));
        // Who is up and idle comes at once, or is not to be waited for.
        if load.waited < PATIENCE {
            for pool in load.pools.iter().filter(|p| p.serves) {
                if let Some(room) = rooms.get_mut(&pool.id) {
                    let warm = need.min(room.idle);
                    room.idle -= warm;
                    need -= warm;
                }
            }
        }
        starts.extend(jobs_for(observed, load, need, &mut rooms));
    }
    starts
}

/// Workers of the request's Jobs that may be expected to come for slices. Those that are up are at work on one, or would
/// have been given what is open: only the young ones are waited for.
fn coming(observed: &Observed<'_>, load: &RequestLoad) -> u32 {
    let of = |id: &PoolId| load.pools.iter().find(|p| p.id == *id);
    let jobs = || running(observed).filter(|(request, _, _, _)| *request == load.uid);
    let absent = jobs().filter(|(_, id, _, _)| of(id).is_some_and(|p| p.holds == 0));
    let patience = PATIENCES.mean((absent.count() as u32).max(1));
    let comes = |(_, id, _, job): (RequestUid, &PoolId, u32, At)| {
        let pool = of(id).filter(|p| p.serves)?;
        let young = observed.now.saturating_sub(job.seen) < patience;
        young.then(|| job.workers.saturating_sub(pool.holds))
    };
    jobs().filter_map(comes).sum()
}

/// Jobs with so many workers, in the pools that are the least full; of those as full, first in the one whose turn it is.
fn jobs_for(
    observed: &Observed<'_>,
    load: &RequestLoad,
    mut need: u32,
    rooms: &mut BTreeMap<&PoolId, Room>,
) -> Vec<Start> {
    let mut able: Vec<(&PoolId, u32)> = Vec::new();
    for pool in load.pools.iter().filter(|p| p.serves && need > 0) {
        let usable = observed.pools.get(&pool.id).is_some_and(|p| p.usable);
        let free = rooms.get(&pool.id).is_some_and(|r| r.free > 0);
        let (round, at_work) = round(observed, load.uid, &pool.id);
        if let Some(round) = round.filter(|_| usable && free && !at_work) {
            able.push((&pool.id, round));
        }
    }
    able.sort_by_key(|(id, _)| {
        let troubled = observed.pools.get(*id).is_some_and(|p| p.troubled);
        (troubled, rooms.get(*id).map(Room::fullness))
    });
    let spread = SPREAD.max(load.redundancy).min(able.len() as u32);
    let mut starts = Vec::new();
    for (place, (id, round)) in able.into_iter().enumerate() {
        let share = need.div_ceil(spread.saturating_sub(place as u32).max(1));
        let Some(room) = rooms.get_mut(id) else { continue };
        let workers = share.min(room.free);
        if workers > 0 {
            room.free -= workers;
            room.used += workers;
            need -= workers;
            starts.push(Start {
                request: load.uid,
                pool: id.clone(),
                round,
                workers,
            });
        }
    }
    starts
}

/// A Job at work.
#[derive(Clone, Copy)]
struct At {
    workers: u32,
    seen: Duration,
}

/// Jobs at work: request, pool, round.
fn running<'a>(observed: &'a Observed<'_>) -> impl Iterator<Item = (RequestUid, &'a PoolId, u32, At)> {
    let jobs = observed.jobs.iter().filter(|j| j.state == JobState::Running);
    jobs.filter_map(|j| match &j.purpose {
        Purpose::Prove {
            request,
            pool,
            round,
            workers,
        } => {
            let at = At {
                workers: *workers,
                seen: j.seen,
            };
            Some((*request, pool, *round, at))
        }
        Purpose::Compile { .. } => None,
    })
}

/// The next round of a pool for a request, unless it is too early for one; and whether a Job is at work.
fn round(observed: &Observed<'_>, uid: RequestUid, id: &PoolId) -> (Option<u32>, bool) {
    let at_work = running(observed).any(|(request, pool, _, _)| request == uid && pool == id);
    let last = observed
        .jobs
        .iter()
        .filter_map(|j| match &j.purpose {
            Purpose::Prove {
                request, pool, round, ..
            } if *request == uid && pool == id => Some((*round, j.ended)),
            _ => None,
        })
        .max_by_key(|(round, _)| *round);
    let next = match last {
        None => Some(0),
        Some((round, ended)) => {
            let pause = ROUND_PAUSES.mean(round.saturating_add(1));
            let over = ended.is_some_and(|at| observed.now >= at + pause);
            over.then_some(round + 1)
        }
    };
    (next, at_work)
}

#[cfg(test)]
mod tests;
