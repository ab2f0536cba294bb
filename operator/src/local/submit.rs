//! `submit MODEL.onnx --input FILE --local`: the objects that a person would have written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use zkinfer_crds::ProofSystem;
use zkinfer_crds::dimensions::Dimensions;
use zkinfer_crds::k8s::{ConfigMapKey, Document, InferenceRequest, MinerPool, Model, ServedBy};
use zkml::graph::other_file::recognise;
use zkml::manifest::MAX_BATCH;

use super::inputs::{InputsError, joined};
use super::objects::{ObjectError, Objects};
use crate::artifacts::{ArtifactError, Artifacts};
use crate::sources::{FileError, file};

/// What to submit.
#[derive(Debug, Clone)]
pub struct SubmitOptions {
    /// The ONNX file.
    pub model: PathBuf,
    /// The input, .npy, .npz or .json; of several files each is an input.
    pub inputs: Vec<PathBuf>,
    /// Calibration data, .npy, .npz or .json.
    pub calibration: Option<PathBuf>,
    /// A JSON list of class names.
    pub classes: Option<PathBuf>,
    /// What the slices are proved with.
    pub proof_system: ProofSystem,
    /// Least number of slices.
    pub parallelism: u32,
    /// Greatest error against the float model, in millionths.
    pub error_budget: u32,
    /// The outputs' natural magnitudes; empty: by calibration.
    pub output_scale: Vec<f64>,
    /// Whether classes are compared.
    pub compare_top1: bool,
    /// The sizes of dimensions that the file leaves free.
    pub dimensions: Dimensions,
    /// How many inputs are answered at once, for each a manifest; empty: as many as files are given.
    pub batch_sizes: Vec<u32>,
    /// Whose pools may prove the model; empty: the Model says nothing of it.
    pub served_by: Vec<ServedBy>,
}

/// Why nothing was submitted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The inputs.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// More inputs than any manifest answers.
    #[error(
        "{0} inputs were given, and at most {MAX_BATCH} are answered at once: submit them in several requests"
    )]
    TooMany(usize),
    /// The class names.
    #[error("{}: not a JSON list of names: {why}", path.display())]
    Classes {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// An object of ours is not well-formed: a file name that is none of Kubernetes' names, a number out of range.
    #[error("cannot make the objects: {0}")]
    Object(#[from] serde_json::Error),
    /// The objects.
    #[error(transparent)]
    Objects(#[from] ObjectError),
}

/// A ConfigMap with the files, a Model, a request and two pools.
///
/// # Errors
/// A file that cannot be read, or is larger than an operator reads.
pub fn objects(options: &SubmitOptions) -> Result<Objects, SubmitError> {
    let name = object_name(&options.model);
    let mut files = BTreeMap::from([
        ("model.onnx".to_owned(), ByteString(file::read(&options.model)?)),
        ("input".to_owned(), ByteString(joined(&options.inputs)?)),
    ]);
    let mut quantization = json!({
        "errorBudgetMillionths": options.error_budget, "outputScale": options.output_scale,
        "compareTop1": options.compare_top1,
    });
    if let Some(path) = &options.calibration {
        files.insert("calibration".to_owned(), ByteString(file::read(path)?));
        quantization["calibration"] = json!({ "configMap": { "name": name, "key": "calibration" } });
    }
    let classes: Vec<String> = match &options.classes {
        Some(path) => {
            let bytes = file::read(path)?;
            serde_json::from_slice(&bytes).map_err(|source| SubmitError::Classes {
                path: path.clone(),
                why: match recognise(&bytes) {
                    Some(other) if !bytes.trim_ascii_start().starts_with(b"[") => format!("it is {other}"),
                    _ => source.to_string(),
                },
            })?
        }
        None => Vec::new(),
    };
    let mut objects = Objects {
        given: Some((options.model.clone(), options.inputs.clone())),
        ..Objects::default()
    };
    let mut map = ConfigMap {
        binary_data: Some(files),
        ..ConfigMap::default()
    };
    map.metadata.name = Some(name.clone());
    let mut model: Model = serde_json::from_value(json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "Model", "metadata": { "name": name },
        "spec": {
            "source": { "configMap": { "name": name, "key": "model.onnx" } },
            "quantization": quantization, "slicing": { "parallelism": options.parallelism },
            "proofSystem": options.proof_system, "classes": classes,
        },
    }))?;
    model.spec.dimensions.clone_from(&options.dimensions);
    model.spec.batch_sizes = batch_sizes(options)?;
    model.spec.served_by = (!options.served_by.is_empty()).then(|| options.served_by.clone());
    let request: InferenceRequest = serde_json::from_value(json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest", "metadata": { "name": name },
        "spec": { "modelRef": { "name": name }, "input": { "configMap": { "name": name, "key": "input" } } },
    }))?;
    let documents = [
        Document::ConfigMap(Box::new(map)),
        Document::Model(Box::new(model)),
        Document::InferenceRequest(Box::new(request)),
    ];
    for document in documents {
        objects.add(document, "the command line")?;
    }
    add_pools(&mut objects)?;
    Ok(objects)
}

/// As many at once as are asked for or, where nobody says so, as there are files.
fn batch_sizes(options: &SubmitOptions) -> Result<Vec<u32>, SubmitError> {
    let files = options.inputs.len();
    if files > MAX_BATCH as usize {
        return Err(SubmitError::TooMany(files));
    }
    Ok(match options.batch_sizes.is_empty() {
        true => vec![files.max(1) as u32],
        false => options.batch_sizes.clone(),
    })
}

/// Two miners, for who brings none.
pub(super) fn add_pools(objects: &mut Objects) -> Result<(), SubmitError> {
    for pool in ["alpha", "beta"] {
        let pool: MinerPool = serde_json::from_value(json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "MinerPool", "metadata": { "name": pool },
            "spec": { "image": "prover-worker", "allowUnpinnedImage": true, "resources": { "cpu": "1", "memory": "2Gi" } },
        }))?;
        objects.add(Document::MinerPool(Box::new(pool)), "the command line")?;
    }
    Ok(())
}

/// Puts the files of [`objects`] into the store, and has the objects name them there: they may be larger than a ConfigMap.
pub(super) async fn upload(objects: &mut Objects, artifacts: &Artifacts) -> Result<(), ArtifactError> {
    let maps = std::mem::take(&mut objects.config_maps);
    for (map, files) in maps {
        for (name, bytes) in files.binary_data.into_iter().flatten() {
            let blob = artifacts.put_blob(bytes.0).await?;
            artifacts.grant_blob(&blob.digest, &map.namespace).await?;
            let is_this = |at: &mut ConfigMapKey| at.name == map.name && at.key == name;
            for model in objects.models.values_mut() {
                let source = &mut model.spec.source;
                if source.config_map.take_if(is_this).is_some() {
                    source.artifact = Some(blob.digest);
                }
                if let Some(data) = &mut model.spec.quantization.calibration
                    && data.config_map.take_if(is_this).is_some()
                {
                    data.artifact = Some(blob.digest);
                }
            }
            for request in objects.requests.values_mut() {
                let input = &mut request.spec.input;
                if input.config_map.take_if(is_this).is_some() {
                    input.artifact = Some(blob.digest);
                }
            }
        }
    }
    Ok(())
}

/// The model's file name in the alphabet of Kubernetes' names.
fn object_name(path: &Path) -> String {
    let stem = path
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or_default()
        .to_lowercase();
    // A file called model.onnx says less than its folder.
    let parent = path
        .parent()
        .and_then(|p| p.file_name())
        .and_then(|s| s.to_str())
        .unwrap_or_default()
        .to_lowercase();
    let stem = if stem == "model" && !parent.is_empty() {
        parent
    } else {
        stem
    };
    let letter = |c: char| {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else {
            '-'
        }
    };
    let name: String = stem.chars().map(letter).take(50).collect();
    let name = name.trim_matches('-');
    if name.is_empty() {
        "model".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kubernetes_names() {
        for (path, name) in [
            ("a/digits/model.onnx", "digits"),
            ("My Net_v2.onnx", "my-net-v2"),
            ("model.onnx", "model"),
            ("Ü.onnx", "model"),
        ] {
            assert_eq!(object_name(Path::new(path)), name);
        }
    }
}
