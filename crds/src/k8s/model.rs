//! `Model`: a network to be proved, and what its compilation found.
//!
//! Invariant: what fixes the circuits (source, quantisation, slicing, proof system) never changes after creation.
//! Another choice is another Model, so a status always describes the spec beside it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class::default_class;
use super::common::{ConfigMapKey, Memory};
use super::consent::ServedBy;
use super::rights::{Rights, Writers};
use super::string_consts;
use crate::dimensions::Dimensions;
use crate::slice_files::{Measures, SliceFiles};
use crate::wire::{DEFAULT_ERROR_BUDGET_MILLIONTHS, one_at_a_time};
use crate::words::{Digest, Profile, ProofSystem, SliceIndex};

mod accuracy;
mod slo;

pub use accuracy::{Accuracy, NodeAccuracy};
pub use slo::Slo;

/// A text that can be shown as it is: nothing in it controls a terminal, ends a line, or turns the direction of writing.
const LEGIBLE: &str = r"^[^\p{Cc}\p{Zl}\p{Zp}\x{61c}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}]*$";

/// How many unsupported nodes a status lists.
pub const MAX_UNSUPPORTED: usize = 64;

string_consts! {
    /// The types of a Model's conditions.
    pub mod condition {
        /// Requests can be served. Present from the first write.
        READY = "Ready";
        /// Manifest, integer graph and keys exist.
        COMPILED = "Compiled";
        /// The integer graph's error against the float model is within the spec's budget.
        ACCURACY_WITHIN_BUDGET = "AccuracyWithinBudget";
        /// The keys come from a public trusted setup that the operator accepts, or the proof system needs none.
        TRUSTED_SETUP = "TrustedSetup";
        /// It was compiled by another version of this software and is being compiled again. Absent otherwise.
        RECOMPILING = "Recompiling";
        /// The list that decides who may serve it cannot be read: pools of its own namespace alone may. Absent otherwise.
        INVALID_CONSENT = "InvalidConsent";
        /// The list that decides who may serve it names namespaces that the operator does not watch. Absent otherwise.
        NAMESPACE_NOT_WATCHED = "NamespaceNotWatched";
        /// The ConfigMap that it was compiled from holds other bytes by now; the Model stays as it is. Absent otherwise.
        SOURCE_CHANGED = "SourceChanged";
        /// Requests of the window are answered as `spec.slo` says. Absent where the spec has none.
        SLO_MET = "SloMet";
        /// Only a change will make it ready: tools that wait (kstatus) take it as failed. Absent otherwise.
        STALLED = "Stalled";
    }
}

string_consts! {
    /// The reasons of a Model's conditions.
    pub mod reason {
        /// The ConfigMap or the key is not there yet.
        SOURCE_NOT_FOUND = "SourceNotFound";
        /// The source's address is under none that the operator allows.
        SOURCE_NOT_ALLOWED = "SourceNotAllowed";
        /// The source could not be read; it will be tried again.
        SOURCE_UNAVAILABLE = "SourceUnavailable";
        /// The source's SHA-256 is not the one in the spec.
        DIGEST_MISMATCH = "DigestMismatch";
        /// The source is larger than the operator allows.
        SOURCE_TOO_LARGE = "SourceTooLarge";
        /// The calibration data does not fit the model's inputs.
        INVALID_CALIBRATION = "InvalidCalibration";
        /// The error budget is above what the operator accepts (`maxErrorMillionths` of the Validator).
        BUDGET_ABOVE_OPERATOR = "BudgetAboveOperator";
        /// The list of who may serve it cannot be read.
        INVALID_LIST = "InvalidList";
        /// Pools of namespaces that the list of who may serve it names are not seen (`--namespaces`).
        NAMESPACE_NOT_WATCHED = "NamespaceNotWatched";
        /// The compile Job is at work.
        COMPILING = "Compiling";
        /// The ConfigMap that it was compiled from holds other bytes by now.
        SOURCE_CHANGED = "SourceChanged";
        /// What was compiled is of another version than this operator reads.
        OLD_VERSION = "OldVersion";
        /// Manifest, integer graph and keys exist.
        COMPILED = "Compiled";
        /// The file is not an ONNX model, or one that nobody can evaluate.
        INVALID_MODEL = "InvalidModel";
        /// The model is valid, and has something beyond its nodes that is not supported; the message says what.
        UNSUPPORTED_MODEL = "UnsupportedModel";
        /// The model has nodes that cannot be proved; see `status.unsupported`.
        UNSUPPORTED_NODES = "UnsupportedNodes";
        /// No cut of the graph fits `slicing.memoryPerWorker`.
        SLICE_TOO_LARGE = "SliceTooLarge";
        /// The compiled model takes more memory than the operator has for models (`--model-memory`).
        TOO_LARGE_FOR_OPERATOR = "TooLargeForOperator";
        /// The compiler stopped. It starts again when the spec is changed, or with other resources for compilers.
        COMPILE_FAILED = "CompileFailed";
        /// The error was measured on the calibration data and is within the budget.
        WITHIN_BUDGET = "WithinBudget";
        /// No profile keeps the budget on the calibration data.
        OVER_BUDGET = "OverBudget";
        /// There was no calibration data, so it is only known of made-up inputs that the error is within the budget.
        SYNTHETIC_CALIBRATION = "SyntheticCalibration";
        /// The setup is on the operator's list.
        SETUP_ALLOWED = "SetupAllowed";
        /// The development setup is in use: receipts are FORGEABLE BY ANYONE.
        DEVELOPMENT_SETUP = "DevelopmentSetup";
        /// The proof system has no trusted setup.
        NOT_REQUIRED = "NotRequired";
        /// The proof system needs a trusted setup, and the operator was given none.
        NO_TRUSTED_SETUP = "NoTrustedSetup";
        /// The objectives of `spec.slo` are met.
        OBJECTIVES_MET = "ObjectivesMet";
        /// Fewer requests succeed than `spec.slo.successMillionths`.
        TOO_FEW_SUCCEED = "TooFewSucceed";
        /// Of twenty requests more than one takes longer than `spec.slo.p95Seconds`.
        TOO_SLOW = "TooSlow";
        /// The window has fewer than twenty requests: nothing can be said of the objectives.
        TOO_FEW_REQUESTS = "TooFewRequests";
    }
}

/// Who may do what with it.
pub const RIGHTS: Rights = Rights {
    operator: &[],
    writers: Writers::Editors,
};

/// A network to be proved.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "zkinfer.dev",
    version = "v1alpha1",
    kind = "Model",
    namespaced,
    cel,
    status = "ModelStatus",
    derive = "PartialEq",
    shortname = "zkmodel",
    category = "zkinfer",
    doc = "A neural network whose inferences are proved.",
    validation = ("self.metadata.name.size() <= 63", "metadata.name must have at most 63 characters"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Slices", type_ = "integer", json_path = ".status.sliceCount"),
    printcolumn(
        name = "Accurate",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"AccuracyWithinBudget\")].status"
    ),
    printcolumn(
        name = "Trusted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"TrustedSetup\")].status"
    ),
    printcolumn(
        name = "Batches",
        type_ = "string",
        json_path = ".spec.batchSizes",
        priority = 1,
        description = "how many inputs a request may have: a manifest answers so many at once"
    ),
    printcolumn(name = "System", type_ = "string", json_path = ".spec.proofSystem", priority = 1),
    printcolumn(name = "Manifest", type_ = "string", json_path = ".status.manifestDigest", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = ("has(self.dimensions) == has(oldSelf.dimensions)", "dimensions is immutable"))]
#[x_kube(validation = (
    "!has(oldSelf.sha256) || (has(self.sha256) && self.sha256 == oldSelf.sha256)",
    "sha256 cannot be changed once set"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelSpec {
    /// Where the ONNX file is.
    #[x_kube(validation = ("self == oldSelf", "source is immutable"))]
    pub source: ModelSource,
    /// The ONNX file's SHA-256; another file is refused. It may be added later, not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// How floats become integers.
    #[serde(default)]
    #[x_kube(validation = ("self == oldSelf", "quantization is immutable"))]
    pub quantization: Quantization,
    /// How the computation is cut.
    #[serde(default)]
    #[x_kube(validation = ("self == oldSelf", "slicing is immutable"))]
    pub slicing: Slicing,
    /// The sizes of dimensions that the ONNX file leaves free, by the file's name of each, or `INPUT.AXIS` where it has none. A
    /// first dimension that is not named is a batch of 1.
    #[serde(default, skip_serializing_if = "Dimensions::is_empty")]
    #[x_kube(validation = ("self == oldSelf", "dimensions is immutable"))]
    #[x_kube(validation = ("self.all(name, size(name) <= 256 && self[name] >= 1)", "a name has at most 256 characters, a size is at least 1"))]
    #[schemars(extend("maxProperties" = 8))]
    pub dimensions: Dimensions,
    /// How many inputs are answered at once, with one receipt: for each number a manifest and keys are made. A request with n
    /// inputs uses the least that holds n, filled up with its last input; one with more than the largest is refused.
    #[serde(default = "one_at_a_time")]
    #[schemars(length(min = 1, max = 4), inner(range(min = 1, max = 64)))]
    #[x_kube(validation = ("self == oldSelf", "batchSizes is immutable"))]
    #[x_kube(validation = ("self.all(a, self.exists_one(b, b == a))", "batchSizes names a size twice"))]
    pub batch_sizes: Vec<u32>,
    /// What the slices are proved with.
    #[serde(default)]
    #[x_kube(validation = ("self == oldSelf", "proofSystem is immutable"))]
    pub proof_system: ProofSystem,
    /// Names of the outputs' entries, in order; the largest output's name becomes a request's label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096), inner(length(min = 1, max = 128), regex(pattern = LEGIBLE)))]
    pub classes: Vec<String>,
    /// The pools that may prove requests of this Model: their miners see its weights and every input. Pools of the Model's
    /// own namespace always may; an empty list means them alone. Absent: the ConfigMap `zkinfer-consent` of this namespace
    /// decides (`data.servedBy`, the same list as YAML), else `consent` of the Validator, else the own namespace
    /// alone. It may be changed at any time; what a pool may not see any more it is not given from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub served_by: Option<Vec<ServedBy>>,
    /// What users of it may expect of its answers; condition `SloMet` says whether they have it. It may be changed at any time, and
    /// changes nothing else. Absent: nothing is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
    /// Which installation of the cluster takes it: the one that was started with this `--controller-class`.
    #[serde(default = "default_class")]
    #[schemars(length(max = 32), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = ("self == oldSelf", "controllerClass is immutable"))]
    pub controller_class: String,
}

/// Where the ONNX file is: exactly one of the fields.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[x_kube(validation = (
    "[has(self.configMap), has(self.artifact), has(self.url)].exists_one(x, x)",
    "exactly one of configMap, artifact and url must be set"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelSource {
    /// A key of a ConfigMap in the same namespace: for models below 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKey>,
    /// The digest of a file that was uploaded to this namespace (`operator upload`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// An https, s3, gs or az address under one that the operator allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = (
        "self.matches('^(https|s3|gs|az)://[A-Za-z0-9.:_-]+(/[!-~]*)?$')",
        "url must be an https, s3, gs or az address of a file, such as https://host/model.onnx; models are not fetched from registries of images"
    ))]
    pub url: Option<String>,
}

/// How floats become integers, and how near to the float model the answers must be.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quantization {
    /// How many bits the integers have. Absent: the cheapest profile within the error budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// The largest error of any output against the float model, in millionths: 1000 is 0.1 %. The error of an output is
    /// max |y - y_float| / max(max |y_float|, scale), with its `outputScale`. The Validator's `maxErrorMillionths` may be less.
    #[serde(default = "default_error_budget")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub error_budget_millionths: u32,
    /// The natural magnitude of each output, in the model's order: what its errors are a share of where it is smaller.
    /// Absent: the greatest magnitude of the float model's output over the calibration data; `status.accuracy` has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(range(min = 1e-300, max = 1e300)))]
    pub output_scale: Vec<f64>,
    /// Whether an output of shape [1, n] must have its largest value where the float model has it. Set it to false where
    /// outputs are no scores of classes.
    #[serde(default = "default_compare_top1")]
    pub compare_top1: bool,
    /// Inputs from which the ranges of all tensors are learnt: .npy or JSON, whose first axis counts them; of several inputs a
    /// .npz archive or a JSON object of such lists by input name. Absent: standard-normal inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Whether it is served where its ranges were learnt from made-up inputs: because `calibration` is absent, or was gone when the
    /// Model of an older version was compiled again. What an installation asks of every new Model is its own (`requireCalibration`).
    #[serde(default)]
    pub synthetic: Synthetic,
}

/// What becomes of a Model whose inputs for calibration were made up.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synthetic {
    /// It is served, and `AccuracyWithinBudget` is Unknown.
    #[default]
    Serve,
    /// It is not Ready.
    Refuse,
}

const fn default_error_budget() -> u32 {
    DEFAULT_ERROR_BUDGET_MILLIONTHS
}

const fn default_compare_top1() -> bool {
    true
}

impl Default for Quantization {
    fn default() -> Self {
        Self {
            profile: None,
            error_budget_millionths: default_error_budget(),
            output_scale: Vec::new(),
            compare_top1: default_compare_top1(),
            calibration: None,
            synthetic: Synthetic::default(),
        }
    }
}

/// Where sample inputs are, as .npy (the first axis counts samples) or nested JSON lists: exactly one of the fields.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[x_kube(validation = (
    "has(self.configMap) != has(self.artifact)",
    "exactly one of configMap and artifact must be set"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Calibration {
    /// A key of a ConfigMap in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKey>,
    /// The digest of a file in the operator's artifact store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
}

/// How the computation is cut.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slicing {
    /// Memory that proving one slice may take. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_per_worker: Option<Memory>,
    /// The least number of slices, wherever the graph allows it.
    #[serde(default = "default_parallelism")]
    #[schemars(range(min = 1, max = 64))]
    pub parallelism: u32,
}

const fn default_parallelism() -> u32 {
    1
}

impl Default for Slicing {
    fn default() -> Self {
        Self {
            memory_per_worker: None,
            parallelism: default_parallelism(),
        }
    }
}

/// What the compilation found.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelStatus {
    /// The generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// SHA-256 of the ONNX file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_digest: Option<Digest>,
    /// SHA-256 of the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<Digest>,
    /// SHA-256 of the integer graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_digest: Option<Digest>,
    /// The digest of the trusted setup; absent where the proof system has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srs_digest: Option<Digest>,
    /// The number of slices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice_count: Option<u32>,
    /// The slices, by index; of very many the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<ModelSlice>,
    /// How far the integer graph is from the float model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// The manifests by how many inputs each answers at once, ascending; what stands beside this list is of the first. Empty
    /// where there is one alone, of one input at a time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<ModelBatch>,
    /// Nodes that cannot be proved; at most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<UnsupportedNode>,
    /// The conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What was made for so many inputs at once.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ModelBatch {
    /// How many inputs.
    pub size: u32,
    /// SHA-256 of the manifest.
    pub manifest_digest: Digest,
    /// The number of slices.
    pub slice_count: u32,
    /// Time that proving all slices is expected to take on one core, for all inputs together.
    pub predicted_millis: u64,
    /// Memory that proving the largest slice is expected to take.
    pub predicted_memory_bytes: u64,
    /// The largest error of any output of one input.
    pub max_abs_error_millionths: u64,
}

/// One slice of a compiled model.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ModelSlice {
    /// Its place in the manifest.
    pub index: SliceIndex,
    /// Its first and last node by name: `conv1..relu2`.
    pub nodes: String,
    /// SHA-256 of the verifying key.
    pub vk_digest: Digest,
    /// Its files. None where prover and verifier derive their keys from the integer graph.
    #[serde(default, skip_serializing_if = "SliceFiles::is_empty")]
    pub files: SliceFiles,
    /// How large it is, in the proof system's own measures.
    #[serde(default, skip_serializing_if = "Measures::is_empty")]
    pub measures: Measures,
    /// Memory that proving is expected to take.
    pub predicted_memory_bytes: u64,
    /// Time that proving is expected to take on one core.
    pub predicted_millis: u64,
}

/// A node that cannot be proved.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UnsupportedNode {
    /// The node's name in the ONNX file.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// What is missing.
    pub reason: String,
}
