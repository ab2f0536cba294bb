//! `work`: claim, fetch, prove, submit, until the gateway says that it is over.
//!
//! ```text
//! claim ──200──▶ fetch (cache first) ──▶ prove ──▶ verify ──▶ submit ──▶ claim …, or prove what came with the answer
//!   │204: ask again      │ cannot │ cannot
//!   │410: exit 0         └─ refuse ─┘──▶ claim …            SIGTERM: refuse, exit 75
//! ```
//!
//! Several such loops may run side by side; they share keys, and together they never hold slices whose predicted memory is
//! more than the worker has.
//!
//! Invariants: exit 0 only on 410. Every blob is compared with its digest before it is used. Nothing is submitted
//! that the worker has not verified.

mod cache;
mod client;
mod recent;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use zkinfer_client::{CallError, Pauses};
use zkinfer_crds::ParameterId;
use zkinfer_crds::wire::{ClaimGrant, ClaimRequest, MAX_WAIT_SECONDS, Refusal, RefuseReason};
use zkinfer_spans::{Context, Kind, Timed};

use self::cache::Cache;
use self::client::{Claimed, Client};
use self::task::{Prover, TaskError};
use crate::args::WorkArgs;
use crate::exit::{Exit, UsageError};

/// Between calls that fail.
const PAUSES: Pauses = Pauses::new(Duration::from_millis(200), Duration::from_secs(10));
/// How long an answer is waited for while other slices are being proved.
const BUSY_WAIT_SECONDS: u32 = 2;
/// How long a worker that was told to stop waits for the answer to a claim that it has made.
const LAST_ANSWER: Duration = Duration::from_secs(1);

pub(crate) fn run(args: WorkArgs) -> Result<Exit, UsageError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_env_filter(filter)
        .init();
    tracing::info!(
        build = zkml::processor::instruction_set(),
        "proving with this build"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(UsageError::new)?;
    let endpoint = args.otlp_endpoint.clone();
    let worker = Worker::new(args)?;
    let exit = runtime.block_on(async {
        zkinfer_spans::start(
            endpoint.as_deref(),
            "zkinfer-prover-worker",
            env!("CARGO_PKG_VERSION"),
        )
        .map_err(|e| UsageError::new(format!("--otlp-endpoint: {e}")))?;
        let exit = worker.run().await;
        zkinfer_spans::end().await;
        Ok(exit)
    })?;
    // A proof that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    Ok(exit)
}

/// What the lanes have in hand together.
#[derive(Default)]
struct Hand {
    /// Held by the lane that asks.
    turn: tokio::sync::Mutex<()>,
    /// Predicted memory of all slices in hand.
    memory: AtomicU64,
    /// The worker was told to stop: nothing more is asked for.
    stopping: AtomicBool,
}

/// The worker was told to stop.
struct Stopped;

struct Worker {
    client: Client,
    prover: Arc<Prover>,
    /// With all of the worker's memory.
    request: ClaimRequest,
    patience: Duration,
    lanes: u32,
    hand: Hand,
}

impl Worker {
    fn new(args: WorkArgs) -> Result<Self, UsageError> {
        let WorkArgs {
            gateway,
            token,
            token_file,
            request,
            name,
            memory_mib,
            claims,
            cache,
            otlp_endpoint: _,
            patience,
        } = args;
        let client = Client::new(&gateway, token, token_file)?;
        let cache = Cache::new(cache);
        Ok(Self {
            prover: Arc::new(Prover::new(cache)),
            client,
            request: ClaimRequest {
                worker: name,
                parameters: ParameterId::ALL.to_vec(),
                memory_bytes: memory_mib << 20,
                request,
                wait_seconds: MAX_WAIT_SECONDS.min(20),
            },
            patience: Duration::from_secs(patience),
            lanes: claims,
            hand: Hand::default(),
        })
    }

    /// Runs all lanes to their end.
    async fn run(&self) -> Exit {
        let ends = join_all((0..self.lanes).map(|_| self.until_over())).await;
        let worst = [Exit::Usage, Exit::Bad, Exit::Drained];
        let found = worst.into_iter().find(|e| ends.contains(e));
        found.unwrap_or(Exit::Done)
    }

    /// Asks for a slice that fits into the memory that is left. One lane asks at a time, so that two are not promised the
    /// same memory.
    async fn claim(&self) -> Result<Claimed, CallError> {
        let _turn = self.hand.turn.lock().await;
        if self.hand.stopping.load(Ordering::Relaxed) {
            return Ok(Claimed::Nothing);
        }
        let used = self.hand.memory.load(Ordering::Relaxed);
        let mut request = self.request.clone();
        request.memory_bytes = request.memory_bytes.saturating_sub(used);
        if used > 0 {
            // Soon there is more memory to ask with.
            request.wait_seconds = request.wait_seconds.min(BUSY_WAIT_SECONDS);
        }
        let claimed = self.client.claim(&request).await?;
        if let Claimed::Slice(grant) = &claimed {
            self.hand.memory.fetch_add(grant.memory_bytes, Ordering::Relaxed);
        }
        Ok(claimed)
    }

    async fn until_over(&self) -> Exit {
        let Ok(mut stop) = signal(SignalKind::terminate()) else {
            return Exit::Usage;
        };
        let (mut last_answer, mut failures) = (Instant::now(), 0u32);
        loop {
            let mut call = std::pin::pin!(self.claim());
            let claimed = tokio::select! {
                claimed = &mut call => claimed,
                _ = stop.recv() => {
                    self.hand.stopping.store(true, Ordering::Relaxed);
                    // The answer may be on its way: a slice that is granted and not handed back is a slice lost.
                    if let Ok(Ok(Claimed::Slice(grant))) = tokio::time::timeout(LAST_ANSWER, call).await {
                        self.hand_back(&grant).await;
                    }
                    return Exit::Drained;
                }
            };
            match claimed {
                Ok(Claimed::Over) => return Exit::Done,
                Ok(Claimed::Nothing) => (last_answer, failures) = (Instant::now(), 0),
                Ok(Claimed::Slice(grant)) => {
                    (last_answer, failures) = (Instant::now(), 0);
                    let mut next = Some(grant);
                    while let Some(grant) = next {
                        let served = self.serve(&grant, &mut stop).await;
                        self.hand.memory.fetch_sub(grant.memory_bytes, Ordering::Relaxed);
                        match served {
                            Ok(more) => next = more,
                            Err(Stopped) => return Exit::Drained,
                        }
                        last_answer = Instant::now();
                    }
                }
                Err(CallError::Forbidden { said: why, .. }) => {
                    tracing::error!(%why, "the gateway does not know this worker");
                    return Exit::Bad;
                }
                Err(e) => {
                    if last_answer.elapsed() > self.patience {
                        tracing::error!(error = %e, "no answer for {} s", self.patience.as_secs());
                        return Exit::Bad;
                    }
                    failures = failures.saturating_add(1);
                    let pause = PAUSES.after(failures);
                    tracing::warn!(error = %e, "asking for work failed, trying again in {} ms", pause.as_millis());
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = stop.recv() => return Exit::Drained,
                    }
                }
            }
        }
    }

    /// Proves one granted slice and submits it, or hands it back with the reason; the slice to prove next, if one came with
    /// the answer. A worker that is told to stop hands back what it has.
    async fn serve(&self, grant: &ClaimGrant, stop: &mut Signal) -> Result<Option<Box<ClaimGrant>>, Stopped> {
        let started = Instant::now();
        tracing::info!(request = %grant.request, slice = %grant.slice, attempt = grant.attempt, "claimed");
        let work = work(grant, &self.request.worker);
        let proving = async {
            match self.prover.prove(&self.client, grant, &work).await {
                Ok(envelope) => Some(envelope),
                Err(e) => {
                    tracing::warn!(slice = %grant.slice, error = %e, "handing the slice back");
                    self.refuse(grant, reason(&e), &e.to_string()).await;
                    None
                }
            }
        };
        let proved = tokio::select! {
            proved = proving => proved,
            _ = stop.recv() => {
                self.hand.stopping.store(true, Ordering::Relaxed);
                self.hand_back(grant).await;
                return Err(Stopped);
            }
        };
        let Some(envelope) = proved else { return Ok(None) };
        let mut submitting = std::pin::pin!(self.submit(grant, envelope, started, &work));
        tokio::select! {
            next = &mut submitting => Ok(next),
            _ = stop.recv() => {
                self.hand.stopping.store(true, Ordering::Relaxed);
                // The next slice may be on its way.
                match tokio::time::timeout(LAST_ANSWER, submitting).await {
                    Ok(Some(next)) => self.hand_back(&next).await,
                    Ok(None) => {}
                    Err(_) => self.hand_back(grant).await,
                }
                Err(Stopped)
            }
        }
    }

    /// Submits a proof, and says that another slice is welcome.
    async fn submit(
        &self,
        grant: &ClaimGrant,
        envelope: Vec<u8>,
        started: Instant,
        work: &Timed,
    ) -> Option<Box<ClaimGrant>> {
        let deadline = started + Duration::from_secs(u64::from(grant.lease_seconds));
        // While another lane asks, what is left is promised to it, and this one has only what its slice took.
        let turn = self.hand.turn.try_lock();
        let mut next = self.request.clone();
        next.memory_bytes = if turn.is_ok() {
            let others = self
                .hand
                .memory
                .load(Ordering::Relaxed)
                .saturating_sub(grant.memory_bytes);
            next.memory_bytes.saturating_sub(others)
        } else {
            grant.memory_bytes
        };
        let wanted = (!self.hand.stopping.load(Ordering::Relaxed)).then_some(&next);
        let submitting = self.client.submit(grant, envelope, deadline, wanted);
        match work.child("submit").during(submitting).await {
            Ok(next) => {
                tracing::info!(slice = %grant.slice, seconds = started.elapsed().as_secs_f64(), "submitted");
                if let Some(next) = &next {
                    self.hand.memory.fetch_add(next.memory_bytes, Ordering::Relaxed);
                }
                next
            }
            Err(e) => {
                tracing::warn!(slice = %grant.slice, error = %e, "the proof was not taken");
                None
            }
        }
    }

    async fn hand_back(&self, grant: &ClaimGrant) {
        self.refuse(grant, RefuseReason::Draining, "the worker was told to stop")
            .await;
    }

    async fn refuse(&self, grant: &ClaimGrant, reason: RefuseReason, message: &str) {
        let mut message = message.to_owned();
        let mut end = message.len().min(zkinfer_crds::wire::MAX_TEXT);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        if let Err(e) = self.client.refuse(grant, &Refusal { reason, message }).await {
            tracing::warn!(slice = %grant.slice, error = %e, "handing back failed; the lease will end by itself");
        }
    }
}

/// What is done for a claim, as a span below that which its grant names; a text that is none names none.
fn work(grant: &ClaimGrant, worker: &str) -> Timed {
    let parent: Option<Context> = grant.traceparent.as_deref().and_then(|t| t.parse().ok());
    Timed::begin("work", parent)
        .of_kind(Kind::Consumer)
        .with("zkinfer.request", || grant.request.to_string())
        .with("zkinfer.slice", || grant.slice.0)
        .with("zkinfer.claim", || grant.claim.to_string())
        .with("zkinfer.worker", || worker.to_owned())
}

fn reason(error: &TaskError) -> RefuseReason {
    match error {
        TaskError::Fetch(_) | TaskError::Damaged { .. } => RefuseReason::Fetch,
        TaskError::Unsupported(_) => RefuseReason::Unsupported,
        TaskError::Prove(_) | TaskError::Panicked => RefuseReason::Failed,
    }
}
