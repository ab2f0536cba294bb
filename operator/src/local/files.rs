//! What a person finds below the state folder: compiled models and receipts, copied from the artifact store.
//!
//! Invariant: a status names a file only when it is there; a manifest's files are there when it is.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::fs;
use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport};

use super::objects::Key;
use crate::artifacts::{Artifacts, CompiledName, Kept};
use crate::runs::{Outbox, OutboxOf, ReceiptFiles, Run};

/// Where files go, and where they come from.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) artifacts: Artifacts,
    /// The artifact store's folder.
    pub(super) store: PathBuf,
    pub(super) models: PathBuf,
    pub(super) receipts: PathBuf,
    /// The person's own ONNX file and inputs, where there is one model and one request.
    pub(super) given: Option<(PathBuf, Vec<PathBuf>)>,
}

impl Files {
    fn model_folder(&self, model: &Key) -> PathBuf {
        self.models.join(&model.namespace).join(&model.name)
    }

    fn blob(folder: &Path, digest: &Digest) -> PathBuf {
        folder.join("blobs").join("sha256").join(digest.hex())
    }

    /// Lays out what a Model was compiled to; whether there was anything.
    pub(super) async fn lay_out(&self, model: &Key, uid: &str) -> Result<bool, String> {
        let found = self.artifacts.compiled(CompiledName::Model(uid)).await;
        let found = found.map_err(|e| e.to_string())?;
        let Some(Kept::Record(record)) = found.map(|json| Kept::read(&json)) else {
            return Ok(false);
        };
        let CompileOutcome::Compiled(report) = &record.outcome else {
            return Ok(false);
        };
        let folder = self.model_folder(model);
        let laid_out = async {
            // Each manifest in a folder as `prover-worker prove` takes it; the first in the Model's own.
            for (at, report) in report.each().enumerate() {
                let folder = match at {
                    0 => folder.clone(),
                    _ => folder.join(format!("batch-{}", report.batch)),
                };
                self.lay_out_one(&folder, report).await?;
            }
            let onnx = Self::blob(&self.store, &record.onnx.digest);
            fs::copy(onnx, folder.join("model.onnx")).await?;
            Ok::<_, std::io::Error>(())
        };
        laid_out
            .await
            .map_err(|e| format!("cannot write to {}: {e}", folder.display()))?;
        Ok(true)
    }

    async fn lay_out_one(&self, folder: &Path, report: CompileReport) -> std::io::Result<()> {
        fs::create_dir_all(folder.join("blobs/sha256")).await?;
        for blob in report.blobs() {
            let (from, to) = (
                Self::blob(&self.store, &blob.digest),
                Self::blob(folder, &blob.digest),
            );
            // Keys are large. On a file system without links they are copied.
            if !fs::try_exists(&to).await? && fs::hard_link(&from, &to).await.is_err() {
                fs::copy(&from, &to).await?;
            }
        }
        let manifest = Self::blob(&self.store, &report.manifest.digest);
        let json = serde_json::to_vec_pretty(&CompileOutcome::Compiled(report))?;
        fs::write(folder.join("compile.json"), json).await?;
        fs::copy(manifest, folder.join("manifest.cbor")).await?;
        Ok(())
    }
}

impl Outbox for Files {
    fn put<'a>(
        &'a self,
        of: OutboxOf<'a>,
        receipt: &'a Bytes,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<ReceiptFiles, String>> {
        let folder = self.receipts.join(of.namespace);
        let path = folder.join(format!("{}.cbor", of.request));
        let input = folder.join(format!("{}.input.json", of.request));
        let model = Key {
            namespace: of.namespace.to_owned(),
            name: of.model.to_owned(),
        };
        let model = self.model_folder(&model).join("model.onnx");
        async move {
            let written = async {
                fs::create_dir_all(&folder).await?;
                fs::write(&input, run.input_json()).await?;
                fs::write(&path, receipt).await
            };
            written
                .await
                .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
            let (model, inputs) = self.given.clone().unwrap_or((model, vec![input]));
            let name = |path: &Path| path.display().to_string();
            Ok(ReceiptFiles {
                receipt: name(&path),
                model: name(&model),
                inputs: inputs.iter().map(|input| name(input)).collect(),
            })
        }
        .boxed()
    }
}
