//! What becomes of claims: into the ledger first, then where statuses are made from.
//!
//! Invariant: an attempt is told of only once its entry is in the ledger. Each is written by itself, so that one that the
//! store is slow with holds up no other. Whatever went wrong is acted upon at once; proofs that were verified, of which there
//! are many, are looked at together.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tracing::Instrument as _;
use zkinfer_client::Pauses;
use zkinfer_crds::k8s::request_status::RecentSlice;

use super::about;
use super::operator::Operator;
use super::segments::Segments;
use crate::dispatch::{self, Attempt, AttemptEnd, Cause, Dispatcher, PoolId};
use crate::metrics::Metrics;
use crate::traces;

/// Leases end by time.
const TICK: Duration = Duration::from_millis(250);
/// Before an entry is written again.
const AGAIN: Pauses = Pauses::new(Duration::from_millis(500), Duration::from_secs(10));

/// The pools that will be looked at soon for their scores.
type Scored = Mutex<BTreeSet<PoolId>>;

/// Follows the dispatcher, for ever.
pub(super) async fn run(ctx: Arc<Operator>, segments: Arc<Segments>) {
    let scored = Arc::new(Scored::default());
    follow(&ctx.world.dispatcher, |attempt| {
        // While the store takes nothing no claim is granted either: there are no more of these than open claims.
        let (ctx, scored, working) = (Arc::clone(&ctx), Arc::clone(&scored), ctx.world.at_work.begin());
        let segments = Arc::clone(&segments);
        let about = about::ended(&attempt);
        let counted = async move {
            ended(ctx, scored, segments, attempt).await;
            drop(working);
        };
        counted.instrument(about)
    })
    .await;
}

/// Hands each attempt that has ended to a task of its own.
async fn follow<F: Future<Output = ()> + Send + 'static>(
    dispatcher: &Dispatcher,
    ended: impl Fn(Attempt) -> F,
) {
    loop {
        let _ = tokio::time::timeout(TICK, dispatcher.progressed()).await;
        for attempt in dispatcher.take_ended() {
            tokio::spawn(ended(attempt));
        }
    }
}

async fn ended(ctx: Arc<Operator>, scored: Arc<Scored>, segments: Arc<Segments>, attempt: Attempt) {
    let (mut failures, at) = (0u32, SystemTime::now());
    // An attempt that is not in the ledger would be scored by nobody: it is tried until it is.
    let entry = loop {
        match dispatch::record(&ctx.world.artifacts, &attempt).await {
            Ok(entry) => break entry,
            Err(error) => {
                tracing::error!(%error, "the ledger entry was not written, trying again");
                ctx.world.store.failed();
                failures = failures.saturating_add(1);
                tokio::time::sleep(AGAIN.after(failures)).await;
            }
        }
    };
    // The same claim again, after a restart, is counted no second time.
    if let Some(entry) = entry {
        counted(&ctx.world.metrics, &attempt);
        traces::claim(&attempt, at);
        ctx.pools.ledger().add(&entry);
        segments.add(&entry);
    }
    let verified = attempt.end == AttemptEnd::Verified;
    if let Some(cause) = attempt.end.cause() {
        tracing::info!(
            cause = cause.word(),
            worker = attempt.worker,
            "a claim has ended without a proof that counts"
        );
    }
    if !verified {
        ctx.world.wake_pool(&attempt.pool);
    }
    if let Some(record) = ctx.requests.runs().get_mut(&attempt.request) {
        let row: RecentSlice = (&attempt).into();
        // After a restart a proof is verified again; its row may be there.
        let same = |old: &&mut RecentSlice| {
            (old.slice, old.attempt, &old.pool) == (row.slice, row.attempt, &row.pool)
        };
        match record.view.recent.iter_mut().find(same) {
            Some(old) => *old = row,
            None => record.view.recent.push(row),
        }
        ctx.world.wake.request(record.key.clone());
    }
    if verified {
        in_a_while(&ctx, &scored, attempt.pool).await;
    } else {
        // Of what goes well the fleet hears when a request is over, or at its next tick.
        ctx.world.fleet.notify_one();
    }
}

fn counted(metrics: &Metrics, attempt: &Attempt) {
    let cause = attempt.end.cause();
    metrics.claim(attempt.pool.to_string(), cause.map_or("Verified", Cause::word));
    if cause.is_none() {
        metrics.proof(
            attempt.elapsed,
            attempt.verifying,
            attempt.bytes.unwrap_or_default(),
            attempt.request,
        );
    }
}

/// Wakes a pool once for all the proofs of a while.
async fn in_a_while(ctx: &Operator, scored: &Scored, pool: PoolId) {
    let due = || scored.lock().unwrap_or_else(PoisonError::into_inner);
    if !due().insert(pool.clone()) {
        return;
    }
    tokio::time::sleep(ctx.world.pace.proofs).await;
    due().remove(&pool);
    ctx.world.wake_pool(&pool);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures::future::join_all;
    use serde_json::json;
    use tokio::sync::Mutex;
    use zkinfer_crds::{Identity, ProofSystem};

    use super::*;
    use crate::artifacts::Artifacts;
    use crate::consent::{Lists, decide};
    use crate::dispatch::{ClaimAnswer, PoolFacts, TokenKey, WorkerAuth};
    use crate::gateway::tests::world::{REQUEST, model_of, run_of};

    /// What the store takes for each write.
    const WRITE: Duration = Duration::from_millis(500);
    const POOLS: u32 = 6;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_slow_store_holds_up_each_entry_and_none_behind_it() {
        let artifacts = Artifacts::slow(WRITE);
        let run = run_of(&artifacts, model_of(&artifacts, ProofSystem::SumcheckWhir).await).await;
        let lease = Duration::from_secs(600);
        let dispatcher = Dispatcher::new(artifacts.clone(), TokenKey::new([3; 32]), (lease, lease), 2);
        let pools: Vec<WorkerAuth> = (0..POOLS)
            .map(|n| WorkerAuth {
                pool: PoolId::new("default", &format!("pool-{n}")),
                identity: Identity::new([1; 32]),
            })
            .collect();
        for worker in &pools {
            let facts = PoolFacts {
                identity: worker.identity,
                claims: 1,
                score_millionths: 0,
                drained: false,
            };
            dispatcher.know(&worker.pool, facts);
        }
        let lists = Lists {
            own: None,
            installation: None,
        };
        dispatcher.consent(REQUEST, decide("default", "wine", None, &lists));
        let names = pools.iter().map(|w| w.pool.clone()).collect();
        dispatcher.add(Arc::new(run), 0, POOLS, names);
        let ask = serde_json::from_value(json!({
            "worker": "w-0", "parameters": ["sumcheck-whir-goldilocks/v1"], "memoryBytes": 8u64 << 30, "waitSeconds": 0,
        }))
        .unwrap();
        let granted = join_all(pools.iter().map(|worker| dispatcher.claim(worker, &ask, false))).await;
        assert!(
            granted
                .iter()
                .all(|answer| matches!(answer, ClaimAnswer::Grant(_))),
            "{granted:?}"
        );

        let recorded = Arc::new(Mutex::new(Vec::new()));
        let (into, store) = (Arc::clone(&recorded), artifacts.clone());
        let following = Arc::clone(&dispatcher);
        let follower = tokio::spawn(async move {
            let record = |attempt| {
                let (into, store) = (Arc::clone(&into), store.clone());
                async move {
                    let entry = dispatch::record(&store, &attempt).await;
                    into.lock().await.push(entry);
                }
            };
            follow(&following, record).await;
        });
        let begun = Instant::now();
        dispatcher.remove(REQUEST, false);
        while recorded.lock().await.len() < POOLS as usize {
            assert!(begun.elapsed() < WRITE * POOLS / 2, "one after the other");
            tokio::time::sleep(WRITE / 50).await;
        }
        follower.abort();
        assert!(begun.elapsed() >= WRITE, "the store was slow");
        let written = recorded.lock().await;
        assert!(
            written.iter().all(|entry| matches!(entry, Ok(Some(_)))),
            "{written:?}"
        );
    }
}
