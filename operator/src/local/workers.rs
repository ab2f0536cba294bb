//! Runs each pool's workers as child processes: what Deployments and Jobs do in a cluster.
//!
//! Invariant: no worker outlives this process, and a worker's token is known to its pool alone. A worker that ends with
//! an error is started again, a few times; exit 0 means that the gateway said that it is over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use zkinfer_crds::k8s::MinerPoolSpec;

use crate::dispatch::PoolId;

/// A worker that ended with an error is started again this often.
const MAX_RESTARTS: u32 = 3;
/// Time for workers to end by themselves once there is no more work.
const GRACE: Duration = Duration::from_secs(3);

/// How a pool's workers are started.
#[derive(Debug, Clone)]
pub(super) struct PoolProcesses {
    pub(super) pool: PoolId,
    pub(super) spec: MinerPoolSpec,
    pub(super) token: String,
    /// Program and arguments; `work` is added for `prover-worker`.
    pub(super) command: Vec<String>,
}

/// Why a pool has no workers, by pool.
pub(super) type StartErrors = Arc<Mutex<BTreeMap<PoolId, String>>>;

pub(super) struct Workers {
    tasks: JoinSet<()>,
    pub(super) errors: StartErrors,
}

impl Workers {
    /// Starts every worker of every pool.
    pub(super) fn start(pools: Vec<PoolProcesses>, gateway: &str, logs: &Path, cache: &Path) -> Self {
        let (mut tasks, errors) = (JoinSet::new(), StartErrors::default());
        for pool in pools.into_iter().filter(|p| !p.spec.drain) {
            for index in 0..pool.spec.parallelism {
                let worker = Worker {
                    name: format!("{}-{index}", pool.pool.to_string().replace('/', "-")),
                    pool: pool.clone(),
                    gateway: gateway.to_owned(),
                    logs: logs.to_owned(),
                    cache: cache.to_owned(),
                };
                let errors = Arc::clone(&errors);
                tasks.spawn(worker.keep_running(errors));
            }
        }
        Self { tasks, errors }
    }

    /// Waits for the workers to end after the gateway has closed; then ends them.
    pub(super) async fn stop(mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, all).await;
        // Dropping a child kills it.
        self.tasks.shutdown().await;
    }
}

struct Worker {
    name: String,
    pool: PoolProcesses,
    gateway: String,
    logs: PathBuf,
    cache: PathBuf,
}

impl Worker {
    async fn keep_running(self, errors: StartErrors) {
        let mut restarts = 0;
        let why = loop {
            let ended = match self.spawn() {
                Ok(mut child) => child.wait().await.map_err(|e| e.to_string()),
                Err(e) => Err(e),
            };
            match ended {
                Ok(status) if status.success() => return,
                Ok(status) if restarts >= MAX_RESTARTS => {
                    break format!("worker {} ended with {status}", self.name);
                }
                Err(e) => break e,
                Ok(status) => tracing::warn!(worker = %self.name, %status, "starting the worker again"),
            }
            restarts += 1;
            tokio::time::sleep(Duration::from_millis(200) * restarts).await;
        };
        tracing::warn!(pool = %self.pool.pool, %why, "no more workers are started");
        errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.pool.pool.clone(), why);
    }

    fn spawn(&self) -> Result<Child, String> {
        let (program, arguments) = self
            .pool
            .command
            .split_first()
            .ok_or("the pool's prover names no program")?;
        let log = self.logs.join(format!("{}.log", self.name));
        let open = || std::fs::File::options().create(true).append(true).open(&log);
        let file = open().map_err(|e| format!("cannot write {}: {e}", log.display()))?;
        let resources = &self.pool.spec.resources;
        let cores = resources.cpu.millicores().div_ceil(1000).to_string();
        Command::new(program)
            .args(arguments)
            .env("ZKINFER_GATEWAY", &self.gateway)
            .env("ZKINFER_TOKEN", &self.pool.token)
            .env("ZKINFER_WORKER", &self.name)
            .env("ZKINFER_MEMORY_MIB", (resources.memory.bytes() >> 20).to_string())
            .env("ZKINFER_CACHE", &self.cache)
            .env("ZKINFER_CLAIMS", &cores)
            .env("RAYON_NUM_THREADS", &cores)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("cannot start {program}: {e}"))
    }
}
