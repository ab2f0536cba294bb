//! What the loop does with a plan: the only place where local mode starts, stops and writes.

use std::path::Path;
use std::sync::Arc;

use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::inference_request::reason;
use zkinfer_crds::k8s::request_status::ReceiptRef;

use super::compiler::Job;
use super::objects::Key;
use super::world::{Done, ModelRecord, RequestRecord, World};
use crate::controllers::model::{CompileState, SourceState};
use crate::controllers::request::{Ends, RunEnd, RunState, ends};
use crate::dispatch::PoolId;
use crate::runs::{CompiledModel, Judgement, Run, Terms, follow, verify_command};
use crate::sources::{self, SourceError};

/// The network id of local mode.
const NETWORK: &str = "local";

impl World {
    /// Reads every Model's file. In local mode objects do not change, so once is enough.
    pub(super) async fn load_sources(&mut self) {
        for (key, object) in &self.objects.models {
            let found = sources::model(
                &self.objects,
                &self.artifacts,
                &key.namespace,
                &object.spec.source,
            )
            .await;
            let (source, onnx) = match found {
                // The float reference is handed it from the store.
                Ok(onnx) => match self.artifacts.put_blob(onnx.clone()).await {
                    Ok(blob) => (SourceState::Found(blob.digest), onnx),
                    Err(e) => (SourceState::Unavailable(e.to_string()), Vec::new()),
                },
                Err(e) => (e.into(), Vec::new()),
            };
            let calibration = match &object.spec.quantization.calibration {
                None => Ok(None),
                Some(at) => sources::calibration(&self.objects, &self.artifacts, &key.namespace, at)
                    .await
                    .map(Some)
                    .map_err(SourceError::into_text),
            };
            let record = ModelRecord {
                source,
                onnx,
                calibration,
                compile: CompileState::None,
                compiled: None,
                failed: false,
            };
            self.models.insert(key.clone(), record);
        }
    }

    /// Starts the compiler.
    pub(super) fn compile(&mut self, key: &Key, folder: &Path) {
        let (Some(object), Some(record)) = (self.objects.models.get(key), self.models.get_mut(key)) else {
            return;
        };
        record.compile = CompileState::Running("starting".to_owned());
        let job = Job {
            onnx: std::mem::take(&mut record.onnx),
            calibration: record.calibration.clone().unwrap_or_default(),
            spec: object.spec.clone(),
            dir: folder.join(&key.namespace).join(&key.name),
        };
        let system = job.spec.proof_system;
        let (compiler, artifacts, srs) = (self.compiler.clone(), self.artifacts.clone(), self.srs.clone());
        let (key, done) = (key.clone(), self.done.0.clone());
        tokio::spawn(async move {
            let say = |line| {
                let _ = done.send(Done::CompileProgress(key.clone(), line));
            };
            let outcome = compiler.run(&job, &artifacts, say).await;
            let loaded = match outcome {
                Ok(CompileOutcome::Compiled(report)) => {
                    let loaded = CompiledModel::load(&artifacts, report.clone(), system, srs).await;
                    loaded
                        .map(|m| (CompileOutcome::Compiled(report), Some(Arc::new(m))))
                        .map_err(|e| e.to_string())
                }
                Ok(failed) => Ok((failed, None)),
                Err(why) => Err(why),
            };
            let _ = done.send(Done::Compiled(key, loaded));
        });
    }

    /// Evaluates a request's integer graph; the slices are queued when it comes back.
    pub(super) async fn prepare(&mut self, key: &Key, pools: Vec<PoolId>) {
        let Some(object) = self.objects.requests.get(key) else {
            return;
        };
        let model = Key {
            namespace: key.namespace.clone(),
            name: object.spec.model_ref.name.clone(),
        };
        let compiled = self.models.get(&model).and_then(|m| m.compiled.clone());
        let spec = self.objects.models.get(&model).map(|m| m.spec.clone());
        let uid = object.metadata.uid.as_deref().and_then(|u| u.parse().ok());
        let (Some(compiled), Some(spec), Some(uid)) = (compiled, spec, uid) else {
            return;
        };
        let terms = Terms::new(
            spec.quantization.error_budget_millionths,
            self.judge.max_error,
            &compiled.report.accuracy.output_scale,
            spec.quantization.compare_top1,
        );
        let Some(record) = self.requests.get_mut(key) else {
            return;
        };
        record.preparing = true;
        record.view.pools = pools;
        let (artifacts, input) = (self.artifacts.clone(), object.spec.input.clone());
        let only = match compiled.manifest.inputs.as_slice() {
            [id] => compiled.manifest.tensor(*id).map(|t| t.name.clone()),
            _ => None,
        };
        // Inputs are read here: the objects stay with the loop.
        let objects = &self.objects;
        let given = sources::input(objects, &artifacts, &key.namespace, &input, only.as_deref()).await;
        let (key, done) = (key.clone(), self.done.0.clone());
        tokio::spawn(async move {
            let prepared = match given {
                Ok(given) => Run::prepare(uid, NETWORK, compiled, &given, &spec.classes, terms, &artifacts)
                    .await
                    .map(Arc::new)
                    .map_err(|e| RunState::Refused {
                        reason: e.reason(),
                        message: e.to_string(),
                    }),
                Err(SourceError::NotFound(message)) => Err(RunState::InputNotFound(message)),
                Err(e) => Err(RunState::Refused {
                    reason: reason::INVALID_INPUT,
                    message: e.into_text(),
                }),
            };
            let _ = done.send(Done::Prepared(key, prepared));
        });
    }

    /// Queues a run's slices.
    pub(super) fn start(&mut self, key: &Key, run: Arc<Run>) {
        let consent = self.consent(&self.model_of(key));
        self.dispatcher.consent(run.uid, consent);
        let (Some(object), Some(record)) = (self.objects.requests.get(key), self.requests.get_mut(key))
        else {
            return;
        };
        let (priority, redundancy) = (object.spec.priority, object.spec.redundancy);
        record.view.counts.total = run.model.report.slices.len() as u32;
        record.view.counts.queued = record.view.counts.total;
        record.state = RunState::Active(record.view.clone());
        record.run = Some(Arc::clone(&run));
        // The loop looks often enough by itself.
        follow(&self.judge.reference, &run, &self.artifacts, || ());
        self.dispatcher
            .add(run, priority, redundancy, record.view.pools.clone());
    }

    /// Other pools for a run.
    pub(super) fn retarget(&mut self, key: &Key, pools: Vec<PoolId>) {
        let Some(record) = self.requests.get_mut(key) else {
            return;
        };
        if let Some(run) = &record.run {
            self.dispatcher.retarget(run.uid, pools.clone());
        }
        record.view.pools = pools;
    }

    /// Takes a run out of the queue.
    pub(super) fn stop(&mut self, key: &Key) {
        let Some(record) = self.requests.get_mut(key) else {
            return;
        };
        if let Some(run) = record.run.take() {
            self.dispatcher.remove(run.uid, false);
        }
        record.state = RunState::None;
    }

    /// Writes the receipt of every run whose slices are all verified; gives up those that cannot succeed.
    pub(super) async fn finish_runs(&mut self, models: &Path, receipts: &Path) {
        let active: Vec<_> = self
            .requests
            .iter()
            .filter(|(_, r)| matches!(r.state, RunState::Active(_)))
            .filter_map(|(k, r)| r.run.clone().map(|run| (k.clone(), run)))
            .collect();
        for (key, run) in active {
            let (failure, all) = (
                self.dispatcher.failure(run.uid),
                self.dispatcher.all_verified(run.uid),
            );
            let end = match ends(&run, failure, all) {
                Ends::No(no_float) => {
                    if let Some(record) = self.requests.get_mut(&key) {
                        record.view.no_float = no_float;
                        record.state = RunState::Active(record.view.clone());
                    }
                    continue;
                }
                Ends::Failed(end) => end,
                Ends::Receipt(judgement) => {
                    let written = self.receipt(&key, &run, &judgement, (models, receipts)).await;
                    written.unwrap_or_else(|message| RunEnd::failed(reason::INTERNAL_ERROR, message))
                }
            };
            // While others are at work, who holds a claim of it is held to it; with the last one everything ends.
            let at_work = |r: &RequestRecord| r.preparing || matches!(r.state, RunState::Active(_));
            let others = self.requests.iter().any(|(k, r)| *k != key && at_work(r));
            self.dispatcher.remove(run.uid, others);
            // The last slice may have ended since attempts were looked at: a run takes all of its own along.
            self.take_ended().await;
            self.ended(&key, end);
        }
    }

    async fn receipt(
        &self,
        key: &Key,
        run: &Run,
        judgement: &Judgement,
        (models, receipts): (&Path, &Path),
    ) -> Result<RunEnd, String> {
        let bytes = run.finish().map_err(|e| e.to_string())?.to_bytes();
        let size = bytes.len() as u64;
        let folder = receipts.join(&key.namespace);
        let path = folder.join(format!("{}.cbor", key.name));
        let input = folder.join(format!("{}.input.json", key.name));
        let written = async {
            tokio::fs::create_dir_all(&folder).await?;
            tokio::fs::write(&input, run.input_json()).await?;
            tokio::fs::write(&path, &bytes).await
        };
        written
            .await
            .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        let model = self
            .objects
            .requests
            .get(key)
            .map(|r| r.spec.model_ref.name.clone());
        let model = models
            .join(&key.namespace)
            .join(model.unwrap_or_default())
            .join("model.onnx");
        let (model, input) = self.objects.given.clone().unwrap_or((model, input));
        let verify = verify_command(
            &path.display().to_string(),
            (&model.display().to_string(), &input.display().to_string()),
            &judgement.flags,
            run.model.proof_system,
            self.setup,
        );
        let digest = self
            .artifacts
            .put_receipt(bytes.into(), &key.namespace)
            .await
            .map_err(|e| e.to_string())?;
        let receipt = ReceiptRef {
            digest,
            bytes: size,
            path: Some(path.display().to_string()),
        };
        Ok(RunEnd::Receipt {
            receipt,
            output: run.output().clone(),
            error_millionths: judgement.error_millionths,
            verify,
        })
    }
}
