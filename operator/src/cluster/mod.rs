//! The operator, put together; and `operator run`, which runs it on a cluster.
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

mod about;
mod attempts;
mod auth;
mod compilations;
mod consents;
mod directory;
mod drive;
mod floats;
mod health;
mod jobs;
mod lease;
mod operator;
mod retention;
mod reviews;
mod rounds;
mod segments;
mod settings;
mod sweep;
mod told;
mod tries;
mod usage;
mod viewers;
mod weights;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use kube::Client;
use kube::runtime::events::Reporter;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub use segments::{Opened, Segments, SegmentsError, WeighError, Weighed};
pub use settings::{RunError, RunOptions, Settings, Setup, Stop, setup, stop_signal, stopped, tell_spans};

use self::auth::TokenReviews;
use self::compilations::Compilers;
use self::directory::Objects;
use self::drive::ends_in_time;
use self::floats::FloatModel;
use self::lease::Leadership;
use self::operator::Operator;
use self::reviews::Turns;
use self::told::Told;
use self::tries::CompiledModels;
use crate::artifacts::Artifacts;
use crate::controllers::Given;
use crate::dispatch::{Dispatcher, TokenKey};
use crate::fleet::JobIndex;
use crate::gateway::{Bodies, Clients, Gateway, Uploads};
use crate::in_force::InForce;
use crate::metrics::Metrics;
use crate::runs::{Outbox, Rooms, Shelf};
use crate::scoring::Totals;
use crate::web::{Shown, Web};
use crate::weights::Published;
use crate::world::{
    self, AtWork, Consents, Events, LOOK, Pace, Part, Ready, Scope, StoreHealth, Usage, World,
};

/// How long the gateway waits for runs from before a restart.
const RESUME_TIME: Duration = Duration::from_secs(30);
/// Time for reconciliations that are at work when the operator is told to stop, and then for open calls. Kubernetes kills
/// after [`GRACE`], and a reconciliation that is given up is made again.
const DRAIN_TIME: Duration = Duration::from_secs(15);
const SHUTDOWN_TIME: Duration = Duration::from_secs(5);
/// The operator's pod has Kubernetes' default `terminationGracePeriodSeconds`.
const GRACE: Duration = Duration::from_secs(30);
const _: () = assert!(DRAIN_TIME.as_secs() + SHUTDOWN_TIME.as_secs() < GRACE.as_secs());

/// Between segments of the ledger: on a person's own machine, and where others read it.
const SEGMENT_OWN: Duration = Duration::from_secs(1);
const SEGMENT_SHARED: Duration = Duration::from_secs(60);

/// What an operator acts on: the objects, the store, its addresses.
pub struct Site {
    /// The API server.
    pub client: Client,
    /// The artifact store.
    pub artifacts: Artifacts,
    /// Queue and claims; it remembers the latest of the ledger.
    pub dispatcher: Arc<Dispatcher>,
    /// What the ledger adds up to.
    pub ledger: Totals,
    /// The ledger as the validator signs it.
    pub segments: Arc<Segments>,
    /// The trusted setup.
    pub setup: Setup,
    /// Where workers, compilers and clients are answered.
    pub gateway: TcpListener,
    /// Where probes and Prometheus are answered; absent: nowhere.
    pub health: Option<TcpListener>,
    /// Where people look; absent: nowhere.
    pub web: Option<Web>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What no status tells of yet.
    pub at_work: AtWork,
    /// Whose machine it is, where one person runs all of it.
    pub runner: Option<Runner>,
}

/// One person runs the operator and every pool. What is of others only because nobody spoke for them is that person's; the
/// store, which other runs use too, is never swept.
pub struct Runner {
    /// Where receipts go beside the store.
    pub outbox: Arc<dyn Outbox>,
}

/// Runs until it is told to stop.
///
/// # Errors
/// A machine or cluster that is not set up; everything about objects is in their status.
pub async fn run(options: RunOptions) -> Result<(), RunError> {
    let metrics = Arc::new(Metrics::default());
    tell_spans(options.otlp_endpoint.as_deref())?;
    let client = settings::client(&metrics).await?;
    let stop = settings::stop_signal()?;
    let leadership = Leadership::new(&client, &options.settings.namespace);
    tokio::select! {
        acquired = leadership.acquire(&stop) => if !acquired? {
            return Ok(());
        },
        () = health::stand_by(&options.health_address) => {}
    }
    let artifacts = settings::artifacts(&options)?;
    let class = options.settings.workers.class.name();
    if let Some(other) = artifacts.of_another(class).await? {
        return Err(RunError::OthersStore(other));
    }
    let key = settings::token_key(&client, &options.settings.namespace).await?;
    let setup = settings::setup(options.srs.as_deref(), options.allow_dev_srs, &artifacts).await?;
    if setup.policy.is_some_and(|p| p.development) {
        tracing::warn!(
            "the development SRS is in use: everything proved with Halo2Kzg is FORGEABLE BY ANYONE"
        );
    }
    let dispatcher = dispatcher(&artifacts, key, options.settings.rules.leases);
    let validator = settings::validator_keys(&client, &options.settings.namespace).await?;
    let Opened {
        segments,
        ledger,
        standing,
    } = Segments::open_or_hold(&artifacts, validator).await?;
    dispatcher.remember(ledger.entries(), &standing);
    let site = Site {
        ledger: Totals::of_ledger(options.settings.rules.scoring.clone(), &ledger, &standing),
        segments: Arc::new(segments),
        health: Some(settings::listen(&options.health_address).await?),
        gateway: settings::listen(&options.gateway_address).await?,
        web: settings::web(options.web_address.as_deref()).await?,
        at_work: AtWork::default(),
        runner: None,
        client,
        artifacts,
        dispatcher,
        setup,
        metrics,
    };
    tokio::select! {
        () = operate(site, options.settings, stop) => {}
        () = leadership.keep() => return Err(RunError::NotLeader),
    }
    leadership.release().await;
    zkinfer_spans::end().await;
    Ok(())
}

/// An empty queue.
#[must_use]
pub fn dispatcher(artifacts: &Artifacts, key: TokenKey, leases: (Duration, Duration)) -> Arc<Dispatcher> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Dispatcher::new(artifacts.clone(), key, leases, threads)
}

/// Puts the parts together, and runs them until the operator is told to stop.
pub async fn operate(site: Site, options: Settings, stop: Stop) {
    let Site {
        client,
        artifacts,
        dispatcher,
        ledger,
        segments,
        setup,
        gateway,
        health,
        web,
        metrics,
        at_work,
        runner,
    } = site;
    let scope = Arc::new(Scope::new(
        &options.namespace,
        &options.namespaces,
        options.workers.class.clone(),
    ));
    if let Some(seen) = scope.namespaces() {
        let namespaces = seen.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        tracing::info!(
            namespaces,
            "only these namespaces are watched: Models, requests, pools and lists of consent elsewhere are not seen, and get no \
             status"
        );
    }
    let (stores, wake, feeds) = world::watched();
    let reporter = Reporter {
        controller: options.workers.class.manager(),
        instance: std::env::var("HOSTNAME").ok(),
    };
    let in_force = Arc::new(InForce::new(options.rules.clone()));
    let world = Arc::new(World {
        events: Events::new(client.clone(), reporter),
        client,
        scope,
        stores,
        wake,
        ready: Ready::default(),
        started: Instant::now(),
        consents: Consents::new(Arc::clone(&in_force), runner.is_some()),
        artifacts,
        store: StoreHealth::default(),
        usage: Usage::default(),
        in_force,
        ledger_held: segments.held().map(str::to_owned),
        ledger_end: Mutex::default(),
        weights: Published::default(),
        dispatcher,
        jobs: JobIndex::default(),
        fleet: Notify::new(),
        workers: options.workers.clone(),
        shelf: Shelf::new(options.model_memory),
        rooms: Rooms::new(options.run_memory),
        setup: setup.policy,
        srs: setup.verifier,
        at_work,
        pace: if runner.is_some() { Pace::OWN } else { Pace::SHARED },
        metrics,
    });
    let ctx = Arc::new(Operator::new(Given {
        world: Arc::clone(&world),
        srs_file: setup.file,
        ledger,
        reference_socket: options.reference_socket.clone(),
        outbox: runner.as_ref().map(|runner| Arc::clone(&runner.outbox)),
    }));
    let mut tasks = JoinSet::new();
    if let Some(health) = health {
        tasks.spawn(health::serve(health, Arc::clone(&ctx)));
    }
    tasks.spawn(attempts::run(Arc::clone(&ctx), Arc::clone(&segments)));
    let pause = if runner.is_some() {
        SEGMENT_OWN
    } else {
        SEGMENT_SHARED
    };
    let (written, named, known) = (
        Arc::clone(&segments),
        Arc::clone(&world.in_force),
        Arc::clone(&world),
    );
    tasks.spawn(async move {
        // No rule is named that nobody has chosen.
        known.settings_are_known().await;
        written.run(pause, named).await;
    });
    tasks.spawn(told::follow(Arc::clone(&world), Arc::clone(&segments)));
    tasks.spawn(weights::run(Arc::clone(&ctx), Arc::clone(&segments)));
    tasks.spawn(jobs::run(Arc::clone(&world)));
    if runner.is_none() {
        tasks.spawn(sweep::run(Arc::clone(&ctx)));
        let (kept, known) = (Arc::clone(&segments), Arc::clone(&world));
        tasks.spawn(async move {
            // What is kept follows from the rule and the retention in force.
            known.settings_are_known().await;
            kept.keep(Arc::clone(&known.in_force)).await;
        });
    }
    tasks.spawn(consents::run(Arc::clone(&ctx)));
    let tried = Arc::clone(&world);
    tasks.spawn(async move { tried.store.follow(&tried.artifacts, || tried.wake_all()).await });
    let turns = Turns::new();
    let clients = Clients {
        guard: Arc::new(auth::Clients::new(Arc::clone(&ctx), Arc::clone(&turns))),
        directory: Arc::new(Objects(Arc::clone(&ctx))),
        uploads: Uploads::default(),
        bodies: Bodies::default(),
    };
    if let Some(web) = web {
        let told = Told {
            ctx: Arc::clone(&ctx),
            segments: Arc::clone(&segments),
            namespace: options.namespace.clone(),
        };
        tasks.spawn(show(web, told, clients.clone(), stop.clone()));
    }
    let answering = tokio::spawn(answer(Arc::clone(&ctx), gateway, (turns, clients), stop.clone()));

    let ended = ends_in_time(ctx.control(feeds, &stop), stopped(stop.clone()), DRAIN_TIME).await;
    if ended.is_none() {
        tracing::warn!("some reconciliations did not end in time; the next operator makes them again");
    }
    // Workers that wait for work lose their call, and make it again at the next operator.
    let _ = tokio::time::timeout(SHUTDOWN_TIME, answering).await;
    tasks.shutdown().await;
    // What is not written now waits in its entries for the next start.
    if world.settings_are_known().now_or_never().is_some() {
        let rules = world.in_force.get();
        segments.score_by(&rules.scoring, rules.scoring_since);
    }
    if let Ok(Err(error)) = tokio::time::timeout(SEGMENT_OWN, segments.write()).await {
        tracing::warn!(%error, "the last segment of the ledger was not written");
    }
}

/// Answers workers, compilers and clients, once all that was at work before a restart is known again: before that, a
/// claim of an honest worker would look like one of a request that is over.
async fn answer(
    ctx: Arc<Operator>,
    listener: TcpListener,
    (turns, clients): (Arc<Turns>, Clients),
    stop: Stop,
) {
    tokio::select! {
        () = ctx.world.ready.wait_for_lists() => {}
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
    let gateway = Gateway::new(
        Arc::clone(&ctx.world.dispatcher),
        Arc::new(TokenReviews::new(Arc::clone(&ctx), turns)),
    )
    .with_compilations(Arc::new(Compilers(Arc::clone(&ctx))))
    .with_clients(clients);
    ctx.world.ready.set(Part::Gateway);
    tracing::info!(address = ?listener.local_addr().ok(), "answering");
    if let Err(error) = gateway.serve(listener, stopped(stop)).await {
        tracing::error!(%error, "the gateway stopped");
    }
    fleet.abort();
}

/// Shows people what there is, once it is known.
async fn show(web: Web, told: Told, clients: Clients, stop: Stop) {
    let ctx = Arc::clone(&told.ctx);
    tokio::select! {
        () = ctx.world.ready.wait_for_lists() => {}
        () = stopped(stop.clone()) => return,
    }
    let shown = Shown {
        requests: ctx.world.stores.requests.clone(),
        models: ctx.world.stores.models.clone(),
        pools: ctx.world.stores.pools.clone(),
        validators: ctx.world.stores.validators.clone(),
        artifacts: ctx.world.artifacts.clone(),
        clients,
        compiled: Arc::new(CompiledModels(Arc::clone(&ctx))),
        floats: Arc::new(FloatModel(Arc::clone(&ctx))),
        class: ctx.world.scope.class().to_owned(),
        ledger: Arc::new(told),
    };
    if let Err(error) = web.serve(shown, stop).await {
        tracing::error!(%error, "the web app is not served any more");
    }
}

/// Every request that was being proved when the operator started has its run, or has none for now.
fn all_resumed(ctx: &Operator) -> bool {
    let requests = ctx.world.stores.requests.state();
    requests.iter().all(|r| !ctx.requests.awaits(r))
}
