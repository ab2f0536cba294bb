//! What the controllers share.
//!
//! Invariant: everything here can be rebuilt from the API server and the artifact store; nothing is true because it is
//! here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use tokio::sync::{Notify, mpsc};
use zkinfer_crds::compile_report::CompileReport;
use zkinfer_crds::k8s::{
    InferenceRequest, InferenceRequestStatus, MinerPool, MinerPoolStatus, Model, ModelStatus, RequestPhase,
    ServedBy,
};
use zkinfer_crds::wire::BlobRef;
use zkinfer_crds::{Digest, ProofSystem, RequestUid};
use zkml::setup::VerifierSrs;

use super::consents::Consents;
use super::scope::Scope;
use super::store::StoreHealth;
use super::write::Events;
use crate::artifacts::{ArtifactError, Artifacts, CompiledRecord};
use crate::specs::{CompileSettings, WorkerSettings};
use crate::controllers::model::SourceLook;
use crate::controllers::pool::Trouble;
use crate::controllers::request::{RunState, RunView};
use crate::dispatch::{Dispatcher, PoolId};
use crate::fleet::{JobIndex, Refusal};
use crate::metrics::Metrics;
use crate::reference::Reference;
use crate::sources::AllowedUrl;
use crate::runs::{CompiledModel, Run, Shelf, ShelfError};
use crate::scoring::Totals;
use crate::setup::SetupPolicy;
use crate::sources::NamespaceFiles;

/// How often something that nobody tells of is looked at while the operator starts.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// The objects as the watches have them.
pub struct Stores {
    /// Models.
    pub models: Store<Model>,
    /// Requests.
    pub requests: Store<InferenceRequest>,
    /// Pools.
    pub pools: Store<MinerPool>,
}

/// Asks for reconciliations.
pub struct Wake {
    pub(super) models: mpsc::UnboundedSender<ObjectRef<Model>>,
    pub(super) requests: mpsc::UnboundedSender<ObjectRef<InferenceRequest>>,
    pub(super) pools: mpsc::UnboundedSender<ObjectRef<MinerPool>>,
}

impl Wake {
    /// Of a Model. Nobody listens any more while the operator ends.
    pub fn model(&self, model: ObjectRef<Model>) {
        let _ = self.models.send(model);
    }

    /// Of a request.
    pub fn request(&self, request: ObjectRef<InferenceRequest>) {
        let _ = self.requests.send(request);
    }

    /// Of a pool.
    pub fn pool(&self, pool: ObjectRef<MinerPool>) {
        let _ = self.pools.send(pool);
    }
}

/// What is known of a Model beside its status.
#[derive(Default)]
pub struct ModelRecord {
    /// It was looked for in the store.
    pub looked: bool,
    /// The ONNX file, once it was found.
    pub onnx: Option<BlobRef>,
    /// The calibration data, once it was found.
    pub calibration: Option<BlobRef>,
    /// What the compiler last said, and when.
    pub progress: Option<(String, Instant)>,
    /// Its compile Job that the API server has refused.
    pub refused: Option<Refusal>,
    /// What was compiled, and what the compiler reported.
    pub outcome: Option<CompiledRecord>,
    /// What was compiled before is of another version: it is compiled again.
    pub old_version: bool,
    /// What was compiled was found good since the operator started.
    pub good: bool,
    /// It was tried to load it since, and why it cannot be; whether it is of another version.
    pub broken: Option<(String, bool)>,
    /// What was seen of the ConfigMaps that it was compiled from.
    pub source_look: SourceLook,
    /// The Model will not become ready.
    pub failed: bool,
    /// The status as written last, and when.
    pub written: Option<(ModelStatus, Instant)>,
}

/// What is known of a request beside its status.
pub struct RunRecord {
    /// The object.
    pub key: ObjectRef<InferenceRequest>,
    /// Its Model's name.
    pub model: String,
    /// What the Model says of who may serve it, as it was last seen.
    pub served_by: Option<Vec<ServedBy>>,
    /// The run.
    pub run: Option<Arc<Run>>,
    /// As the planner sees it.
    pub state: RunState,
    /// Progress.
    pub view: RunView,
    /// The status as written last, and when.
    pub written: Option<(InferenceRequestStatus, Instant)>,
}

/// What is known of a pool beside its status.
#[derive(Default)]
pub struct PoolRecord {
    /// The generation that was looked at last.
    pub generation: Option<i64>,
    /// The generation whose objects were applied.
    pub applied: Option<i64>,
    /// Warm workers that are up.
    pub warm_ready: u32,
    /// Its objects that the API server has refused.
    pub objects_refused: Option<Refusal>,
    /// Its Jobs that the API server has refused.
    pub jobs_refused: Option<Refusal>,
    /// Why there are fewer warm workers than there should be, in the words of Kubernetes.
    pub warm_refused: Option<String>,
    /// What keeps workers from running.
    pub trouble: Option<Trouble>,
    /// Requests that were told of the trouble.
    pub warned: BTreeSet<RequestUid>,
    /// It is looked at again soon, for pods that are to come.
    pub looking: bool,
    /// What requests choose by, as it was when they were last told.
    pub told: Option<String>,
    /// The status as written last, and when.
    pub written: Option<(MinerPoolStatus, Instant)>,
}

/// A part of the operator that comes up by itself.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// Every Model is known.
    Models = 1,
    /// Every request is known.
    Requests = 2,
    /// Every pool is known.
    Pools = 4,
    /// Every Job is known.
    Jobs = 8,
    /// The gateway answers.
    Gateway = 16,
    /// Every list of who may serve is known.
    Consents = 32,
}

/// What has come up.
#[derive(Debug, Default)]
pub struct Ready(AtomicU8);

impl Ready {
    /// It has come up.
    pub fn set(&self, part: Part) {
        self.0.fetch_or(part as u8, Ordering::SeqCst);
    }

    /// Whether it has.
    #[must_use]
    pub fn is(&self, part: Part) -> bool {
        self.0.load(Ordering::SeqCst) & part as u8 != 0
    }

    /// What the API server has not listed yet.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let lists = [
            (Part::Models, "models"),
            (Part::Requests, "inferencerequests"),
            (Part::Pools, "minerpools"),
            (Part::Jobs, "jobs"),
            (Part::Consents, "configmaps zkinfer-consent"),
        ];
        lists
            .into_iter()
            .filter(|(part, _)| !self.is(*part))
            .map(|(_, name)| name)
            .collect()
    }

    /// Waits until these have.
    pub async fn wait(&self, parts: &[Part]) {
        while !parts.iter().all(|part| self.is(*part)) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// See the module.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The namespaces that are watched.
    pub scope: Arc<Scope>,
    /// Queue, claims, verification.
    pub dispatcher: Arc<Dispatcher>,
    /// The artifact store.
    pub artifacts: Artifacts,
    /// The trusted setup; absent where none was given, which serves proof systems without one.
    pub setup: Option<SetupPolicy>,
    /// The addresses under which models may be fetched.
    pub source_urls: Vec<AllowedUrl>,
    /// Its verifier part.
    pub srs: Option<VerifierSrs>,
    /// Its file for compilers; absent: the development setup, or none.
    pub srs_file: Option<BlobRef>,
    /// The network id in statements.
    pub network: String,
    /// The greatest error of an answer that the operator accepts.
    pub max_error: f64,
    /// Where float answers come from.
    pub reference: Reference,
    /// For every worker's pod.
    pub workers: WorkerSettings,
    /// For compilers.
    pub compile: CompileSettings,
    /// The objects.
    pub stores: Stores,
    /// Asks for reconciliations.
    pub wake: Wake,
    /// Asks for a pass of the fleet.
    pub fleet: Notify,
    /// The operator's Jobs.
    pub jobs: JobIndex,
    /// The compiled models that are in memory.
    pub shelf: Shelf,
    /// Held by whoever has a large file in memory.
    pub large: tokio::sync::Mutex<()>,
    /// Whether the store works.
    pub store: StoreHealth,
    /// Who may serve.
    pub consents: Consents,
    /// Writes events.
    pub events: Events,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What has come up.
    pub ready: Ready,
    /// When the operator started.
    pub started: Instant,
    pub(super) models: Mutex<BTreeMap<String, ModelRecord>>,
    pub(super) runs: Mutex<BTreeMap<RequestUid, RunRecord>>,
    pub(super) pools: Mutex<BTreeMap<PoolId, PoolRecord>>,
    pub(super) ledger: Mutex<Totals>,
    pub(super) looked_at: Mutex<BTreeSet<RequestUid>>,
    pub(super) unwritable: Mutex<BTreeSet<RequestUid>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    /// A compiled model, loaded when it is not in memory.
    ///
    /// # Errors
    /// See [`ShelfError`].
    pub async fn compiled(
        &self,
        namespace: &str,
        report: &CompileReport,
        system: ProofSystem,
    ) -> Result<Arc<CompiledModel>, ShelfError> {
        let load = CompiledModel::load(&self.artifacts, report.clone(), system, self.srs.clone());
        self.shelf.get(namespace, report, load).await
    }

    /// Models by uid.
    pub fn models(&self) -> MutexGuard<'_, BTreeMap<String, ModelRecord>> {
        lock(&self.models)
    }

    /// Requests that are so large that no status fits beside their spec.
    pub fn unwritable(&self) -> MutexGuard<'_, BTreeSet<RequestUid>> {
        lock(&self.unwritable)
    }

    /// Runs by request.
    pub fn runs(&self) -> MutexGuard<'_, BTreeMap<RequestUid, RunRecord>> {
        lock(&self.runs)
    }

    /// Pools.
    pub fn pools(&self) -> MutexGuard<'_, BTreeMap<PoolId, PoolRecord>> {
        lock(&self.pools)
    }

    /// What the ledger adds up to.
    pub fn ledger(&self) -> MutexGuard<'_, Totals> {
        lock(&self.ledger)
    }

    /// A request was looked at with all that it needs known, and has no run for now. It is of no interest once the
    /// gateway answers.
    pub fn looked_at(&self, request: RequestUid) {
        if !self.ready.is(Part::Gateway) {
            lock(&self.looked_at).insert(request);
        }
    }

    /// Whether the gateway has to wait for a request from before a restart: it was being proved, and will be again.
    pub(super) fn awaits(&self, request: &InferenceRequest) -> bool {
        let status = request.status.as_ref();
        let proving = status.is_some_and(|s| s.phase == RequestPhase::Proving);
        let at_rest = request.spec.suspend || request.metadata.deletion_timestamp.is_some();
        let Some(uid) = request.uid().and_then(|uid| uid.parse().ok()) else {
            return false;
        };
        proving && !at_rest && !self.runs().contains_key(&uid) && !lock(&self.looked_at).contains(&uid)
    }

    /// Warm workers of a pool that are up.
    #[must_use]
    pub fn warm(&self, pool: &PoolId) -> u32 {
        self.pools().get(pool).map_or(0, |p| p.warm_ready)
    }

    /// A pool has new trouble, or pods that are to be looked at.
    pub fn wake_pool(&self, pool: &PoolId) {
        self.wake.pool(pool.object());
    }

    /// Every request that is not over has something new to look at.
    pub fn wake_requests(&self, which: impl Fn(&InferenceRequest) -> bool) {
        for request in self.stores.requests.state() {
            let over = request.status.as_ref().is_some_and(|s| s.phase.is_over());
            if !over && which(&request) {
                self.wake.request(ObjectRef::from_obj(&*request));
            }
        }
    }
}

impl NamespaceFiles for Context {
    /// Read when they are needed: a watch would have the operator hold everybody's.
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ConfigMap>, String>> {
        Box::pin(async move {
            let api: kube::Api<ConfigMap> = kube::Api::namespaced(self.client.clone(), namespace);
            api.get_opt(name).await.map_err(|e| e.to_string())
        })
    }

    fn may_name<'a>(
        &'a self,
        namespace: &'a str,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<bool, ArtifactError>> {
        Box::pin(self.artifacts.blob_is_of(digest, namespace))
    }

    fn addresses(&self) -> &[AllowedUrl] {
        &self.source_urls
    }
}
