//! Local mode: the operator of a cluster, with its controllers, gateway and workers, on one machine without one.
//!
//! Invariant: nothing here decides anything about Models, requests and pools: they are in an API server of our own ([`api`],
//! in memory), Jobs and Deployments are run by our own node ([`pods`], processes), and the rest is [`cluster::operate`].

mod api;
mod files;
mod follow;
mod inputs;
mod names;
mod objects;
mod pods;
mod print;
mod reference;
mod submit;
mod validator;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::RngCore;
use rand::rngs::OsRng;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use zkinfer_crds::Digest;
use zkinfer_scoring::Rule;
use zkml::systems;

pub use inputs::{InputsError, joined};
pub use objects::{ObjectError, Objects};
pub use print::{Format, failures, render};
pub use submit::{SubmitError, SubmitOptions, objects as submit_objects};

use self::api::{ApiServer, RUNNER, Store, Tokens};
use self::files::Files;
use self::follow::{Follower, Progress};
use self::names::{DEFAULT_NAMESPACE, OPERATOR_NAMESPACE};
use self::pods::Node;
use crate::artifacts::{ArtifactError, Artifacts};
use crate::cluster::{self, RunError, Runner, Segments, Settings, Setup, Site};
use crate::dispatch::{self, Dispatcher, TokenKey};
use crate::in_force::Rules;
use crate::metrics::Metrics;
use crate::runs::Budget;
use crate::scoring::Totals;
use crate::specs::{Class, CompileSettings, WorkerSettings};
use crate::web::{Hosts, Web};
use crate::world::AtWork;

/// The network id of local mode.
const NETWORK: &str = "local";
/// The longest that a compilation may take, in seconds.
const COMPILE_SECONDS: i64 = 24 * 3600;
/// The longest lease of a claim.
const LONGEST_LEASE: Duration = Duration::from_secs(600);

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where compiled models, artifacts, logs and receipts are kept.
    pub state: PathBuf,
    /// The `prover-worker` binary; absent: beside this program.
    pub worker: Option<PathBuf>,
    /// Other provers, by pool as `namespace/name`: program and arguments.
    pub provers: Vec<(String, Vec<String>)>,
    /// An SRS file.
    pub srs: Option<PathBuf>,
    /// Use the development SRS, which is FORGEABLE BY ANYONE.
    pub allow_dev_srs: bool,
    /// Shortest lease of a claim.
    pub least_lease: Duration,
    /// The greatest error of an answer that is accepted.
    pub max_error: f64,
    /// No progress on standard error.
    pub quiet: bool,
    /// Stay until told to stop, and answer clients.
    pub serve: bool,
    /// A collector of OpenTelemetry that operator and workers tell of their spans; absent: none.
    pub otlp_endpoint: Option<String>,
    /// Show people what goes on, at this address of this machine, and stay until told to stop; absent: nowhere.
    pub web: Option<SocketAddr>,
}

/// Why local mode did not run.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A Model is proved with Halo2Kzg, and there is neither an SRS nor the flag.
    #[error(
        "no trusted setup was given, and proofs of Halo2Kzg rest on one. Import one from a public ceremony (docs/trusted-setup.md):\n    \
         prover-worker srs import powersOfTau28_hez_final_16.ptau --k 16 --out srs-16.bin\n\
         and give --srs srs-16.bin; or give --allow-dev-srs for a try-out whose proofs are FORGEABLE BY ANYONE"
    )]
    NoSrs,
    /// What the operator needs.
    #[error(transparent)]
    Operator(#[from] RunError),
    /// An object.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The pools of a run to which none were given.
    #[error(transparent)]
    Pools(#[from] SubmitError),
    /// A path.
    #[error("{}: {source}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The worker's binary is not there.
    #[error("there is no prover-worker at {}: build it (cargo build --release --workspace --bin prover-worker) or give --worker", .0.display())]
    NoWorker(PathBuf),
    /// A prover for a pool that is not there.
    #[error("--prover {0}: there is no such pool")]
    UnknownPool(String),
    /// The collector's address.
    #[error("--otlp-endpoint: {0}")]
    Spans(#[from] zkinfer_spans::SpansError),
    /// The artifact store.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// The gateway.
    #[error("gateway: {0}")]
    Gateway(std::io::Error),
    /// The web app's address.
    #[error("cannot listen on {0}: {1}")]
    Web(SocketAddr, std::io::Error),
    /// The web app's address is one that others reach.
    #[error(
        "{0} is no address of this machine alone: whoever reaches it could read models, inputs and answers on their way"
    )]
    NotLoopback(SocketAddr),
    /// There is no place for the float reference's socket.
    #[error("a folder for the float reference's socket: {0}")]
    Reference(std::io::Error),
}

/// What became of it all.
#[derive(Debug)]
pub struct Outcome {
    /// The objects with their status.
    pub objects: Objects,
    /// The program that has proved, and that verifies.
    pub worker: PathBuf,
    /// Every request succeeded, every Model that none asks is ready, and there was one of either.
    pub succeeded: bool,
}

/// Runs until every request has ended or nothing can change any more, or until it is told to stop. `tell` is given what became
/// of it all as soon as that is known; with a web app that is before the end.
///
/// # Errors
/// A machine that is not set up; everything about objects is in their status.
pub async fn run(
    mut objects: Objects,
    options: &Options,
    tell: impl FnOnce(&Outcome),
) -> Result<Outcome, LocalError> {
    let progress = Progress::new(options.quiet);
    // Of an empty page models are made, which somebody has to prove; and it is never over.
    let studio = options.web.is_some() && objects.models.is_empty() && objects.requests.is_empty();
    if studio && objects.pools.is_empty() {
        submit::add_pools(&mut objects)?;
    }
    let stop = cluster::stop_signal()?;
    cluster::tell_spans(options.otlp_endpoint.as_deref())?;
    let folders = Folders::make(&options.state)?;
    let artifacts = Artifacts::file(&folders.artifacts)?;
    let setup = cluster::setup(options.srs.as_deref(), options.allow_dev_srs, &artifacts).await?;
    let worker = worker_binary(options)?;
    check(&objects, options, &setup, progress)?;
    if objects.given.is_some() {
        submit::upload(&mut objects, &artifacts).await?;
    }
    let api = ApiServer {
        store: Store::new(),
        tokens: Tokens::new(),
    };
    objects.put(&api.store)?;
    let gateway = listen().await?;
    let address = address(&gateway)?;
    let web = web(options.web, &api).await?;
    let files = Files {
        artifacts: artifacts.clone(),
        store: folders.artifacts.clone(),
        models: folders.models.clone(),
        receipts: folders.receipts.clone(),
        given: objects.given.clone(),
    };
    let node = Arc::new(Node {
        store: Arc::clone(&api.store),
        tokens: Arc::clone(&api.tokens),
        worker: worker.clone(),
        provers: options.provers.iter().cloned().collect(),
        logs: folders.logs.clone(),
        cache: folders.cache.clone(),
        volumes: folders.volumes.clone(),
        processes: Default::default(),
        closing: Default::default(),
    });
    let floats = reference::start(&worker, &folders.logs).map_err(LocalError::Reference)?;
    let settings = settings(options, &worker, &address, floats.socket.clone())?;
    let entries = dispatch::entries(&artifacts, |_| false).await?;
    let path = options.state.join("validator.key");
    let validator = validator::key(&path).map_err(|source| LocalError::Path { path, source })?;
    let segments = Segments::open(&artifacts, validator, &entries).await;
    let segments = Arc::new(segments.map_err(RunError::Ledger)?);
    let (mut site, dispatcher, at_work) = site(
        &api,
        artifacts,
        Arc::clone(&segments),
        setup,
        gateway,
        &files,
        settings.rules.leases,
    );
    let mut app = None;
    if let Some((web, told)) = web {
        // Asked for by itself, so that it is told where no progress is.
        eprintln!("web app: {told}");
        (site.web, app) = (Some(web), Some(told));
    }
    let operating = tokio::spawn(cluster::operate(site, settings, stop.clone()));
    let running = tokio::spawn(pods::run(Arc::clone(&node)));
    if options.serve {
        let told = serve(&api, &options.state).await?;
        progress.say(format_args!(
            "objects: KUBECONFIG={}; gateway: {address}",
            told.display()
        ));
    }
    let mut follower = Follower::new(Arc::clone(&api.store), files, progress);
    // With the last request everything ends: nobody is held to a claim any more.
    let let_go = || {
        let held = dispatcher.lingering();
        held.iter().for_each(|(uid, _)| dispatcher.remove(*uid, false));
        !held.is_empty()
    };
    tokio::select! {
        () = follower.run(&at_work, options.serve || studio, let_go) => {}
        () = cluster::stopped(stop.clone()) => {}
    }
    let outcome = outcome(&api.store, objects.given, worker);
    let app = app.filter(|_| !*stop.borrow());
    if let Some(app) = &app {
        progress.say(format_args!(
            "all of it is over; the web app stays until it is told to stop (Ctrl-C): {app}"
        ));
    }
    // Last, so that whoever looks at the end sees the answer, or why there is none.
    tell(&outcome);
    if app.is_some() {
        cluster::stopped(stop).await;
    }
    dispatcher.close();
    node.close().await;
    running.abort();
    operating.abort();
    floats.stop().await;
    segments.write().await.map_err(RunError::Ledger)?;
    zkinfer_spans::end().await;
    Ok(outcome)
}

fn outcome(store: &Store, given: Option<(PathBuf, Vec<PathBuf>)>, worker: PathBuf) -> Outcome {
    let objects = Objects::of(store, given);
    let asked = !(objects.requests.is_empty() && objects.models.is_empty());
    let succeeded = asked && failures(&objects).is_empty();
    Outcome {
        objects,
        worker,
        succeeded,
    }
}

/// Where things are, below the state folder.
struct Folders {
    artifacts: PathBuf,
    models: PathBuf,
    receipts: PathBuf,
    logs: PathBuf,
    cache: PathBuf,
    volumes: PathBuf,
}

impl Folders {
    fn make(state: &Path) -> Result<Self, LocalError> {
        let folder = |name: &str| {
            let path = state.join(name);
            let made = std::fs::create_dir_all(&path).and_then(|()| path.canonicalize());
            made.map_err(|source| LocalError::Path { path, source })
        };
        Ok(Self {
            artifacts: folder("artifacts")?,
            models: folder("models")?,
            receipts: folder("receipts")?,
            logs: folder("logs")?,
            cache: folder("cache")?,
            volumes: folder("volumes")?,
        })
    }
}

/// Whether the machine has what the objects need.
fn check(objects: &Objects, options: &Options, setup: &Setup, progress: Progress) -> Result<(), LocalError> {
    let mut words = objects.models.values().map(|m| m.spec.proof_system);
    if words.any(|word| systems::of(word).needs_srs()) {
        let policy = setup.policy.ok_or(LocalError::NoSrs)?;
        if policy.development {
            progress
                .say("the development SRS is in use: everything proved with Halo2Kzg is FORGEABLE BY ANYONE");
        }
    }
    let known: Vec<String> = objects.pools.keys().map(ToString::to_string).collect();
    let unknown = options.provers.iter().find(|(p, _)| !known.contains(p));
    // One that is served may come yet.
    if let Some((unknown, _)) = unknown.filter(|_| !options.serve) {
        return Err(LocalError::UnknownPool(unknown.clone()));
    }
    if objects.are_consented_to_by_the_runner() {
        progress.say(
            "pools of other namespaces see models and inputs, since you run them all; on a cluster a Model's \
             spec.servedBy must name them",
        );
    }
    Ok(())
}

fn settings(
    options: &Options,
    worker: &Path,
    gateway: &str,
    reference_socket: PathBuf,
) -> Result<Settings, LocalError> {
    Ok(Settings {
        namespace: OPERATOR_NAMESPACE.to_owned(),
        namespaces: Vec::new(),
        workers: WorkerSettings {
            gateway: gateway.to_owned(),
            namespace: OPERATOR_NAMESPACE.to_owned(),
            class: Class::every(),
            otlp_endpoint: options.otlp_endpoint.clone(),
        },
        rules: Rules {
            network: NETWORK.to_owned(),
            max_error: options.max_error,
            leases: (options.least_lease, LONGEST_LEASE.max(options.least_lease)),
            compile: CompileSettings {
                // Other programs make other keys.
                image: format!("prover-worker@{}", file_digest(worker)?),
                // Of this machine a compiler takes what there is.
                cpu: "1".to_owned(),
                memory: "1Gi".to_owned(),
                scratch: "1Gi".to_owned(),
                seconds: COMPILE_SECONDS,
            },
            // Files of this machine are given as they are.
            source_urls: Vec::new(),
            consent: None,
            allowed_srs: Vec::new(),
            retention: Default::default(), // The store of local mode is never swept.
            limits: Default::default(),
            quotas: Default::default(),
            stats: Default::default(),
            scoring: Rule::default(),
            benchmarks: None,
            scoring_since: 0,
            weights: None,
            spec: None,
        },
        reference_socket,
        // The machine's owner runs it.
        model_memory: Budget::of(u64::MAX),
        run_memory: Budget::of(u64::MAX),
    })
}

/// What the operator acts on here; its queue, and what tells whether it is at work.
fn site(
    api: &ApiServer,
    artifacts: Artifacts,
    segments: Arc<Segments>,
    setup: Setup,
    gateway: TcpListener,
    files: &Files,
    leases: (Duration, Duration),
) -> (Site, Arc<Dispatcher>, AtWork) {
    let mut key = [0; 32];
    OsRng.fill_bytes(&mut key);
    let dispatcher = cluster::dispatcher(&artifacts, TokenKey::new(key), leases);
    let at_work = AtWork::default();
    let site = Site {
        client: api.client(),
        artifacts,
        dispatcher: Arc::clone(&dispatcher),
        // A prover that was bad in an earlier run may be another by now.
        ledger: Totals::new(Rule::default()),
        segments,
        setup,
        gateway,
        health: None,
        web: None,
        metrics: Arc::new(Metrics::default()),
        at_work: at_work.clone(),
        runner: Some(Runner {
            outbox: Arc::new(files.clone()),
        }),
    };
    (site, dispatcher, at_work)
}

async fn listen() -> Result<TcpListener, LocalError> {
    TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(LocalError::Gateway)
}

fn address(listener: &TcpListener) -> Result<String, LocalError> {
    let address = listener.local_addr().map_err(LocalError::Gateway)?;
    Ok(format!("http://{address}"))
}

/// The web app's server, if one is asked for, and the address for whoever started it: its fragment, which no browser sends, holds
/// a token of this run.
async fn web(address: Option<SocketAddr>, api: &ApiServer) -> Result<Option<(Web, String)>, LocalError> {
    let Some(address) = address else { return Ok(None) };
    if !address.ip().is_loopback() {
        return Err(LocalError::NotLoopback(address));
    }
    let failed = |e| LocalError::Web(address, e);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let own = listener.local_addr().map_err(failed)?;
    let told = format!("http://{own}/#token={}", api.tokens.give(RUNNER));
    let hosts = Hosts::Loopback(own);
    let maker = Arc::new(api.clone());
    let web = Web {
        listener,
        hosts,
        maker,
    };
    Ok(Some((web, told)))
}

/// Serves the objects to whoever may read the kubeconfig, which is written below the state folder.
async fn serve(api: &ApiServer, state: &Path) -> Result<PathBuf, LocalError> {
    let listener = listen().await?;
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "local",
        "clusters": [{ "name": "local", "cluster": { "server": address(&listener)? } }],
        "users": [{ "name": "runner", "user": { "token": api.tokens.give(RUNNER) } }],
        "contexts": [{ "name": "local", "context": {
            "cluster": "local", "user": "runner", "namespace": DEFAULT_NAMESPACE,
        } }],
    });
    let path = state.join("kubeconfig");
    write_for_oneself(&path, config.to_string().as_bytes()).map_err(|source| LocalError::Path {
        path: path.clone(),
        source,
    })?;
    tokio::spawn(api.clone().serve(listener));
    Ok(path)
}

/// A file that nobody else may read at any time; it is whole when it is there.
fn write_for_oneself(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|e| e.error)
}

fn worker_binary(options: &Options) -> Result<PathBuf, LocalError> {
    let beside = || {
        let own = std::env::current_exe().unwrap_or_default();
        own.with_file_name("prover-worker")
    };
    let path = options.worker.clone().unwrap_or_else(beside);
    if path.is_file() {
        Ok(path)
    } else {
        Err(LocalError::NoWorker(path))
    }
}

fn file_digest(path: &Path) -> Result<Digest, LocalError> {
    let hashed = || {
        let mut hash = Sha256::new();
        std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
        Ok(Digest::new(hash.finalize().into()))
    };
    hashed().map_err(|source| LocalError::Path {
        path: path.to_owned(),
        source,
    })
}
