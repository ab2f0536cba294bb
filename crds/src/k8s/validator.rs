//! `Validator`: by which settings an installation asks, judges and keeps.
//!
//! Invariants: of an installation one rules, the oldest in the operator's own namespace; every field has a default, and some code
//! that reads it; what is in force stands in the status of the one that rules, and is in force without a restart.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class::default_class;
use super::common::{Cpu, Memory};
use super::consent::ServedBy;
use super::rights::{Rights, Writers};
use super::string_consts;
use crate::words::{Digest, Identity};

mod benchmarks;
mod limits;
mod quotas;
mod scoring;
mod stats;
mod weights;

pub use benchmarks::{BenchmarkModel, BenchmarkTotals, Benchmarks};
pub use limits::Limits;
pub use quotas::{NamespaceQuota, NamespaceUsage, Quotas};
pub use scoring::{OwnerGroup, RuleInForce, Scoring, ScoringRule};
pub use stats::Stats;
pub use weights::{
    Bittensor, Nothing, OwnerPart, Publisher, SpecVersion, UidWeight, Uids, Weights, WeightsStatus,
};

string_consts! {
    /// The types of a Validator's conditions.
    pub mod condition {
        /// Its spec is in force. Present from the first write.
        READY = "Ready";
        /// The ledger is signed, and added to. Absent where another Validator rules.
        LEDGER_SIGNED = "LedgerSigned";
        /// Benchmarks are made when nobody asks. Absent where the spec has none, and where another Validator rules.
        BENCHMARKING = "Benchmarking";
        /// The last weights that were due have left. Absent where nothing is to be published.
        WEIGHTS_PUBLISHED = "WeightsPublished";
        /// Only a person can make it ready: tools that wait (kstatus) take it as failed. Absent otherwise.
        STALLED = "Stalled";
    }
}

string_consts! {
    /// The reasons of a Validator's conditions.
    pub mod reason {
        /// The spec is in force.
        IN_FORCE = "InForce";
        /// Another Validator rules, or this one is not in the operator's namespace.
        SUPERSEDED = "Superseded";
        /// The validator's key signs the ledger, or was named by the one that did.
        SIGNED = "Signed";
        /// Another key signs the ledger, and has not named this one: nothing is added to it, and entries stand by themselves.
        KEY_NOT_NAMED = "KeyNotNamed";
        /// The spec contradicts itself: the settings that were in force stay.
        INVALID_SPEC = "InvalidSpec";
        /// Benchmarks are made at the rate of the spec.
        BENCHMARKS_RUN = "BenchmarksRun";
        /// More slices of other requests wait than `benchmarks.pauseAbove`: no benchmark is made meanwhile.
        ORGANIC_WORK_WAITS = "OrganicWorkWaits";
        /// None of the Models can be benchmarked now; the message says why of each.
        NO_BENCHMARK_MODEL = "NoBenchmarkModel";
        /// The latest benchmarks have failed; the message says how the last one did. Others are made all the same.
        BENCHMARKS_FAIL = "BenchmarksFail";
        /// The operator's artifact store fails: no benchmark is made until it is back.
        STORE_UNAVAILABLE = "StoreUnavailable";
        /// `operator local` makes no benchmarks: a run would never be over.
        LOCAL_RUN = "LocalRun";
        /// The weights have left: to the chain, or, with the publisher `file`, into the store.
        PUBLISHED = "Published";
        /// Weights are being made, or have left and the chain has not said yet that it has them.
        PUBLISHING = "Publishing";
        /// Nobody who has a uid has a weight, or the subnet takes no such vector.
        NO_WEIGHTS = "NoWeights";
        /// The ledger or the store cannot be read, or not be written.
        NO_LEDGER = "NoLedger";
        /// The chain is away, too slow, or says what no chain says.
        CHAIN_UNREACHABLE = "ChainUnreachable";
        /// The chain has refused the weights, or did not take them in time.
        CHAIN_REFUSED = "ChainRefused";
        /// The chain, its runtime or the subnet is not as the spec declares it: nothing leaves.
        NOT_AS_DECLARED = "NotAsDeclared";
        /// The Secret of the validator's hotkey is not there, or has none.
        NO_HOTKEY = "NoHotkey";
    }
}

/// Who may do what with it.
pub const RIGHTS: Rights = Rights {
    operator: &[],
    writers: Writers::Administrators(
        "A Validator says what an installation accepts, and whom it shows models to: that is for administrators.",
    ),
};

/// The settings of an installation.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "zkinfer.dev",
    version = "v1alpha1",
    kind = "Validator",
    namespaced,
    cel,
    status = "ValidatorStatus",
    derive = "PartialEq",
    shortname = "zkval",
    category = "zkinfer",
    doc = "The settings by which an installation asks, judges and keeps. The oldest in the operator's namespace rules.",
    validation = ("self.metadata.name.size() <= 63", "metadata.name must have at most 63 characters"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Network", type_ = "string", json_path = ".status.settings.network"),
    printcolumn(
        name = "MaxError",
        type_ = "integer",
        json_path = ".status.settings.maxErrorMillionths",
        description = "in millionths"
    ),
    printcolumn(name = "Proving", type_ = "integer", json_path = ".status.totals.requestsUnfinished"),
    printcolumn(name = "Succeeded", type_ = "integer", json_path = ".status.totals.requestsSucceeded"),
    printcolumn(name = "Verified", type_ = "integer", json_path = ".status.totals.slicesVerified"),
    printcolumn(
        name = "Weights",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"WeightsPublished\")].reason",
        description = "whether weights have left",
        priority = 1
    ),
    printcolumn(name = "Uids", type_ = "integer", json_path = ".status.weights.uids", priority = 1),
    printcolumn(name = "Block", type_ = "integer", json_path = ".status.weights.sent", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidatorSpec {
    /// The network id that every proof is bound to. A request keeps the one with which it was begun.
    #[serde(default = "default_network")]
    #[schemars(length(min = 1, max = 63))]
    pub network: String,
    /// Greatest error of an answer, in millionths: of an output's values against the float model's, as a share of the greatest
    /// of them or of the output's scale. A Model that allows more is not served.
    #[serde(default = "default_max_error")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_error_millionths: u32,
    /// How long workers hold a slice.
    #[serde(default)]
    pub leases: Leases,
    /// What a compiler gets.
    #[serde(default)]
    pub compiler: CompilerLimits,
    /// Addresses under which models may be fetched (`source.url`), with the operator's credentials: https://…, s3://…, gs://…,
    /// az://…. An address covers what lies under it, by whole path segments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 2048)))]
    pub source_urls: Vec<String>,
    /// Who may serve Models that say nothing themselves and whose namespace says nothing either. Absent: pools of the Model's
    /// own namespace; those always may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub consent: Option<Vec<ServedBy>>,
    /// The trusted setups, by their digest, on which a proof may rest. Empty: the one that the operator was started with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allowed_srs: Vec<Digest>,
    /// How long the store keeps what it holds.
    #[serde(default)]
    pub retention: Retention,
    /// How much is taken at once.
    #[serde(default)]
    pub limits: Limits,
    /// What a namespace may take of the store.
    #[serde(default, skip_serializing_if = "Quotas::is_empty")]
    pub quotas: Quotas,
    /// By which rule miners are scored.
    #[serde(default)]
    pub scoring: Scoring,
    /// What is proved when nobody asks. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benchmarks: Option<Benchmarks>,
    /// Weights that are made of the scores, and where they go. Absent: none are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// Who may look at the network's figures.
    #[serde(default)]
    pub stats: Stats,
    /// Which installation of the cluster takes it: the one that was started with this `--controller-class`.
    #[serde(default = "default_class")]
    #[schemars(length(max = 32), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = ("self == oldSelf", "controllerClass is immutable"))]
    pub controller_class: String,
}

impl Default for ValidatorSpec {
    fn default() -> Self {
        Self {
            network: default_network(),
            max_error_millionths: default_max_error(),
            leases: Leases::default(),
            compiler: CompilerLimits::default(),
            source_urls: Vec::new(),
            consent: None,
            allowed_srs: Vec::new(),
            retention: Retention::default(),
            limits: Limits::default(),
            quotas: Quotas::default(),
            scoring: Scoring::default(),
            benchmarks: None,
            weights: None,
            stats: Stats::default(),
            controller_class: default_class(),
        }
    }
}

fn default_network() -> String {
    "default".to_owned()
}

const fn default_max_error() -> u32 {
    10_000
}

/// How long workers hold a slice: eight times what it takes the pool by its latest proofs, of what was predicted, within these bounds;
/// before a pool has eight proofs, eight times what was predicted.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[x_kube(validation = (
    "self.leastSeconds <= self.longestSeconds",
    "leastSeconds must not be more than longestSeconds"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Leases {
    /// The shortest lease.
    #[serde(default = "default_least")]
    #[schemars(range(min = 1, max = 600))]
    pub least_seconds: u32,
    /// The longest lease.
    #[serde(default = "default_longest")]
    #[schemars(range(min = 1, max = 3600))]
    pub longest_seconds: u32,
}

const fn default_least() -> u32 {
    20
}

const fn default_longest() -> u32 {
    600
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            least_seconds: default_least(),
            longest_seconds: default_longest(),
        }
    }
}

/// What a compiler gets. Other amounts try a Model again whose compiler failed.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompilerLimits {
    /// Processor time.
    #[serde(default = "default_cpu")]
    pub cpu: Cpu,
    /// Memory.
    #[serde(default = "default_memory")]
    pub memory: Memory,
    /// Scratch space: keys of large models are large.
    #[serde(default = "default_scratch")]
    pub scratch: Memory,
    /// The longest that a compilation may take, in seconds.
    #[serde(default = "default_seconds")]
    #[schemars(range(min = 10, max = 86_400))]
    pub seconds: u32,
}

#[allow(clippy::expect_used, reason = "a constant, tested")]
fn default_cpu() -> Cpu {
    "1".parse().expect("1 is an amount of processor time")
}

#[allow(clippy::expect_used, reason = "a constant, tested")]
fn default_memory() -> Memory {
    "4Gi".parse().expect("4Gi is an amount of memory")
}

#[allow(clippy::expect_used, reason = "a constant, tested")]
fn default_scratch() -> Memory {
    "8Gi".parse().expect("8Gi is an amount of memory")
}

const fn default_seconds() -> u32 {
    3600
}

impl Default for CompilerLimits {
    fn default() -> Self {
        Self {
            cpu: default_cpu(),
            memory: default_memory(),
            scratch: default_scratch(),
            seconds: default_seconds(),
        }
    }
}

/// How long the store keeps what it holds. Nothing goes that an object names or a request that is not over needs, and nothing that is
/// younger than two hours.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retention {
    /// Hours after which a blob goes that nothing names: uploads, inputs of slices, files of compilers.
    #[serde(default = "default_unnamed_hours")]
    #[schemars(range(min = 3, max = 87_600))]
    pub unnamed_hours: u32,
    /// What blobs may take together before those that nothing names go sooner, the oldest first. Absent: there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob_bytes: Option<Memory>,
    /// Days after its end in which a request still names its uploaded input. Absent: as long as the request is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub input_days: Option<u32>,
    /// Days after which a receipt goes. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub receipt_days: Option<u32>,
    /// What receipts may take together before the oldest go. Absent: there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_bytes: Option<Memory>,
    /// Days after which a segment of the ledger goes that a checkpoint stands for: who verifies begins with the checkpoint from then
    /// on. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub ledger_days: Option<u32>,
    /// What segments of the ledger may take together before the oldest go that a checkpoint stands for. Absent: there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_bytes: Option<Memory>,
    /// The room of the store, for the alert that foretells a full one. Absent: nobody is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_bytes: Option<Memory>,
}

const fn default_unnamed_hours() -> u32 {
    24
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            unnamed_hours: default_unnamed_hours(),
            blob_bytes: None,
            input_days: None,
            receipt_days: None,
            receipt_bytes: None,
            ledger_days: None,
            ledger_bytes: None,
            store_bytes: None,
        }
    }
}

/// What is in force, and what came of it.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ValidatorStatus {
    /// The generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The settings in force: the spec, or the last one that was valid. Absent where another Validator rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<ValidatorSpec>,
    /// The scoring rule in force. Absent where another Validator rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scoring: Option<RuleInForce>,
    /// Where the signed ledger ends. Absent where another Validator rules, and before the first claim has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerEnd>,
    /// What there is to count. Absent where another Validator rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totals: Option<ValidatorTotals>,
    /// The namespaces that take four fifths of a quota or more, the fullest first; at most 16, at the last look through the store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nearly_full: Vec<NamespaceUsage>,
    /// What came of benchmarks. Absent where none was ever made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub benchmarks: Option<BenchmarkTotals>,
    /// The weights that were made last. Absent where none are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightsStatus>,
    /// The conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The end of the signed ledger, a moment ago: what `prover-worker ledger verify` says of the same segments.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEnd {
    /// Who signs it, as a public key.
    pub validator: Identity,
    /// The last segment's number.
    pub sequence: u64,
    /// The last segment's digest.
    pub digest: Digest,
    /// Entries of all segments.
    pub entries: u64,
}

/// Counted over the objects that are there, without benchmarks.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ValidatorTotals {
    /// Requests that are not over.
    pub requests_unfinished: u64,
    /// Requests that have succeeded.
    pub requests_succeeded: u64,
    /// Requests that are over in another way.
    pub requests_failed: u64,
    /// Proofs of slices that were verified, of the miners of all pools.
    pub slices_verified: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_spec_is_the_default_one() {
        let spec: ValidatorSpec = serde_json::from_str("{}").unwrap();
        assert_eq!(spec, ValidatorSpec::default());
        assert_eq!(
            (spec.network.as_str(), spec.max_error_millionths),
            ("default", 10_000)
        );
        assert_eq!(
            (spec.leases.least_seconds, spec.leases.longest_seconds),
            (20, 600)
        );
        let limits = &spec.compiler;
        assert_eq!(
            (
                limits.cpu.as_str(),
                limits.memory.as_str(),
                limits.scratch.as_str(),
                limits.seconds
            ),
            ("1", "4Gi", "8Gi", 3600)
        );
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for bad in [
            r#"{"networks":"a"}"#,
            r#"{"leases":{"least":3}}"#,
            r#"{"compiler":{"gpu":"1"}}"#,
            r#"{"stats":{"public":"yes"}}"#,
            r#"{"stats":{"private":false}}"#,
        ] {
            assert!(serde_json::from_str::<ValidatorSpec>(bad).is_err(), "{bad}");
        }
    }
}
