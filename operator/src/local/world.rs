//! The loop of local mode: observe, plan, apply, until nothing can change any more.
//!
//! Slow work (compiling, evaluating) runs beside the loop and comes back as a [`Done`]; the loop alone changes objects.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::inference_request::{condition, reason};
use zkinfer_crds::k8s::{InferenceRequestStatus, RequestPhase, find_condition};
use zkinfer_crds::{Identity, RequestUid};
use zkml::setup::VerifierSrs;

use super::compiler::Compiler;
use super::objects::{Key, Objects};
use super::progress::Progress;
use super::workers::StartErrors;
use crate::artifacts::Artifacts;
use crate::clock::now;
use crate::consent::Consent;
use crate::controllers::model::{self, CompileState, SourceState};
use crate::controllers::pool;
use crate::controllers::request::{self, ModelState, PoolView, RunEnd, RunState, RunView};
use crate::dispatch::{self, Dispatcher};
use crate::reference::Reference;
use crate::runs::{CompiledModel, Run};
use crate::scoring::Totals;
use crate::setup::SetupPolicy;

/// How often the loop looks without being woken.
const TICK: Duration = Duration::from_millis(50);

/// Work that has come back.
pub(super) enum Done {
    /// A compiler said something.
    CompileProgress(Key, String),
    /// A compiler ended; the loaded model comes with a good report.
    Compiled(Key, Result<(CompileOutcome, Option<Arc<CompiledModel>>), String>),
    /// A request was evaluated.
    Prepared(Key, Result<Arc<Run>, RunState>),
}

/// What the loop keeps of a model.
pub(super) struct ModelRecord {
    pub(super) source: SourceState,
    pub(super) onnx: Vec<u8>,
    pub(super) calibration: Result<Option<(&'static str, Vec<u8>)>, String>,
    pub(super) compile: CompileState,
    pub(super) compiled: Option<Arc<CompiledModel>>,
    pub(super) failed: bool,
}

/// What the loop keeps of a request.
pub(super) struct RequestRecord {
    pub(super) state: RunState,
    pub(super) run: Option<Arc<Run>>,
    pub(super) preparing: bool,
    pub(super) view: RunView,
}

/// What answers are judged by.
pub(super) struct Judge {
    /// The greatest error that is accepted.
    pub(super) max_error: f64,
    /// Where float answers come from.
    pub(super) reference: Reference,
}

pub(super) struct World {
    pub(super) objects: Objects,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) artifacts: Artifacts,
    pub(super) compiler: Compiler,
    pub(super) setup: Option<SetupPolicy>,
    pub(super) srs: Option<VerifierSrs>,
    pub(super) judge: Judge,
    pub(super) progress: Progress,
    pub(super) models: BTreeMap<Key, ModelRecord>,
    pub(super) requests: BTreeMap<Key, RequestRecord>,
    pub(super) ledger: Totals,
    pub(super) done: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
}

impl World {
    pub(super) fn new(
        objects: Objects,
        dispatcher: Arc<Dispatcher>,
        artifacts: Artifacts,
        compiler: Compiler,
        (setup, srs): (Option<SetupPolicy>, Option<VerifierSrs>),
        judge: Judge,
        progress: Progress,
    ) -> Self {
        let requests = objects
            .requests
            .keys()
            .map(|k| (k.clone(), RequestRecord::new()))
            .collect();
        Self {
            objects,
            dispatcher,
            artifacts,
            compiler,
            setup,
            srs,
            judge,
            progress,
            models: BTreeMap::new(),
            requests,
            ledger: Totals::default(),
            done: mpsc::unbounded_channel(),
        }
    }

    /// Runs to the end; the objects then hold their last status.
    pub(super) async fn run(mut self, models: &Path, receipts: &Path, start_errors: &StartErrors) -> Objects {
        self.load_sources().await;
        self.say_who_consents();
        loop {
            self.take_ended().await;
            self.finish_runs(models, receipts).await;
            self.plan_pools(start_errors);
            self.plan_models(models);
            self.plan_requests().await;
            if self.is_settled() {
                return self.objects;
            }
            tokio::select! {
                () = self.dispatcher.progressed() => {}
                Some(done) = self.done.1.recv() => self.came_back(done),
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Where pools of other namespaces may serve only because one person runs all of it here.
    fn say_who_consents(&self) {
        let pools = &self.objects.pools;
        let by_the_runner = self.objects.models.keys().any(|model| {
            let elsewhere = |(key, pool): (&Key, &zkinfer_crds::k8s::MinerPool)| {
                key.namespace != model.namespace && pool.spec.serves(&key.namespace, &model.namespace)
            };
            self.consent(model).is_of_the_runner() && pools.iter().any(elsewhere)
        });
        if by_the_runner {
            self.progress.say(
                "pools of other namespaces see models and inputs, since you run them all; on a cluster a Model's \
                 spec.servedBy must name them",
            );
        }
    }

    /// Nothing is at work, so without other people nothing can change any more.
    fn is_settled(&self) -> bool {
        let compiling = self
            .models
            .values()
            .any(|m| matches!(m.compile, CompileState::Running(_)));
        let at_work = |r: &RequestRecord| r.preparing || matches!(r.state, RunState::Active(_));
        !compiling && !self.requests.values().any(at_work) && self.done.1.is_empty()
    }

    fn came_back(&mut self, done: Done) {
        match done {
            Done::CompileProgress(key, line) => {
                self.progress.say(format_args!("{key}  {line}"));
                if let Some(record) = self.models.get_mut(&key) {
                    record.compile = CompileState::Running(line);
                }
            }
            Done::Compiled(key, result) => {
                let Some(record) = self.models.get_mut(&key) else {
                    return;
                };
                match result {
                    Ok((outcome, compiled)) => {
                        if let CompileOutcome::Compiled(report) = &outcome {
                            self.progress
                                .say(format_args!("{key}  compiled: {} slices", report.slices.len()));
                        }
                        record.compile = CompileState::Done(outcome);
                        record.compiled = compiled;
                    }
                    Err(why) => record.compile = CompileState::Crashed(why),
                }
            }
            Done::Prepared(key, result) => {
                let Some(record) = self.requests.get_mut(&key) else {
                    return;
                };
                record.preparing = false;
                match result {
                    Ok(run) => {
                        self.progress.say(format_args!("{key}  Proving"));
                        self.start(&key, run);
                    }
                    Err(state) => record.state = state,
                }
            }
        }
    }

    fn plan_pools(&mut self, start_errors: &StartErrors) {
        let errors = start_errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut identities: BTreeMap<_, String> = BTreeMap::new();
        for (key, object) in &mut self.objects.pools {
            let id = key.pool();
            let status = object.status.clone().unwrap_or_default();
            let uid = object.metadata.uid.as_deref().unwrap_or_default();
            let possession = pool::possession(&object.spec, &key.namespace, &key.name, uid);
            // The first keeps it.
            let proven = object
                .spec
                .identity
                .filter(|_| possession == pool::Possession::Proven);
            let taken = proven.and_then(|i| match identities.entry(i) {
                Entry::Occupied(first) => Some(first.get().clone()),
                Entry::Vacant(free) => {
                    free.insert(key.to_string());
                    None
                }
            });
            let observed = pool::Observed {
                spec: &object.spec,
                generation: object.metadata.generation,
                pool: (&key.namespace, &key.name, uid),
                identity: pool::identity_of(object),
                possession,
                status: &status,
                identity_taken_by: taken,
                score: self.ledger.score(&pool::identity_of(object)),
                pause: self.dispatcher.pause(&id),
                trouble: errors
                    .get(&id)
                    .map(|message| pool::Trouble::not_started(message.clone(), object.metadata.generation)),
            };
            object.status = Some(pool::plan(&observed, &now()));
            self.dispatcher.know(&id, pool::facts(object));
        }
    }

    fn plan_models(&mut self, folder: &Path) {
        let keys: Vec<Key> = self.objects.models.keys().cloned().collect();
        let consents: BTreeMap<Key, Consent> = keys.iter().map(|k| (k.clone(), self.consent(k))).collect();
        for key in keys {
            let (Some(object), Some(record)) = (self.objects.models.get_mut(&key), self.models.get_mut(&key))
            else {
                continue;
            };
            let status = object.status.clone().unwrap_or_default();
            let observed = model::Observed {
                spec: &object.spec,
                generation: object.metadata.generation,
                status: &status,
                source: record.source.clone(),
                calibration: record.calibration.as_ref().map(|_| ()).map_err(Clone::clone),
                compile: record.compile.clone(),
                setup: self.setup,
                max_error: self.judge.max_error,
                old_version: false,
                // The machine's owner runs it.
                model_memory: u64::MAX,
                bad_consent: consents.get(&key).and_then(Consent::problem),
                unseen: None,
                changed: None,
            };
            let plan = model::plan(&observed, &now());
            object.status = Some(plan.status);
            record.failed = plan.failed;
            if plan.action == Some(model::Action::Compile) {
                self.compile(&key, folder);
            }
        }
    }

    async fn plan_requests(&mut self) {
        let pools = self.pool_views();
        let keys: Vec<Key> = self.objects.requests.keys().cloned().collect();
        for key in keys {
            let model = self.model_state(&key);
            let consent = self.consent(&self.model_of(&key));
            let (Some(object), Some(record)) = (self.objects.requests.get_mut(&key), self.requests.get(&key))
            else {
                continue;
            };
            if record.preparing {
                continue;
            }
            let status = object.status.clone().unwrap_or_default();
            let created = object.metadata.creation_timestamp.clone().unwrap_or_else(now);
            let serves = |p: &(PoolView, String, zkinfer_crds::k8s::MinerPoolSpec, Identity)| PoolView {
                serves: p.2.serves(&p.1, &key.namespace),
                barred: consent.refusal(&p.1, || p.3),
                ..p.0.clone()
            };
            let observed = request::Observed {
                spec: &object.spec,
                generation: object.metadata.generation,
                created: &created,
                status: &status,
                model,
                pools: pools.iter().map(serves).collect(),
                run: record.state.clone(),
                store: None,
                unseen: None,
            };
            let plan = request::plan(&observed, &now());
            // That it is being proved is said when its slices are in the queue: the input may be refused before.
            if plan.status.phase != status.phase && plan.status.phase != RequestPhase::Proving {
                self.progress.say(format_args!("{key}  {}", plan.status.phase));
            }
            if let Some(why) =
                waits_for_floats(&plan.status).filter(|w| Some(w) != waits_for_floats(&status).as_ref())
            {
                self.progress.say(format_args!("{key}  {why}"));
            }
            object.status = Some(plan.status);
            match plan.action {
                Some(request::Action::Start(pools)) => self.prepare(&key, pools).await,
                Some(request::Action::Retarget(pools)) => self.retarget(&key, pools),
                Some(request::Action::Stop) => self.stop(&key),
                // Nothing here is older than this program.
                Some(request::Action::StartOver) | None => {}
            }
        }
    }

    /// The key of a request's Model.
    pub(super) fn model_of(&self, request: &Key) -> Key {
        let object = self.objects.requests.get(request);
        Key {
            namespace: request.namespace.clone(),
            name: object.map(|r| r.spec.model_ref.name.clone()).unwrap_or_default(),
        }
    }

    /// Who may serve a Model.
    pub(super) fn consent(&self, model: &Key) -> Consent {
        let spec = self.objects.models.get(model).map(|m| &m.spec);
        self.objects
            .consent(model, spec.and_then(|s| s.served_by.as_deref()))
    }

    fn pool_views(&self) -> Vec<(PoolView, String, zkinfer_crds::k8s::MinerPoolSpec, Identity)> {
        let view = |(key, object): (&Key, &zkinfer_crds::k8s::MinerPool)| {
            let status = object.status.clone().unwrap_or_default();
            let view = PoolView {
                id: key.pool(),
                labels: object.metadata.labels.clone().unwrap_or_default(),
                ready: zkinfer_crds::k8s::is_true(&status.conditions, "Ready"),
                draining: object.spec.drain,
                serves: false,
                barred: None,
                memory_bytes: object.spec.resources.memory.bytes(),
                because: PoolView::because(&status.conditions),
            };
            (
                view,
                key.namespace.clone(),
                object.spec.clone(),
                pool::identity_of(object),
            )
        };
        self.objects.pools.iter().map(view).collect()
    }

    fn model_state(&self, request: &Key) -> ModelState {
        let key = self.model_of(request);
        let (Some(object), Some(record)) = (self.objects.models.get(&key), self.models.get(&key)) else {
            return ModelState::NotFound;
        };
        let status = object.status.clone().unwrap_or_default();
        let ready = zkinfer_crds::k8s::find_condition(&status.conditions, "Ready");
        let message = ready
            .map(|c| format!("{}: {}", c.reason, c.message))
            .unwrap_or_default();
        match (&record.compiled, &record.compile) {
            _ if record.failed => ModelState::Failed(message),
            (Some(compiled), _) if ready.is_some_and(|c| c.status == "True") => {
                ModelState::ready(compiled.manifest.model, &compiled.report)
            }
            (_, CompileState::Running(line)) => ModelState::Compiling(line.clone()),
            (_, CompileState::Done(_)) => ModelState::Failed(message),
            _ => ModelState::NotReady(message),
        }
    }

    /// Ended claims go to the ledger first, then into the status.
    pub(super) async fn take_ended(&mut self) {
        for attempt in self.dispatcher.take_ended() {
            match dispatch::record(&self.artifacts, &attempt).await {
                Ok(Some(entry)) => self.ledger.add(&entry),
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the ledger entry was not written"),
            }
            let uid = attempt.request;
            let Some(key) = self.key_of(uid) else { continue };
            let counts = self.dispatcher.counts(uid).unwrap_or_default();
            self.progress
                .attempt(&key, &attempt, counts.verified, counts.total);
            if let Some(record) = self.requests.get_mut(&key) {
                record.view.recent.push((&attempt).into());
            }
        }
        for record in self.requests.values_mut() {
            let (Some(run), RunState::Active(_)) = (&record.run, &record.state) else {
                continue;
            };
            if let Some(counts) = self.dispatcher.counts(run.uid) {
                record.view.counts = counts;
                record.state = RunState::Active(record.view.clone());
            }
        }
    }

    fn key_of(&self, uid: RequestUid) -> Option<Key> {
        let of_run = |r: &RequestRecord| r.run.as_ref().is_some_and(|run| run.uid == uid);
        self.requests
            .iter()
            .find(|(_, r)| of_run(r))
            .map(|(k, _)| k.clone())
    }

    pub(super) fn ended(&mut self, key: &Key, end: RunEnd) {
        if let Some(record) = self.requests.get_mut(key) {
            record.state = RunState::Ended(record.view.clone(), end);
        }
    }
}

/// Why all slices are verified and the request has no end.
fn waits_for_floats(status: &InferenceRequestStatus) -> Option<String> {
    let ready = find_condition(&status.conditions, condition::READY)?;
    (ready.reason == reason::REFERENCE_UNAVAILABLE).then(|| ready.message.clone())
}

impl RequestRecord {
    fn new() -> Self {
        Self {
            state: RunState::None,
            run: None,
            preparing: false,
            view: RunView::default(),
        }
    }
}
