//! Real Kubernetes clusters for tests: up in seconds, several side by side, and nothing left of them afterwards.
//!
//! Two sizes. The API tier ([`Cluster::api`]) is etcd, the API server, the controller manager and the scheduler: pods
//! are scheduled, and run by [`FakeNode`](crate::fake_node::FakeNode) if at all. The node tier ([`Cluster::node`]) adds
//! containerd, the kubelet, kube-proxy and CoreDNS: pods are real. `scripts/kube.sh` puts the binaries on a machine.
//!
//! Invariant: a cluster lives in a [`Sandbox`], so it neither sees nor changes anything of the machine or of another
//! cluster, and ends with the test process. Whatever waits here has a limit.
//!
//! Network: the sandbox is 10.213.N.1 ([`Sandbox::address`]) and the test process 10.213.N.2, N the cluster's number on
//! the machine. The API server listens on port 6443 of the former. A server under test that pods or fake pods must
//! reach runs in the sandbox too ([`Cluster::spawn`]) or listens on the latter. No route leads further.

mod control_plane;
mod error;
mod image;
mod namespace;
mod node;
mod pki;
mod process;
mod sandbox;
mod tools;
mod wait;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{Api, Client, Config, config::Kubeconfig};
use tokio::io::AsyncWriteExt as _;

pub use error::Error;
pub use namespace::Namespace;
pub use nix::sys::signal::Signal;
pub use process::Process;
pub(crate) use sandbox::inner_pid;
pub use sandbox::{ProcessInfo, Sandbox};
pub use tools::{Tools, can_run};
pub use wait::wait_for;

/// How long a cluster may take to start; a loaded machine needs several times what an idle one does.
const START: Duration = Duration::from_secs(90);

/// How long one `kubectl`, `helm` or `ctr` may take.
const COMMAND: Duration = Duration::from_secs(180);

/// What kind of cluster to start.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    node: bool,
    quick_node_loss: bool,
    api_server_flags: Vec<String>,
}

impl Builder {
    /// Adds the node tier.
    #[must_use]
    pub fn with_node(mut self) -> Self {
        self.node = true;
        self
    }

    /// A node that is silent for 10 s is lost, and its pods are evicted 5 s later; otherwise it takes minutes.
    #[must_use]
    pub fn quick_node_loss(mut self) -> Self {
        self.quick_node_loss = true;
        self
    }

    /// A further flag for the API server.
    #[must_use]
    pub fn api_server_flag(mut self, flag: impl Into<String>) -> Self {
        self.api_server_flags.push(flag.into());
        self
    }

    /// Starts the cluster and returns when it is ready for use: the API server answers, service accounts are made, and
    /// with a node that is Ready and has the image that pods need.
    pub async fn start(self) -> Result<Cluster, Error> {
        let start = Instant::now();
        let tools = Tools::find()?;
        let state = tempfile::Builder::new()
            .prefix("zkinfer-cluster-")
            .tempdir()
            .map_err(Error::io("temporary folder"))?;
        if ["/run", "/var/lib", "/var/log"]
            .iter()
            .any(|hidden| state.path().starts_with(hidden))
        {
            let path = state.path().display();
            return Err(Error::Unavailable(format!(
                "TMPDIR is in a folder that clusters replace by their own: {path}"
            )));
        }
        let folder = state.path().to_owned();
        let sandbox = blocking(move || Sandbox::new(&folder)).await?;
        // From here on the supervisor removes the folder.
        let state = state.keep();
        let (folder, address) = (state.clone(), sandbox.address());
        let pki = blocking(move || pki::Pki::new(&folder, address)).await?;
        let mut cluster = Cluster {
            sandbox: Arc::new(sandbox),
            tools,
            pki,
            state,
            has_node: self.node,
            milestones: Vec::new(),
        };
        cluster.reached("namespaces and certificates", start);
        cluster.start_components(&self, start).await?;
        Ok(cluster)
    }
}

/// A running cluster. Dropping it removes it; if the test is failing by then, its logs stay and are pointed at.
#[derive(Debug)]
pub struct Cluster {
    sandbox: Arc<Sandbox>,
    tools: Tools,
    pki: pki::Pki,
    state: PathBuf,
    has_node: bool,
    milestones: Vec<(&'static str, Duration)>,
}

impl Cluster {
    /// A cluster without a node: about 3–5 s.
    pub async fn api() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// A cluster with one real node, `node1`: about 4–6 s.
    pub async fn node() -> Result<Self, Error> {
        Self::builder().with_node().start().await
    }

    /// A cluster with other properties.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What was reached when, counted from the call that started the cluster.
    pub fn milestones(&self) -> &[(&'static str, Duration)] {
        &self.milestones
    }

    /// The namespaces in which the cluster lives, and its processes.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// The administrator's kubeconfig. It works from the test process and inside the sandbox.
    pub fn kubeconfig(&self) -> PathBuf {
        self.pki.kubeconfig("admin")
    }

    /// The API server's address.
    pub fn url(&self) -> String {
        format!("https://{}:6443", self.sandbox.address())
    }

    /// A folder that lives as long as the cluster, seen under the same path in the sandbox.
    pub fn folder(&self) -> &Path {
        &self.state
    }

    /// A client as administrator, for the runtime that this is called on.
    pub async fn client(&self) -> Result<Client, Error> {
        client_from(&self.kubeconfig()).await
    }

    /// A kubeconfig of a service account (a token of one hour, no certificate), as a local process gets it that would
    /// otherwise be a pod of that account.
    pub async fn kubeconfig_for_service_account(
        &self,
        namespace: &str,
        account: &str,
    ) -> Result<PathBuf, Error> {
        let token = namespace::token(&self.client().await?, namespace, account).await?;
        self.kubeconfig_for_token(&format!("{namespace}.{account}"), &token, namespace)
    }

    /// A client as a service account.
    pub async fn client_for_service_account(&self, namespace: &str, account: &str) -> Result<Client, Error> {
        client_from(&self.kubeconfig_for_service_account(namespace, account).await?).await
    }

    /// A client with a bearer token.
    pub async fn client_for_token(&self, token: &str) -> Result<Client, Error> {
        client_from(&self.kubeconfig_for_token("token", token, "default")?).await
    }

    fn kubeconfig_for_token(&self, name: &str, token: &str, namespace: &str) -> Result<PathBuf, Error> {
        self.pki
            .write_kubeconfig(name, &format!("token: {token}"), namespace)
    }

    /// Runs `kubectl` as administrator; its standard output.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String, Error> {
        self.tool("kubectl", arguments, "").await
    }

    /// `kubectl apply` with these documents, in JSON or YAML.
    pub async fn apply(&self, documents: &str) -> Result<String, Error> {
        self.tool("kubectl", &["apply", "-f", "-"], documents).await
    }

    /// Runs `helm` as administrator; its standard output.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String, Error> {
        self.tool("helm", arguments, "").await
    }

    async fn tool(&self, name: &str, arguments: &[&str], input: &str) -> Result<String, Error> {
        let mut command = tokio::process::Command::new(self.tools.path(name));
        command.args(arguments).env("KUBECONFIG", self.kubeconfig());
        for (name, folder) in [
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
        ] {
            command.env(name, self.state.join("helm").join(folder));
        }
        run(command, format!("{name} {}", arguments.join(" ")), input).await
    }

    /// Makes an image known to the node under `name` (with a host part and a tag, such as `zkinfer.test/worker:v1`):
    /// a static binary is wrapped FROM scratch, an OCI or Docker archive is imported. `imagePullPolicy` must not be
    /// `Always`.
    pub async fn load_image(&self, name: &str, file: &Path) -> Result<(), Error> {
        let work = tempfile::tempdir_in(&self.state).map_err(Error::io("temporary folder"))?;
        let archive = if image::is_binary(file)? {
            let (file, name, work) = (file.to_owned(), name.to_owned(), work.path().to_owned());
            blocking(move || image::wrap(&file, &name, &work)).await?
        } else {
            file.to_owned()
        };
        let mut ctr = self.sandbox.command("ctr");
        ctr.args(["--namespace=k8s.io", "images", "import", "--index-name", name])
            .arg(&archive);
        run(ctr.into(), format!("ctr images import {name}"), "")
            .await
            .map(drop)
    }

    /// Runs a program in the cluster's network, such as an operator with a kubeconfig from [`Self::kubeconfig_for`].
    /// Its output goes to `NAME.log` in the logs' folder; it ends with the cluster.
    pub fn spawn(
        &self,
        name: &str,
        command: impl FnOnce(&Sandbox) -> std::process::Command,
    ) -> Result<Process, Error> {
        Process::spawn(command(&self.sandbox), name, &self.sandbox.log(name))
    }

    /// Kills a component (`kill -9`): `etcd`, `kube-apiserver`, `kubelet`, …
    pub async fn kill(&self, component: &str) -> Result<(), Error> {
        self.sandbox.stop(component, Signal::SIGKILL).await
    }

    /// Starts a component that was killed.
    pub fn revive(&self, component: &str) -> Result<(), Error> {
        self.sandbox.start_again(component)
    }

    fn reached(&mut self, what: &'static str, start: Instant) {
        self.milestones.push((what, start.elapsed()));
    }

    async fn start_components(&mut self, options: &Builder, start: Instant) -> Result<(), Error> {
        let (sandbox, tools) = (Arc::clone(&self.sandbox), self.tools.clone());
        control_plane::start_storage(&sandbox, &tools, &self.pki, options)?;
        if self.has_node {
            node::start_runtime(&sandbox, &tools, &self.state)?;
        }
        let client = self.client().await?;
        let ready = || http::Request::get("/readyz").body(Vec::new());
        self.until("the API server", &["etcd", "kube-apiserver"], async || {
            let request = ready().map_err(|error| error.to_string())?;
            client
                .request_text(request)
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await?;
        self.reached("API server ready", start);

        control_plane::start_controllers(&sandbox, &tools, &self.pki, options)?;
        let mut daemons = vec!["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
        if self.has_node {
            let lease = if options.quick_node_loss { 4 } else { 40 };
            node::start_node(&sandbox, &tools, &self.pki, &self.state, lease)?;
            daemons.extend(["containerd", "kubelet", "kube-proxy", "coredns"]);
            self.apply(&node::dns_service(&sandbox)).await?;
            self.until("containerd", &["containerd"], async || {
                let socket = format!("/proc/{}/root/run/containerd/containerd.sock", sandbox.init());
                Path::new(&socket)
                    .exists()
                    .then_some(())
                    .ok_or_else(|| "no socket".to_owned())
            })
            .await?;
            self.load_image(node::PAUSE, &tools.path("pause")).await?;
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
        self.until("the default service account", &daemons, async || {
            accounts
                .get("default")
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await?;
        self.reached("controllers work", start);
        if self.has_node {
            let nodes: Api<Node> = Api::all(client);
            self.until("the node", &daemons, async || {
                let node = nodes.get(node::NAME).await.map_err(|error| error.to_string())?;
                let conditions = node
                    .status
                    .and_then(|status| status.conditions)
                    .unwrap_or_default();
                let ready = conditions
                    .into_iter()
                    .find(|condition| condition.type_ == "Ready");
                match ready {
                    Some(ready) if ready.status == "True" => Ok(()),
                    other => Err(other.and_then(|condition| condition.message).unwrap_or_default()),
                }
            })
            .await?;
            self.reached("node Ready", start);
        }
        Ok(())
    }

    /// Waits for `probe`, but no longer than the daemons live.
    async fn until(
        &self,
        what: &str,
        daemons: &[&str],
        mut probe: impl AsyncFnMut() -> Result<(), String>,
    ) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            let Err(last) = probe().await else { return Ok(()) };
            daemons.iter().try_for_each(|daemon| self.sandbox.check(daemon))?;
            if start.elapsed() > START {
                return Err(Error::Timeout {
                    what: what.to_owned(),
                    limit: START,
                    last,
                });
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let logs = self.sandbox.keep_logs();
        eprintln!("The cluster's logs stay in {}", logs.display());
        let Ok(entries) = fs::read_dir(&logs) else { return };
        for file in entries.flatten().map(|entry| entry.path()) {
            let text = sandbox::tail(&file, 5);
            if !text.is_empty() {
                eprintln!("--- {}\n{text}", file.display());
            }
        }
    }
}

pub(crate) async fn client_from(kubeconfig: &Path) -> Result<Client, Error> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Runs work that waits for processes off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Io {
            what: "a blocking task".into(),
            source: error.into(),
        }),
    }
}

/// Runs a command to its end; its standard output.
async fn run(mut command: tokio::process::Command, shown: String, input: &str) -> Result<String, Error> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(Error::io(shown.clone()))?;
    let mut stdin = child.stdin.take();
    let work = async {
        if let Some(mut stdin) = stdin.take() {
            // A command that does not read its input has closed it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let timeout = Error::Timeout {
        what: shown.clone(),
        limit: COMMAND,
        last: "still running".into(),
    };
    let output = tokio::time::timeout(COMMAND, work).await.map_err(|_| timeout)?;
    let output = output.map_err(Error::io(shown.clone()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Command {
        command: shown,
        status: output.status,
        stderr,
    })
}
