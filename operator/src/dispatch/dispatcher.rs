//! The queue at work: runs, tokens, waiting workers, verification.
//!
//! Invariants: nobody is given a slice, or a file of one, whom the request's side does not let see it, and of a request of
//! which no consent is known nobody is; a grant's statement is computed by the operator for its claim and identity; a proof is stored in its
//! write-once slot before it is verified; every submitted proof is verified, in a bounded number of threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::sync::{Notify, Semaphore};
use zkinfer_crds::wire::{ClaimGrant, ClaimRequest, MAX_WAIT_SECONDS, Refusal, RefuseReason};
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};

use super::attempt::{Attempt, AttemptEnd};
use super::queue::{Claimed, ClaimedSlice, Queue, Worker};
use super::record::{self, ClaimRecord};
use super::request::{QueuedRequest, QueuedSlice, RequestLoad};
use super::token::{ClaimToken, CompileToken, TokenError, TokenKey};
use super::{PoolId, SliceCounts};
use crate::artifacts::{ArtifactError, Artifacts, PutOnce};
use crate::consent::Consent;
use crate::runs::{Run, VerifyOutcome};

/// Who a worker is, as the gateway has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerAuth {
    /// Its pool.
    pub pool: PoolId,
    /// The miner that its proofs are bound to.
    pub identity: Identity,
}

/// Answer to a claim.
#[derive(Debug)]
pub enum ClaimAnswer {
    /// Prove this.
    Grant(Box<ClaimGrant>),
    /// Nothing while the worker waited.
    Nothing,
    /// There will be no more work.
    Over,
}

/// Answer to a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmitAnswer {
    /// Taken; it will be verified.
    Taken,
    /// The same bytes were taken before.
    Again,
    /// Other bytes were taken before.
    Conflict,
    /// The lease has ended, or the request is over.
    Gone,
}

/// See the module.
pub struct Dispatcher {
    queue: Mutex<Queue>,
    runs: Mutex<BTreeMap<RequestUid, Arc<Run>>>,
    /// Blobs that were granted, by request and pool; they can be read as long as the request is here.
    granted: Mutex<BTreeMap<RequestUid, BTreeMap<PoolId, BTreeSet<Digest>>>>,
    /// Who may see what of a request. Where both are locked, this is locked before the queue.
    consents: Mutex<BTreeMap<RequestUid, Consent>>,
    ended: Mutex<Vec<Attempt>>,
    artifacts: Artifacts,
    key: TokenKey,
    started: Instant,
    closed: AtomicBool,
    /// Work may be there: waiting workers look again.
    work: Notify,
    /// Something has ended: whoever follows the runs looks again.
    progress: Notify,
    verifying: Arc<Semaphore>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

/// The queue's time when the operator starts: claims from before it have times too.
const START: Duration = Duration::from_secs(7 * 24 * 3600);

impl Dispatcher {
    /// A dispatcher without work. `threads` proofs are verified at once.
    #[must_use]
    pub fn new(artifacts: Artifacts, key: TokenKey, least_lease: Duration, threads: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue::new(least_lease)),
            runs: Mutex::default(),
            granted: Mutex::default(),
            consents: Mutex::default(),
            ended: Mutex::default(),
            artifacts,
            key,
            started: Instant::now(),
            closed: AtomicBool::new(false),
            work: Notify::new(),
            progress: Notify::new(),
            verifying: Arc::new(Semaphore::new(threads.max(1))),
        })
    }

    fn now(&self) -> Duration {
        START + self.started.elapsed()
    }

    /// The artifact store that blobs are read from.
    #[must_use]
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// Queues a run's slices.
    pub fn add(&self, run: Arc<Run>, priority: i32, redundancy: u32, pools: Vec<PoolId>) {
        let request = queued(&run, priority, redundancy, pools);
        lock(&self.runs).insert(run.uid, run);
        lock(&self.queue).add(request, self.now());
        self.work.notify_waiters();
    }

    /// Queues the slices of a run that may have been at work before the operator was started: open claims go on, and
    /// proofs that are in the store are verified again.
    ///
    /// # Errors
    /// A failing store; nothing was queued.
    pub async fn resume(
        self: &Arc<Self>,
        run: Arc<Run>,
        priority: i32,
        redundancy: u32,
        pools: Vec<PoolId>,
    ) -> Result<(), ArtifactError> {
        let request = queued(&run, priority, redundancy, pools);
        let restored = record::restore(&self.artifacts, run.uid, self.now(), unix_millis()).await?;
        lock(&self.runs).insert(run.uid, Arc::clone(&run));
        for claim in restored.claims.iter().filter(|c| c.open) {
            self.allow(run.uid, &claim.lease.pool, &run, claim.slice);
        }
        {
            let consents = lock(&self.consents);
            let mut queue = lock(&self.queue);
            queue.add_restored(request, restored.claims, self.now());
            // It may have been withdrawn while the operator was away.
            queue.withdraw(
                run.uid,
                |pool, identity| may(&consents, run.uid, pool, identity),
                self.now(),
            );
        }
        self.collect();
        for (token, bytes) in restored.proofs {
            let (this, run) = (Arc::clone(self), Arc::clone(&run));
            tokio::spawn(async move { this.verify(run, token, bytes).await });
        }
        self.work.notify_waiters();
        Ok(())
    }

    /// Who may see a request from now on; open claims of others end, without blame. It is said before the request is
    /// added. Whether something else was said before.
    pub fn consent(&self, uid: RequestUid, consent: Consent) -> bool {
        {
            let mut consents = lock(&self.consents);
            if consents.get(&uid) == Some(&consent) {
                return false;
            }
            consents.insert(uid, consent);
            let may = |pool: &PoolId, identity: &Identity| may(&consents, uid, pool, identity);
            lock(&self.queue).withdraw(uid, may, self.now());
        }
        self.collect();
        self.work.notify_waiters();
        true
    }

    /// Other pools for a run; open claims go on.
    pub fn retarget(&self, uid: RequestUid, pools: Vec<PoolId>) {
        lock(&self.queue).retarget(uid, pools);
        self.work.notify_waiters();
    }

    /// Gives a pool no new slices from now on, or does so again; open claims go on.
    pub fn drain(&self, pool: &PoolId, drained: bool) {
        let changed = lock(&self.queue).drain(pool, drained);
        if changed {
            self.work.notify_waiters();
        }
    }

    /// What the queued requests ask of their pools, in order, and how many claims each pool has open.
    #[must_use]
    pub fn loads(&self) -> (Vec<RequestLoad>, BTreeMap<PoolId, u32>) {
        let queue = lock(&self.queue);
        (queue.loads(), queue.busy())
    }

    /// The runs that are here.
    #[must_use]
    pub fn uids(&self) -> Vec<RequestUid> {
        lock(&self.runs).keys().copied().collect()
    }

    /// Takes a run out of the queue; open claims end without blame.
    pub fn remove(&self, uid: RequestUid) {
        lock(&self.queue).remove(uid, self.now());
        lock(&self.runs).remove(&uid);
        lock(&self.granted).remove(&uid);
        lock(&self.consents).remove(&uid);
        self.collect();
    }

    /// Hands out no slices of a run, or does so again.
    pub fn suspend(&self, uid: RequestUid, suspended: bool) {
        lock(&self.queue).suspend(uid, suspended);
        self.work.notify_waiters();
    }

    /// There will be no more work: every worker that asks is told so.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.work.notify_waiters();
    }

    /// Slices by state.
    #[must_use]
    pub fn counts(&self, uid: RequestUid) -> Option<SliceCounts> {
        lock(&self.queue).counts(uid)
    }

    /// Why a run cannot succeed any more.
    #[must_use]
    pub fn failure(&self, uid: RequestUid) -> Option<String> {
        lock(&self.queue).failure(uid).map(str::to_owned)
    }

    /// Whether every slice is verified.
    #[must_use]
    pub fn all_verified(&self, uid: RequestUid) -> bool {
        lock(&self.queue).all_verified(uid)
    }

    /// The attempts that have ended since the last call, in order.
    #[must_use]
    pub fn take_ended(&self) -> Vec<Attempt> {
        {
            let mut queue = lock(&self.queue);
            queue.expire(self.now());
        }
        self.collect();
        std::mem::take(&mut lock(&self.ended))
    }

    /// Waits until something has ended.
    pub async fn progressed(&self) {
        self.progress.notified().await;
    }

    fn collect(&self) {
        let ended = lock(&self.queue).take_ended();
        if !ended.is_empty() {
            lock(&self.ended).extend(ended);
            self.work.notify_waiters();
            self.progress.notify_one();
        }
    }

    /// Gives a worker a slice, waiting a while for one.
    pub async fn claim(&self, auth: &WorkerAuth, request: &ClaimRequest) -> ClaimAnswer {
        let wait = Duration::from_secs(u64::from(request.wait_seconds.min(MAX_WAIT_SECONDS)));
        let deadline = self.now() + wait;
        let mut worker = Worker {
            name: request.worker.clone(),
            parameters: request.parameters.clone(),
            memory_bytes: request.memory_bytes,
            request: request.request,
            barred: BTreeSet::new(),
        };
        loop {
            // Registered before looking, so that work which arrives in between is not missed.
            let mut woken = std::pin::pin!(self.work.notified());
            woken.as_mut().enable();
            if self.closed.load(Ordering::SeqCst) {
                return ClaimAnswer::Over;
            }
            let now = self.now();
            let (claimed, wakeup) = {
                let consents = lock(&self.consents);
                let mut queue = lock(&self.queue);
                worker.barred = queue
                    .uids()
                    .filter(|uid| !may(&consents, *uid, &auth.pool, &auth.identity))
                    .collect();
                let claimed = queue.claim(&auth.pool, auth.identity, &worker, ClaimId::new(random()), now);
                (claimed, queue.next_wakeup(now))
            };
            self.collect();
            match claimed {
                Claimed::Slice(claimed) => {
                    let mut unanswered = Unanswered {
                        dispatcher: self,
                        claimed: Some((claimed.request, claimed.claim)),
                    };
                    let granted = self.grant(auth, &claimed, &worker.name).await;
                    unanswered.claimed = None;
                    match granted {
                        // Its claim has ended, and nothing of it is told.
                        Ok(_) if !self.may_see(claimed.request, auth) => continue,
                        Ok(Some(grant)) => return ClaimAnswer::Grant(Box::new(grant)),
                        Ok(None) => {
                            let why = "the slice's files are not known".to_owned();
                            self.end(claimed.request, claimed.claim, AttemptEnd::Operator(why));
                        }
                        // What is not written down would not survive a restart, so it is not granted. The store will be
                        // back; it is nobody's attempt.
                        Err(error) => {
                            tracing::warn!(%error, "a claim cannot be written down");
                            lock(&self.queue).take_back(claimed.request, claimed.claim);
                        }
                    }
                    // What failed is not tried again at once.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Claimed::Over => return ClaimAnswer::Over,
                Claimed::Nothing => {}
            }
            if self.now() >= deadline {
                return ClaimAnswer::Nothing;
            }
            let until = wakeup
                .map_or(deadline, |at| at.min(deadline))
                .saturating_sub(self.now());
            let _ = tokio::time::timeout(until.max(Duration::from_millis(1)), woken).await;
        }
    }

    async fn grant(
        &self,
        auth: &WorkerAuth,
        claimed: &ClaimedSlice,
        worker: &str,
    ) -> Result<Option<ClaimGrant>, ArtifactError> {
        let run = lock(&self.runs).get(&claimed.request).cloned();
        let Some((run, inputs)) = run.and_then(|r| r.inputs(claimed.slice).cloned().map(|i| (r, i))) else {
            return Ok(None);
        };
        let Some(compiled) = run.model.slice(claimed.slice) else {
            return Ok(None);
        };
        let issued = unix_millis() / 1000;
        let lease_seconds = claimed.lease.as_secs().max(1);
        let token = ClaimToken {
            request: claimed.request,
            slice: claimed.slice,
            claim: claimed.claim,
            pool: auth.pool.clone(),
            identity: auth.identity,
            issued,
            expires: issued + lease_seconds,
            max_bytes: claimed.max_bytes,
        };
        let grant = ClaimGrant {
            token: token.seal(&self.key),
            claim: claimed.claim,
            request: claimed.request,
            slice: claimed.slice,
            attempt: claimed.attempt,
            lease_seconds: lease_seconds as u32,
            max_bytes: claimed.max_bytes,
            parameter_id: run.model.manifest.parameter_id,
            memory_bytes: compiled.predicted_memory_bytes,
            identity: auth.identity,
            statement: run.statement(claimed.slice, claimed.claim, auth.identity),
            manifest: run.model.report.manifest.clone(),
            graph: run.model.report.graph.clone(),
            inputs,
            proving_key: compiled.halo2.as_ref().map(|h| h.proving_key.clone()),
            srs: compiled.halo2.as_ref().map(|h| h.srs.clone()),
        };
        self.allow(claimed.request, &auth.pool, &run, claimed.slice);
        let record = ClaimRecord {
            token,
            attempt: claimed.attempt,
            worker: worker.to_owned(),
        };
        let json = serde_json::to_vec(&record).unwrap_or_default();
        self.artifacts
            .put_claim(claimed.request, claimed.slice, claimed.claim, json)
            .await?;
        Ok(Some(grant))
    }

    /// Lets a pool read what a slice is proved from.
    fn allow(&self, uid: RequestUid, pool: &PoolId, run: &Run, slice: SliceIndex) {
        let report = &run.model.report;
        let halo2 = run.model.slice(slice).and_then(|s| s.halo2.as_ref());
        let of_slice = halo2.map(|h| [&h.proving_key, &h.srs]);
        let blobs = [Some(&report.manifest), Some(&report.graph), run.inputs(slice)];
        lock(&self.granted)
            .entry(uid)
            .or_default()
            .entry(pool.clone())
            .or_default()
            .extend(
                blobs
                    .into_iter()
                    .flatten()
                    .chain(of_slice.into_iter().flatten())
                    .map(|b| b.digest),
            );
    }

    /// Whether the request's side lets a worker's pool see it.
    fn may_see(&self, uid: RequestUid, auth: &WorkerAuth) -> bool {
        may(&lock(&self.consents), uid, &auth.pool, &auth.identity)
    }

    /// Whether a blob was granted to a worker's pool, for a request that is still here and still lets it see that.
    #[must_use]
    pub fn may_read(&self, auth: &WorkerAuth, digest: &Digest) -> bool {
        let consents = lock(&self.consents);
        lock(&self.granted).iter().any(|(uid, pools)| {
            let granted = pools.get(&auth.pool).is_some_and(|blobs| blobs.contains(digest));
            granted && may(&consents, *uid, &auth.pool, &auth.identity)
        })
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
        lock(&self.queue).is_open(token.request, token.claim, self.now())
    }

    /// Takes a proof: stores it, then has it verified.
    ///
    /// # Errors
    /// A failing store; nothing is burnt, the worker may try again.
    pub async fn submit(
        self: &Arc<Self>,
        token: ClaimToken,
        bytes: Bytes,
    ) -> Result<SubmitAnswer, ArtifactError> {
        let run = lock(&self.runs).get(&token.request).cloned();
        let Some(run) = run else {
            return Ok(SubmitAnswer::Gone);
        };
        let open = self.is_open(&token);
        // A worker whose proof was not taken is not to blame for its lease.
        let excused = |e| {
            lock(&self.queue).excuse(token.request, token.claim);
            e
        };
        let there = self.artifacts.has_proof(token.request, token.slice, token.claim);
        if !open && !there.await.map_err(excused)? {
            return Ok(SubmitAnswer::Gone);
        }
        match self
            .artifacts
            .put_proof(token.request, token.slice, token.claim, bytes.clone())
            .await
            .map_err(excused)?
        {
            PutOnce::Same => return Ok(SubmitAnswer::Again),
            PutOnce::Different => return Ok(SubmitAnswer::Conflict),
            PutOnce::Created => {}
        }
        if !lock(&self.queue).submitted(token.request, token.claim, bytes.len() as u64, self.now()) {
            return Ok(SubmitAnswer::Gone);
        }
        let this = Arc::clone(self);
        tokio::spawn(async move { this.verify(run, token, bytes).await });
        Ok(SubmitAnswer::Taken)
    }

    async fn verify(self: Arc<Self>, run: Arc<Run>, token: ClaimToken, bytes: Bytes) {
        let ClaimToken {
            request,
            slice,
            claim,
            identity,
            ..
        } = token;
        let permit = Arc::clone(&self.verifying).acquire_owned().await;
        let verdict = tokio::task::spawn_blocking(move || run.verify(slice, claim, identity, &bytes)).await;
        drop(permit);
        let end = match verdict {
            Ok(VerifyOutcome::Verified) => AttemptEnd::Verified,
            Ok(VerifyOutcome::Invalid(why)) => AttemptEnd::Invalid(why),
            Ok(VerifyOutcome::Operator(why)) => AttemptEnd::Operator(why),
            Err(_) => AttemptEnd::Operator("the verifier stopped".to_owned()),
        };
        self.end(request, claim, end);
    }

    /// Ends a claim whose body was larger than any proof, unless a proof has come before.
    pub fn too_large(&self, token: &ClaimToken) {
        self.give_up(token, AttemptEnd::TooLarge);
    }

    /// Takes a slice back. `false` when a proof has come, or the claim has ended before.
    pub fn refuse(&self, token: &ClaimToken, refusal: Refusal) -> bool {
        self.give_up(token, AttemptEnd::HandedBack(refusal.reason, refusal.message))
    }

    fn give_up(&self, token: &ClaimToken, end: AttemptEnd) -> bool {
        let given_up = lock(&self.queue).give_up(token.request, token.claim, end, self.now());
        self.collect();
        given_up
    }

    fn end(&self, uid: RequestUid, claim: ClaimId, end: AttemptEnd) -> bool {
        let ended = lock(&self.queue).end(uid, claim, end, self.now());
        self.collect();
        ended
    }
}

/// A claim whose worker has no answer yet. When the call is dropped meanwhile, because the worker has gone, the slice is
/// free again, and nobody is to blame.
struct Unanswered<'a> {
    dispatcher: &'a Dispatcher,
    claimed: Option<(RequestUid, ClaimId)>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some((request, claim)) = self.claimed {
            let message = "the worker left before it had its answer".to_owned();
            let end = AttemptEnd::HandedBack(RefuseReason::Draining, message);
            self.dispatcher.end(request, claim, end);
        }
    }
}

/// Whether a pool may see a request.
fn may(
    consents: &BTreeMap<RequestUid, Consent>,
    uid: RequestUid,
    pool: &PoolId,
    identity: &Identity,
) -> bool {
    let consent = consents.get(&uid);
    consent.is_some_and(|consent| consent.allows(pool.namespace(), identity))
}

fn queued(run: &Run, priority: i32, redundancy: u32, pools: Vec<PoolId>) -> QueuedRequest {
    let parameter_id = run.model.manifest.parameter_id;
    let slice = |(index, s): (usize, &zkinfer_crds::compile_report::CompiledSlice)| QueuedSlice {
        index: zkinfer_crds::SliceIndex(index as u32),
        predicted_millis: s.predicted_micros.div_ceil(1000).max(1),
        memory_bytes: s.predicted_memory_bytes,
        parameter_id,
    };
    QueuedRequest {
        uid: run.uid,
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
