//! How a cluster comes up: as much as possible at once, each thing as soon as what it needs is there.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{Api, Client};
use tokio::sync::OnceCell;

use super::{Cluster, Error, Sandbox, Tools, command::blocking, control_plane, node, pki};

/// How long a cluster may take to start; a loaded machine needs several times what an idle one does.
const START: Duration = Duration::from_secs(90);

/// What kind of cluster to start.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    pub(super) node: bool,
    pub(super) quick_node_loss: bool,
    pub(super) api_server_flags: Vec<String>,
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
            milestones: Vec::new(),
        };
        cluster.reached("namespaces and certificates", start);
        cluster.start_components(&self, start).await?;
        Ok(cluster)
    }
}

impl Cluster {
    /// The one API-tier cluster of this test binary, started by the first test that asks. It ends with the process.
    ///
    /// Tests that share it keep apart by [`Namespace`](super::Namespace), and by `nodeSelector` where each has a fake
    /// node of its own.
    pub async fn shared() -> Result<&'static Self, Error> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::api).await
    }

    fn reached(&mut self, what: &'static str, start: Instant) {
        self.milestones.push((what, start.elapsed()));
    }

    async fn start_components(&mut self, options: &Builder, start: Instant) -> Result<(), Error> {
        let (sandbox, tools) = (Arc::clone(&self.sandbox), self.tools.clone());
        control_plane::start_storage(&sandbox, &tools, &self.pki, options)?;
        if options.node {
            node::start_runtime(&sandbox, &tools, &self.state)?;
        }
        let (client, ()) = tokio::try_join!(self.until_api_server(), self.until_pause_image(options))?;
        self.reached("API server ready", start);

        control_plane::start_controllers(&sandbox, &tools, &self.pki, options)?;
        let mut daemons = vec!["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
        if options.node {
            let lease = if options.quick_node_loss { 4 } else { 40 };
            node::start_node(&sandbox, &tools, &self.pki, &self.state, lease)?;
            daemons.extend(["containerd", "kubelet", "kube-proxy", "coredns"]);
            self.apply(&node::dns_service(&sandbox)).await?;
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
        if options.node {
            let nodes: Api<Node> = Api::all(client);
            self.until("the node", &daemons, async || {
                let node = nodes.get(node::NAME).await.map_err(|error| error.to_string())?;
                let conditions = node
                    .status
                    .and_then(|status| status.conditions)
                    .unwrap_or_default();
                match conditions
                    .into_iter()
                    .find(|condition| condition.type_ == "Ready")
                {
                    Some(ready) if ready.status == "True" => Ok(()),
                    other => Err(other.and_then(|condition| condition.message).unwrap_or_default()),
                }
            })
            .await?;
            self.reached("node Ready", start);
        }
        Ok(())
    }

    async fn until_api_server(&self) -> Result<Client, Error> {
        let client = self.client().await?;
        self.until("the API server", &["etcd", "kube-apiserver"], async || {
            let request = http::Request::get("/readyz")
                .body(Vec::new())
                .map_err(|error| error.to_string())?;
            client
                .request_text(request)
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await?;
        Ok(client)
    }

    /// The image is made while the API server starts, which takes longer.
    async fn until_pause_image(&self, options: &Builder) -> Result<(), Error> {
        if !options.node {
            return Ok(());
        }
        let archive = self.wrap_binary(node::PAUSE, &self.tools.path("pause")).await?;
        let socket = format!(
            "/proc/{}/root/run/containerd/containerd.sock",
            self.sandbox.init()
        );
        self.until("containerd", &["containerd"], async || {
            Path::new(&socket)
                .exists()
                .then_some(())
                .ok_or_else(|| "no socket".to_owned())
        })
        .await?;
        self.import_image(&archive).await
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
