//! One request being proved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use zkinfer_crds::float_wire::Input;
use zkinfer_crds::k8s::inference_request::{InlineTensor, reason};
use zkinfer_crds::k8s::request_status::{MAX_INLINE_VALUES, RequestOutput};
use zkinfer_crds::wire::BlobRef;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};
use zkml::accuracy::{names_classes, top1};
use zkml::canonical::{self, Integers};
use zkml::graph::evaluate::EvaluateError;
use zkml::graph::sampled::input_file;
use zkml::graph::tensor_file::{FloatInput, InputError, dequantise, quantise_input};
use zkml::graph::{IntTensor, TensorId};
use zkml::manifest::Manifest;
use zkml::receipt::{BuildError, Receipt, ReceiptBuilder};

use super::judge::{Judgement, Output, Terms};
use super::model::CompiledModel;
use crate::artifacts::{ArtifactError, Artifacts};
use crate::reference::{FloatAnswer, Question, ReferenceError};

/// Why a request cannot be run; before anything is queued.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The names of the inputs are not the model's.
    #[error("the model has the inputs {expected}; the request gives {got}")]
    Names {
        /// The model's.
        expected: String,
        /// The request's.
        got: String,
    },
    /// A tensor is not what its input takes.
    #[error("input `{name}`: {source}")]
    Input {
        /// The input.
        name: String,
        /// Why.
        source: InputError,
    },
    /// A tensor has more or fewer values than its shape says.
    #[error("input `{name}`: its shape says {expected} values, it has {got}")]
    Inconsistent {
        /// The input.
        name: String,
        /// By shape.
        expected: u64,
        /// In data.
        got: usize,
    },
    /// The Model names classes that its first output does not score.
    #[error(
        "the Model names {names} classes, and its first output `{output}` of shape {shape:?} has no score for each of them: \
         leave `classes` out, or name as many"
    )]
    Classes {
        /// How many it names.
        names: usize,
        /// The output.
        output: String,
        /// Its shape.
        shape: Vec<u32>,
    },
    /// The graph refuses the input.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The evaluation stopped.
    #[error("the evaluation of the model stopped")]
    Stopped,
    /// The receipt cannot be begun.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The store cannot take the slices' inputs.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

impl PrepareError {
    /// The request's reason for it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Evaluate(EvaluateError::OutOfCalibratedRange { .. })
            | Self::Input {
                source: InputError::OutOfCalibratedRange { .. },
                ..
            } => reason::OUT_OF_CALIBRATED_RANGE,
            Self::Names { .. } | Self::Input { .. } | Self::Inconsistent { .. } | Self::Evaluate(_) => {
                reason::INVALID_INPUT
            }
            Self::Classes { .. } => reason::MODEL_FAILED,
            Self::Stopped | Self::Build(_) | Self::Artifact(_) => reason::INTERNAL_ERROR,
        }
    }
}

/// What verifying an envelope found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyOutcome {
    /// The proof holds and is in the receipt.
    Verified,
    /// The proof does not hold; the prover is at fault.
    Invalid(String),
    /// The operator could not verify; nobody else is at fault.
    Operator(String),
}

/// What the float model says of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Float {
    /// It was asked.
    Asked,
    /// It could not be asked yet, and is asked again.
    Unavailable(String),
    /// It has no answer to this input.
    Refused(String),
    /// Its answer is known, and the proved one was judged by it.
    Judged(Judgement),
}

/// A request whose integer graph has been evaluated.
pub struct Run {
    /// The request.
    pub uid: RequestUid,
    /// The model, pinned when the run was planned.
    pub model: Arc<CompiledModel>,
    /// By slice: its input tensors.
    inputs: Vec<BlobRef>,
    output: RequestOutput,
    /// The inputs as they were given, by the model's order.
    floats: Vec<(Input, Vec<f64>)>,
    outputs: Vec<Output>,
    terms: Terms,
    float: Mutex<Float>,
    receipt: Mutex<ReceiptBuilder>,
    /// The slices whose proof is in the receipt.
    proved: Mutex<BTreeSet<SliceIndex>>,
}

impl Run {
    /// Quantises the input, evaluates the graph, and stores every slice's inputs.
    ///
    /// # Errors
    /// An input that the model does not take; the error names it.
    pub async fn prepare(
        uid: RequestUid,
        network: &str,
        model: Arc<CompiledModel>,
        inputs: &BTreeMap<String, InlineTensor>,
        classes: &[String],
        terms: Terms,
        artifacts: &Artifacts,
    ) -> Result<Self, PrepareError> {
        check_classes(&model.manifest, classes)?;
        let quantised = quantise(&model.manifest, inputs)?;
        let floats = floats(&model.manifest, inputs);
        let evaluating = Arc::clone(&model);
        let tensors = tokio::task::spawn_blocking(move || evaluating.graph.evaluate(&quantised))
            .await
            .map_err(|_| PrepareError::Stopped)??;
        let receipt = ReceiptBuilder::new(&model.manifest, network, uid, &tensors)?;
        let mut blobs = Vec::new();
        for slice in &model.manifest.slices {
            let values: Vec<Integers> = slice
                .inputs
                .iter()
                .filter_map(|id| tensors.get(id.0 as usize))
                .map(|t| Integers(t.values.clone()))
                .collect();
            blobs.push(artifacts.put_blob(canonical::to_bytes(&values)).await?);
        }
        let output = output(&model, &tensors, classes);
        let outputs = outputs(&model, &tensors);
        Ok(Self {
            uid,
            model,
            inputs: blobs,
            output,
            floats,
            outputs,
            terms,
            float: Mutex::new(Float::Asked),
            receipt: Mutex::new(receipt),
            proved: Mutex::default(),
        })
    }

    fn receipt(&self) -> std::sync::MutexGuard<'_, ReceiptBuilder> {
        self.receipt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slice's input tensors in the store.
    #[must_use]
    pub fn inputs(&self, slice: SliceIndex) -> Option<&BlobRef> {
        self.inputs.get(slice.0 as usize)
    }

    /// Everything of this run that is in the store.
    #[must_use]
    pub fn blobs(&self) -> &[BlobRef] {
        &self.inputs
    }

    /// What a proof of this claim must be bound to.
    #[must_use]
    pub fn statement(&self, slice: SliceIndex, claim: ClaimId, identity: Identity) -> Digest {
        self.receipt().statement(slice, claim, identity)
    }

    /// The answer. A class is only of scores: what the file says of its type, and the Model of its classes, is known when it is
    /// judged.
    #[must_use]
    pub fn output(&self) -> RequestOutput {
        let scores = matches!(self.float(), Float::Judged(Judgement { scores: true, .. }));
        let output = self.output.clone();
        RequestOutput {
            class: output.class.filter(|_| scores),
            label: output.label.filter(|_| scores),
            ..output
        }
    }

    /// What the float model is asked: the requester's own floats, in the shapes that the model takes.
    #[must_use]
    pub fn question(&self) -> Question {
        Question {
            manifest: self.model.report.manifest.digest,
            model: self.model.manifest.model,
            output_scale: self.terms.output_scale.clone(),
            inputs: self.floats.clone(),
        }
    }

    /// The requester's input as a file for `verify --input`: nested lists of the only input, or an object by input name.
    #[must_use]
    pub fn input_json(&self) -> Vec<u8> {
        let inputs = self.model.manifest.inputs.iter();
        let infos: Vec<_> = inputs.filter_map(|id| self.model.manifest.tensor(*id)).collect();
        let values: Vec<&[f64]> = self.floats.iter().map(|(_, values)| values.as_slice()).collect();
        input_file(&infos, &values)
    }

    /// The float model's answer, or why there is none.
    pub fn answered(&self, answer: Result<FloatAnswer, ReferenceError>) {
        let float = match answer {
            Ok(float) => Float::Judged(Judgement::new(&self.terms, &self.outputs, &float)),
            Err(ReferenceError::Refused(why)) => Float::Refused(why),
            Err(ReferenceError::Unavailable(why)) => Float::Unavailable(why),
        };
        *self.float.lock().unwrap_or_else(PoisonError::into_inner) = float;
    }

    /// What the float model says of the answer.
    #[must_use]
    pub fn float(&self) -> Float {
        self.float.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Verifies an envelope; a good one goes into the receipt. Takes milliseconds of CPU.
    #[must_use]
    pub fn verify(
        &self,
        slice: SliceIndex,
        claim: ClaimId,
        identity: Identity,
        envelope: &[u8],
    ) -> VerifyOutcome {
        let Some(verifier) = self.model.verifier(slice) else {
            return VerifyOutcome::Operator(format!("there is no slice {slice}"));
        };
        // The values are copied so that proofs of other slices are verified at the same time.
        let builder = self.receipt().clone();
        let statement = builder.statement(slice, claim, identity);
        let (inputs, outputs) = match builder.boundary(slice) {
            Ok(boundary) => boundary,
            Err(e) => return VerifyOutcome::Operator(e.to_string()),
        };
        if let Err(e) = verifier.verify(envelope, &statement, &inputs, &outputs) {
            return VerifyOutcome::Invalid(e.to_string());
        }
        // The first good proof stays.
        let mut proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
        if proved.contains(&slice) {
            return VerifyOutcome::Verified;
        }
        match self.receipt().add(slice, claim, identity, envelope) {
            Ok(()) => {
                proved.insert(slice);
                VerifyOutcome::Verified
            }
            Err(e) => VerifyOutcome::Operator(e.to_string()),
        }
    }

    /// The receipt, once every slice is verified.
    ///
    /// # Errors
    /// A slice that is not.
    pub fn finish(&self) -> Result<Receipt, BuildError> {
        self.receipt().clone().finish()
    }
}

/// Whether the inputs are the model's, as far as their names, shapes, numbers and ranges say.
///
/// # Errors
/// What is wrong with them; the error names it.
pub fn check_input(manifest: &Manifest, given: &BTreeMap<String, InlineTensor>) -> Result<(), PrepareError> {
    quantise(manifest, given).map(|_| ())
}

fn quantise(
    manifest: &Manifest,
    given: &BTreeMap<String, InlineTensor>,
) -> Result<Vec<IntTensor>, PrepareError> {
    let infos: Vec<_> = manifest
        .inputs
        .iter()
        .filter_map(|id| manifest.tensor(*id))
        .collect();
    let names: Vec<&str> = infos.iter().map(|i| i.name.as_str()).collect();
    if given.len() != names.len() || names.iter().any(|n| !given.contains_key(*n)) {
        let got: Vec<&str> = given.keys().map(String::as_str).collect();
        return Err(PrepareError::Names {
            expected: names.join(", "),
            got: got.join(", "),
        });
    }
    let tensor = |info: &&zkml::graph::TensorInfo| {
        let (name, tensor) = (info.name.clone(), &given[&info.name]);
        if !tensor.is_consistent() {
            let expected = tensor.shape.iter().map(|&d| u64::from(d)).product();
            return Err(PrepareError::Inconsistent {
                name,
                expected,
                got: tensor.data.len(),
            });
        }
        let shape = tensor.shape.iter().map(|&d| d as usize).collect();
        let float = FloatInput {
            shape,
            values: tensor.data.clone(),
        };
        quantise_input(info, &float).map_err(|source| PrepareError::Input { name, source })
    };
    infos.iter().map(tensor).collect()
}

/// The inputs as floats, in the model's order and shapes. Leading dimensions of 1 may be absent in what was given.
pub fn floats(manifest: &Manifest, given: &BTreeMap<String, InlineTensor>) -> Vec<(Input, Vec<f64>)> {
    let infos = manifest.inputs.iter().filter_map(|id| manifest.tensor(*id));
    infos
        .filter_map(|info| {
            let (name, shape) = (info.name.clone(), info.shape.clone());
            Some((Input { name, shape }, given.get(&info.name)?.data.clone()))
        })
        .collect()
}

/// Every output as it is proved.
fn outputs(model: &CompiledModel, tensors: &[IntTensor]) -> Vec<Output> {
    let outputs = model.manifest.outputs.iter();
    outputs
        .filter_map(|id| {
            let (info, tensor) = (model.manifest.tensor(*id)?, tensors.get(id.0 as usize)?);
            Some(Output {
                name: info.name.clone(),
                shape: info.shape.clone(),
                values: dequantise(info, &tensor.values),
            })
        })
        .collect()
}

/// Classes are named only where the first output has a score for each.
fn check_classes(manifest: &Manifest, classes: &[String]) -> Result<(), PrepareError> {
    let first = manifest.outputs.first().and_then(|id| manifest.tensor(*id));
    let Some(info) = first.filter(|_| !classes.is_empty()) else {
        return Ok(());
    };
    if names_classes(&info.shape) && info.len() == classes.len() {
        return Ok(());
    }
    Err(PrepareError::Classes {
        names: classes.len(),
        output: info.name.clone(),
        shape: info.shape.clone(),
    })
}

/// The first output for the status: its values while they are few, and the class of the greatest one.
fn output(model: &CompiledModel, tensors: &[IntTensor], classes: &[String]) -> RequestOutput {
    let Some(&id) = model.manifest.outputs.first() else {
        return RequestOutput::default();
    };
    let of = |id: TensorId| Some((model.manifest.tensor(id)?, tensors.get(id.0 as usize)?));
    let Some((info, tensor)) = of(id) else {
        return RequestOutput::default();
    };
    let values = dequantise(info, &tensor.values);
    let class = top1(&values).filter(|_| names_classes(&info.shape));
    let label = class.and_then(|c| classes.get(c)).cloned();
    RequestOutput {
        name: Some(info.name.clone()),
        shape: info.shape.clone(),
        values: (values.len() <= MAX_INLINE_VALUES).then_some(values),
        others: u32::try_from(model.manifest.outputs.len().saturating_sub(1))
            .ok()
            .filter(|others| *others > 0),
        class: class.map(|c| c as u32),
        label,
    }
}
