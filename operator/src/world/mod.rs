//! What all controllers share: the API server, its objects as the watches have them, the store, the queue.
//!
//! Invariants: everything here can be rebuilt from the API server and the artifact store; nothing is true because it is
//! here. What one kind alone needs is its controller's.

mod at_work;
mod consents;
mod files;
mod merge;
mod pace;
mod ready;
mod records;
mod scope;
mod store;
mod stores;
mod streams;
mod usage;
mod write;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use zkinfer_crds::compile_report::CompileReport;
use zkinfer_crds::k8s::validator::LedgerEnd;
use zkinfer_crds::k8s::{InferenceRequest, Model, Validator};
use zkinfer_crds::{Digest, ProofSystem};
use zkml::setup::VerifierSrs;

pub use at_work::{AtWork, Working};
pub use consents::Consents;
pub use pace::Pace;
pub use ready::{LOOK, Part, Ready};
pub use records::{Records, lock};
pub use scope::{Place, Scope};
pub use store::StoreHealth;
pub use stores::{Feed, Feeds, Stores, Wake, watched};
pub use streams::{Watch, controller, follow, named, objects, owning};
pub use usage::{Counted, Kept, Reached, Usage};
pub use write::{Events, News, ReconcileError, is_too_large};

use crate::artifacts::Artifacts;
use crate::consent::Consent;
use crate::dispatch::{Dispatcher, PoolId};
use crate::fleet::JobIndex;
use crate::in_force::InForce;
use crate::metrics::Metrics;
use crate::runs::{CompiledModel, Rooms, Shelf, ShelfError};
use crate::setup::SetupPolicy;
use crate::specs::WorkerSettings;
use crate::weights::Published;

/// See the module.
pub struct World {
    /// The API server.
    pub client: Client,
    /// The namespaces that are watched.
    pub scope: Arc<Scope>,
    /// The objects.
    pub stores: Stores,
    /// Asks for reconciliations.
    pub wake: Wake,
    /// What has come up.
    pub ready: Ready,
    /// When the operator started.
    pub started: Instant,
    /// Writes events.
    pub events: Events,
    /// Who may serve.
    pub consents: Consents,
    /// The artifact store.
    pub artifacts: Artifacts,
    /// Whether it works.
    pub store: StoreHealth,
    /// What each namespace takes of it.
    pub usage: Usage,
    /// The settings that a Validator changes.
    pub in_force: Arc<InForce>,
    /// Why nothing is added to the ledger, if nothing is.
    pub ledger_held: Option<String>,
    /// Where the ledger ended at the last look, once it has begun.
    pub ledger_end: Mutex<Option<LedgerEnd>>,
    /// What is told of the weights that were published last.
    pub weights: Published,
    /// Queue, claims, verification.
    pub dispatcher: Arc<Dispatcher>,
    /// The operator's Jobs.
    pub jobs: JobIndex,
    /// Asks for a pass of the fleet.
    pub fleet: Notify,
    /// For every worker's pod.
    pub workers: WorkerSettings,
    /// The compiled models that are in memory.
    pub shelf: Shelf,
    /// The memory that requests at work take.
    pub rooms: Arc<Rooms>,
    /// The trusted setup; absent where none was given, which serves proof systems without one.
    pub setup: Option<SetupPolicy>,
    /// Its verifier part.
    pub srs: Option<VerifierSrs>,
    /// What no status tells of yet.
    pub at_work: AtWork,
    /// How often is written what changes all the time.
    pub pace: Pace,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl World {
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

    /// Writes the whole status of an object, as this installation; whether it was written: an object that is gone, or is another
    /// by now, has none, and nobody is told of it.
    ///
    /// # Errors
    /// The API server.
    pub async fn write_status<K, S>(&self, object: &K, status: &S) -> Result<bool, kube::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
        S: Serialize,
    {
        let manager = self.workers.class.manager();
        write::patch_status(&self.client, &manager, object, status).await
    }

    /// The trusted setup, unless the settings in force do not allow it: which one that is.
    ///
    /// # Errors
    /// The setup that was given and is not allowed.
    pub fn allowed_setup(&self) -> Result<Option<SetupPolicy>, Digest> {
        match self.setup {
            Some(setup) if !self.in_force.get().allows_srs(&setup.srs) => Err(setup.srs),
            setup => Ok(setup),
        }
    }

    /// Done when what a Validator says is in force, or there is known to be none.
    pub async fn settings_are_known(&self) {
        let own = &self.workers.namespace;
        let resource = Validator::plural(&());
        self.ready.wait(&[Part::Validator]).await;
        // A list that was refused is no list of nothing.
        while self.scope.refuses(own, &resource) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A Model by its name.
    #[must_use]
    pub fn model(&self, namespace: &str, name: &str) -> Option<Arc<Model>> {
        self.stores.models.get(&ObjectRef::new(name).within(namespace))
    }

    /// Who may serve the requests of a Model.
    #[must_use]
    pub fn consent_of(&self, model: &Model) -> Consent {
        let namespace = model.namespace().unwrap_or_default();
        self.consents
            .decide(&namespace, &model.name_any(), model.spec.served_by.as_deref())
    }

    /// Which namespaces of the list that decides are not watched, in a sentence.
    #[must_use]
    pub fn unseen(&self, consent: &Consent) -> Option<String> {
        let (at, namespaces) = consent.list()?;
        let unseen = self.scope.unseen(namespaces)?;
        Some(format!("{at}: {unseen}"))
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

    /// Everything has to be looked at again: what all of it needs is there again, or is not.
    pub fn wake_all(&self) {
        self.wake_requests(|_| true);
        for model in self.stores.models.state() {
            self.wake.model(ObjectRef::from_obj(&*model));
        }
    }
}
