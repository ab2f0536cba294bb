//! One request being proved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use zkinfer_crds::float_wire::Input;
use zkinfer_crds::k8s::inference_request::InlineTensor;
use zkinfer_crds::k8s::request_status::{
    MAX_INLINE_VALUES, MAX_LABEL_BYTES, RequestAnswer, RequestBatch, RequestOutput,
};
use zkinfer_crds::wire::BlobRef;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};
use zkml::accuracy::{names_classes, top1};
use zkml::canonical::{self, Integers};
use zkml::graph::sampled::input_file_of_rows;
use zkml::graph::tensor_file::dequantise;
use zkml::graph::{IntTensor, rows as graph_rows};
use zkml::manifest::Manifest;
use zkml::receipt::{BuildError, ReceiptBuilder, RunValues};

use super::judge::{Judgement, Output, Terms};
use super::model::CompiledModel;
use super::needs::boundary;
use super::prepare::PrepareError;
use super::room::Room;
use super::rows;
use crate::artifacts::Artifacts;
use crate::reference::{FloatAnswer, Question, ReferenceError};

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
    /// By input: its tensors as they were given, in the model's order.
    floats: Vec<super::rows::Row>,
    /// By input: its answer.
    outputs: Vec<Vec<Output>>,
    /// By class, where the Model names them.
    classes: Vec<String>,
    terms: Terms,
    float: Mutex<Float>,
    values: Arc<RunValues>,
    receipt: Mutex<ReceiptBuilder>,
    /// The slices whose proof is in the receipt.
    proved: Mutex<BTreeSet<SliceIndex>>,
    /// What it may take of the operator's memory, where that is on an account.
    #[allow(
        dead_code,
        reason = "it is given back when the run is dropped, and does nothing else"
    )]
    room: Option<Room>,
}

impl Run {
    /// Quantises the inputs, evaluates the graph, and stores every slice's inputs.
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
        let quantised = rows::quantise(&model.manifest, inputs)?;
        let floats = rows::floats(&model.manifest, inputs)?;
        let (evaluating, count) = (Arc::clone(&model), floats.len());
        let evaluate = move || {
            let tensors = evaluating
                .graph
                .evaluate_for(&boundary(&evaluating), &quantised)?;
            drop(quantised);
            rows::check_alone(&evaluating.graph, evaluating.manifest.batch, count, &tensors)?;
            Ok::<_, PrepareError>(tensors)
        };
        let tensors = tokio::task::spawn_blocking(evaluate)
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
        let outputs: Vec<Vec<Output>> = (0..count).map(|at| outputs(&model, &tensors, at)).collect();
        let output = output(&outputs);
        Ok(Self {
            uid,
            model,
            inputs: blobs,
            output,
            floats,
            outputs,
            classes: classes.to_vec(),
            terms,
            float: Mutex::new(Float::Asked),
            values: receipt.values(),
            receipt: Mutex::new(receipt),
            proved: Mutex::default(),
            room: None,
        })
    }

    /// It has this room for as long as it is there.
    #[must_use]
    pub fn in_room(self, room: Room) -> Self {
        Self {
            room: Some(room),
            ..self
        }
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
        self.values.statement(slice, claim, identity)
    }

    /// How many inputs are answered, where the manifest answers several at once.
    #[must_use]
    pub fn batch(&self) -> Option<RequestBatch> {
        let size = self.model.manifest.batch;
        let inputs = self.floats.len() as u32;
        (size > 1).then_some(RequestBatch { size, inputs })
    }

    /// The answer; of several inputs what their answers have in common, and [`Run::answers`] has the rest. A class is only of
    /// scores: what the file says of its type, and the Model of its classes, is known when it is judged.
    #[must_use]
    pub fn output(&self) -> RequestOutput {
        let mut output = self.output.clone();
        if let [only] = self.outputs.as_slice() {
            let values = only
                .first()
                .map(|first| first.values.as_slice())
                .unwrap_or_default();
            let scores = matches!(self.float(), Float::Judged(Judgement { scores: true, .. }));
            (output.class, output.label) = self.class(values, scores);
            output.values = (values.len() <= MAX_INLINE_VALUES).then(|| values.to_vec());
        }
        output
    }

    /// The answers to several inputs, in their order; none where there is one input.
    #[must_use]
    pub fn answers(&self) -> Vec<RequestAnswer> {
        let Float::Judged(judgement) = self.float() else {
            return Vec::new();
        };
        if self.outputs.len() == 1 {
            return Vec::new();
        }
        let first = |row: &Vec<Output>| {
            row.first()
                .map(|output| output.values.clone())
                .unwrap_or_default()
        };
        let values: Vec<Vec<f64>> = self.outputs.iter().map(first).collect();
        let few = values.iter().map(Vec::len).sum::<usize>() <= MAX_INLINE_VALUES;
        let mut labels = 0usize;
        let answer = |(values, error): (Vec<f64>, &u64)| {
            let (class, label) = self.class(&values, judgement.scores);
            labels = labels.saturating_add(label.as_ref().map_or(0, String::len));
            RequestAnswer {
                values: few.then_some(values),
                class,
                label: label.filter(|_| labels <= MAX_LABEL_BYTES),
                error_vs_float_millionths: *error,
            }
        };
        values
            .into_iter()
            .zip(&judgement.errors_millionths)
            .map(answer)
            .collect()
    }

    /// The class of an output's values and its name, if they are scores.
    fn class(&self, values: &[f64], scores: bool) -> (Option<u32>, Option<String>) {
        let class = top1(values).filter(|_| scores && names_classes(&self.output.shape));
        let label = class.and_then(|class| self.classes.get(class)).cloned();
        (class.map(|class| class as u32), label)
    }

    /// What the float model is asked, for each input by itself: the requester's own floats, in the shapes that the model takes.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        let question = |inputs: &Vec<(Input, Vec<f64>)>| Question {
            manifest: self.model.report.manifest.digest,
            model: self.model.manifest.model,
            output_scale: self.terms.output_scale.clone(),
            inputs: inputs.clone(),
        };
        self.floats.iter().map(question).collect()
    }

    /// The requester's inputs as a file for `verify --input`: nested lists of the model's only input, or an object by input name;
    /// of several inputs the outermost lists count them.
    #[must_use]
    pub fn input_json(&self) -> Vec<u8> {
        input_file_of_rows(self.floats.iter().map(|row| {
            let tensors = row.iter();
            tensors.map(|(input, values)| (input.name.as_str(), input.shape.as_slice(), values.as_slice()))
        }))
    }

    /// The float model's answers, one to each input, or why one is not there.
    pub fn answered(&self, answers: Result<Vec<FloatAnswer>, ReferenceError>) {
        let float = match answers {
            Ok(answers) if answers.len() == self.outputs.len() => {
                let proved = self.outputs.iter().map(Vec::as_slice);
                let rows: Vec<_> = proved.zip(&answers).collect();
                Float::Judged(Judgement::of_rows(&self.terms, &rows))
            }
            Ok(answers) => Float::Unavailable(format!(
                "{} of {} inputs were answered",
                answers.len(),
                self.outputs.len()
            )),
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
        let statement = self.values.statement(slice, claim, identity);
        let (inputs, outputs) = match self.values.boundary(slice) {
            Ok(boundary) => boundary,
            Err(e) => return VerifyOutcome::Operator(e.to_string()),
        };
        match verifier.verify(envelope, &statement, &inputs, &outputs) {
            Ok(_) => {}
            Err(e) if e.is_provers() => return VerifyOutcome::Invalid(e.to_string()),
            // Key, values and program are this operator's own: a miner has no part in what is wrong with them.
            Err(e) => return VerifyOutcome::Operator(e.to_string()),
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

    /// The receipt's bytes, once every slice is verified.
    ///
    /// # Errors
    /// A slice that is not.
    pub fn finish(&self) -> Result<Vec<u8>, BuildError> {
        self.receipt().to_bytes()
    }
}

/// Every output as it is proved of one of the inputs.
pub(super) fn outputs(model: &CompiledModel, tensors: &[IntTensor], at: usize) -> Vec<Output> {
    let (outputs, batch) = (model.manifest.outputs.iter(), model.manifest.batch);
    outputs
        .filter_map(|id| {
            let (info, tensor) = (model.manifest.tensor(*id)?, tensors.get(id.0 as usize)?);
            let one = graph_rows::one(info, batch);
            Some(Output {
                values: dequantise(&one, graph_rows::row(&tensor.values, batch, at)),
                name: one.name,
                shape: one.shape,
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
    let info = graph_rows::one(info, manifest.batch);
    if names_classes(&info.shape) && info.len() == classes.len() {
        return Ok(());
    }
    Err(PrepareError::Classes {
        names: classes.len(),
        output: info.name.clone(),
        shape: info.shape.clone(),
    })
}

/// The first output for the status, but for its values and what they say.
fn output(outputs: &[Vec<Output>]) -> RequestOutput {
    let Some((first, others)) = outputs.first().and_then(|row| row.split_first()) else {
        return RequestOutput::default();
    };
    RequestOutput {
        name: Some(first.name.clone()),
        shape: first.shape.clone(),
        others: u32::try_from(others.len()).ok().filter(|others| *others > 0),
        ..RequestOutput::default()
    }
}

#[cfg(test)]
mod tests;
