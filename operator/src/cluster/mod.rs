//! `operator run`: the same planners, queue, gateway and verification as local mode, on a cluster.
//!
//! ```text
//!  watches ──▶ controllers (gather → plan → apply → status → events)      fleet: Jobs per request and pool
//!                   │ start, stop, retarget        ▲ wake                        ▲
//!                   ▼                              │                             │
//!              dispatcher ──▶ attempts ──▶ ledger ─┴─────────────────────────────┘
//!                   ▲
//!              gateway ◀── workers, compilers, clients
//! ```
//!
//! Invariants: one process writes (whoever holds the Lease); workers are answered only once everything that was at work
//! before a restart is known again; a ledger entry exists before any status that tells of it.

mod attempts;
mod auth;
mod compilations;
mod consents;
mod directory;
mod health;
mod jobs;
mod lease;
mod operator;
mod reviews;
mod rounds;
mod settings;
mod sweep;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action as Requeue;
use kube::runtime::events::Reporter;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{Controller, WatchStreamExt};
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use zkinfer_client::Pauses;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model};

pub use settings::{RunError, RunOptions};

use self::auth::TokenReviews;
use self::compilations::Compilers;
use self::directory::Objects;
use self::lease::Leadership;
use self::operator::Operator;
use self::reviews::Turns;
use self::settings::{Stop, stopped};
use crate::controllers::model::{self, Models};
use crate::controllers::pool::{self, Pools};
use crate::controllers::request::{self, Requests};
use crate::dispatch::{Dispatcher, PoolId};
use crate::fleet::JobIndex;
use crate::gateway::{Clients, Gateway};
use crate::metrics::Metrics;
use crate::reference::Reference;
use crate::runs::Shelf;
use crate::specs::labels;
use crate::world::{
    self, Consents, Events, LOOK, MANAGER, Part, Ready, ReconcileError, Scope, StoreHealth, Stores, Wake,
    World, follow,
};

/// One reconciliation may take so long; reading a large model takes seconds.
const RECONCILE_TIME: Duration = Duration::from_secs(120);
/// How long the gateway waits for runs from before a restart.
const RESUME_TIME: Duration = Duration::from_secs(30);
/// Time for reconciliations that are at work when the operator is told to stop, and then for open calls. Kubernetes kills
/// after [`GRACE`], and a reconciliation that is given up is made again.
const DRAIN_TIME: Duration = Duration::from_secs(15);
const SHUTDOWN_TIME: Duration = Duration::from_secs(5);
/// The operator's pod has Kubernetes' default `terminationGracePeriodSeconds`.
const GRACE: Duration = Duration::from_secs(30);
const _: () = assert!(DRAIN_TIME.as_secs() + SHUTDOWN_TIME.as_secs() < GRACE.as_secs());
/// Before a reconciliation that failed is tried again.
const RETRY: Pauses = Pauses::new(Duration::from_secs(2), Duration::from_secs(30));
/// Reconciliations at once. Requests evaluate models.
const CONCURRENCY: (u16, u16, u16) = (2, 8, 4);

/// Runs until it is told to stop.
///
/// # Errors
/// A machine or cluster that is not set up; everything about objects is in their status.
pub async fn run(options: RunOptions) -> Result<(), RunError> {
    let metrics = Arc::new(Metrics::default());
    let client = settings::client(&metrics).await?;
    let stop = settings::stop_signal()?;
    let leadership = Leadership::new(&client, &options.namespace);
    tokio::select! {
        acquired = leadership.acquire(&stop) => if !acquired? {
            return Ok(());
        },
        () = health::stand_by(&options.health_address) => {}
    }
    let artifacts = settings::artifacts(&options)?;
    let key = settings::token_key(&client, &options.namespace).await?;
    let setup = settings::setup(&options, &artifacts).await?;
    if setup.policy.is_some_and(|p| p.development) {
        tracing::warn!(
            "the development SRS is in use: everything proved with Halo2Kzg is FORGEABLE BY ANYONE"
        );
    }
    let scope = Arc::new(Scope::new(&options.namespace, &options.namespaces));
    if let Some(seen) = scope.namespaces() {
        let namespaces = seen.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        tracing::info!(
            namespaces,
            "only these namespaces are watched: Models, requests, pools and lists of consent elsewhere are not seen, and get no \
             status"
        );
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let dispatcher = Dispatcher::new(artifacts.clone(), key, options.least_lease, threads);
    let ledger = attempts::ledger(&artifacts, &dispatcher).await?;
    let (models, models_writer) = world::store();
    let (requests, requests_writer) = world::store();
    let (pools, pools_writer) = world::store();
    let (wake_models, asked_models) = mpsc::unbounded_channel();
    let (wake_requests, asked_requests) = mpsc::unbounded_channel();
    let (wake_pools, asked_pools) = mpsc::unbounded_channel();
    let reporter = Reporter {
        controller: MANAGER.to_owned(),
        instance: std::env::var("HOSTNAME").ok(),
    };
    let world = Arc::new(World {
        client: client.clone(),
        scope: Arc::clone(&scope),
        stores: Stores {
            models,
            requests,
            pools,
        },
        wake: Wake {
            models: wake_models,
            requests: wake_requests,
            pools: wake_pools,
        },
        ready: Ready::default(),
        started: Instant::now(),
        events: Events::new(client.clone(), reporter),
        consents: Consents::new(&options.workers.namespace),
        artifacts,
        store: StoreHealth::default(),
        source_urls: options.source_urls.clone(),
        dispatcher,
        jobs: JobIndex::default(),
        fleet: Notify::new(),
        workers: options.workers.clone(),
        shelf: Shelf::new(options.model_memory),
        setup: setup.policy,
        srs: setup.verifier,
        max_error: options.max_error,
        metrics,
    });
    let models = Arc::new(Models::new(
        Arc::clone(&world),
        options.compile.clone(),
        setup.file,
    ));
    let pools = Arc::new(Pools::new(Arc::clone(&world), ledger));
    let requests = Arc::new(Requests::new(
        Arc::clone(&models),
        Arc::clone(&pools),
        options.network.clone(),
        Reference::new(options.reference_socket.clone()),
    ));
    let ctx = Arc::new(Operator {
        world: Arc::clone(&world),
        models,
        pools,
        requests,
    });
    let health = TcpListener::bind(&options.health_address)
        .await
        .map_err(|e| RunError::Listen(options.health_address.clone(), e))?;
    let gateway = TcpListener::bind(&options.gateway_address)
        .await
        .map_err(|e| RunError::Listen(options.gateway_address.clone(), e))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(health::serve(health, Arc::clone(&ctx)));
    tasks.spawn(attempts::run(Arc::clone(&ctx)));
    tasks.spawn(jobs::run(Arc::clone(&world)));
    tasks.spawn(sweep::run(Arc::clone(&ctx)));
    tasks.spawn(consents::run(Arc::clone(&ctx)));
    let tried = Arc::clone(&world);
    tasks.spawn(async move { tried.store.follow(&tried.artifacts, || tried.wake_all()).await });
    let answering = tokio::spawn(answer(Arc::clone(&ctx), gateway, stop.clone()));

    let (seen, gone, relisted) = (Arc::clone(&ctx), Arc::clone(&ctx), Arc::clone(&ctx));
    let models = world::controller(
        world::objects(&client, &scope, "models", world.stores.models.clone()),
        models_writer,
        asked_models,
        CONCURRENCY.0,
        move || {
            relisted.world.ready.set(Part::Models);
            // Everything that says who may serve was listed anew.
            relisted.requests.consent_again(|_| true);
        },
        // At once, and not when the Model's turn comes: who may see it no more has slices of it.
        move |model: &Model| seen.requests.model_seen(model),
        move |model: &Model| sweep::model_gone(&gone, model),
    );
    let gone = Arc::clone(&ctx);
    let requests = world::controller(
        world::objects(
            &client,
            &scope,
            "inferencerequests",
            world.stores.requests.clone(),
        ),
        requests_writer,
        asked_requests,
        CONCURRENCY.1,
        listed(&world, Part::Requests),
        |_| {},
        move |request: &InferenceRequest| sweep::request_gone(&gone, request),
    );
    let (seen, gone) = (Arc::clone(&ctx), Arc::clone(&ctx));
    let pools = world::controller(
        world::objects(&client, &scope, "minerpools", world.stores.pools.clone()),
        pools_writer,
        asked_pools,
        CONCURRENCY.2,
        listed(&world, Part::Pools),
        // At once, and not when the pool's turn comes: workers ask all the time.
        move |pool: &MinerPool| seen.world.dispatcher.know(&PoolId::from(pool), pool::facts(pool)),
        move |pool: &MinerPool| sweep::pool_gone(&gone, pool),
    )
    .owns_stream(
        follow(
            &scope,
            "deployments",
            move |place| {
                let managed = watcher::Config::default().labels(&labels::managed());
                watcher(place.api::<PartialObjectMeta<Deployment>>(&client), managed)
            },
            // What has disappeared unseen wakes nobody, as in one watch.
            |_, _| None,
        )
        .touched_objects(),
    );
    let controllers = async {
        futures::join!(
            drive(models, "Model", model::reconcile, (&ctx.models, &world), &stop),
            drive(
                requests,
                "InferenceRequest",
                request::reconcile,
                (&ctx.requests, &world),
                &stop
            ),
            drive(pools, "MinerPool", pool::reconcile, (&ctx.pools, &world), &stop),
        )
    };
    let ended = tokio::select! {
        ended = ends_in_time(controllers, stopped(stop.clone()), DRAIN_TIME) => ended,
        () = leadership.keep() => return Err(RunError::NotLeader),
    };
    if ended.is_none() {
        tracing::warn!("some reconciliations did not end in time; the next operator makes them again");
    }
    // Workers that wait for work lose their call, and make it again at the next operator.
    let _ = tokio::time::timeout(SHUTDOWN_TIME, answering).await;
    tasks.shutdown().await;
    leadership.release().await;
    Ok(())
}

fn listed(world: &Arc<World>, part: Part) -> impl Fn() + Send + 'static {
    let world = Arc::clone(world);
    move || world.ready.set(part)
}

/// Runs one controller until the operator is told to stop and its last reconciliation has ended.
async fn drive<K, C, F>(
    controller: Controller<K>,
    kind: &'static str,
    reconcile: impl Fn(Arc<K>, Arc<C>) -> F + Send + Sync + 'static,
    (ctx, world): (&Arc<C>, &Arc<World>),
    stop: &Stop,
) where
    C: Send + Sync + 'static,
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    F: Future<Output = Result<Requeue, ReconcileError>> + Send + 'static,
{
    let failures = Arc::new(Failures::default());
    let counted = Arc::clone(&failures);
    let metrics = Arc::clone(&world.metrics);
    let reconcile = move |object: Arc<K>, ctx: Arc<C>| {
        let name = ObjectRef::from_obj(&*object).to_string();
        let reconciled = reconcile(object, ctx);
        let (failures, metrics) = (Arc::clone(&counted), Arc::clone(&metrics));
        async move {
            let began = Instant::now();
            let result = tokio::time::timeout(RECONCILE_TIME, reconciled)
                .await
                .unwrap_or(Err(ReconcileError::TooSlow));
            metrics.reconciled(kind, began.elapsed(), result.is_ok());
            match &result {
                Ok(_) => failures.forget(&name),
                Err(error) => {
                    let times = failures.count(&name);
                    // What goes on failing is told ever more seldom.
                    if times.is_power_of_two() {
                        tracing::warn!(object = %name, %error, times, "reconciling");
                    }
                }
            }
            result
        }
    };
    let again = move |object: Arc<K>, _: &ReconcileError, _: Arc<C>| {
        let times = failures.times(&ObjectRef::from_obj(&*object).to_string());
        Requeue::requeue(RETRY.after(times))
    };
    controller
        .graceful_shutdown_on(stopped(stop.clone()))
        .run(reconcile, again, Arc::clone(ctx))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// How often in a row the reconciliations of an object have failed.
#[derive(Default)]
struct Failures(std::sync::Mutex<BTreeMap<String, u32>>);

impl Failures {
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn forget(&self, name: &str) {
        self.all().remove(name);
    }

    fn count(&self, name: &str) -> u32 {
        let mut all = self.all();
        let times = all.entry(name.to_owned()).or_default();
        *times = times.saturating_add(1);
        *times
    }

    fn times(&self, name: &str) -> u32 {
        self.all().get(name).copied().unwrap_or(1)
    }
}

/// What `work` gives, unless it is still at work so long after it was told to stop.
async fn ends_in_time<T>(
    work: impl Future<Output = T>,
    stopped: impl Future<Output = ()>,
    limit: Duration,
) -> Option<T> {
    let late = async {
        stopped.await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        done = work => Some(done),
        () = late => None,
    }
}

/// Answers workers, compilers and clients, once all that was at work before a restart is known again: before that, a
/// claim of an honest worker would look like one of a request that is over.
async fn answer(ctx: Arc<Operator>, listener: TcpListener, stop: Stop) {
    let known = ctx.world.ready.wait(&[
        Part::Models,
        Part::Requests,
        Part::Pools,
        Part::Jobs,
        Part::Consents,
    ]);
    tokio::select! {
        () = known => {}
        () = stopped(stop.clone()) => return,
    }
    let resumed = async {
        while !all_resumed(&ctx) {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(RESUME_TIME, resumed).await.is_err() {
        tracing::warn!("some requests from before the restart cannot go on yet; the others do");
    }
    let fleet = tokio::spawn(rounds::run(Arc::clone(&ctx)));
    let turns = Turns::new();
    let gateway = Gateway::new(
        Arc::clone(&ctx.world.dispatcher),
        Arc::new(TokenReviews::new(Arc::clone(&ctx), Arc::clone(&turns))),
    )
    .with_compilations(Arc::new(Compilers(Arc::clone(&ctx))))
    .with_clients(Clients {
        guard: Arc::new(auth::Clients::new(Arc::clone(&ctx), turns)),
        directory: Arc::new(Objects(Arc::clone(&ctx))),
    });
    ctx.world.ready.set(Part::Gateway);
    tracing::info!(address = ?listener.local_addr().ok(), "answering");
    if let Err(error) = gateway.serve(listener, stopped(stop)).await {
        tracing::error!(%error, "the gateway stopped");
    }
    fleet.abort();
}

/// Every request that was being proved when the operator started has its run, or has none for now.
fn all_resumed(ctx: &Operator) -> bool {
    let requests = ctx.world.stores.requests.state();
    requests.iter().all(|r| !ctx.requests.awaits(r))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_and_again_is_tried_ever_more_seldom_and_never_given_up() {
        let failures = Failures::default();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            pauses.push(RETRY.mean(failures.count("a")).as_secs());
        }
        assert_eq!(pauses[..5], [2, 4, 8, 16, 30]);
        assert!(pauses[5..].iter().all(|p| *p == 30));
        failures.forget("a");
        assert_eq!(failures.count("a"), 1);
    }

    #[tokio::test]
    async fn a_reconciliation_that_hangs_does_not_hold_the_operator_beyond_its_grace() {
        let (told, limit) = (|| std::future::ready(()), Duration::from_millis(30));
        let began = Instant::now();
        let hung = ends_in_time(std::future::pending::<()>(), told(), limit).await;
        assert!(hung.is_none() && began.elapsed() >= limit);
        let at_work = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            7
        };
        assert_eq!(
            ends_in_time(at_work, told(), Duration::from_secs(60)).await,
            Some(7)
        );
    }
}
