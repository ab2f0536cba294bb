//! What of the store is named: by objects, by what Models were compiled to, by runs.
//!
//! Invariant: what is not in the list is of no use to anything that is in the store's listing or the watches' when it is made.

use std::collections::BTreeSet;

use kube::ResourceExt;
use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::InferenceRequest;

use super::records::Requests;
use crate::artifacts::{ArtifactError, CompiledName, Kept};

impl Requests {
    /// Every blob that an object, a compiled model or a run names; of requests those that keep their input.
    ///
    /// # Errors
    /// A failing store.
    pub async fn named(
        &self,
        keeps: impl Fn(&InferenceRequest) -> bool,
    ) -> Result<BTreeSet<Digest>, ArtifactError> {
        let mut named = BTreeSet::new();
        named.extend(self.models.srs_file.as_ref().map(|b| b.digest));
        for model in self.world.stores.models.state() {
            named.extend(model.spec.source.artifact);
            let calibration = model.spec.quantization.calibration.as_ref();
            named.extend(calibration.and_then(|c| c.artifact));
            named.extend(model.status.as_ref().and_then(|s| s.model_digest));
            let uid = model.uid().unwrap_or_default();
            {
                let models = self.models.records();
                let record = models.get(&uid);
                let files = record.map(|m| [m.known.onnx.as_ref(), m.known.calibration.as_ref()]);
                named.extend(files.into_iter().flatten().flatten().map(|b| b.digest));
            }
            match self
                .world
                .artifacts
                .compiled(CompiledName::Model(&uid))
                .await?
                .map(|json| Kept::read(&json))
            {
                None => {}
                // What it is compiled from again.
                Some(Kept::Old { onnx, calibration }) => named.extend(onnx.into_iter().chain(calibration)),
                Some(Kept::Record(record)) => {
                    named.insert(record.onnx.digest);
                    named.extend(record.calibration.map(|b| b.digest));
                    if let CompileOutcome::Compiled(report) = record.outcome {
                        named.extend(report.blobs().map(|b| b.digest));
                    }
                }
            }
        }
        for request in self.world.stores.requests.state() {
            if keeps(&request) {
                named.extend(request.spec.input.artifact);
            }
        }
        for record in self.runs().values() {
            named.extend(record.run.iter().flat_map(|run| run.blobs()).map(|b| b.digest));
            // The float reference is handed it.
            named.extend(record.run.iter().map(|run| run.model.manifest.model));
        }
        Ok(named)
    }
}
