//! One request being proved.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use zkinfer_crds::k8s::inference_request::{InlineTensor, reason};
use zkinfer_crds::k8s::request_status::{MAX_INLINE_VALUES, RequestOutput};
use zkinfer_crds::wire::BlobRef;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};
use zkml::canonical::{self, Integers};
use zkml::graph::evaluate::EvaluateError;
use zkml::graph::tensor_file::{FloatInput, InputError, dequantise, quantise_input};
use zkml::graph::{IntTensor, TensorId};
use zkml::receipt::{BuildError, Receipt, ReceiptBuilder};

use super::model::CompiledModel;
use crate::artifacts::{ArtifactError, Artifacts};

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

/// A request whose integer graph has been evaluated.
pub struct Run {
    /// The request.
    pub uid: RequestUid,
    /// The model, pinned when the run was planned.
    pub model: Arc<CompiledModel>,
    /// By slice: its input tensors.
    inputs: Vec<BlobRef>,
    output: RequestOutput,
    receipt: Mutex<ReceiptBuilder>,
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
        artifacts: &Artifacts,
    ) -> Result<Self, PrepareError> {
        let quantised = quantise(&model, inputs)?;
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
        Ok(Self {
            uid,
            model,
            inputs: blobs,
            output,
            receipt: Mutex::new(receipt),
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

    /// The answer.
    #[must_use]
    pub fn output(&self) -> &RequestOutput {
        &self.output
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
        match self.receipt().add(slice, claim, identity, envelope) {
            Ok(()) => VerifyOutcome::Verified,
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

fn quantise(
    model: &CompiledModel,
    given: &BTreeMap<String, InlineTensor>,
) -> Result<Vec<IntTensor>, PrepareError> {
    let infos: Vec<_> = model
        .manifest
        .inputs
        .iter()
        .filter_map(|id| model.manifest.tensor(*id))
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
    // Ties go to the lowest index, as everywhere.
    let class = (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best });
    let label = class.and_then(|c| classes.get(c)).cloned();
    RequestOutput {
        name: Some(info.name.clone()),
        shape: info.shape.clone(),
        values: (values.len() <= MAX_INLINE_VALUES).then_some(values),
        digest: None,
        class: class.map(|c| c as u32),
        label,
    }
}
