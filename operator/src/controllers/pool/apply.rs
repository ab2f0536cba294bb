//! Carries a pool's plan out: who its workers are, what they may reach, those that are kept warm; then the status.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action as Requeue;
use kube::runtime::events::EventType;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::MinerPool;
use zkinfer_weights::binding::Pool;
use zkinfer_weights::hotkey::Hotkey;

use super::gather;
use super::identity::{identity_of, possession};
use super::news::{Choice, facts, news};
use super::observed::Observed;
use super::plan::plan;
use super::records::Pools;
use super::trouble::{FORGET, Now, Trouble, trouble};
use super::weighted::Weighted;
use crate::clock::now;
use crate::dispatch::{PoolId, unix_millis};
use crate::fleet::{self, Look, Refusal};
use crate::specs::{network_policy, service_account, service_account_name, warm_workers};
use crate::weights::{Hotkeyed, hotkeyed};
use crate::world::ReconcileError;

/// Pods that are to come are looked at again after this.
const LOOK: Duration = Duration::from_secs(3);
/// What is told of a while ago is looked at again after this.
const TOLD: Duration = Duration::from_secs(60);

/// One reconciliation.
///
/// # Errors
/// The API server; it is tried again.
pub async fn reconcile(object: Arc<MinerPool>, ctx: Arc<Pools>) -> Result<Requeue, ReconcileError> {
    let id = PoolId::from(&*object);
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Requeue::await_change());
    }
    if let Err(error) = children_in_time(&ctx, &id, &object).await {
        return Err(error.into());
    }
    let before = ctx.records().get(&id).and_then(|p| p.trouble.clone());
    if before.is_some_and(|t| t.is_of_an_older_spec(object.metadata.generation)) {
        fleet::start_over(&ctx.world.client, &ctx.world.jobs, &id).await;
        ctx.world.fleet.notify_one();
    }
    let look = gather::look(&ctx, &id, &object).await?;
    give_up(&ctx, &id, look.as_ref());
    let trouble = keep(&ctx, &id, &object, look.as_ref());
    let written = ctx.records().get(&id).and_then(|p| p.written.clone());
    let old = written
        .as_ref()
        .map(|(status, _)| status.clone())
        .or_else(|| object.status.clone())
        .unwrap_or_default();
    let identity = identity_of(&object);
    let score = ctx.ledger().score(&identity, unix_millis());
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let pool = (
        namespace.as_str(),
        name.as_str(),
        object.metadata.uid.as_deref().unwrap_or_default(),
    );
    let observed = Observed {
        spec: &object.spec,
        generation: object.metadata.generation,
        pool,
        identity,
        possession: possession(&object.spec, pool.0, pool.1, pool.2),
        status: &old,
        identity_taken_by: identity_taken_by(&ctx, &object),
        weights: weighted(&ctx, &object),
        score,
        pause: ctx.world.dispatcher.pause(&id),
        trouble: trouble.clone(),
    };
    let status = plan(&observed, &now());
    let scores_only = facts(&old) == facts(&status);
    let since = written.map_or(Duration::MAX, |(_, at)| at.elapsed());
    let pace = ctx.world.pace.scores;
    let later = status != old && scores_only && since < pace;
    if status != old && !later {
        if !ctx.world.write_status(&*object, &status).await? {
            return Ok(Requeue::await_change());
        }
        if !scores_only {
            let news = news(object.spec.drain, &old, &status, trouble.as_ref());
            ctx.world.events.tell_all(&*object, news).await;
        }
    }
    // The trouble is in the pool's status by now: it is no score.
    warn(&ctx, &id, trouble.as_ref()).await;
    if later {
        return Ok(Requeue::requeue(pace - since));
    }
    let choice = Choice::of(&object, &status);
    let changed = {
        let mut pools = ctx.records();
        let record = pools.entry(id.clone()).or_default();
        if status != old {
            record.written = Some((status, Instant::now()));
        }
        let changed = record.told.as_ref() != Some(&choice);
        record.told = Some(choice);
        changed
    };
    if changed {
        ctx.world.wake_requests(|_| true);
        ctx.world.fleet.notify_one();
    }
    let asked_again = ctx
        .records()
        .get(&id)
        .and_then(|p| p.objects_refused.as_ref().map(Refusal::pause));
    Ok(match (asked_again, trouble) {
        (Some(pause), _) => Requeue::requeue(pause),
        _ if look.is_some() => Requeue::requeue(LOOK),
        (None, None) => Requeue::await_change(),
        (None, Some(_)) => Requeue::requeue(FORGET.min(TOLD)),
    })
}

/// Makes the pool's objects, unless it is too early to ask again for what was refused.
async fn children_in_time(ctx: &Pools, id: &PoolId, object: &MinerPool) -> Result<(), kube::Error> {
    let now = ctx.world.started.elapsed();
    let old = {
        let mut pools = ctx.records();
        let record = pools.entry(id.clone()).or_default();
        if record.generation != object.metadata.generation {
            // Another spec may be taken.
            (record.objects_refused, record.jobs_refused) = (None, None);
            record.generation = object.metadata.generation;
        }
        record.objects_refused.clone()
    };
    if old.as_ref().is_some_and(|refusal| !refusal.is_due(now)) {
        return Ok(());
    }
    let refused = match children(ctx, id, object).await {
        Ok(()) => None,
        Err(error) => match Refusal::words_of(&error) {
            Some(words) => Some(format!("its objects cannot be made: {words}")),
            None => return Err(error),
        },
    };
    let refused = refused.map(|words| Refusal::after(old.as_ref(), words, now));
    ctx.records().entry(id.clone()).or_default().objects_refused = refused;
    Ok(())
}

/// Gives up the Jobs of which nothing comes any more.
fn give_up(ctx: &Pools, id: &PoolId, look: Option<&Look>) {
    for job in look.iter().flat_map(|look| &look.lost) {
        if ctx.world.jobs.lose(id.namespace(), job) {
            tracing::warn!(
                namespace = id.namespace(),
                job,
                "its pods are on nodes that do not answer: it is given up"
            );
            ctx.world.fleet.notify_one();
        }
    }
}

/// Keeps what is known of the pool's trouble, and returns it.
fn keep(ctx: &Pools, id: &PoolId, object: &MinerPool, look: Option<&Look>) -> Option<Trouble> {
    let mut pools = ctx.records();
    let record = pools.entry(id.clone()).or_default();
    record.looking = look.is_some();
    if record
        .jobs_refused
        .as_ref()
        .is_some_and(|r| r.is_stale(ctx.world.started.elapsed()))
    {
        record.jobs_refused = None;
    }
    let before = record.trouble.as_ref().map(|t| t.finding.reason);
    let refused = [&record.objects_refused, &record.jobs_refused];
    let now = Now {
        refused: refused.into_iter().flatten().map(|r| r.words.as_str()).collect(),
        seen: look.map(|l| &l.seen),
        warm: record.warm_ready > 0,
        generation: object.metadata.generation,
        now: ctx.world.started.elapsed(),
    };
    let new = trouble(record.trouble.take(), &now);
    record.trouble.clone_from(&new);
    if new.as_ref().map(|t| t.finding.reason) != before {
        record.warned.clear();
    }
    new
}

/// Tells the requests whose workers do not run, each once.
async fn warn(ctx: &Pools, id: &PoolId, trouble: Option<&Trouble>) {
    let Some(trouble) = trouble else { return };
    // Those that have a Job of the pool, or would have one.
    let mut affected: BTreeSet<RequestUid> = ctx.world.jobs.requests_with(id);
    if trouble.refused {
        affected.extend(ctx.world.dispatcher.requests_of(id));
    }
    let new: Vec<RequestUid> = {
        let mut pools = ctx.records();
        let Some(record) = pools.get_mut(id) else { return };
        let new = affected
            .into_iter()
            .filter(|uid| trouble.idle && record.warned.insert(*uid));
        new.collect()
    };
    for uid in new {
        let uid = uid.to_string();
        let Some(request) = ctx
            .world
            .stores
            .requests
            .find(|r| r.metadata.uid.as_ref() == Some(&uid))
        else {
            continue;
        };
        // One that is over has claims that may end, and misses nobody.
        if request.status.as_ref().is_some_and(|s| s.phase.is_over()) {
            continue;
        }
        let note = format!("workers of pool {id} do not run: {}", trouble.finding.message);
        let reason = trouble.finding.reason;
        ctx.world
            .events
            .tell(&*request, EventType::Warning, reason, "Prove", &note)
            .await;
    }
}

/// The objects of a pool, made when its spec has changed, and how many warm workers are up.
async fn children(ctx: &Pools, id: &PoolId, object: &MinerPool) -> Result<(), kube::Error> {
    let namespace = object.namespace().unwrap_or_default();
    let name = service_account_name(&object.name_any());
    let deployments: Api<Deployment> = Api::namespaced(ctx.world.client.clone(), &namespace);
    let current = deployments.get_opt(&name).await?;
    let applied = ctx.records().get(id).and_then(|p| p.applied);
    let wants_warm = object.spec.warm > 0;
    if applied != object.metadata.generation || (wants_warm && current.is_none()) {
        let params = PatchParams::apply(&ctx.world.workers.class.manager()).force();
        let accounts: Api<ServiceAccount> = Api::namespaced(ctx.world.client.clone(), &namespace);
        accounts
            .patch(
                &name,
                &params,
                &Patch::Apply(service_account(object, &ctx.world.workers.class)),
            )
            .await?;
        let policies: Api<NetworkPolicy> = Api::namespaced(ctx.world.client.clone(), &namespace);
        policies
            .patch(
                &name,
                &params,
                &Patch::Apply(network_policy(object, &ctx.world.workers)),
            )
            .await?;
        if wants_warm || current.is_some() {
            deployments
                .patch(
                    &name,
                    &params,
                    &Patch::Apply(warm_workers(object, &ctx.world.workers)),
                )
                .await?;
        }
    }
    let status: DeploymentStatus = current.and_then(|d| d.status).unwrap_or_default();
    let up = status.ready_replicas.unwrap_or(0).max(0) as u32;
    let refused = status
        .conditions
        .into_iter()
        .flatten()
        .find(|c| c.type_.as_deref() == Some("ReplicaFailure") && c.status.as_deref() == Some("True"));
    let changed = {
        let mut pools = ctx.records();
        let record = pools.entry(id.clone()).or_default();
        record.applied = object.metadata.generation;
        record.warm_refused = refused.and_then(|c| c.message);
        std::mem::replace(&mut record.warm_ready, up) != up
    };
    if changed {
        ctx.world.fleet.notify_one();
    }
    Ok(())
}

/// The oldest other pool that has proven the same identity; of two that are as old, the one that sorts first.
fn identity_taken_by(ctx: &Pools, object: &MinerPool) -> Option<String> {
    let identity = object.spec.identity?;
    let age = |p: &MinerPool| {
        (
            p.creation_timestamp().map(|t| t.0),
            p.namespace().unwrap_or_default(),
            p.name_any(),
        )
    };
    let own = age(object);
    let others = ctx.world.stores.pools.state();
    let older = others
        .iter()
        .filter(|p| p.spec.identity == Some(identity) && age(p) < own && identity_of(p) == identity)
        .map(|p| age(p))
        .min()?;
    Some(format!("{}/{}", older.1, older.2))
}

/// Whether the pool's miner gets weights, by what it states and by the last look at who has which uid.
fn weighted(ctx: &Pools, object: &MinerPool) -> Weighted {
    let rules = ctx.world.in_force.get();
    let stated = |pool: &MinerPool| {
        let named = Pool {
            network: rules.network.clone(),
            namespace: pool.namespace().unwrap_or_default(),
            pool: pool.name_any(),
            uid: pool.uid().unwrap_or_default(),
        };
        hotkeyed(&named, &pool.spec)
    };
    let hotkey = stated(object);
    let place = object
        .spec
        .identity
        .and_then(|identity| ctx.world.weights.place(&identity));
    Weighted {
        network: rules.network.clone(),
        published: rules.weights.is_some(),
        other: other_hotkey(ctx, object, &hotkey, stated),
        hotkey,
        place,
    }
}

/// Another pool that binds the same identity to another hotkey.
fn other_hotkey(
    ctx: &Pools,
    object: &MinerPool,
    own: &Hotkeyed,
    stated: impl Fn(&MinerPool) -> Hotkeyed,
) -> Option<(String, Hotkey)> {
    let Hotkeyed::Bound(own) = own else { return None };
    let pools = ctx.world.stores.pools.state();
    let others = pools
        .iter()
        .filter(|pool| pool.uid() != object.uid() && pool.spec.identity == Some(own.identity()));
    others
        .filter_map(|pool| match stated(pool) {
            Hotkeyed::Bound(other) if other.hotkey() != own.hotkey() => {
                let name = format!("{}/{}", pool.namespace().unwrap_or_default(), pool.name_any());
                Some((name, other.hotkey()))
            }
            _ => None,
        })
        .min()
}
