//! What compiling a model reports: written by `prover-worker compile -o json`, read by the operator into a Model's
//! status. Integers only; fractions are in millionths.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::slice_files::{Measures, SliceFile, SliceFiles};
use crate::wire::BlobRef;
use crate::words::{Digest, Profile};

/// How compiling ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CompileOutcome {
    /// Manifest, graph and keys were written.
    Compiled(CompileReport),
    /// The model cannot be compiled.
    Failed(CompileFailure),
}

/// The largest report that is read, in bytes.
pub const MAX_REPORT_BYTES: usize = 4 << 20;

impl CompileOutcome {
    /// Reads a report, as the gateway does.
    ///
    /// # Errors
    /// Bytes that are not the JSON of one.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

/// A compiled model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompileReport {
    /// SHA-256 of the ONNX file.
    pub model: Digest,
    /// The manifest.
    pub manifest: BlobRef,
    /// The integer graph.
    pub graph: BlobRef,
    /// By slice.
    pub slices: Vec<CompiledSlice>,
    /// Against the float model.
    pub accuracy: Accuracy,
}

impl CompileReport {
    /// Every file that it names.
    pub fn blobs(&self) -> impl Iterator<Item = BlobRef> {
        let of_slices = self.slices.iter().flat_map(|slice| slice.files.iter());
        [self.manifest.clone(), self.graph.clone()]
            .into_iter()
            .chain(of_slices.map(SliceFile::blob))
    }
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
    /// By output, the natural magnitude that errors were measured with.
    pub output_scale: Vec<f64>,
    /// The budget.
    pub budget_millionths: u32,
    /// Whether the greatest error is within it, and nearly every sample has the float model's whole numbers.
    pub within_budget: bool,
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
