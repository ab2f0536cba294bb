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
//! the machine. The API server listens on port 6443 of the former. A server under test that real pods must reach runs in
//! the sandbox too ([`Cluster::spawn`]) or listens on the latter; fake pods are in the machine's network and reach any
//! of its addresses. No route leads further.

mod builder;
mod command;
mod control_plane;
mod error;
mod image;
mod namespace;
mod node;
mod pids;
mod pki;
mod process;
mod sandbox;
mod tools;
mod wait;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kube::{Client, Config, config::Kubeconfig};

pub use builder::Builder;
use command::run;
pub use error::Error;
pub use namespace::Namespace;
pub use nix::sys::signal::Signal;
pub use pids::ProcessInfo;
pub(crate) use pids::inner_pid;
pub use process::Process;
pub use sandbox::Sandbox;
pub(crate) use tools::not_run;
pub use tools::{Tools, can_run};
pub use wait::wait_for;

/// A running cluster. Dropping it removes it; if the test is failing by then, its logs stay and are pointed at.
#[derive(Debug)]
pub struct Cluster {
    sandbox: Arc<Sandbox>,
    tools: Tools,
    pki: pki::Pki,
    state: PathBuf,
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
        let mut command = self.client_command(name);
        command.args(arguments);
        run(command.into(), format!("{name} {}", arguments.join(" ")), input).await
    }

    /// `kubectl` or `helm` as administrator. It ends with the cluster, and what it caches is in the cluster's folder:
    /// the next cluster with this address is another one.
    fn client_command(&self, name: &str) -> std::process::Command {
        let mut command = self.sandbox.command_outside(self.tools.path(name));
        command.env("KUBECONFIG", self.kubeconfig());
        let variables = [
            "KUBECACHEDIR",
            "HELM_CACHE_HOME",
            "HELM_CONFIG_HOME",
            "HELM_DATA_HOME",
        ];
        command.envs(variables.map(|variable| (variable, self.state.join("clients").join(variable))));
        command
    }

    /// Runs a command in the cluster's network, from which services and pods can be reached; its standard output.
    pub async fn run_inside(&self, command: &[&str]) -> Result<String, Error> {
        let (program, arguments) = command
            .split_first()
            .map_or(("true", command), |(first, rest)| (*first, rest));
        let mut inside = self.sandbox.command(program);
        inside.args(arguments);
        run(inside.into(), command.join(" "), "").await
    }

    /// Starts a program that ends with the cluster, such as an operator with a kubeconfig from
    /// [`Self::kubeconfig_for_service_account`]. Its output goes to `NAME.log` in the logs' folder.
    ///
    /// Real pods reach it inside ([`Sandbox::command`]), fake pods, which are processes of this machine, also outside
    /// ([`Sandbox::command_outside`]).
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
