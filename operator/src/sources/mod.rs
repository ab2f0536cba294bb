//! Where a Model's file, calibration data and a request's input come from.
//!
//! Invariants: whatever is read is bounded before it is read; nothing is fetched from an address that a stranger wrote
//! into a resource, unless the operator's owner listed it.

mod error;
pub mod file;
mod remote;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use tokio::sync::{Semaphore, SemaphorePermit};
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::ConfigMapKey;
use zkinfer_crds::k8s::inference_request::{InlineTensor, RequestInput};
use zkinfer_crds::k8s::model::{Calibration, ModelSource};
use zkinfer_crds::wire::BlobRef;
use zkml::graph::tensor_file::ending;
use zkml::graph::{FloatInput, Inputs};

pub use error::SourceError;
pub use file::FileError;
pub use remote::AllowedUrl;

use crate::artifacts::{ArtifactError, Artifacts};

/// Largest model, calibration file and input, in bytes.
pub const MAX_FILE_BYTES: u64 = zkinfer_crds::calls::clients::MAX_UPLOAD_BYTES;
/// Most values of an input.
pub const MAX_VALUES: usize = 1 << 22;
/// How many files of numbers are read at a time. Each is in memory with its values, and whoever may create requests says how
/// many there are.
const READ_AT_ONCE: usize = 2;
/// So many values are read of an input whatever the model takes, so that one of another shape is refused by its shape.
const LEAST_VALUES: usize = 1 << 16;
/// Most bytes of a ConfigMap, as the API server has it.
const CONFIG_MAP_BYTES: u64 = 1 << 20;
/// A value as it is read, and as it stands in an archive that was unpacked.
const VALUE_BYTES: u64 = 16;

static READING: Semaphore = Semaphore::const_new(READ_AT_ONCE);

/// What the objects of a namespace may name, by the API server's word.
pub trait NamespaceFiles: Sync {
    /// The ConfigMap of this name; `None` where there is none.
    ///
    /// # Errors
    /// Why nobody can tell, for people.
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ConfigMap>, String>>;

    /// Whether the artifact is this namespace's to name. A digest is no permission: whoever knows it could read, through
    /// a Model of their own, what is made of somebody else's file.
    ///
    /// # Errors
    /// A failing store.
    fn may_name<'a>(
        &'a self,
        namespace: &'a str,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<bool, ArtifactError>>;

    /// The addresses under which models may be fetched.
    fn addresses(&self) -> Vec<AllowedUrl>;
}

async fn config_map(
    files: &dyn NamespaceFiles,
    namespace: &str,
    at: &ConfigMapKey,
) -> Result<Bytes, SourceError> {
    let (name, key) = (&at.name, &at.key);
    let map = files
        .config_map(namespace, name)
        .await
        .map_err(SourceError::Unavailable)?;
    let map =
        map.ok_or_else(|| SourceError::NotFound(format!("there is no ConfigMap {namespace}/{name}")))?;
    let binary = map.binary_data.and_then(|mut d| d.remove(key)).map(|b| b.0);
    let text = || map.data.and_then(|mut d| d.remove(key)).map(String::into_bytes);
    binary
        .or_else(text)
        .map(Bytes::from)
        .ok_or_else(|| SourceError::NotFound(format!("ConfigMap {namespace}/{name} has no key `{key}`")))
}

async fn artifact(
    files: &dyn NamespaceFiles,
    namespace: &str,
    artifacts: &Artifacts,
    digest: &Digest,
    max: u64,
) -> Result<Bytes, SourceError> {
    // The same answer for an artifact that is absent and one that is somebody else's.
    if !files.may_name(namespace, digest).await? {
        return Err(ArtifactError::NotFound(*digest).into());
    }
    Ok(artifacts.get_blob(digest, max).await?)
}

/// A file that was uploaded to this namespace, without reading it.
pub async fn uploaded(
    files: &dyn NamespaceFiles,
    namespace: &str,
    artifacts: &Artifacts,
    digest: &Digest,
) -> Result<BlobRef, SourceError> {
    // The same answer for an artifact that is absent and one that is somebody else's.
    let found = match files.may_name(namespace, digest).await? {
        true => artifacts.find_blob(digest).await?,
        false => None,
    };
    match found {
        Some(blob) if blob.size > MAX_FILE_BYTES => Err(ArtifactError::TooLarge {
            digest: *digest,
            size: blob.size,
            max: MAX_FILE_BYTES,
        }
        .into()),
        Some(blob) => Ok(blob),
        None => Err(ArtifactError::NotFound(*digest).into()),
    }
}

/// A Model's ONNX file.
pub async fn model(
    files: &dyn NamespaceFiles,
    artifacts: &Artifacts,
    namespace: &str,
    source: &ModelSource,
) -> Result<Bytes, SourceError> {
    match source {
        ModelSource {
            config_map: Some(at), ..
        } => config_map(files, namespace, at).await,
        ModelSource {
            artifact: Some(digest),
            ..
        } => artifact(files, namespace, artifacts, digest, MAX_FILE_BYTES).await,
        ModelSource { url: Some(url), .. } => remote::fetch(url, &files.addresses(), MAX_FILE_BYTES)
            .await
            .map(Bytes::from),
        _ => Err(SourceError::Invalid("the source names nothing".to_owned())),
    }
}

/// A Model's calibration data as a file for the compiler, with its ending.
pub async fn calibration(
    files: &dyn NamespaceFiles,
    artifacts: &Artifacts,
    namespace: &str,
    calibration: &Calibration,
) -> Result<(&'static str, Bytes), SourceError> {
    let bytes = match (&calibration.config_map, &calibration.artifact) {
        (Some(at), _) => config_map(files, namespace, at).await?,
        (None, Some(digest)) => artifact(files, namespace, artifacts, digest, MAX_FILE_BYTES).await?,
        (None, None) => return Err(SourceError::Invalid("the calibration names nothing".to_owned())),
    };
    Ok((ending(&bytes), bytes))
}

/// The most memory that reading a request's input takes, in bytes, for a model that takes `values` at most. Nothing is read of it.
pub async fn input_bytes(
    files: &dyn NamespaceFiles,
    artifacts: &Artifacts,
    namespace: &str,
    input: &RequestInput,
    values: u64,
) -> Result<u64, SourceError> {
    let file = match input {
        RequestInput {
            inline: Some(tensors),
            ..
        } => {
            let values = tensors.values().map(|tensor| tensor.data.len() as u64);
            return Ok(values.sum::<u64>().saturating_mul(VALUE_BYTES));
        }
        RequestInput {
            artifact: Some(digest),
            ..
        } => uploaded(files, namespace, artifacts, digest).await?.size,
        _ => CONFIG_MAP_BYTES,
    };
    Ok(file.saturating_add((most_values(values) as u64).saturating_mul(VALUE_BYTES)))
}

/// How many values are read for a model that takes so many: a few more, so that whoever gives them is told which shape is wrong.
fn most_values(values: u64) -> usize {
    let values = usize::try_from(values).unwrap_or(usize::MAX);
    values.saturating_mul(4).clamp(LEAST_VALUES, MAX_VALUES)
}

/// A request's input tensors by name, for a model that takes `values` at most. A file holds the tensor of the one input `only`, or
/// tensors by input name.
pub async fn input(
    files: &dyn NamespaceFiles,
    artifacts: &Artifacts,
    namespace: &str,
    input: &RequestInput,
    only: Option<&str>,
    values: u64,
) -> Result<BTreeMap<String, InlineTensor>, SourceError> {
    if let Some(tensors) = &input.inline {
        return Ok(tensors.clone());
    }
    let reading = reading().await?;
    let bytes = match input {
        RequestInput {
            config_map: Some(at), ..
        } => config_map(files, namespace, at).await?,
        RequestInput {
            artifact: Some(digest),
            ..
        } => artifact(files, namespace, artifacts, digest, MAX_FILE_BYTES).await?,
        RequestInput { erased: Some(_), .. } => {
            return Err(SourceError::Invalid("the input was erased".to_owned()));
        }
        _ => return Err(SourceError::Invalid("the input names nothing".to_owned())),
    };
    let only = only.map(str::to_owned);
    // Some tenths of a second for a large one.
    let read = tokio::task::spawn_blocking(move || tensors(&bytes, only.as_deref(), most_values(values)));
    let tensors = read.await.map_err(|e| SourceError::Unavailable(e.to_string()))?;
    drop(reading);
    tensors.map_err(SourceError::Invalid)
}

/// Waits for its turn to have a file of numbers in memory, until this is dropped.
///
/// # Errors
/// The operator ends.
pub async fn reading() -> Result<SemaphorePermit<'static>, SourceError> {
    let turn = READING.acquire().await;
    turn.map_err(|e| SourceError::Unavailable(e.to_string()))
}

/// The tensors of a file: by input name, or the tensor of the model's only input.
fn tensors(bytes: &[u8], only: Option<&str>, most: usize) -> Result<BTreeMap<String, InlineTensor>, String> {
    let tensors = match Inputs::read(bytes, most).map_err(|e| e.to_string())? {
        Inputs::ByName(tensors) => tensors,
        Inputs::Several(_) => return Err("a file is of one input".to_owned()),
        Inputs::One(tensor) => {
            let several =
                "the model has several inputs: give a JSON object or a .npz archive of tensors by input name";
            BTreeMap::from([(only.ok_or(several)?.to_owned(), tensor)])
        }
    };
    let inline = |FloatInput { shape, values }: FloatInput| {
        let shape = shape
            .into_iter()
            .map(|d| u32::try_from(d).unwrap_or(u32::MAX))
            .collect();
        InlineTensor { shape, data: values }
    };
    Ok(tensors
        .into_iter()
        .map(|(name, tensor)| (name, inline(tensor)))
        .collect())
}

#[cfg(test)]
mod tests;
