//! Local mode: the same objects, planners, gateway and workers as in a cluster, on one machine without one. Only the
//! store of objects (memory) and the runner of pods (processes) differ.

mod apply;
mod compiler;
mod objects;
mod print;
mod progress;
mod reference;
mod submit;
mod workers;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::RngCore;
use rand::rngs::OsRng;
use tokio::net::TcpListener;
use zkinfer_crds::Digest;
use zkml::setup::SrsSource;
use zkml::systems;

pub use objects::{ObjectError, Objects};
pub use print::{Format, failures, render};
pub use submit::{SubmitError, SubmitOptions, objects as submit_objects};

use self::compiler::Compiler;
use self::progress::Progress;
use self::workers::{PoolProcesses, Workers};
use self::world::{Judge, World};
use crate::artifacts::{ArtifactError, Artifacts};
use crate::controllers::pool::{facts, identity_of};
use crate::dispatch::{Dispatcher, TokenKey, WorkerAuth};
use crate::gateway::{Gateway, StaticTokens};
use crate::setup::{SetupError, SetupPolicy, srs_source};

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
    /// The SRS file.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A path.
    #[error("{}: {source}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The worker's binary is not there.
    #[error("there is no prover-worker at {}: build it (cargo build --release -p prover-worker) or give --worker", .0.display())]
    NoWorker(PathBuf),
    /// A prover for a pool that is not there.
    #[error("--prover {0}: there is no such pool")]
    UnknownPool(String),
    /// The artifact store.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// The gateway.
    #[error("gateway: {0}")]
    Gateway(std::io::Error),
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
    /// Every request succeeded, and there was one.
    pub succeeded: bool,
}

/// Runs until every request has ended or nothing can change any more.
///
/// # Errors
/// A machine that is not set up; everything about objects is in their status.
pub async fn run(objects: Objects, options: &Options) -> Result<Outcome, LocalError> {
    let progress = Progress::new(options.quiet);
    let source = srs_source(options.srs.as_deref(), options.allow_dev_srs)?;
    let worker = worker_binary(options)?;
    let setup = source.as_ref().map(SetupPolicy::of);
    let mut words = objects.models.values().map(|m| m.spec.proof_system);
    if words.any(|word| systems::of(word).needs_srs()) {
        let setup = setup.ok_or(LocalError::NoSrs)?;
        if setup.development {
            progress
                .say("the development SRS is in use: everything proved with Halo2Kzg is FORGEABLE BY ANYONE");
        }
    }
    let folder = |name: &str| {
        let path = options.state.join(name);
        let made = std::fs::create_dir_all(&path).and_then(|()| path.canonicalize());
        made.map_err(|source| LocalError::Path { path, source })
    };
    let artifacts = Artifacts::file(&folder("artifacts")?)?;
    let mut key = [0; 32];
    OsRng.fill_bytes(&mut key);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let dispatcher = Dispatcher::new(
        artifacts.clone(),
        TokenKey::new(key),
        options.least_lease,
        threads,
    );
    // Workers come before the loop has looked at their pools.
    for (key, object) in &objects.pools {
        dispatcher.know(&key.pool(), facts(object));
    }
    let pools = pool_processes(&objects, options, &worker)?;
    let tokens = pools.iter().filter_map(|p| {
        let (_, object) = objects.pools.iter().find(|(k, _)| k.pool() == p.pool)?;
        let auth = WorkerAuth {
            pool: p.pool.clone(),
            identity: identity_of(object),
        };
        Some((p.token.clone(), auth))
    });
    let gateway = Gateway::new(
        Arc::clone(&dispatcher),
        Arc::new(StaticTokens::new(tokens.collect::<Vec<_>>())),
    );
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(LocalError::Gateway)?;
    let address = format!("http://{}", listener.local_addr().map_err(LocalError::Gateway)?);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(gateway.serve(listener, async move {
        let _ = stopped.await;
    }));
    let workers = Workers::start(pools, &address, &folder("logs")?, &folder("cache")?);
    let floats = reference::start(&worker, &folder("logs")?).map_err(LocalError::Reference)?;
    let compiler = Compiler {
        worker_digest: file_digest(&worker)?,
        worker: worker.clone(),
        srs: match &options.srs {
            Some(path) => vec!["--srs".to_owned(), path.display().to_string()],
            None if options.allow_dev_srs => vec!["--allow-dev-srs".to_owned()],
            None => Vec::new(),
        },
        srs_digest: setup.map(|s| s.srs),
    };
    let world = World::new(
        objects,
        dispatcher.clone(),
        artifacts,
        compiler,
        (setup, source.as_ref().map(SrsSource::verifier)),
        Judge {
            max_error: options.max_error,
            reference: floats.reference.clone(),
        },
        progress,
    );
    let objects = world
        .run(&folder("models")?, &folder("receipts")?, &workers.errors)
        .await;
    dispatcher.close();
    workers.stop().await;
    floats.stop().await;
    let _ = stop.send(());
    serving.abort();
    let requests = objects.requests.values();
    let phase = |r: &zkinfer_crds::k8s::InferenceRequest| r.status.as_ref().map(|s| s.phase);
    let succeeded = !objects.requests.is_empty()
        && requests
            .into_iter()
            .all(|r| phase(r) == Some(zkinfer_crds::k8s::RequestPhase::Succeeded));
    Ok(Outcome {
        objects,
        worker,
        succeeded,
    })
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

fn file_digest(path: &PathBuf) -> Result<Digest, LocalError> {
    let bytes = std::fs::read(path).map_err(|source| LocalError::Path {
        path: path.clone(),
        source,
    })?;
    Ok(Digest::of(&bytes))
}

fn pool_processes(
    objects: &Objects,
    options: &Options,
    worker: &Path,
) -> Result<Vec<PoolProcesses>, LocalError> {
    let known: Vec<String> = objects.pools.keys().map(ToString::to_string).collect();
    if let Some((unknown, _)) = options.provers.iter().find(|(p, _)| !known.contains(p)) {
        return Err(LocalError::UnknownPool(unknown.clone()));
    }
    let processes = objects.pools.iter().map(|(key, pool)| {
        let mut secret = [0; 32];
        OsRng.fill_bytes(&mut secret);
        let own = options.provers.iter().find(|(p, _)| *p == key.to_string());
        let default = || vec![worker.display().to_string(), "work".to_owned()];
        PoolProcesses {
            pool: key.pool(),
            spec: pool.spec.clone(),
            token: hex::encode(secret),
            command: own.map_or_else(default, |(_, command)| command.clone()),
        }
    });
    Ok(processes.collect())
}
