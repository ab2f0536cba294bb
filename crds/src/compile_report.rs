//! What compiling a model reports: written by `prover-worker compile -o json`, read by the operator into a Model's
//! status. Integers only; fractions are in millionths.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::outlook::{Outline, Outlook};
use crate::slice_files::{Measures, SliceFile, SliceFiles};
use crate::wire::BlobRef;
use crate::words::{Digest, Profile};

/// How compiling ended.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of a compilation, and it is read and dropped"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CompileOutcome {
    /// Manifest, graph and keys were written.
    Compiled(CompileReport),
    /// The model cannot be compiled.
    Failed(CompileFailure),
}

/// The most numbers of inputs at once that a Model may ask for.
pub const MAX_BATCH_SIZES: usize = 4;
/// The largest report that is read, in bytes.
pub const MAX_REPORT_BYTES: usize = 4 << 20;

impl CompileOutcome {
    /// Reads a report, as the gateway does.
    ///
    /// # Errors
    /// Bytes that are not the JSON of one; batches that are not in order, or more than a Model may ask for; an outlook or an outline
    /// that is longer than they may be.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        let outcome = serde_json::from_slice(json)?;
        let fault = match &outcome {
            Self::Compiled(report) => report.outlook.as_ref().and_then(Outlook::fault),
            Self::Failed(failure) => failure.outline.as_ref().and_then(Outline::fault),
        };
        if let Some(fault) = fault {
            return Err(serde_json::Error::custom(fault));
        }
        if let Self::Compiled(report) = &outcome {
            let ascend = report.sizes().zip(report.sizes().skip(1)).all(|(a, b)| a < b);
            if !ascend || report.sizes().count() > MAX_BATCH_SIZES {
                let message = format!(
                    "batches: at most {MAX_BATCH_SIZES} in all, each of more inputs than those before it"
                );
                return Err(serde_json::Error::custom(message));
            }
        }
        Ok(outcome)
    }
}

/// A compiled model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompileReport {
    /// SHA-256 of the ONNX file.
    pub model: Digest,
    /// How many inputs the manifest answers at once.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub batch: u32,
    /// The manifest.
    pub manifest: BlobRef,
    /// The integer graph.
    pub graph: BlobRef,
    /// By slice.
    pub slices: Vec<CompiledSlice>,
    /// Against the float model.
    pub accuracy: Accuracy,
    /// What it would take otherwise, and node by node. Absent in reports of before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlook: Option<Outlook>,
    /// What was made for more inputs at once: by their number, ascending, each more than all before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<CompiledBatch>,
}

impl CompileReport {
    /// Every file that it names.
    pub fn blobs(&self) -> impl Iterator<Item = BlobRef> {
        let own = (&self.manifest, &self.graph, &self.slices);
        let batches = self.batches.iter().map(|b| (&b.manifest, &b.graph, &b.slices));
        std::iter::once(own)
            .chain(batches)
            .flat_map(|(manifest, graph, slices)| {
                let of_slices = slices.iter().flat_map(|slice| slice.files.iter());
                [manifest.clone(), graph.clone()]
                    .into_iter()
                    .chain(of_slices.map(SliceFile::blob))
            })
    }

    /// By manifest, in its order: how many inputs it answers at once.
    pub fn sizes(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.batch).chain(self.batches.iter().map(|b| b.batch))
    }

    /// The report on each of its manifests, as if it were the only one.
    pub fn each(&self) -> impl Iterator<Item = Self> {
        let own = Self {
            batches: Vec::new(),
            ..self.clone()
        };
        let batches = self.batches.iter().map(|batch| Self {
            model: self.model,
            batch: batch.batch,
            manifest: batch.manifest.clone(),
            graph: batch.graph.clone(),
            slices: batch.slices.clone(),
            accuracy: batch.accuracy.clone(),
            outlook: None,
            batches: Vec::new(),
        });
        std::iter::once(own).chain(batches)
    }

    /// The report on the manifest that answers so many inputs with the fewest rows; none where they are more than any holds.
    #[must_use]
    pub fn least_that_holds(&self, inputs: usize) -> Option<Self> {
        let holds = |report: &Self| report.batch as usize >= inputs;
        self.each().filter(holds).min_by_key(|report| report.batch)
    }

    /// The reports on several manifests of one model as one: the least number of inputs first; none of none.
    #[must_use]
    pub fn joined(mut each: Vec<Self>) -> Option<Self> {
        each.sort_by_key(|report| report.batch);
        let mut each = each.into_iter();
        let mut first = each.next()?;
        first.batches.extend(each.map(|report| CompiledBatch {
            batch: report.batch,
            manifest: report.manifest,
            graph: report.graph,
            slices: report.slices,
            accuracy: report.accuracy,
        }));
        Some(first)
    }
}

const fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_one(batch: &u32) -> bool {
    *batch == 1
}

/// What was made of the same model for several inputs at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompiledBatch {
    /// How many.
    pub batch: u32,
    /// The manifest.
    pub manifest: BlobRef,
    /// The integer graph.
    pub graph: BlobRef,
    /// By slice.
    pub slices: Vec<CompiledSlice>,
    /// Against the float model, of each input by itself.
    pub accuracy: Accuracy,
}

/// A slice of a compiled model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompiledSlice {
    /// Names of its nodes, in order.
    pub nodes: Vec<String>,
    /// SHA-256 of the verifying key.
    pub vk: Digest,
    /// Its files. None where prover and verifier derive their keys from the integer graph.
    #[serde(default, skip_serializing_if = "SliceFiles::is_empty")]
    pub files: SliceFiles,
    /// How large it is.
    #[serde(default, skip_serializing_if = "Measures::is_empty")]
    pub measures: Measures,
    /// Predicted CPU time to prove, one core of the reference machine.
    pub predicted_micros: u64,
    /// Predicted peak memory to prove.
    pub predicted_memory_bytes: u64,
    /// Predicted size of a proof.
    pub predicted_proof_bytes: u64,
}

/// The integer graph against the float model, on the calibration samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Accuracy {
    /// The profile that was chosen or found.
    pub profile: Profile,
    /// Number of samples.
    pub samples: u32,
    /// The samples were made up, because no calibration data was given.
    pub synthetic: bool,
    /// Greatest error of any output, relative to its greatest value or its scale.
    pub max_error_millionths: u64,
    /// Mean absolute error.
    pub mean_error_millionths: u64,
    /// Samples whose greatest output is the same.
    pub top1_agreement_millionths: u32,
    /// Samples whose outputs of whole numbers are all the float model's.
    #[serde(default = "all")]
    pub exact_agreement_millionths: u32,
    /// The least distance of the float model's greatest output from the next, in the measure of errors; absent where nothing is ranked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_margin_millionths: Option<u64>,
    /// The outputs' power over that of their errors, in hundredths of a decibel; absent where there is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqnr_millibels: Option<i64>,
    /// Values of all tensors that stood at the end of their range, beyond which an input is refused.
    #[serde(default)]
    pub saturations: u64,
    /// How many tensors have more bits than the profile gives them.
    #[serde(default)]
    pub widened: u32,
    /// What was tried, in its order, and what became of it; the last that was chosen stands in the manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
    /// Node by node, in the graph's order; of more than [`MAX_NODES`](crate::outlook::MAX_NODES) those that are furthest off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeAccuracy>,
    /// By output, the natural magnitude that errors were measured with.
    pub output_scale: Vec<f64>,
    /// The budget.
    pub budget_millionths: u32,
    /// Whether the greatest error is within it, and nearly every sample has the float model's whole numbers.
    pub within_budget: bool,
}

/// One way to hold the model's tensors in integers, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tried {
    /// Whose widths tensors have.
    pub profile: Profile,
    /// How many tensors have more.
    #[serde(default)]
    pub widened: u32,
    /// How far beyond the samples' greatest values a tensor reaches, in millionths of it: 2000000 is one bit of headroom.
    pub headroom_millionths: u32,
    /// Whether weights give up bits whose products cost a limb.
    #[serde(default)]
    pub short_shifts: bool,
    /// Greatest error; of those samples that were looked at before it was given up. Absent where it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_error_millionths: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What became of a way that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It stands in the manifest.
    Chosen,
    /// It keeps the budget, and another was cheaper or nearer.
    Kept,
    /// It keeps the budget, and leaves too little of it to inputs that were not among the samples.
    NoRoom,
    /// It is above the budget, or has other classes or whole numbers than the float model.
    OverBudget,
    /// The model has no such integers.
    Refused,
}

/// A node's tensor against the float model's, over some of the samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeAccuracy {
    /// The node's name in the integer graph.
    pub node: String,
    /// Bits of its integers.
    pub bits: u8,
    /// Greatest error, as a share of the tensor's greatest value on that sample.
    pub max_error_millionths: u64,
    /// Mean absolute error, as a share of the tensor's greatest value on all of them.
    pub mean_error_millionths: u64,
    /// The tensor's power over that of its errors, in hundredths of a decibel; absent where there is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqnr_millibels: Option<i64>,
    /// Values that stood at the end of its range, over all samples.
    pub saturations: u64,
}

/// Every sample: what a report that says nothing of it was made with.
fn all() -> u32 {
    1_000_000
}

/// What kind of thing is wrong with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailureKind {
    /// The file is not an ONNX model, or one that nobody can evaluate.
    InvalidModel,
    /// The model is valid, and has something beyond its nodes that is not supported: the type of an input or constant, a size.
    UnsupportedModel,
    /// Nodes without a circuit.
    UnsupportedNodes,
    /// The calibration data does not fit the model.
    InvalidCalibration,
    /// No cut fits the memory of a worker.
    SliceTooLarge,
    /// Something else.
    Other,
}

/// A model that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompileFailure {
    /// The kind of reason.
    pub kind: FailureKind,
    /// Why, in a sentence.
    pub message: String,
    /// Every unsupported node, at once.
    #[serde(default)]
    pub unsupported: Vec<UnsupportedOp>,
    /// The file's nodes, where some of them are not supported: how they are drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
}

/// A node that has no circuit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnsupportedOp {
    /// The node's name in the model.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// Why it has no circuit.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(name: &str) -> BlobRef {
        BlobRef {
            digest: Digest::of(name.as_bytes()),
            size: 1,
        }
    }

    fn of(batch: u32) -> CompileReport {
        CompileReport {
            model: Digest::of(b"model"),
            batch,
            manifest: blob(&format!("manifest {batch}")),
            graph: blob(&format!("graph {batch}")),
            slices: Vec::new(),
            accuracy: Accuracy {
                profile: Profile::P16,
                samples: 1,
                synthetic: false,
                max_error_millionths: u64::from(batch),
                mean_error_millionths: 0,
                top1_agreement_millionths: 1_000_000,
                exact_agreement_millionths: 1_000_000,
                top_margin_millionths: None,
                sqnr_millibels: None,
                saturations: 0,
                widened: 0,
                tried: Vec::new(),
                nodes: Vec::new(),
                output_scale: vec![1.0],
                budget_millionths: 10_000,
                within_budget: true,
            },
            outlook: None,
            batches: Vec::new(),
        }
    }

    #[test]
    fn the_least_manifest_that_holds_the_inputs_answers_them() {
        let report = CompileReport::joined(vec![of(16), of(1), of(4)]).unwrap();
        assert_eq!(report.sizes().collect::<Vec<_>>(), [1, 4, 16]);
        assert_eq!(report.each().collect::<Vec<_>>(), [of(1), of(4), of(16)]);
        for (inputs, batch) in [(1, 1), (2, 4), (4, 4), (5, 16), (16, 16)] {
            assert_eq!(
                report.least_that_holds(inputs),
                Some(of(batch)),
                "{inputs} inputs"
            );
        }
        assert_eq!(report.least_that_holds(17), None);
        assert_eq!(CompileReport::joined(Vec::new()), None);
    }

    #[test]
    fn a_report_whose_batches_are_not_in_order_or_too_many_is_none() {
        let read = |report: &CompileReport| {
            CompileOutcome::read(&serde_json::to_vec(&CompileOutcome::Compiled(report.clone())).unwrap())
        };
        let good = CompileReport::joined([1, 2, 3, 4].map(of).to_vec()).unwrap();
        assert_eq!(read(&good).unwrap(), CompileOutcome::Compiled(good.clone()));
        let mut twice = good.clone();
        twice.batches[1].batch = 2;
        let many = CompileReport::joined([1, 2, 3, 4, 5].map(of).to_vec()).unwrap();
        for bad in [twice, many] {
            assert!(read(&bad).unwrap_err().to_string().contains("batches: at most 4"));
        }
    }

    #[test]
    fn it_names_the_files_of_all_its_manifests() {
        let report = CompileReport::joined(vec![of(1), of(4)]).unwrap();
        let named: Vec<BlobRef> = report.blobs().collect();
        let expected = ["manifest 1", "graph 1", "manifest 4", "graph 4"].map(blob);
        assert_eq!(named, expected);
    }

    #[test]
    fn a_report_of_one_input_at_a_time_is_written_and_read_as_ever() {
        let json = serde_json::to_value(of(1)).unwrap();
        assert_eq!((json.get("batch"), json.get("batches")), (None, None));
        assert_eq!(serde_json::from_value::<CompileReport>(json).unwrap(), of(1));
    }
}
