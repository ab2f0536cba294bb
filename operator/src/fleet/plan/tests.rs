//! Which Jobs are made and removed.

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
    let workers: Vec<(RequestUid, u32)> = case.plan().start.iter().map(|s| (s.request, s.workers)).collect();
    assert_eq!(workers, [(UID, 2), (other, 1)]);
}

#[test]
fn a_request_that_is_gone_gets_no_workers_and_keeps_nobody_from_them() {
    let mut case = Case::new(2, &[("a", pool(3, 0, 0))]);
    let ghost = RequestUid::new([9; 16]);
    case.loads.insert(0, load(ghost, 8, &["a"]));
    let started: Vec<(RequestUid, u32)> = case.plan().start.iter().map(|s| (s.request, s.workers)).collect();
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
