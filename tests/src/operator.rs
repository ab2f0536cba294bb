//! The operator as a process, with the rights of its own ServiceAccount, and a fake node that runs its pods' programs.
//!
//! Invariant: the operator under test has the kubeconfig of `zkinfer-system/zkinfer-operator` and nothing else; what it
//! can do here it can do where it is installed.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use kube::api::Api;
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase, find_condition};

mod install;

pub use install::{install, install_beside, install_for};

use crate::cluster::{Cluster, Error, Process, Signal, wait_for};
use crate::fake_node::{self, FakeNode};
use crate::local::{model_file, program};

/// The operator's namespace.
pub const SYSTEM: &str = "zkinfer-system";
/// The operator's ServiceAccount, as the API server calls it.
pub const ACCOUNT: &str = "system:serviceaccount:zkinfer-system:zkinfer-operator";
/// The image that pods of workers name; the fake node runs the built `prover-worker` for it.
pub const IMAGE: &str = "zkinfer.dev/prover-worker:test";

/// A running operator, with the float reference that shares its pod where it is installed.
pub struct Operator {
    process: Process,
    command: Box<dyn Fn() -> std::process::Command + Send + Sync>,
    reference: Process,
    reference_command: Box<dyn Fn() -> std::process::Command + Send + Sync>,
    reference_log: PathBuf,
    log: PathBuf,
    /// Where workers and clients are answered.
    pub gateway: String,
    /// Where probes and Prometheus are answered.
    pub health: String,
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|l| l.local_addr())
        .map_or(0, |a| a.port())
}

impl Operator {
    /// Starts the operator; it answers workers when this returns.
    ///
    /// # Errors
    /// An operator that does not come up within 30 s.
    pub async fn start(cluster: &Cluster, arguments: &[&str]) -> Result<Self, Error> {
        Self::start_in(cluster, SYSTEM, arguments).await
    }

    /// [`Operator::start`] of an installation in another namespace: its store, its reference and its logs are its own.
    ///
    /// # Errors
    /// An operator that does not come up within 30 s.
    pub async fn start_in(cluster: &Cluster, namespace: &str, arguments: &[&str]) -> Result<Self, Error> {
        let kubeconfig = cluster
            .kubeconfig_for_service_account(namespace, "zkinfer-operator")
            .await?;
        let (gateway, health) = (free_port(), free_port());
        let own = |name: &str| match namespace {
            SYSTEM => name.to_owned(),
            other => format!("{name}-{other}"),
        };
        let store = cluster.folder().join(own("artifacts"));
        let socket = cluster.folder().join(format!("{}.sock", own("reference")));
        let mut line: Vec<String> = [
            "run".to_owned(),
            format!("--namespace={namespace}"),
            format!("--artifacts=file://{}", store.display()),
            format!("--gateway-address=127.0.0.1:{gateway}"),
            format!("--health-address=127.0.0.1:{health}"),
            format!("--gateway-url=http://127.0.0.1:{gateway}"),
            format!("--compiler-image={IMAGE}"),
            format!("--reference-socket={}", socket.display()),
            "--allow-dev-srs".to_owned(),
        ]
        .into();
        line.extend(arguments.iter().map(|a| (*a).to_owned()));
        let sandbox = std::sync::Arc::clone(cluster.sandbox());
        let reference_log = sandbox.log(&own("reference"));
        let of_reference = std::sync::Arc::clone(&sandbox);
        let reference_command = move || {
            let mut command = of_reference.command_outside(program("prover-worker"));
            command.arg("reference").arg("--socket").arg(&socket);
            command
        };
        let command = move || {
            let mut command = sandbox.command_outside(program("operator"));
            command
                .args(&line)
                .env("KUBECONFIG", &kubeconfig)
                .env("RUST_BACKTRACE", "1");
            command
        };
        let log = cluster.sandbox().log(&own("operator"));
        let operator = Self {
            reference: Process::spawn(reference_command(), "reference", &reference_log)?,
            reference_command: Box::new(reference_command),
            reference_log,
            process: Process::spawn(command(), "operator", &log)?,
            command: Box::new(command),
            log,
            gateway: format!("http://127.0.0.1:{gateway}"),
            health: format!("http://127.0.0.1:{health}"),
        };
        operator.until_ready().await?;
        Ok(operator)
    }

    async fn until_ready(&self) -> Result<(), Error> {
        wait_for("the operator", Duration::from_secs(30), async || {
            let answer = reqwest::get(format!("{}/readyz", self.health))
                .await
                .map_err(|e| format!("{e}; log:\n{}", self.output()))?;
            if answer.status().is_success() {
                Ok(())
            } else {
                Err(format!("{}; log:\n{}", answer.status(), self.output()))
            }
        })
        .await
    }

    /// Starts the float reference again.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn start_reference_again(&mut self) -> Result<(), Error> {
        self.reference = Process::spawn((self.reference_command)(), "reference", &self.reference_log)?;
        Ok(())
    }

    /// Ends the float reference; nobody starts it again by itself.
    ///
    /// # Errors
    /// A process that does not end.
    pub async fn kill_reference(&mut self) -> Result<(), Error> {
        self.reference.signal(Signal::SIGKILL)?;
        self.reference.wait(Duration::from_secs(10)).await.map(drop)
    }

    /// Its process, as the machine numbers it.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// What it has said.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Ends it without a chance to say anything.
    ///
    /// # Errors
    /// A process that does not end.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait(Duration::from_secs(10)).await.map(drop)
    }

    /// Tells it to stop; its exit code.
    ///
    /// # Errors
    /// A process that does not end.
    pub async fn stop(&mut self) -> Result<Option<i32>, Error> {
        self.process.signal(Signal::SIGTERM)?;
        Ok(self.process.wait(Duration::from_secs(20)).await?.code())
    }

    /// Waits until it has ended by itself; its exit code.
    ///
    /// # Errors
    /// A process that does not end within this time.
    pub async fn ended(&mut self, limit: Duration) -> Result<Option<i32>, Error> {
        Ok(self.process.wait(limit).await?.code())
    }

    /// Starts it again, with the same arguments and store; does not wait until it is ready.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn start_again(&mut self) -> Result<(), Error> {
        self.process = Process::spawn((self.command)(), "operator", &self.log)?;
        Ok(())
    }

    /// The value of a metric, summed over its labels that contain `labels`.
    ///
    /// # Errors
    /// An operator that does not answer.
    pub async fn metric(&self, name: &str, labels: &str) -> Result<f64, reqwest::Error> {
        let text = reqwest::get(format!("{}/metrics", self.health))
            .await?
            .text()
            .await?;
        let of = |line: &str| {
            let (key, value) = line.rsplit_once(' ')?;
            let rest = key.strip_prefix(name)?;
            let this = rest.is_empty() || rest.starts_with('{');
            (this && rest.contains(labels)).then(|| value.parse::<f64>().ok())?
        };
        Ok(text.lines().filter_map(of).sum())
    }
}

/// A fake node whose pods of [`IMAGE`] are the built worker.
///
/// # Errors
/// A node that cannot be registered.
pub async fn workers(cluster: &Cluster) -> Result<FakeNode, fake_node::Error> {
    let mut node = FakeNode::builder(cluster, "fake-1")
        .program("zkinfer.dev/prover-worker", program("prover-worker"))
        .variable("RUST_LOG", "info");
    for mode in ROGUES {
        let name = format!("rogue-{mode}");
        let path = cluster.folder().join(&name);
        if !path.exists() {
            std::os::unix::fs::symlink(program("rogue"), &path).map_err(|source| fake_node::Error::Io {
                what: format!("cannot link {}", path.display()),
                source,
            })?;
        }
        node = node.program(&format!("zkinfer.dev/{name}"), path);
    }
    node.start().await
}

/// Images `zkinfer.dev/rogue-MODE:test` of workers that misbehave.
const ROGUES: [&str; 4] = ["stall", "hand-back", "die", "garbage"];

/// A namespace's objects by the words of a test.
pub struct Objects {
    /// The API server, as administrator.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl Objects {
    /// Makes a namespace of this name.
    ///
    /// # Errors
    /// kubectl.
    pub async fn new(cluster: &Cluster, namespace: &str) -> Result<Self, Error> {
        cluster.kubectl(&["create", "namespace", namespace]).await?;
        cluster
            .kubectl(&[
                "label",
                "namespace",
                namespace,
                "pod-security.kubernetes.io/enforce=restricted",
            ])
            .await?;
        Ok(Self {
            client: cluster.client().await?,
            namespace: namespace.to_owned(),
        })
    }

    fn meta(&self, name: &str) -> Value {
        json!({ "name": name, "namespace": self.namespace })
    }

    /// An object of ours.
    #[must_use]
    pub fn object(&self, kind: &str, name: &str, spec: &Value) -> String {
        json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": kind, "metadata": self.meta(name), "spec": spec,
        })
        .to_string()
    }

    /// A ConfigMap with an example model, and a Model of it in this many slices at least, with Halo2Kzg: its slices take
    /// long enough to be disturbed.
    #[must_use]
    pub fn model(&self, name: &str, file: &str, slices: u32) -> String {
        self.model_of(name, file, slices, ProofSystem::Halo2Kzg)
    }

    /// [`Objects::model`] with a proof system of the test's choice.
    #[must_use]
    pub fn model_of(&self, name: &str, file: &str, slices: u32, system: ProofSystem) -> String {
        let bytes = std::fs::read(model_file(file)).unwrap_or_default();
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": self.meta(name),
            "binaryData": { "model.onnx": k8s_openapi::ByteString(bytes) },
        });
        let model = self.object(
            "Model",
            name,
            &json!({
                "source": { "configMap": { "name": name, "key": "model.onnx" } },
                "slicing": { "parallelism": slices }, "proofSystem": system,
            }),
        );
        format!("{map}\n---\n{model}")
    }

    /// A pool of this namespace, with what `more` adds to its spec.
    #[must_use]
    pub fn pool(&self, name: &str, more: &Value) -> String {
        let mut spec = json!({
            "image": IMAGE, "allowUnpinnedImage": true, "parallelism": 2,
            "resources": { "cpu": "1", "memory": "1Gi" },
        });
        merge(&mut spec, more);
        self.object("MinerPool", name, &spec)
    }

    /// A request for the wine model, with what `more` adds to its spec.
    #[must_use]
    pub fn wine_request(&self, name: &str, model: &str, more: &Value) -> String {
        let mut spec = json!({
            "modelRef": { "name": model },
            "input": { "inline": { "features": { "shape": [1, 13], "data": WINE } } },
        });
        merge(&mut spec, more);
        self.object("InferenceRequest", name, &spec)
    }

    /// The API of a kind.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Waits until an object satisfies `good`, for at most `limit`.
    ///
    /// # Errors
    /// An object that does not; the error shows its status.
    pub async fn until<K>(&self, name: &str, limit: Duration, good: impl Fn(&K) -> bool) -> Result<K, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug
            + serde::Serialize,
    {
        let api = self.api::<K>();
        wait_for(
            &format!("{} {}/{name}", K::kind(&()), self.namespace),
            limit,
            async || {
                let object = api.get(name).await.map_err(|e| e.to_string())?;
                if good(&object) {
                    Ok(object)
                } else {
                    let value = serde_json::to_value(&object).unwrap_or_default();
                    Err(value["status"].to_string())
                }
            },
        )
        .await
    }

    /// Waits until a request is over.
    ///
    /// # Errors
    /// A request that is not, within `limit`.
    pub async fn over(&self, name: &str, limit: Duration) -> Result<InferenceRequest, Error> {
        let over = |r: &InferenceRequest| r.status.as_ref().is_some_and(|s| s.phase.is_over());
        self.until(name, limit, over).await
    }
}

/// A sample of the wine model's test data.
pub const WINE: [f64; 13] = [
    0.703, 0.647, 1.271, 1.118, -0.164, -1.169, -1.487, 1.014, -1.887, -0.298, -0.287, -0.773, -0.691,
];

fn merge(into: &mut Value, more: &Value) {
    if let (Some(into), Some(more)) = (into.as_object_mut(), more.as_object()) {
        into.extend(more.clone());
    }
}

/// The phase of a request.
#[must_use]
pub fn phase(request: &InferenceRequest) -> Option<RequestPhase> {
    request.status.as_ref().map(|s| s.phase)
}

/// The reason of a request's condition.
#[must_use]
pub fn reason(request: &InferenceRequest, condition: &str) -> Option<String> {
    let conditions = &request.status.as_ref()?.conditions;
    find_condition(conditions, condition).map(|c| c.reason.clone())
}

/// Whether a Model is ready.
#[must_use]
pub fn model_ready(model: &Model) -> bool {
    let status = model.status.as_ref();
    status.is_some_and(|s| zkinfer_crds::k8s::is_true(&s.conditions, "Ready"))
}

/// Whether a pool is ready.
#[must_use]
pub fn pool_ready(pool: &MinerPool) -> bool {
    let status = pool.status.as_ref();
    status.is_some_and(|s| zkinfer_crds::k8s::is_true(&s.conditions, "Ready"))
}

/// The greatest resident memory of a process so far, in bytes.
#[must_use]
pub fn peak_resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib << 10)
}
