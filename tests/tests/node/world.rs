//! A cluster with a node that has the images, and what a person does with it.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};
use zkinfer_crds::k8s::{InferenceRequest, RequestPhase};
use zkinfer_tests::cluster::{Cluster, Error, wait_for};
use zkinfer_tests::images;
use zkinfer_tests::local::repository;

/// Longer than anything takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(120);
/// Selects what the operator makes.
pub const MANAGED: &str = "app.kubernetes.io/managed-by=zkinfer";

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A cluster with a node, the images on it, and a volume for the operator.
pub struct World {
    pub cluster: Cluster,
    pub client: Client,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    /// One of its own; `None`, said loudly, where there can be none.
    pub async fn new() -> Option<Self> {
        if !images::can_run() {
            return None;
        }
        let turn = ONE_AT_A_TIME.lock().await;
        let cluster = Cluster::node().await.unwrap();
        images::import(&cluster).await.unwrap();
        let world = Self {
            client: cluster.client().await.unwrap(),
            cluster,
            _turn: turn,
        };
        world.volume().await;
        Some(world)
    }

    /// The folder in which the operator's artifacts are.
    pub fn artifacts(&self) -> PathBuf {
        self.cluster.folder().join("volume")
    }

    /// What an administrator's storage class would bring: a volume for the one claim of the installation.
    async fn volume(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = self.artifacts();
        std::fs::create_dir(&folder).unwrap();
        // The kubelet gives volumes of this kind no group.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "artifacts" },
            "spec": {
                "capacity": { "storage": "10Gi" }, "accessModes": ["ReadWriteOnce"],
                "hostPath": { "path": folder }, "persistentVolumeReclaimPolicy": "Retain",
            },
        });
        self.cluster.apply(&volume.to_string()).await.unwrap();
    }

    /// `kubectl` with these words.
    pub async fn kubectl(&self, words: &str) -> Result<String, Error> {
        let words: Vec<&str> = words.split_whitespace().collect();
        self.cluster.kubectl(&words).await
    }

    /// The same, printed as it would be seen at a terminal.
    pub async fn show(&self, words: &str) -> String {
        let output = self.kubectl(words).await.unwrap();
        println!("$ kubectl {words}\n{output}");
        output
    }

    /// Installs with kubectl.
    pub async fn install(&self) {
        let folder = repository().join("manifests/default");
        self.show(&format!("apply -k {}", folder.display())).await;
        self.until_up().await;
    }

    /// Waits until the operator answers.
    pub async fn until_up(&self) {
        let limit = LONG.as_secs();
        let rollout =
            format!("-n zkinfer-system rollout status deployment/zkinfer-operator --timeout={limit}s");
        if let Err(e) = self.show_or_error(&rollout).await {
            let pods = self.kubectl("-n zkinfer-system describe pods").await.unwrap();
            panic!("{e}\n{pods}");
        }
    }

    async fn show_or_error(&self, words: &str) -> Result<(), Error> {
        let output = self.kubectl(words).await?;
        println!("$ kubectl {words}\n{output}");
        Ok(())
    }

    /// Applies the quickstart, and waits for the answer.
    pub async fn quickstart(&self) -> InferenceRequest {
        self.show(&format!("apply -f {}", file("").display())).await;
        self.complete("digit-7").await
    }

    /// Waits as a person does; shows why if it fails.
    pub async fn complete(&self, name: &str) -> InferenceRequest {
        let limit = LONG.as_secs();
        let wait = format!("wait --for=condition=Complete inferencerequest/{name} --timeout={limit}s");
        if let Err(e) = self.show_or_error(&wait).await {
            let mut story = String::new();
            for words in [
                "describe models,inferencerequests,minerpools -A",
                "get pods -A -o wide",
                "-n zkinfer-system logs deployment/zkinfer-operator",
                "get events -A",
            ] {
                story += &self.kubectl(words).await.unwrap_or_default();
            }
            panic!("{e}\n{story}");
        }
        self.request(name).await
    }

    /// A request of namespace default.
    pub async fn request(&self, name: &str) -> InferenceRequest {
        let api: Api<InferenceRequest> = Api::namespaced(self.client.clone(), "default");
        api.get(name).await.unwrap()
    }

    /// Waits until a request of namespace default has succeeded; asks often, so that little is added to what it took.
    pub async fn until_succeeded(&self, name: &str) -> InferenceRequest {
        let api: Api<InferenceRequest> = Api::namespaced(self.client.clone(), "default");
        wait_for(name, LONG, async || {
            let request = api.get(name).await.map_err(|e| e.to_string())?;
            let status = request.status.clone().unwrap_or_default();
            match status.phase {
                RequestPhase::Succeeded => Ok(request),
                _ => Err(format!("{status:?}")),
            }
        })
        .await
        .unwrap()
    }

    /// Pods of all namespaces that a selector selects.
    pub async fn pods(&self, selector: &str) -> Vec<Pod> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let list = api.list(&ListParams::default().labels(selector)).await;
        list.unwrap().items
    }

    /// Waits until nothing of a selector's is left of a kind.
    pub async fn until_none(&self, kind: &str, selector: &str) {
        wait_for(&format!("no {kind} of {selector}"), LONG, async || {
            let left = self
                .kubectl(&format!("get {kind} -A -l {selector} -o name"))
                .await;
            match left {
                Ok(left) if left.trim().is_empty() => Ok(()),
                Ok(left) => Err(left),
                Err(e) => Err(e.to_string()),
            }
        })
        .await
        .unwrap();
    }
}

/// A file of the quickstart.
pub fn file(name: &str) -> PathBuf {
    repository().join("manifests/quickstart").join(name)
}

/// The request of the quickstart under another name.
pub fn request(name: &str) -> String {
    let text = std::fs::read_to_string(file("request.yaml")).unwrap();
    text.replace("name: digit-7", &format!("name: {name}"))
}

/// Selects the pods and Jobs of a request.
pub fn of(request: &InferenceRequest) -> String {
    format!("zkinfer.dev/request-uid={}", request.uid().unwrap())
}
