//! Carries the fleet's plans out: workers in rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::inference_request::RequestPhase;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, is_true, miner_pool};

use super::operator::Operator;
use crate::dispatch::PoolId;
use crate::fleet::{Fate, JobView, Observed, PoolView, Refusal, Start, plan, remove};
use crate::specs::{JobFor, worker_job};

/// How often the plan is made without being asked for: rounds begin and requests end by time.
const TICK: Duration = Duration::from_secs(1);
/// Things that happen together are planned together.
const TOGETHER: Duration = Duration::from_millis(15);

/// Plans whenever something has changed, for ever.
pub async fn run(ctx: Arc<Operator>) {
    loop {
        let _ = tokio::time::timeout(TICK, ctx.world.fleet.notified()).await;
        tokio::time::sleep(TOGETHER).await;
        pass(&ctx).await;
    }
}

async fn pass(ctx: &Operator) {
    // Looked at before the requests are: what is started meanwhile is of a request that is there.
    // One that was taken out while it was being started may be in the dispatcher alone.
    let mut started: BTreeSet<RequestUid> = ctx.requests.runs().keys().copied().collect();
    started.extend(ctx.world.dispatcher.uids());
    let requests: BTreeMap<RequestUid, Arc<InferenceRequest>> = ctx
        .world
        .stores
        .requests
        .state()
        .into_iter()
        .filter_map(|r| Some((r.metadata.uid.as_deref()?.parse().ok()?, r)))
        .collect();
    forget_gone(ctx, started.into_iter().filter(|uid| !requests.contains_key(uid)));
    let (loads, busy) = ctx.world.dispatcher.loads();
    let lingering = ctx.world.dispatcher.lingering();
    let pools: BTreeMap<PoolId, Arc<MinerPool>> = ctx
        .world
        .stores
        .pools
        .state()
        .into_iter()
        .map(|p| (PoolId::from(&*p), p))
        .collect();
    let jobs = ctx.world.jobs.all();
    let views = pools
        .iter()
        .map(|(id, pool)| (id.clone(), view(ctx, id, pool)))
        .collect();
    let fates = requests.iter().map(|(uid, r)| (*uid, fate(r))).collect();
    let plan = plan(&Observed {
        loads: &loads,
        busy: &busy,
        pools: &views,
        jobs: &jobs,
        requests: &fates,
        lingering: &lingering,
        now: ctx.world.started.elapsed(),
    });
    for start in plan.start {
        if let (Some(request), Some(pool)) = (requests.get(&start.request), pools.get(&start.pool)) {
            make(ctx, &start, request, pool).await;
        }
    }
    for (namespace, name) in plan.remove {
        remove(&ctx.world.client, &ctx.world.jobs, &namespace, &name).await;
    }
}

/// Takes out the runs whose request is gone. A deletion's event does that too, but it may come while the request is
/// being started, or not at all where the watch broke off.
fn forget_gone(ctx: &Operator, gone: impl Iterator<Item = RequestUid>) {
    for uid in gone {
        tracing::info!(request = %uid, "taking out the run of a request that is gone");
        ctx.world.dispatcher.remove(uid, false);
        ctx.requests.forget(uid);
    }
}

fn view(ctx: &Operator, id: &PoolId, pool: &MinerPool) -> PoolView {
    let status = pool.status.as_ref();
    let ready =
        status.is_some_and(|s| is_true(&s.conditions, miner_pool::condition::READY)) || try_again(ctx, id);
    let troubled = ctx.pools.records().get(id).is_some_and(|p| p.trouble.is_some());
    PoolView {
        parallelism: pool.spec.parallelism,
        warm: pool.spec.warm,
        warm_ready: ctx.pools.warm(id),
        troubled,
        usable: ready && !pool.spec.drain && pool.metadata.deletion_timestamp.is_none(),
    }
}

/// Requests that have no other pool wait for this one, whose Jobs were refused: is it time to ask again?
fn try_again(ctx: &Operator, id: &PoolId) -> bool {
    let pools = ctx.pools.records();
    let Some(record) = pools.get(id) else { return false };
    let refused = record.trouble.as_ref().is_some_and(|t| t.refused) && record.objects_refused.is_none();
    let due = |refusal: &Refusal| refusal.is_due(ctx.world.started.elapsed());
    refused && record.jobs_refused.as_ref().is_some_and(due)
}

/// What the API server says of a pool's Job, if it says something new.
fn note(ctx: &Operator, pool: &MinerPool, refused: Option<String>) {
    let id = PoolId::from(pool);
    {
        let mut pools = ctx.pools.records();
        let record = pools.entry(id.clone()).or_default();
        let old = record.jobs_refused.take();
        let Some(words) = refused else {
            if old.is_none() && record.looking {
                return;
            }
            drop(pools);
            return ctx.world.wake_pool(&id);
        };
        if old.as_ref().is_none_or(|old| old.words != words) {
            tracing::warn!(pool = %id, words);
        }
        record.jobs_refused = Some(Refusal::after(old.as_ref(), words, ctx.world.started.elapsed()));
    }
    ctx.world.wake_pool(&id);
}

fn fate(request: &InferenceRequest) -> Fate {
    let Some(status) = request.status.as_ref().filter(|s| s.phase.is_over()) else {
        return if request.spec.suspend {
            Fate::Suspended
        } else {
            Fate::Alive
        };
    };
    let since = status.finished_at.as_ref().map_or(i64::MAX, |at| {
        k8s_openapi::jiff::Timestamp::now().as_second() - at.0.as_second()
    });
    if matches!(status.phase, RequestPhase::Cancelled | RequestPhase::Erased) {
        Fate::Cancelled
    } else {
        Fate::Over(Duration::from_secs(since.max(0) as u64))
    }
}

async fn make(ctx: &Operator, start: &Start, request: &InferenceRequest, pool: &MinerPool) {
    let seconds_left = request.spec.deadline.seconds() as i64
        - request.creation_timestamp().map_or(0, |at| {
            k8s_openapi::jiff::Timestamp::now().as_second() - at.0.as_second()
        });
    let job = JobFor {
        request: start.request,
        key: (request.namespace().unwrap_or_default(), request.name_any()),
        round: start.round,
        workers: start.workers,
        seconds_left,
    };
    let job = worker_job(pool, &job, &ctx.world.workers);
    let namespace = pool.namespace().unwrap_or_default();
    let api: Api<Job> = Api::namespaced(ctx.world.client.clone(), &namespace);
    match api.create(&PostParams::default(), &job).await {
        Ok(made) => {
            tracing::info!(job = %ObjectRef::from_obj(&made), workers = start.workers, "made");
            if let Some(view) = JobView::of(&made) {
                ctx.world.jobs.insert(view, ctx.world.started.elapsed());
            }
            note(ctx, pool, None);
        }
        // The same round was made before a restart; the watch brings it.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        // The pool's owner can do something about what is refused; everything else passes, and is tried at the next pass.
        Err(error) => match Refusal::words_of(&error) {
            Some(words) => note(ctx, pool, Some(format!("its Jobs cannot be made: {words}"))),
            None => tracing::warn!(pool = %start.pool, %error, "a Job cannot be made just now"),
        },
    }
}
