//! `InferenceRequest`: one input to be run through a model and proved, and how far that is.
//!
//! Invariant: what is asked never changes; only whether it still is asked (`suspend`, `cancel`,
//! `ttlSecondsAfterFinished`). A phase goes forward only, but that `Proving` begins anew when the Model is compiled again
//! after an upgrade:
//!
//! ```text
//! Pending -> Compiling -> Proving -> Succeeded
//!    \___________\___________\____-> Failed | Cancelled
//! any -> Erased
//! ```

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::class::default_class;
use super::common::{ConfigMapKey, Deadline};
use super::erasure::{ErasedInput, Erasure};
use super::request_status::{
    QueuePlace, ReceiptRef, RecentSlice, RequestAnswer, RequestBatch, RequestOutput, SliceCounts,
};
use super::rights::{Beside, Rights, Writers};
use super::string_consts;
use crate::words::{Digest, closed_word};

string_consts! {
    /// The types of an InferenceRequest's conditions.
    pub mod condition {
        /// Output and receipt can be used. Present from the first write.
        READY = "Ready";
        /// Model, input and pools were found good.
        ACCEPTED = "Accepted";
        /// The integer graph was evaluated and the slices were queued.
        PLANNED = "Planned";
        /// Every slice's proof was verified.
        VERIFIED = "Verified";
        /// The request ended with a receipt.
        COMPLETE = "Complete";
        /// The request ended without one.
        FAILED = "Failed";
        /// The request ended without a receipt: tools that wait (kstatus) take it as failed. Absent otherwise.
        STALLED = "Stalled";
    }
}

string_consts! {
    /// The reasons of an InferenceRequest's conditions.
    pub mod reason {
        /// `spec.suspend` is set.
        SUSPENDED = "Suspended";
        /// There is no such Model yet.
        MODEL_NOT_FOUND = "ModelNotFound";
        /// The Model is not ready yet.
        MODEL_NOT_READY = "ModelNotReady";
        /// The Model is being compiled.
        MODEL_COMPILING = "ModelCompiling";
        /// The Model cannot become ready.
        MODEL_FAILED = "ModelFailed";
        /// The ConfigMap or the artifact is not there yet.
        INPUT_NOT_FOUND = "InputNotFound";
        /// The input does not have the names, shapes or types of the model's inputs.
        INVALID_INPUT = "InvalidInput";
        /// A tensor left the range for which the model was calibrated.
        OUT_OF_CALIBRATED_RANGE = "OutOfCalibratedRange";
        /// No status fits beside the input: it must be given by ConfigMap or artifact.
        OBJECT_TOO_LARGE = "ObjectTooLarge";
        /// The operator's artifact store fails: everything waits until it is back.
        STORE_UNAVAILABLE = "StoreUnavailable";
        /// The operator's memory for models is held by requests at work: it is tried again.
        MODEL_MEMORY_FULL = "ModelMemoryFull";
        /// The operator's memory for requests at work is taken (`--run-memory`): it is tried again when there is room.
        RUN_MEMORY_FULL = "RunMemoryFull";
        /// The request takes more memory than the operator has for requests at work (`--run-memory`).
        TOO_LARGE_FOR_OPERATOR = "TooLargeForOperator";
        /// No pool is ready, selected, serves this namespace and has the memory, or those at work were drained.
        NO_FITTING_POOL = "NoFittingPool";
        /// Receipts or inputs of its namespace take what `quotas` of the Validator allows: it begins when there is room.
        QUOTA_REACHED = "QuotaReached";
        /// As many requests are proved as `limits` of the Validator allows: `status.queue` has the place of this one.
        QUEUED = "Queued";
        /// Model, input and pools were found good.
        ACCEPTED = "Accepted";
        /// The slices are queued.
        SLICES_QUEUED = "SlicesQueued";
        /// Miners are at work.
        PROVING = "Proving";
        /// Every slice's proof was verified.
        ALL_SLICES_VERIFIED = "AllSlicesVerified";
        /// Every slice's proof was verified, and the float model's answer, which the proved one is judged by, is not there:
        /// the reference is away or out of memory. It is asked again.
        REFERENCE_UNAVAILABLE = "ReferenceUnavailable";
        /// The integers' answer to this input is too far from the float model's, of another class, or another whole number.
        ACCURACY_EXCEEDED = "AccuracyExceeded";
        /// The receipt is written.
        RECEIPT_WRITTEN = "ReceiptWritten";
        /// The deadline passed first.
        DEADLINE_EXCEEDED = "DeadlineExceeded";
        /// A slice was tried as often as the operator allows.
        TOO_MANY_ATTEMPTS = "TooManyAttempts";
        /// `spec.cancel` was set.
        CANCELLED = "Cancelled";
        /// Its type is `Benchmark`, and the operator has not made it, or not so: the message says what is otherwise.
        NOT_A_BENCHMARK = "NotABenchmark";
        /// The input was erased, and its answer and its receipt with it.
        ERASED = "Erased";
        /// The operator could not do its part; the message says which.
        INTERNAL_ERROR = "InternalError";
    }
}

/// Who may do what with it.
pub const RIGHTS: Rights = Rights {
    operator: &[Beside {
        verbs: &["create", "delete", "patch"],
        why: "Created for clients of the HTTP API after a SubjectAccessReview, and erased for them; deleted when their time is over. Benchmarks, in the operator's own namespace.",
    }],
    writers: Writers::Editors,
};

/// One input to be run through a model and proved.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "zkinfer.dev",
    version = "v1alpha1",
    kind = "InferenceRequest",
    namespaced,
    cel,
    status = "InferenceRequestStatus",
    derive = "PartialEq",
    shortname = "ireq",
    category = "zkinfer",
    doc = "One input to be run through a Model and proved.",
    validation = ("self.metadata.name.size() <= 63", "metadata.name must have at most 63 characters"),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.modelRef.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Verified", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "Label", type_ = "string", json_path = ".status.output.label"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Queue",
        type_ = "integer",
        json_path = ".status.queue.position",
        description = "its place among those that wait for limits of the Validator"
    ),
    printcolumn(
        name = "Inputs",
        type_ = "integer",
        json_path = ".status.batch.inputs",
        priority = 1,
        description = "how many inputs are answered, where several may be at once"
    ),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type", priority = 1),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority", priority = 1),
    printcolumn(name = "Deadline", type_ = "string", json_path = ".spec.deadline", priority = 1),
    printcolumn(name = "Receipt", type_ = "string", json_path = ".status.receipt.digest", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = (
    "has(self.poolSelector) == has(oldSelf.poolSelector) && (!has(self.poolSelector) || self.poolSelector == oldSelf.poolSelector)",
    "poolSelector is immutable"
), validation = (
    "!has(self.modelRef.__namespace__) || self.type == 'Benchmark'",
    "modelRef.namespace is of benchmarks, which the operator makes: other requests are of a Model in their own namespace"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InferenceRequestSpec {
    /// Who asks. `Benchmark` is what the operator itself makes; of anybody else it is refused as `NotABenchmark`.
    #[serde(default, rename = "type")]
    #[x_kube(validation = ("self == oldSelf", "type is immutable"))]
    pub type_: RequestType,
    /// The Model.
    #[x_kube(validation = ("self == oldSelf", "modelRef is immutable"))]
    pub model_ref: ModelRef,
    /// The input tensors.
    #[x_kube(validation = (
        "self == oldSelf || (has(self.erased) && !has(oldSelf.erased) && has(self.erased.artifact) == has(oldSelf.artifact) && (!has(oldSelf.artifact) || self.erased.artifact == oldSelf.artifact))",
        "input is immutable, but that it may be erased, once: input.erased in the place of all else, with the digest of artifact if there was one"
    ))]
    pub input: RequestInput,
    /// Requests with a higher number go first.
    #[serde(default)]
    #[schemars(range(min = -2_147_483_648, max = 2_147_483_647))]
    #[x_kube(validation = ("self == oldSelf", "priority is immutable"))]
    pub priority: i32,
    /// How long after its creation the request is given up: `90s`, `1h30m`; at most 7 days.
    #[serde(default = "default_deadline")]
    #[schemars(transform = without_pattern)]
    #[x_kube(
        validation = (
            "self.matches('^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$')",
            "deadline must be a length of time in hours, minutes and seconds, such as 90s or 1h30m"
        ),
        // What the first has refused is no duration, and this one would say so in words of its own.
        validation = (
            "!self.matches('^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$') || (self.size() > 0 && duration(self) > duration('0s') && duration(self) <= duration('168h'))",
            "deadline must be more than 0 and at most 7 days (168h)"
        ),
        validation = ("self == oldSelf", "deadline is immutable")
    )]
    pub deadline: Deadline,
    /// How many pools prove each slice.
    #[serde(default = "default_redundancy")]
    #[schemars(range(min = 1, max = 3))]
    #[x_kube(validation = ("self == oldSelf", "redundancy is immutable"))]
    pub redundancy: u32,
    /// Only pools with these labels. Absent: any pool that serves this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_selector: Option<PoolSelector>,
    /// Hand out no slices for now, and remove the Jobs made for this request. The deadline goes on.
    #[serde(default)]
    pub suspend: bool,
    /// Give the request up. This cannot be undone.
    #[serde(default)]
    #[x_kube(validation = ("self || !oldSelf", "cancel cannot be undone"))]
    pub cancel: bool,
    /// Delete the request this many seconds after it ended. Absent: never. Receipts are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub ttl_seconds_after_finished: Option<u32>,
    /// Which installation of the cluster takes it: the one that was started with this `--controller-class`.
    #[serde(default = "default_class")]
    #[schemars(length(max = 32), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = ("self == oldSelf", "controllerClass is immutable"))]
    pub controller_class: String,
}

/// A rule says the same in a sentence; of a pattern the API server tells the expression.
pub(super) fn without_pattern(schema: &mut Schema) {
    schema.remove("pattern");
}

fn default_deadline() -> Deadline {
    #[allow(clippy::expect_used, reason = "a constant, tested")]
    "1h".parse().expect("1h is a deadline")
}

const fn default_redundancy() -> u32 {
    1
}

/// A Model, in the same namespace but for a benchmark's.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelRef {
    /// The Model's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Of a benchmark: the Model's namespace. Absent: the request's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

impl InferenceRequest {
    /// Whether it says of itself that it is a benchmark.
    #[must_use]
    pub fn is_benchmark(&self) -> bool {
        match self.spec.type_ {
            RequestType::Organic => false,
            RequestType::Benchmark => true,
        }
    }

    /// The namespace of its Model: who may serve it, and what pools serve, goes by that.
    #[must_use]
    pub fn model_namespace(&self) -> String {
        let stated = self.spec.model_ref.namespace.as_ref();
        let stated = stated.filter(|_| self.is_benchmark());
        let own = || self.metadata.namespace.clone().unwrap_or_default();
        stated.cloned().unwrap_or_else(own)
    }
}

closed_word! {
    /// Who asks.
    #[derive(Default)]
    RequestType {
        /// Somebody who wants the answer.
        #[default]
        Organic = "Organic",
        /// The operator, so that miners have scores when nobody asks.
        Benchmark = "Benchmark",
    }
}

/// The input tensors: exactly one of the fields.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[x_kube(validation = (
    "[has(self.inline), has(self.artifact), has(self.configMap), has(self.erased)].exists_one(x, x)",
    "exactly one of inline, artifact and configMap must be set"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestInput {
    /// The tensors themselves, by input name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64))]
    pub inline: Option<BTreeMap<String, InlineTensor>>,
    /// The digest of a file (.npy, or .npz or JSON by input name; of several inputs its first axis counts them) in the operator's artifact store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// A key of a ConfigMap in the same namespace that holds such a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKey>,
    /// The input was erased, and with it all that came of it; what was asked and how it ended is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<ErasedInput>,
}

/// A tensor of floats.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InlineTensor {
    /// The dimensions; their product is the number of values. Of several inputs, as `batchSizes` of the Model allows, the first
    /// counts them.
    #[schemars(length(max = 8), inner(range(min = 1)))]
    pub shape: Vec<u32>,
    /// The values, row-major.
    #[schemars(length(max = 262_144))]
    pub data: Vec<f64>,
}

impl InlineTensor {
    /// Whether there are as many values as the shape says. CEL cannot multiply a list, so the operator asks this.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let count = self
            .shape
            .iter()
            .try_fold(1u64, |n, &d| n.checked_mul(u64::from(d)));
        count == Some(self.data.len() as u64)
    }
}

/// Which pools may prove a request.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolSelector {
    /// Labels that a pool must have, all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: BTreeMap<String, String>,
}

impl PoolSelector {
    /// Whether a pool with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    }
}

closed_word! {
    /// Where a request is on its way.
    #[derive(Default)]
    RequestPhase {
        /// Something is not there yet; the conditions say what.
        #[default]
        Pending = "Pending",
        /// The Model is being compiled.
        Compiling = "Compiling",
        /// Slices are queued, proved and verified.
        Proving = "Proving",
        /// Output and receipt are there.
        Succeeded = "Succeeded",
        /// It ended without a receipt.
        Failed = "Failed",
        /// It was given up by `spec.cancel`.
        Cancelled = "Cancelled",
        /// Its input was erased, and its answer and its receipt with it.
        Erased = "Erased",
    }
}

impl RequestPhase {
    /// Whether nothing will happen any more.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Erased
        )
    }
}

/// How far a request is, and its answer.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct InferenceRequestStatus {
    /// The generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the request is on its way.
    pub phase: RequestPhase,
    /// The model's digest, pinned at planning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_digest: Option<Digest>,
    /// The manifest's digest, pinned at planning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<Digest>,
    /// The answer. Of several inputs its name and the shape that each answer has; `answers` has the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<RequestOutput>,
    /// How many inputs are answered, where the Model's manifest answers several at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<RequestBatch>,
    /// The answers to several inputs, in their order: as many as were given. The receipt has them whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub answers: Vec<RequestAnswer>,
    /// The proof of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptRef>,
    /// Where it stands among those that wait, while the Validator's limits hold it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueuePlace>,
    /// The slices by state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices: Option<SliceCounts>,
    /// Verified slices of all, for people: `7/12`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// The latest attempts, oldest first; the ledger has all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent_slices: Vec<RecentSlice>,
    /// The largest error of any output against the float model's answer to this input, in millionths, rounded up; of several
    /// inputs, the largest of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_vs_float_millionths: Option<u64>,
    /// Of a benchmark that is over: the seed that its input was drawn with, 32 bytes in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub benchmark_seed: Option<String>,
    /// The command that checks the receipt, with the flags without which it would refuse it. Names in capitals stand for
    /// files of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<String>,
    /// When the slices were queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the request ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// By whom and when it was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erased: Option<Erasure>,
    /// The conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
