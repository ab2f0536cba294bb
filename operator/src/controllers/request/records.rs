//! What the requests' controller works with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::k8s::{InferenceRequest, InferenceRequestStatus, RequestPhase, ServedBy};
use zkinfer_crds::{Digest, RequestUid};

use super::line::{Ask, Client, Line, Turn};
use super::observed::{RunState, RunView};
use crate::controllers::model::Models;
use crate::controllers::pool::Pools;
use crate::dispatch::BenchmarkNote;
use crate::reference::Reference;
use crate::runs::{Needs, Outbox, Run};
use crate::specs::{BENCHMARK, no_benchmark};
use crate::world::{Part, Records, World, lock};

/// The annotation that names who made a request through the gateway, sealed by the operator: nobody else can write one.
pub const MADE_FOR: &str = "zkinfer.dev/made-for";

/// Of the requests' controller.
pub struct Requests {
    /// What all controllers share.
    pub world: Arc<World>,
    /// What is known of Models.
    pub models: Arc<Models>,
    /// What is known of pools.
    pub pools: Arc<Pools>,
    /// Where float answers come from.
    pub reference: Reference,
    /// Where receipts go beside the store; absent: nowhere.
    pub outbox: Option<Arc<dyn Outbox>>,
    runs: Records<RequestUid, RunRecord>,
    unwritable: Mutex<BTreeSet<RequestUid>>,
    looked_at: Mutex<BTreeSet<RequestUid>>,
    /// Requests whose input is right beside the manifest, as far as can be seen before the model is run.
    pub(super) looked: Records<RequestUid, Digest>,
    /// Who may begin.
    line: Mutex<Line>,
    /// By manifest: what a request of it takes of the operator's memory. Known once it was loaded.
    pub(super) needs: Records<Digest, Needs>,
    /// Those that wait for room in that memory.
    pub(super) awaiting_room: Records<RequestUid, ObjectRef<InferenceRequest>>,
    /// Those that were at work and are not now: their turn comes as that of others.
    pub(super) parked: Records<RequestUid, ()>,
    /// Held by whoever begins, from storing what the run needs to where that is known; and by whoever erases, alone.
    pub(super) beginning: tokio::sync::RwLock<()>,
    /// Held from looking to telling the dispatcher who may see a run, so that nobody tells it what was true before.
    pub(super) deciding: Mutex<()>,
}

impl Requests {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(
        models: Arc<Models>,
        pools: Arc<Pools>,
        reference: Reference,
        outbox: Option<Arc<dyn Outbox>>,
    ) -> Self {
        Self {
            world: Arc::clone(&models.world),
            models,
            pools,
            reference,
            outbox,
            runs: Records::default(),
            unwritable: Mutex::default(),
            looked_at: Mutex::default(),
            looked: Records::default(),
            line: Mutex::default(),
            needs: Records::default(),
            awaiting_room: Records::default(),
            parked: Records::default(),
            beginning: tokio::sync::RwLock::default(),
            deciding: Mutex::default(),
        }
    }

    /// Runs by request.
    pub fn runs(&self) -> MutexGuard<'_, BTreeMap<RequestUid, RunRecord>> {
        self.runs.lock()
    }

    /// Requests that are so large that no status fits beside their spec.
    pub fn unwritable(&self) -> MutexGuard<'_, BTreeSet<RequestUid>> {
        lock(&self.unwritable)
    }

    /// A request is gone: nothing is known of it any more.
    pub fn forget(&self, request: RequestUid) {
        self.runs().remove(&request);
        self.unwritable().remove(&request);
        self.looked.lock().remove(&request);
        self.parked.lock().remove(&request);
        self.leave_room(request);
        self.leave(request);
    }

    /// Whose request it is.
    #[must_use]
    pub fn client_of(&self, request: &InferenceRequest) -> Client {
        let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
        let made = request.annotations().get(MADE_FOR);
        let made = made.and_then(|sealed| self.world.dispatcher.open_author(sealed).ok());
        // One that was copied from another request says nothing of this one.
        match made.filter(|author| author.namespace == namespace && author.name == name) {
            Some(author) => Client::User(author.client),
            None => Client::Namespace(namespace),
        }
    }

    /// The operator's own note at a benchmark that is one.
    #[must_use]
    pub fn benchmark_note(&self, request: &InferenceRequest) -> Option<BenchmarkNote> {
        let note = self.note_at(request)?;
        let none = no_benchmark(request, Some(&note), &self.world.workers.namespace);
        none.is_none().then_some(note)
    }

    fn note_at(&self, request: &InferenceRequest) -> Option<BenchmarkNote> {
        let sealed = request.annotations().get(BENCHMARK)?;
        self.world.dispatcher.open_benchmark(sealed).ok()
    }

    /// Why a request is no benchmark that says of itself that it is one.
    pub(super) fn no_benchmark(&self, request: &InferenceRequest) -> Option<String> {
        let own = &self.world.workers.namespace;
        match request.is_benchmark() {
            true => no_benchmark(request, self.note_at(request).as_ref(), own),
            false => None,
        }
    }

    /// What a benchmark's input was drawn with, for whoever draws it again.
    pub(super) fn benchmark_seed(&self, request: &InferenceRequest) -> Option<String> {
        let note = request.is_benchmark().then(|| self.benchmark_note(request))??;
        let seed = self
            .world
            .dispatcher
            .benchmark_seed(&note.validator, note.number)?;
        Some(hex::encode(seed))
    }

    /// May a request begin now? A benchmark waits for nobody and holds nobody up: the queue sees to that.
    pub(super) fn turn(&self, request: &InferenceRequest, uid: RequestUid, begun: bool) -> Turn {
        if request.is_benchmark() {
            return Turn::Begins;
        }
        let ask = Ask {
            uid,
            key: ObjectRef::from_obj(request),
            client: self.client_of(request),
            priority: request.spec.priority,
            created: request.creation_timestamp().map_or(0, |t| t.0.as_second()),
            begun: begun && !self.parked.lock().contains_key(&uid),
        };
        lock(&self.line).ask(ask, &self.world.in_force.get().limits)
    }

    /// A request neither is at work nor waits for its turn: others may begin.
    pub(super) fn leave(&self, uid: RequestUid) {
        let next = {
            let mut line = lock(&self.line);
            if !line.leave(uid) {
                return;
            }
            line.next(&self.world.in_force.get().limits)
        };
        for key in next {
            self.world.wake.request(key);
        }
    }

    /// Those that were begun before this operator started are at work before anybody else begins.
    pub(super) fn hold_begun(&self) {
        for request in self.world.stores.requests.state() {
            let phase = request.status.as_ref().map(|s| s.phase);
            let uid = request.uid().and_then(|uid| uid.parse().ok());
            if let (Some(RequestPhase::Proving), Some(uid), false) = (phase, uid, request.is_benchmark()) {
                lock(&self.line).hold(uid, self.client_of(&request));
            }
        }
    }

    /// A request was looked at with all that it needs known, and has no run for now. It is of no interest once the
    /// gateway answers.
    pub fn looked_at(&self, request: RequestUid) {
        if !self.world.ready.is(Part::Gateway) {
            lock(&self.looked_at).insert(request);
        }
    }

    /// Whether the gateway has to wait for a request from before a restart: it was being proved, and will be again.
    #[must_use]
    pub fn awaits(&self, request: &InferenceRequest) -> bool {
        let status = request.status.as_ref();
        let proving = status.is_some_and(|s| s.phase == RequestPhase::Proving);
        let at_rest = request.spec.suspend || request.metadata.deletion_timestamp.is_some();
        let Some(uid) = request.uid().and_then(|uid| uid.parse().ok()) else {
            return false;
        };
        proving && !at_rest && !self.runs().contains_key(&uid) && !lock(&self.looked_at).contains(&uid)
    }
}

/// What is known of a request beside its status.
pub struct RunRecord {
    /// The object.
    pub key: ObjectRef<InferenceRequest>,
    /// Its Model's name.
    pub model: String,
    /// Its Model's namespace.
    pub model_namespace: String,
    /// What the Model says of who may serve it, as it was last seen.
    pub served_by: Option<Vec<ServedBy>>,
    /// The run.
    pub run: Option<Arc<Run>>,
    /// As the planner sees it.
    pub state: RunState,
    /// Progress.
    pub view: RunView,
    /// When it was begun, or a slice of it was verified last.
    pub moved: Instant,
    /// The status as written last, and when.
    pub written: Option<(InferenceRequestStatus, Instant)>,
}
