//! The queue at work: its runs, its clock, and what has ended.
//!
//! Invariant: after every change the queue is settled: what is over is ended, who waits is given what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::sync::{Notify, Semaphore, oneshot};
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid};

use super::attempt::{Attempt, AttemptEnd};
use super::breaker::Pause;
use super::ledger::Entry;
use super::load::RequestLoad;
use super::queue::{Past, Queue};
use super::record;
use super::request::{QueuedRequest, QueuedSlice};
use super::standing::PoolFacts;
use super::token::{Author, ClaimToken, CompileToken, TokenError, TokenKey};
use super::waiting::{Claimed, Ticket};
use super::{PoolId, SliceCounts};
use crate::artifacts::{ArtifactError, Artifacts};
use crate::metrics::Metrics;
use crate::runs::Run;

/// Who a worker is, as the gateway has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerAuth {
    /// Its pool.
    pub pool: PoolId,
    /// The miner that its proofs are bound to.
    pub identity: Identity,
}

/// The queue, and who waits for its answers.
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) answers: BTreeMap<Ticket, oneshot::Sender<Claimed>>,
    pub(super) next_ticket: Ticket,
    /// When the queue is next looked at by itself.
    planned: Duration,
}

/// See the module.
pub struct Dispatcher {
    pub(super) state: Mutex<State>,
    pub(super) runs: Mutex<BTreeMap<RequestUid, Arc<Run>>>,
    /// Blobs that were granted, by request and pool; they can be read as long as the request is here.
    pub(super) granted: Mutex<BTreeMap<RequestUid, BTreeMap<PoolId, BTreeSet<Digest>>>>,
    ended: Mutex<Vec<Attempt>>,
    pub(super) artifacts: Artifacts,
    pub(super) key: TokenKey,
    started: Instant,
    pub(super) closed: AtomicBool,
    /// Something happens in the queue sooner than was thought.
    sooner: Arc<Notify>,
    /// Something has ended: whoever follows the runs looks again.
    progress: Notify,
    pub(super) verifying: Arc<Semaphore>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

/// The queue's time when the operator starts: claims from before it have times too.
const START: Duration = Duration::from_secs(7 * 24 * 3600);
/// What is older is forgotten: no pause is longer.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// The queue is looked at so often at least, and at most.
const TICK: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(2);

impl Dispatcher {
    /// A dispatcher without work; it needs a runtime. `threads` proofs are verified at once.
    #[must_use]
    pub fn new(
        artifacts: Artifacts,
        key: TokenKey,
        leases: (Duration, Duration),
        threads: usize,
    ) -> Arc<Self> {
        let this = Arc::new(Self {
            state: Mutex::new(State {
                queue: Queue::new(leases),
                answers: BTreeMap::new(),
                next_ticket: 0,
                planned: Duration::ZERO,
            }),
            runs: Mutex::default(),
            granted: Mutex::default(),
            ended: Mutex::default(),
            artifacts,
            key,
            started: Instant::now(),
            closed: AtomicBool::new(false),
            sooner: Arc::new(Notify::new()),
            progress: Notify::new(),
            verifying: Arc::new(Semaphore::new(threads.max(1))),
        });
        tokio::spawn(keep_time(Arc::downgrade(&this), Arc::clone(&this.sooner)));
        this
    }

    pub(super) fn now(&self) -> Duration {
        START + self.started.elapsed()
    }

    /// Leases are so long at least, and at most, from now on; open claims keep theirs.
    pub fn set_leases(&self, leases: (Duration, Duration)) {
        lock(&self.state).queue.leases = leases;
    }

    /// The artifact store that blobs are read from.
    #[must_use]
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// What is known of a pool from now on; a pool of which nothing is known gets no slices.
    pub fn know(&self, pool: &PoolId, facts: PoolFacts) {
        let now = self.now();
        let news = lock(&self.state).queue.know(pool, facts, now);
        if news {
            self.settle();
        }
    }

    /// The pool is gone.
    pub fn forget(&self, pool: &PoolId) {
        let now = self.now();
        lock(&self.state).queue.forget(pool, now);
        self.settle();
    }

    /// What became of claims before this start, as the ledger has it, oldest first. An hour of it bears on what follows.
    pub fn remember(&self, ledger: &[zkinfer_scoring::Entry], standing: &[Entry]) {
        let now = self.now();
        let recent = |at: u64| Duration::from_millis(unix_millis().saturating_sub(at)) < REMEMBERED;
        let of_ledger = ledger.iter().filter(|entry| recent(entry.at));
        let mut all: Vec<Entry> = of_ledger.map(Entry::of_ledger).collect();
        all.extend(standing.iter().filter(|entry| recent(entry.at)).cloned());
        all.sort_by_key(|entry| entry.at);
        let past = all.iter().filter_map(|entry| {
            let blame = match (entry.verified, entry.cause()) {
                (true, _) => None,
                (false, cause) => Some(cause?.blame()),
            };
            Some(Past {
                pool: entry.pool.clone(),
                at: now.saturating_sub(entry.ago()),
                took: blame.is_none().then(|| {
                    let micros = Duration::from_micros;
                    (micros(entry.work_micros), micros(entry.micros))
                }),
                blame,
            })
        });
        lock(&self.state).queue.remember(past.collect());
    }

    /// Says how far the slices of all requests are.
    pub fn count(&self, metrics: &Metrics) {
        let mut all = SliceCounts::default();
        for counts in self.uids().into_iter().filter_map(|uid| self.counts(uid)) {
            all.queued += counts.queued;
            all.claimed += counts.claimed;
            all.proved += counts.proved;
            all.verified += counts.verified;
        }
        metrics.slices(all);
    }

    /// The requests whose slices this pool may be given.
    #[must_use]
    pub fn requests_of(&self, pool: &PoolId) -> Vec<RequestUid> {
        lock(&self.state).queue.requests_of(pool)
    }

    /// The pause of a pool that has failed or handed back too often.
    #[must_use]
    pub fn pause(&self, pool: &PoolId) -> Option<Pause> {
        lock(&self.state).queue.pause(pool)
    }

    /// Queues a run's slices.
    pub fn add(&self, run: Arc<Run>, priority: i32, redundancy: u32, pools: Vec<PoolId>) {
        let request = queued(&run, (priority, false), redundancy, pools);
        lock(&self.runs).insert(run.uid, run);
        let now = self.now();
        lock(&self.state).queue.add(request, now);
        self.settle();
    }

    /// Queues the slices of a run that may have been at work before the operator was started: open claims go on, and
    /// proofs that are in the store are verified again. With its priority is said whether it is a benchmark.
    ///
    /// # Errors
    /// A failing store; nothing was queued.
    pub async fn resume(
        self: &Arc<Self>,
        run: Arc<Run>,
        priority: (i32, bool),
        redundancy: u32,
        pools: Vec<PoolId>,
    ) -> Result<(), ArtifactError> {
        let request = queued(&run, priority, redundancy, pools);
        let restored = record::restore(&self.artifacts, run.uid, self.now(), unix_millis()).await?;
        lock(&self.runs).insert(run.uid, Arc::clone(&run));
        for claim in restored.claims.iter().filter(|c| c.open) {
            self.allow(run.uid, &claim.lease.pool, &run, claim.slice);
        }
        let now = self.now();
        lock(&self.state)
            .queue
            .add_restored(request, restored.claims, now);
        if !(restored.counted.is_empty() && restored.proofs.is_empty()) {
            let this = Arc::clone(self);
            tokio::spawn(async move {
                // What has counted before counts first: another good proof of its slice came later then, too.
                for proofs in [restored.counted, restored.proofs] {
                    let one = |(token, bytes)| Arc::clone(&this).verify(Arc::clone(&run), token, bytes);
                    join_all(proofs.into_iter().map(one)).await;
                }
            });
        }
        self.settle();
        Ok(())
    }

    /// Other pools for a run; open claims go on.
    pub fn retarget(&self, uid: RequestUid, pools: Vec<PoolId>) {
        lock(&self.state).queue.retarget(uid, pools);
        self.settle();
    }

    /// What the queued requests ask of their pools, in order, and how many claims each pool has open.
    #[must_use]
    pub fn loads(&self) -> (Vec<RequestLoad>, BTreeMap<PoolId, u32>) {
        let now = self.now();
        let state = lock(&self.state);
        (state.queue.loads(now), state.queue.busy())
    }

    /// The pools whose workers may still deliver something for a request that is over.
    #[must_use]
    pub fn lingering(&self) -> BTreeSet<(RequestUid, PoolId)> {
        lock(&self.state).queue.lingering()
    }

    /// The requests that are not over.
    #[must_use]
    pub fn uids(&self) -> Vec<RequestUid> {
        lock(&self.state).queue.uids()
    }

    /// Takes a run out of the queue. If it ended by itself its open claims go on until their leases end; otherwise they
    /// end without blame.
    pub fn remove(&self, uid: RequestUid, ended_by_itself: bool) {
        let now = self.now();
        let mut state = lock(&self.state);
        state.queue.remove(uid, ended_by_itself, now);
        let queued = state.queue.counts(uid).is_some();
        drop(state);
        if !queued {
            lock(&self.runs).remove(&uid);
            lock(&self.granted).remove(&uid);
        }
        self.settle();
    }

    /// Hands out no slices of a run, or does so again.
    pub fn suspend(&self, uid: RequestUid, suspended: bool) {
        lock(&self.state).queue.suspend(uid, suspended);
        self.settle();
    }

    /// There will be no more work: every worker that asks is told so.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        lock(&self.state).answers.clear();
    }

    /// Slices by state.
    #[must_use]
    pub fn counts(&self, uid: RequestUid) -> Option<SliceCounts> {
        lock(&self.state).queue.counts(uid)
    }

    /// Why a run cannot succeed any more.
    #[must_use]
    pub fn failure(&self, uid: RequestUid) -> Option<String> {
        lock(&self.state).queue.failure(uid).map(str::to_owned)
    }

    /// Whether every slice is verified.
    #[must_use]
    pub fn all_verified(&self, uid: RequestUid) -> bool {
        lock(&self.state).queue.all_verified(uid)
    }

    /// The attempts that have ended since the last call, in order.
    #[must_use]
    pub fn take_ended(&self) -> Vec<Attempt> {
        self.settle();
        std::mem::take(&mut lock(&self.ended))
    }

    /// Waits until something has ended.
    pub async fn progressed(&self) {
        self.progress.notified().await;
    }

    /// Brings the queue up to date.
    pub(super) fn settle(&self) {
        let now = self.now();
        let mut state = lock(&self.state);
        loop {
            let mut gone = Vec::new();
            for (ticket, claimed) in state.queue.assign(now, &mut || ClaimId::new(random())) {
                // Who has gone meanwhile does not keep the slice.
                let sent = state.answers.remove(&ticket).map(|answer| answer.send(claimed));
                if let Some(Err(Claimed::Slice(slice))) = sent {
                    gone.push((slice.request, slice.claim));
                }
            }
            if gone.is_empty() {
                break;
            }
            for (request, claim) in gone {
                state.queue.end(request, claim, AttemptEnd::left(), now);
            }
        }
        let (mut ended, gone) = (state.queue.take_ended(), state.queue.take_gone());
        let sooner = state
            .queue
            .next_wakeup(now)
            .is_some_and(|next| next < state.planned);
        drop(state);
        for attempt in &mut ended {
            let run = lock(&self.runs).get(&attempt.request).cloned();
            attempt.model = run.map(|run| run.model.report.manifest.digest);
        }
        for uid in gone {
            lock(&self.runs).remove(&uid);
            lock(&self.granted).remove(&uid);
        }
        if !ended.is_empty() {
            lock(&self.ended).extend(ended);
            self.progress.notify_one();
        }
        if sooner {
            self.sooner.notify_one();
        }
    }

    /// The worker behind a ticket waits no more.
    pub(super) fn stop_waiting(&self, ticket: Ticket) {
        let mut state = lock(&self.state);
        state.answers.remove(&ticket);
        state.queue.leave(ticket);
    }

    /// The right to compile a model, as text.
    #[must_use]
    pub fn seal_compile(&self, token: &CompileToken) -> String {
        token.seal(&self.key)
    }

    /// Opens a compiler's token.
    ///
    /// # Errors
    /// A token that was not issued here.
    pub fn open_compile(&self, token: &str) -> Result<CompileToken, TokenError> {
        CompileToken::open(token, &self.key)
    }

    /// A note of who made a request, as text.
    #[must_use]
    pub fn seal_author(&self, author: &Author) -> String {
        author.seal(&self.key)
    }

    /// Opens a note of who made a request.
    ///
    /// # Errors
    /// A note that was not written here.
    pub fn open_author(&self, note: &str) -> Result<Author, TokenError> {
        Author::open(note, &self.key)
    }

    /// Opens a claim's token.
    ///
    /// # Errors
    /// A token that was not issued here.
    pub fn open(&self, token: &str) -> Result<ClaimToken, TokenError> {
        ClaimToken::open(token, &self.key)
    }

    /// Whether a claim still waits for its proof.
    #[must_use]
    pub fn is_open(&self, token: &ClaimToken) -> bool {
        lock(&self.state)
            .queue
            .is_open(token.request, token.claim, self.now())
    }

    pub(super) fn end(&self, uid: RequestUid, claim: ClaimId, end: AttemptEnd) {
        let now = self.now();
        lock(&self.state).queue.end(uid, claim, end, now);
        self.settle();
    }

    pub(super) fn take_back(&self, uid: RequestUid, claim: ClaimId) {
        lock(&self.state).queue.take_back(uid, claim);
        self.settle();
    }
}

/// Settles the queue when something happens in it by itself, as long as the dispatcher is there.
async fn keep_time(dispatcher: Weak<Dispatcher>, sooner: Arc<Notify>) {
    loop {
        let Some(this) = dispatcher.upgrade() else { return };
        this.settle();
        let now = this.now();
        let pause = {
            let mut state = lock(&this.state);
            let next = state.queue.next_wakeup(now).unwrap_or(now + TICK);
            state.planned = next.min(now + TICK);
            state.planned.saturating_sub(now)
        };
        drop(this);
        let _ = tokio::time::timeout(pause.max(SHORTEST), sooner.notified()).await;
    }
}

fn queued(
    run: &Run,
    (priority, benchmark): (i32, bool),
    redundancy: u32,
    pools: Vec<PoolId>,
) -> QueuedRequest {
    let parameter_id = run.model.parameter_id;
    let slice = |(index, s): (usize, &zkinfer_crds::compile_report::CompiledSlice)| QueuedSlice {
        index: zkinfer_crds::SliceIndex(index as u32),
        digest: run
            .model
            .manifest
            .slices
            .get(index)
            .map_or(Digest::new([0; 32]), |s| s.vk),
        predicted: Duration::from_micros(s.predicted_micros),
        memory_bytes: s.predicted_memory_bytes,
        parameter_id,
    };
    QueuedRequest {
        uid: run.uid,
        benchmark,
        priority,
        redundancy,
        pools,
        slices: run.model.report.slices.iter().enumerate().map(slice).collect(),
    }
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    bytes
}
