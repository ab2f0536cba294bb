//! A worker asks, waits, and is granted a slice.
//!
//! Invariants: a grant's statement is computed by the operator for its claim and identity; the claim is in the store
//! before the worker has its grant, and one that the store does not take has never been; a pool can read what was granted
//! to it, and nothing else. Who may be granted anything is looked at when it is given and again before it is told: see
//! [`super::consents`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::Instrument as _;
use zkinfer_client::Pauses;
use zkinfer_crds::wire::{BlobRef, ClaimGrant, ClaimRequest, MAX_INLINE_BYTES, MAX_WAIT_SECONDS};
use zkinfer_crds::{ClaimId, RequestUid, SliceIndex, encode};

use super::PoolId;
use super::attempt::AttemptEnd;
use super::dispatcher::{Dispatcher, WorkerAuth, lock, unix_millis};
use super::record::ClaimRecord;
use super::request::Worker;
use super::token::ClaimToken;
use super::waiting::{Claimed, ClaimedSlice, Ticket};
use crate::artifacts::ArtifactError;
use crate::runs::Run;

/// Before a claim that could not be granted is tried again.
const AGAIN: Pauses = Pauses::new(Duration::from_millis(500), Duration::from_secs(2));

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

/// What came of asking once.
enum Tried {
    Answer(ClaimAnswer),
    /// The worker may not see any more what it was given.
    Barred,
    /// By the operator's fault.
    Failed,
}

fn worker(request: &ClaimRequest) -> Worker {
    Worker {
        name: request.worker.clone(),
        parameters: request.parameters.clone(),
        memory_bytes: request.memory_bytes,
        request: request.request,
    }
}

impl Dispatcher {
    /// Gives a worker a slice, waiting a while for one; `inline`: with its inputs where they are small.
    pub async fn claim(&self, auth: &WorkerAuth, request: &ClaimRequest, inline: bool) -> ClaimAnswer {
        let wait = Duration::from_secs(u64::from(request.wait_seconds.min(MAX_WAIT_SECONDS)));
        let worker = worker(request);
        let deadline = tokio::time::Instant::now() + wait;
        let mut failures = 0u32;
        loop {
            match self.try_claim(auth, &worker, deadline, inline).await {
                Tried::Answer(answer) => return answer,
                Tried::Barred => continue,
                Tried::Failed => {}
            }
            // What failed is not tried again at once.
            failures = failures.saturating_add(1);
            tokio::time::sleep(AGAIN.after(failures)).await;
            if tokio::time::Instant::now() >= deadline {
                return ClaimAnswer::Nothing;
            }
        }
    }

    /// Gives a worker the slice that is there for it now, if one is: what comes with the answer to a proof, which waits
    /// for nothing.
    pub async fn claim_now(
        &self,
        auth: &WorkerAuth,
        request: &ClaimRequest,
        inline: bool,
    ) -> Option<Box<ClaimGrant>> {
        let now = tokio::time::Instant::now();
        match self.try_claim(auth, &worker(request), now, inline).await {
            Tried::Answer(ClaimAnswer::Grant(grant)) => Some(grant),
            _ => None,
        }
    }

    /// Asks once, and waits until then for the queue's answer.
    async fn try_claim(
        &self,
        auth: &WorkerAuth,
        worker: &Worker,
        deadline: tokio::time::Instant,
        inline: bool,
    ) -> Tried {
        if self.closed.load(Ordering::SeqCst) {
            return Tried::Answer(ClaimAnswer::Over);
        }
        let mut asking = self.ask(auth, worker.clone());
        if self.closed.load(Ordering::SeqCst) {
            return Tried::Answer(ClaimAnswer::Over);
        }
        self.settle();
        let claimed = match tokio::time::timeout_at(deadline, &mut asking.answer).await {
            Ok(Ok(claimed)) => claimed,
            Ok(Err(_)) => return Tried::Answer(ClaimAnswer::Over),
            // It may have come at the last moment.
            Err(_) => match asking.answer.try_recv() {
                Ok(claimed) => claimed,
                Err(_) => return Tried::Answer(ClaimAnswer::Nothing),
            },
        };
        let Claimed::Slice(claimed) = claimed else {
            return Tried::Answer(ClaimAnswer::Over);
        };
        asking.claimed = Some((claimed.request, claimed.claim));
        let about = tracing::error_span!(
            "grant",
            request = %claimed.request,
            slice = claimed.slice.0,
            claim = %claimed.claim,
            pool = %auth.pool,
        );
        let granted = self
            .grant(auth, &claimed, &worker.name, inline)
            .instrument(about.clone())
            .await;
        asking.claimed = None;
        match granted {
            // Its claim has ended, and nothing of it is told.
            Ok(_) if !self.may_see(claimed.request, auth) => return Tried::Barred,
            Ok(Some(grant)) => return Tried::Answer(ClaimAnswer::Grant(Box::new(grant))),
            Ok(None) => {
                let why = "the slice's files are not known".to_owned();
                self.end(claimed.request, claimed.claim, AttemptEnd::Operator(why));
            }
            // What is not written down would not survive a restart, so it is not granted. The store will be back; it
            // is nobody's attempt.
            Err(error) => {
                about.in_scope(|| tracing::warn!(%error, "a claim cannot be written down"));
                self.take_back(claimed.request, claimed.claim);
            }
        }
        Tried::Failed
    }

    fn ask(&self, auth: &WorkerAuth, worker: Worker) -> Asking<'_> {
        let (sender, answer) = oneshot::channel();
        let now = self.now();
        let mut state = lock(&self.state);
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.answers.insert(ticket, sender);
        state.queue.ask(ticket, (&auth.pool, auth.identity), worker, now);
        drop(state);
        Asking {
            dispatcher: self,
            ticket,
            answer,
            claimed: None,
        }
    }

    async fn grant(
        &self,
        auth: &WorkerAuth,
        claimed: &ClaimedSlice,
        worker: &str,
        inline: bool,
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
        let mut grant = ClaimGrant {
            token: token.seal(&self.key),
            claim: claimed.claim,
            request: claimed.request,
            slice: claimed.slice,
            attempt: claimed.attempt,
            lease_seconds: lease_seconds as u32,
            max_bytes: claimed.max_bytes,
            parameter_id: run.model.parameter_id,
            memory_bytes: compiled.predicted_memory_bytes,
            identity: auth.identity,
            statement: run.statement(claimed.slice, claimed.claim, auth.identity),
            manifest: run.model.report.manifest.clone(),
            graph: run.model.report.graph.clone(),
            inputs,
            inputs_bytes: None,
            files: compiled.files.for_provers(),
            traceparent: zkinfer_spans::on()
                .then(|| zkinfer_spans::Context::of_claim(claimed.request, claimed.claim).to_string()),
        };
        self.allow(claimed.request, &auth.pool, &run, claimed.slice);
        let record = ClaimRecord {
            token,
            attempt: claimed.attempt,
            worker: worker.to_owned(),
            contested: claimed.contested,
            stands_in: claimed.stands_in,
        };
        let written =
            self.artifacts
                .put_claim(claimed.request, claimed.slice, claimed.claim, encode(&record));
        let (written, bytes) = tokio::join!(written, self.small(&grant.inputs, inline));
        written?;
        grant.inputs_bytes = bytes;
        Ok(Some(grant))
    }

    /// The bytes of a blob that is small enough for a grant. Where they cannot be read the worker finds that out when it
    /// fetches them, as with a large one.
    async fn small(&self, blob: &BlobRef, inline: bool) -> Option<Vec<u8>> {
        if !inline || blob.size > MAX_INLINE_BYTES {
            return None;
        }
        match self.artifacts.get_blob(&blob.digest, MAX_INLINE_BYTES).await {
            Ok(bytes) => Some(bytes.into()),
            Err(error) => {
                tracing::warn!(%error, "a grant goes without its inputs");
                None
            }
        }
    }

    /// Lets a pool read what a slice is proved from.
    pub(super) fn allow(&self, uid: RequestUid, pool: &PoolId, run: &Run, slice: SliceIndex) {
        let report = &run.model.report;
        let compiled = run.model.slice(slice).map(|s| s.files.iter());
        let of_slice = compiled.into_iter().flatten().filter(|f| f.role.is_for_provers());
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
                    .map(|b| b.digest)
                    .chain(of_slice.map(|f| f.digest)),
            );
    }
}

/// A worker that waits, or that was given a slice and has no answer yet. When the call is dropped meanwhile, because the
/// worker has gone, the slice is free again, and the miner is not to blame.
struct Asking<'a> {
    dispatcher: &'a Dispatcher,
    ticket: Ticket,
    answer: oneshot::Receiver<Claimed>,
    claimed: Option<(RequestUid, ClaimId)>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.dispatcher.stop_waiting(self.ticket);
        // What was given and not seen yet.
        self.answer.close();
        if let Ok(Claimed::Slice(slice)) = self.answer.try_recv() {
            self.claimed = Some((slice.request, slice.claim));
        }
        if let Some((request, claim)) = self.claimed {
            self.dispatcher.end(request, claim, AttemptEnd::left());
        }
    }
}
