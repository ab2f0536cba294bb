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
use crate::dispatch::{self, Attempt, AttemptEnd, Cause, PoolId};
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
    loop {
        let _ = tokio::time::timeout(TICK, ctx.world.dispatcher.progressed()).await;
        for attempt in ctx.world.dispatcher.take_ended() {
            // While the store takes nothing no claim is granted either: there are no more of these than open claims.
            let (ctx, scored, working) = (Arc::clone(&ctx), Arc::clone(&scored), ctx.world.at_work.begin());
            let segments = Arc::clone(&segments);
            let about = about::ended(&attempt);
            let counted = async move {
                ended(ctx, scored, segments, attempt).await;
                drop(working);
            };
            tokio::spawn(counted.instrument(about));
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
