//! A node without containers: it runs each pod's one container as a process of this machine.
//!
//! For the API tier, where everything but the node is real: Jobs, Deployments, evictions, deadlines and lost nodes meet
//! a process that a test can kill, stall or watch, within milliseconds and by the hundred. The program is chosen by the
//! pod's image. Mounted volumes are folders, and each path under a mount in arguments and environment is replaced by
//! the folder's. Readiness is running; probes, hooks, users and limits are not looked at.
//!
//! Invariant: no process outlives the node, and none the test process: all of them are in the PID namespace of the
//! cluster's sandbox (but in the machine's own network, where the test is). The node works on threads of its own, so a
//! test that blocks does not make it miss its heartbeat.

mod container;
mod control;
mod error;
mod heartbeat;
mod mounts;
mod pod;
mod process;
mod registry;
mod report;
mod status;
mod token;
mod volumes;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::Client;
use tokio::{runtime::Runtime, sync::Semaphore};

pub use control::Running;
pub use error::Error;

use crate::cluster::{self, Cluster};
use registry::Shared;

/// How long a dropped node tries to take itself out of the cluster.
const REMOVAL: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Config {
    name: String,
    labels: BTreeMap<String, String>,
    cpu: String,
    memory: String,
    at_most: usize,
    programs: Vec<(String, PathBuf)>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    logs: PathBuf,
}

/// What kind of node to start.
#[derive(Debug)]
pub struct Builder<'a> {
    cluster: &'a Cluster,
    config: Config,
}

impl Builder<'_> {
    /// Pods whose image starts with `prefix` run this program; of several prefixes the longest counts.
    #[must_use]
    pub fn program(mut self, prefix: &str, program: impl Into<PathBuf>) -> Self {
        self.config.programs.push((prefix.to_owned(), program.into()));
        self
    }

    /// A label of the node.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.config.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// What the scheduler may give away (by default 64 CPUs and 256 Gi).
    #[must_use]
    pub fn capacity(mut self, cpu: &str, memory: &str) -> Self {
        (self.config.cpu, self.config.memory) = (cpu.to_owned(), memory.to_owned());
        self
    }

    /// How many processes may run at once; further pods stay Pending until one has ended.
    #[must_use]
    pub fn at_most(mut self, processes: usize) -> Self {
        self.config.at_most = processes.min(Semaphore::MAX_PERMITS);
        self
    }

    /// A variable that every process gets, such as `RUST_LOG`; the pod's own come after it.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.config.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the node; returns when pods can be scheduled to it.
    pub async fn start(self) -> Result<FakeNode, Error> {
        for folder in [&self.config.folder, &self.config.logs] {
            fs::create_dir_all(folder).map_err(Error::io(folder.display().to_string()))?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.map_err(Error::io("the fake node's threads"))?;
        let kubeconfig = self.cluster.kubeconfig();
        // A client belongs to the runtime on which it is made.
        let client = runtime
            .spawn(async move { cluster::client_from(&kubeconfig).await })
            .await;
        let client = client.map_err(|error| Error::io("a task of the fake node")(error.into()))??;
        let shared = Arc::new(Shared::new(self.config, Arc::clone(self.cluster.sandbox())));
        let node = FakeNode {
            runtime: Mutex::new(Some(runtime)),
            client,
            shared,
        };
        let (client, shared) = (node.client.clone(), Arc::clone(&node.shared));
        node.run(async move {
            heartbeat::register(&client, &shared.config).await?;
            tokio::spawn(heartbeat::beat(client.clone(), shared.config.name.clone()));
            tokio::spawn(registry::follow(shared, client));
            Ok(())
        })
        .await?;
        Ok(node)
    }
}

/// A running fake node. Dropping it kills its processes and takes it out of the cluster.
pub struct FakeNode {
    runtime: Mutex<Option<Runtime>>,
    client: Client,
    shared: Arc<Shared>,
}

impl FakeNode {
    /// A node of this name; nothing is started yet.
    pub fn builder<'a>(cluster: &'a Cluster, name: &str) -> Builder<'a> {
        let address = cluster.sandbox().address().to_string();
        let config = Config {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            cpu: "64".to_owned(),
            memory: "256Gi".to_owned(),
            at_most: Semaphore::MAX_PERMITS,
            programs: Vec::new(),
            // As every pod has it; no proxy serves the service's address here, so it is the server's own.
            environment: vec![
                ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
                ("KUBERNETES_SERVICE_HOST".to_owned(), address),
                ("KUBERNETES_SERVICE_PORT".to_owned(), "6443".to_owned()),
            ],
            folder: cluster.folder().join("fake-nodes").join(name),
            logs: cluster.sandbox().log(name).with_extension("pods"),
        };
        Builder { cluster, config }
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.shared.config.name
    }

    /// Runs work on the node's own threads, to which its client belongs.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let task = self
            .runtime()
            .as_ref()
            .map(|runtime| runtime.spawn(work))
            .ok_or(Error::Lost)?;
        // A task that was cancelled: the node was lost meanwhile.
        task.await.unwrap_or(Err(Error::Lost))
    }

    fn runtime(&self) -> MutexGuard<'_, Option<Runtime>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.shared.close();
        let Some(runtime) = self.runtime().take() else {
            return;
        };
        // On a thread of its own, since this one may belong to a runtime, which must not be blocked on.
        let (client, name) = (self.client.clone(), self.name().to_owned());
        let removal = std::thread::spawn(move || {
            let removal = async { tokio::time::timeout(REMOVAL, heartbeat::remove(&client, &name)).await };
            // The cluster may be gone already.
            let _ = runtime.block_on(removal);
            runtime.shutdown_background();
        });
        let _ = removal.join();
    }
}
