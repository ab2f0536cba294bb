//! `operator local --serve` as a place for behaviours.
//!
//! Invariant: it ends with its handle, and its workers with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config, ResourceExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;

use crate::behaviours::{Place, ROGUES};
use crate::cluster::{Error, wait_for};
use crate::local::program;
use crate::operator::Objects;

/// Time to come up, and to end.
const TIME: Duration = Duration::from_secs(30);

/// A running operator.
pub struct LocalOperator {
    folder: tempfile::TempDir,
    child: Child,
    client: Client,
}

impl LocalOperator {
    /// Starts one, with [`ROGUES`] for provers; it answers when this returns.
    ///
    /// # Errors
    /// An operator that does not come up.
    pub async fn start() -> Result<Self, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("a folder"))?;
        let log = std::fs::File::create(folder.path().join("log")).map_err(Error::io("the log"))?;
        let mut command = Command::new(program("operator"));
        command.args(["local", "--serve", "--allow-dev-srs", "-o", "json", "--state"]);
        command.arg(folder.path().join("state"));
        for (namespace, pool, mode) in ROGUES {
            let rogue = program("rogue");
            command.args([
                "--prover",
                &format!("{namespace}/{pool}={} {mode}", rogue.display()),
            ]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Error::io("operator local"))?;
        let config = folder.path().join("state/kubeconfig");
        let client = wait_for("local mode", TIME, async || connect(&config).await).await;
        match client {
            Ok(client) => Ok(Self {
                folder,
                child,
                client,
            }),
            Err(error) => {
                let mut child = child;
                let _ = child.kill();
                Err(error)
            }
        }
    }

    /// Its state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// What it has said.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The gateway's address, as it says it.
    #[must_use]
    pub fn gateway(&self) -> Option<String> {
        let output = self.output();
        let (_, rest) = output.split_once("gateway: ")?;
        rest.split_whitespace().next().map(str::to_owned)
    }

    /// Its child processes.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
        let all = tasks
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|task| of(task).ok());
        all.flat_map(|text| {
            text.split_whitespace()
                .filter_map(|n| n.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
    }

    /// Sends it a signal, and waits for its end.
    ///
    /// # Errors
    /// An operator that does not end.
    pub fn end(&mut self, signal: Signal) -> Result<ExitStatus, Error> {
        let pid = Pid::from_raw(self.child.id() as i32);
        kill(pid, signal).map_err(|e| Error::io("a signal")(e.into()))?;
        let began = Instant::now();
        while began.elapsed() < TIME {
            if let Some(status) = self.child.try_wait().map_err(Error::io("waiting"))? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Error::Timeout {
            what: "the end of local mode".to_owned(),
            limit: TIME,
            last: self.output(),
        })
    }
}

impl Drop for LocalOperator {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.end(Signal::SIGTERM);
            let _ = self.child.kill();
        }
    }
}

async fn connect(config: &Path) -> Result<Client, String> {
    let config = Kubeconfig::read_from(config).map_err(|e| e.to_string())?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    Client::try_from(config.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

impl Place for LocalOperator {
    async fn objects(&self, namespace: &str) -> Result<Objects, Error> {
        Ok(Objects {
            client: self.client.clone(),
            namespace: namespace.to_owned(),
        })
    }

    async fn apply(&self, yaml: &str) -> Result<(), Error> {
        let not_yaml = |e: serde_yaml::Error| Error::io("YAML")(std::io::Error::other(e));
        for document in serde_yaml::Deserializer::from_str(yaml) {
            let object = DynamicObject::deserialize(document).map_err(not_yaml)?;
            let types = object.types.clone().unwrap_or_default();
            let kind = GroupVersionKind::try_from(&types)
                .map_err(|e| Error::io("kind")(std::io::Error::other(e)))?;
            let resource = ApiResource::from_gvk(&kind);
            let namespace = object.namespace().unwrap_or_default();
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace, &resource);
            let params = PatchParams::apply("test");
            api.patch(&object.name_any(), &params, &Patch::Apply(&object))
                .await?;
        }
        Ok(())
    }
}
