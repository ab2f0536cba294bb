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

use zkinfer_crds::RequestUid;

use super::jobs::{JobState, JobView, Purpose};
use crate::dispatch::{PoolId, RequestLoad};

/// Pause before the second round of a pool that ended its first with slices left; it doubles with each round.
const ROUND_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Workers of a request that is over are told so by the gateway; a Job that is still there after this has none that asks.
const TIME_TO_END: Duration = Duration::from_secs(15);
/// How long workers that are up, or begin to come, are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_PATIENCE: Duration = Duration::from_secs(120);
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
    let patience = PATIENCE * 2u32.saturating_pow((absent.count() as u32).saturating_sub(1));
    let comes = |(_, id, _, job): (RequestUid, &PoolId, u32, At)| {
        let pool = of(id).filter(|p| p.serves)?;
        let young = observed.now.saturating_sub(job.seen) < patience.min(LONGEST_PATIENCE);
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
            let pause = (ROUND_PAUSE * 2u32.saturating_pow(round)).min(LONGEST_PAUSE);
            let over = ended.is_some_and(|at| observed.now >= at + pause);
            over.then_some(round + 1)
        }
    };
    (next, at_work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::PoolLoad;

    const UID: RequestUid = RequestUid::new([1; 16]);

    fn id(name: &str) -> PoolId {
        PoolId::new("miners", name)
    }

    fn load(uid: RequestUid, open: u32, pools: &[&str]) -> RequestLoad {
        let pool = |name: &&str| PoolLoad {
            id: id(name),
            serves: true,
            holds: 0,
        };
        RequestLoad {
            uid,
            open,
            redundancy: 1,
            waited: Duration::ZERO,
            pools: pools.iter().map(pool).collect(),
        }
    }

    fn pool(parallelism: u32, warm: u32, warm_ready: u32) -> PoolView {
        PoolView {
            parallelism,
            warm,
            warm_ready,
            usable: true,
            troubled: false,
        }
    }

    fn job(pool: &str, round: u32, state: JobState, ended: Option<Duration>) -> JobView {
        JobView {
            namespace: "miners".to_owned(),
            name: format!("{pool}-{round}"),
            purpose: Purpose::Prove {
                request: UID,
                pool: id(pool),
                round,
                workers: 2,
            },
            state,
            seen: Duration::ZERO,
            ended,
            queue: None,
            pods: Default::default(),
        }
    }

    struct Case {
        loads: Vec<RequestLoad>,
        busy: BTreeMap<PoolId, u32>,
        pools: BTreeMap<PoolId, PoolView>,
        jobs: Vec<JobView>,
        fate: Option<Fate>,
        /// Other requests that are alive.
        others: Vec<RequestUid>,
        lingering: BTreeSet<(RequestUid, PoolId)>,
        now: Duration,
    }

    impl Case {
        fn new(open: u32, pools: &[(&str, PoolView)]) -> Self {
            let names: Vec<&str> = pools.iter().map(|(n, _)| *n).collect();
            Self {
                loads: vec![load(UID, open, &names)],
                busy: BTreeMap::new(),
                pools: pools.iter().map(|(n, p)| (id(n), *p)).collect(),
                jobs: Vec::new(),
                fate: Some(Fate::Alive),
                others: Vec::new(),
                lingering: BTreeSet::new(),
                now: Duration::from_secs(100),
            }
        }

        fn plan(&self) -> Plan {
            plan(&Observed {
                loads: &self.loads,
                busy: &self.busy,
                pools: &self.pools,
                jobs: &self.jobs,
                requests: &self
                    .fate
                    .map(|f| (UID, f))
                    .into_iter()
                    .chain(self.others.iter().map(|uid| (*uid, Fate::Alive)))
                    .collect(),
                lingering: &self.lingering,
                now: self.now,
            })
        }

        fn started(&self) -> Vec<(String, u32, u32)> {
            let start = |s: Start| (s.pool.to_string(), s.round, s.workers);
            self.plan().start.into_iter().map(start).collect()
        }
    }

    #[test]
    fn slices_are_shared_between_the_pools() {
        let case = Case::new(5, &[("a", pool(8, 0, 0)), ("b", pool(8, 0, 0))]);
        assert_eq!(
            case.started(),
            [("miners/a".to_owned(), 0, 3), ("miners/b".to_owned(), 0, 2)]
        );
    }

    #[test]
    fn one_slice_gets_one_job_however_many_pools_there_are_and_the_next_one_is_anothers() {
        let pools: Vec<String> = (0..9).map(|n| format!("p{n}")).collect();
        let pools: Vec<_> = pools.iter().map(|n| (n.as_str(), pool(1, 0, 0))).collect();
        let mut case = Case::new(1, &pools);
        assert_eq!(case.started(), [("miners/p0".to_owned(), 0, 1)]);
        let names: Vec<&str> = pools.iter().map(|(n, _)| *n).collect();
        let others: Vec<_> = (2..10).map(|n| RequestUid::new([n; 16])).collect();
        case.loads.extend(others.iter().map(|uid| load(*uid, 1, &names)));
        case.others = others;
        let started: BTreeSet<_> = case.started().into_iter().map(|s| s.0).collect();
        assert_eq!(started.len(), 9, "nine requests, nine pools");
        let case = Case::new(100, &pools);
        assert_eq!(
            case.started().len(),
            9,
            "all of them, where there is work for all"
        );
        let roomy: Vec<_> = names.iter().map(|n| (*n, pool(50, 0, 0))).collect();
        assert_eq!(Case::new(100, &roomy).started().len(), SPREAD as usize);
    }

    #[test]
    fn another_pool_has_its_turn_when_the_first_ones_workers_do_not_come() {
        let mut case = Case::new(
            1,
            &[("a", pool(1, 0, 0)), ("b", pool(1, 0, 0)), ("c", pool(1, 0, 0))],
        );
        let began = Duration::from_secs(100);
        let made = |name: &str, at: u64| JobView {
            purpose: Purpose::Prove {
                request: UID,
                pool: id(name),
                round: 0,
                workers: 1,
            },
            seen: began + Duration::from_secs(at),
            ..job(name, 0, JobState::Running, None)
        };
        case.jobs = vec![made("a", 0)];
        case.now = began + Duration::from_secs(1);
        assert!(case.started().is_empty(), "it is on its way");
        case.now = began + Duration::from_secs(2);
        assert_eq!(case.started(), [("miners/b".to_owned(), 0, 1)]);
        case.jobs.push(made("b", 2));
        case.now = began + Duration::from_secs(5);
        assert!(
            case.started().is_empty(),
            "each is given more time than the one before"
        );
        case.now = began + Duration::from_secs(6);
        assert_eq!(case.started(), [("miners/c".to_owned(), 0, 1)]);
        // One whose workers would be given nothing is not waited for at all.
        case.jobs.pop();
        case.now = began + Duration::from_secs(1);
        case.loads[0].pools[0].serves = false;
        assert_eq!(case.started(), [("miners/b".to_owned(), 0, 1)]);
    }

    #[test]
    fn idle_warm_workers_that_do_not_take_a_slice_are_not_waited_for() {
        let mut case = Case::new(1, &[("a", pool(1, 1, 1)), ("b", pool(1, 0, 0))]);
        assert!(case.started().is_empty());
        case.loads[0].waited = PATIENCE;
        assert_eq!(case.started(), [("miners/b".to_owned(), 0, 1)]);
    }

    #[test]
    fn a_pool_in_trouble_comes_last() {
        let troubled = PoolView {
            troubled: true,
            ..pool(1, 0, 0)
        };
        let case = Case::new(1, &[("a", troubled), ("b", pool(1, 0, 0))]);
        assert_eq!(case.started(), [("miners/b".to_owned(), 0, 1)]);
    }

    #[test]
    fn workers_that_may_still_deliver_are_let_go_on_when_the_request_is_over() {
        let mut case = Case::new(0, &[]);
        case.jobs = vec![job("a", 0, JobState::Running, None)];
        case.fate = Some(Fate::Over(Duration::from_secs(20)));
        case.lingering = [(UID, id("a"))].into();
        assert!(case.plan().remove.is_empty());
        case.fate = Some(Fate::Cancelled);
        assert_eq!(case.plan().remove.len(), 1);
    }

    #[test]
    fn warm_workers_go_first_and_a_pool_keeps_its_limit() {
        let mut case = Case::new(4, &[("a", pool(3, 2, 2))]);
        assert_eq!(
            case.started(),
            [("miners/a".to_owned(), 0, 1)],
            "two are warm, one may be made"
        );
        case.busy = [(id("a"), 2)].into();
        assert_eq!(case.started(), [("miners/a".to_owned(), 0, 1)]);
        let case = Case::new(2, &[("a", pool(3, 2, 2))]);
        assert!(case.started().is_empty(), "the warm ones are enough");
        let case = Case::new(4, &[("a", pool(2, 2, 0))]);
        assert!(case.started().is_empty(), "they are coming");
    }

    #[test]
    fn later_requests_get_what_is_left() {
        let mut case = Case::new(2, &[("a", pool(3, 0, 0))]);
        let other = RequestUid::new([2; 16]);
        case.loads.push(load(other, 4, &["a"]));
        case.others = vec![other];
        let workers: Vec<(RequestUid, u32)> =
            case.plan().start.iter().map(|s| (s.request, s.workers)).collect();
        assert_eq!(workers, [(UID, 2), (other, 1)]);
    }

    #[test]
    fn a_request_that_is_gone_gets_no_workers_and_keeps_nobody_from_them() {
        let mut case = Case::new(2, &[("a", pool(3, 0, 0))]);
        let ghost = RequestUid::new([9; 16]);
        case.loads.insert(0, load(ghost, 8, &["a"]));
        let started: Vec<(RequestUid, u32)> =
            case.plan().start.iter().map(|s| (s.request, s.workers)).collect();
        assert_eq!(started, [(UID, 2)]);
    }

    #[test]
    fn a_job_that_ended_with_slices_left_is_followed_by_another_round_after_a_pause() {
        let ended = Duration::from_secs(98);
        let mut case = Case::new(2, &[("a", pool(4, 0, 0))]);
        case.jobs = vec![job("a", 0, JobState::Running, None)];
        assert!(case.started().is_empty(), "one Job of a pool at a time");
        case.jobs = vec![job("a", 0, JobState::Ended, Some(ended))];
        assert!(case.started().is_empty(), "too early");
        case.now = Duration::from_secs(103);
        assert_eq!(case.started(), [("miners/a".to_owned(), 1, 2)]);
        case.jobs.push(job("a", 1, JobState::Ended, Some(ended)));
        assert!(case.started().is_empty(), "the pause doubles");
    }

    #[test]
    fn nobody_is_started_for_a_pool_that_may_not_be_given_slices() {
        let mut case = Case::new(2, &[("a", pool(4, 0, 0))]);
        case.pools.insert(
            id("a"),
            PoolView {
                usable: false,
                ..pool(4, 0, 0)
            },
        );
        assert!(case.started().is_empty());
    }

    #[test]
    fn jobs_of_requests_that_are_gone_are_removed() {
        let mut case = Case::new(0, &[]);
        case.jobs = vec![job("a", 0, JobState::Running, None)];
        let removed = |case: &Case| !case.plan().remove.is_empty();
        assert!(!removed(&case));
        case.fate = Some(Fate::Over(Duration::from_secs(1)));
        assert!(!removed(&case), "its workers are told by the gateway");
        case.fate = Some(Fate::Over(Duration::from_secs(20)));
        assert!(removed(&case));
        case.fate = Some(Fate::Cancelled);
        assert!(removed(&case));
        case.fate = None;
        assert!(removed(&case));
    }

    #[test]
    fn a_job_of_which_nothing_comes_any_more_makes_room_for_another() {
        let mut case = Case::new(2, &[("a", pool(2, 0, 0))]);
        case.jobs = vec![job("a", 0, JobState::Lost, None)];
        assert_eq!(case.plan().remove.len(), 1);
        assert!(case.started().is_empty(), "its name is taken");
        case.jobs.clear();
        assert_eq!(case.started(), [("miners/a".to_owned(), 0, 2)]);
    }

    #[test]
    fn a_suspended_request_keeps_no_workers_and_gets_none() {
        let mut case = Case::new(2, &[("a", pool(4, 0, 0))]);
        case.fate = Some(Fate::Suspended);
        assert!(case.started().is_empty());
        case.jobs = vec![job("a", 0, JobState::Running, None)];
        assert_eq!(case.plan().remove.len(), 1);
        case.jobs.clear();
        case.fate = Some(Fate::Alive);
        assert_eq!(case.started(), [("miners/a".to_owned(), 0, 2)]);
    }
}
