//! The cluster, operator and node that most tests share; each test has namespaces of its own.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use zkinfer_crds::ProofSystem;
use zkinfer_tests::cluster::{Cluster, wait_for};
use zkinfer_tests::fake_node::FakeNode;
use zkinfer_tests::local::repository;
use zkinfer_tests::operator::{Objects, Operator, install, model_ready, pool_ready, workers};

/// Longer than anything takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(90);

/// A file of a quickstart, for another namespace.
fn quickstart(file: &str, namespace: &str) -> String {
    let text = std::fs::read_to_string(repository().join("manifests").join(file)).unwrap();
    text.replace("namespace: default", &format!("namespace: {namespace}"))
}

/// The quickstart's request, under another name in another namespace.
pub fn digits_request(name: &str, namespace: &str) -> String {
    quickstart("quickstart/request.yaml", namespace).replace("name: digit-7", &format!("name: {name}"))
}

/// A cluster with an operator and a node.
pub struct World {
    pub cluster: Cluster,
    pub operator: Operator,
    pub node: FakeNode,
}

impl World {
    /// One of its own.
    pub async fn new(arguments: &[&str]) -> Self {
        let cluster = Cluster::api().await.unwrap();
        Self::on(cluster, arguments).await
    }

    /// On a cluster that is there.
    pub async fn on(cluster: Cluster, arguments: &[&str]) -> Self {
        install(&cluster).await.unwrap();
        let node = workers(&cluster).await.unwrap();
        let operator = Operator::start(&cluster, arguments).await.unwrap();
        Self {
            cluster,
            operator,
            node,
        }
    }

    /// The shared one.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<World> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::new(&[])).await
    }

    /// A namespace with the wine model, compiled.
    pub async fn with_model(&self, namespace: &str) -> Objects {
        let objects = Objects::new(&self.cluster, namespace).await.unwrap();
        self.cluster
            .apply(&objects.model("wine", "wine.onnx", 4))
            .await
            .unwrap();
        objects.until("wine", LONG, model_ready).await.unwrap();
        objects
    }

    /// A namespace with the digits model of the quickstart, compiled: four slices that take a moment each.
    pub async fn with_digits(&self, namespace: &str, system: ProofSystem) -> Objects {
        let objects = Objects::new(&self.cluster, namespace).await.unwrap();
        let file = match system {
            ProofSystem::SumcheckWhir => "quickstart/model.yaml",
            ProofSystem::Halo2Kzg => "quickstart-halo2/model.yaml",
        };
        let model = quickstart(file, namespace);
        self.cluster.apply(&model).await.unwrap();
        objects.until("digits", LONG, model_ready).await.unwrap();
        objects
    }

    /// A namespace with the wine model and a pool of two workers.
    pub async fn with_pool(&self, namespace: &str) -> Objects {
        let objects = self.with_model(namespace).await;
        self.own_pool(&objects).await;
        objects
    }

    /// No slice waits or is at work. A status says that a request is over a moment before its slices leave the queue.
    pub async fn until_nothing_is_queued(&self) {
        wait_for("an empty queue", LONG, async || {
            match self.operator.metric("zkinfer_slices", "").await.unwrap() {
                0.0 => Ok(()),
                n => Err(format!("{n} slices of requests that are over")),
            }
        })
        .await
        .unwrap();
    }

    /// A pool of two workers in a namespace that there is, ready.
    pub async fn own_pool(&self, objects: &Objects) {
        self.cluster
            .apply(&objects.pool("own", &json!({})))
            .await
            .unwrap();
        objects.until("own", LONG, pool_ready).await.unwrap();
    }
}

/// The name of a worker's pod of a pool, once its process runs.
pub async fn worker(world: &World, objects: &Objects, pool: &str) -> String {
    let pods = objects.api::<Pod>();
    let of_pool = ListParams::default().labels(&format!("zkinfer.dev/pool={pool}"));
    wait_for("a worker", LONG, async || {
        let list = pods.list(&of_pool).await.map_err(|e| e.to_string())?;
        let running = world.node.running();
        let name = list.items.iter().map(ResourceExt::name_any).find(|name| {
            running
                .iter()
                .any(|r| r.name == *name && r.namespace == objects.namespace)
        });
        name.ok_or("none runs".to_owned())
    })
    .await
    .unwrap()
}

/// A claim that was given to a worker, as the store has it.
#[derive(Debug, Clone)]
pub struct Claim {
    pub id: String,
    pub slice: u32,
    pub pool: String,
    pub worker: String,
    /// Its proof has come.
    pub proved: bool,
}

/// Every claim of a request so far.
pub fn claims(world: &World, request: &str) -> Vec<Claim> {
    let folder = world.cluster.folder().join("artifacts/requests").join(request);
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut claims = Vec::new();
    for file in entries(&folder.join("claims")) {
        let name = file.file_name().to_string_lossy().into_owned();
        let json = std::fs::read(file.path()).unwrap_or_default();
        // One that is being written has another name.
        let Ok(record) = serde_json::from_slice::<Value>(&json) else {
            continue;
        };
        let Some((slice, id)) = name.split_once('-').filter(|_| !name.contains('#')) else {
            continue;
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        claims.push(Claim {
            slice: slice.parse().unwrap(),
            pool: text(&record["token"]["pool"]),
            worker: text(&record["worker"]),
            proved: folder.join("proofs").join(&name).exists(),
            id: id.to_owned(),
        });
    }
    claims
}

/// Stops a pool's worker while it holds a claim of a request that it has not proved; the worker's name, and the claim.
pub async fn stall_at_work(world: &World, objects: &Objects, pool: &str, request: &str) -> (String, Claim) {
    let (name, of) = (
        worker(world, objects, pool).await,
        format!("{}/{pool}", objects.namespace),
    );
    let open = || {
        claims(world, request)
            .into_iter()
            .find(|c| c.pool == of && !c.proved)
    };
    wait_for("a worker at work", LONG, async || {
        open().ok_or("it holds no claim")?;
        let stalled = world.node.stall(&objects.namespace, &name).await;
        stalled.map_err(|_| "its process is gone")?;
        // A proof that was on its way arrives.
        tokio::time::sleep(Duration::from_millis(300)).await;
        if let Some(claim) = open() {
            return Ok((name.clone(), claim));
        }
        let resumed = world.node.resume(&objects.namespace, &name).await;
        resumed.map_err(|_| "its process is gone")?;
        Err("it was done before it was stopped")
    })
    .await
    .unwrap()
}
