//! `MinerPool`: the workers of one miner, and what they have earned.
//!
//! Invariant: a pool is a trust boundary. Its spec chooses an image and small settings from a fixed list, never a
//! pod template, so no pool gets a pod that the operator did not shape.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class::default_class;
use super::common::{Cpu, Memory};
use super::pool_pod::PodSettings;
use super::rights::{Rights, Writers};
use super::string_consts;
use crate::words::Identity;

string_consts! {
    /// The types of a MinerPool's conditions.
    pub mod condition {
        /// The pool may be given slices, and its pods run as far as anybody knows. Present from the first write.
        READY = "Ready";
        /// The pool works worse than it should.
        DEGRADED = "Degraded";
        /// The pool gets no new slices because `spec.drain` is set.
        DRAINING = "Draining";
        /// The pool gets only what no other pool can prove, for what its claims have come to. Present once it was.
        PAUSED = "Paused";
        /// Only a person can make it ready: tools that wait (kstatus) take it as failed. Absent otherwise.
        STALLED = "Stalled";
        /// The stated hotkey and the identity have both signed that they are one miner's. Present where a hotkey is stated, or
        /// where the Validator publishes weights.
        HOTKEY_BOUND = "HotkeyBound";
        /// The hotkey had a uid when weights were made last, so that the miner's weight goes to it. Present as the one before is,
        /// once weights have been made.
        HOTKEY_REGISTERED = "HotkeyRegistered";
    }
}

string_consts! {
    /// The reasons of a MinerPool's conditions.
    pub mod reason {
        /// The pool may be given slices.
        SERVING = "Serving";
        /// `spec.possession` is not there yet, or is not the identity's signature over this pool.
        IDENTITY_NOT_PROVEN = "IdentityNotProven";
        /// An older pool has proven that this identity is its own.
        IDENTITY_TAKEN = "IdentityTaken";
        /// The recent proofs were wrong too often.
        INVALID_PROOFS = "InvalidProofs";
        /// The recent claims ended without a proof too often.
        LOST_CLAIMS = "LostClaims";
        /// The latest claims ended by the miner's fault.
        TOO_MANY_FAULTS = "TooManyFaults";
        /// More slices were handed back without blame than the pool's ration.
        TOO_MANY_HAND_BACKS = "TooManyHandBacks";
        /// Nothing is wrong.
        AS_EXPECTED = "AsExpected";
        /// `spec.drain` is set: no new slices; open claims may end.
        DRAINING = "Draining";
        /// Both keys have signed.
        HOTKEY_BOUND = "HotkeyBound";
        /// `spec.hotkey` is not there: the miner has no weight.
        NO_HOTKEY = "NoHotkey";
        /// `spec.hotkeyBinding` is not there yet: the miner has no weight.
        BINDING_MISSING = "BindingMissing";
        /// `spec.hotkey` is no address, or a signature is not one over this pool: the miner has no weight.
        BINDING_WRONG = "BindingWrong";
        /// Pools of one identity have different hotkeys: the miner has no weight.
        TWO_HOTKEYS = "TwoHotkeys";
        /// The hotkey has a uid.
        REGISTERED = "Registered";
        /// The hotkey has no uid: the miner has no weight.
        NOT_REGISTERED = "NotRegistered";
        /// The Validator has revoked the hotkey or the identity: the miner has no weight.
        REVOKED = "Revoked";
    }
}

/// Who may do what with it.
pub const RIGHTS: Rights = Rights {
    operator: &[],
    writers: Writers::Administrators(
        "A MinerPool starts pods of an image that its author chooses: that is for administrators.",
    ),
};

/// The workers of one miner.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "zkinfer.dev",
    version = "v1alpha1",
    kind = "MinerPool",
    namespaced,
    cel,
    status = "MinerPoolStatus",
    derive = "PartialEq",
    shortname = "mpool",
    category = "zkinfer",
    doc = "The workers of one miner, who proves slices.",
    validation = ("self.metadata.name.size() <= 63", "metadata.name must have at most 63 characters"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(
        name = "MaxWorkers",
        type_ = "integer",
        json_path = ".spec.parallelism",
        description = "workers at once"
    ),
    printcolumn(name = "Verified", type_ = "integer", json_path = ".status.claims.verified"),
    printcolumn(name = "Invalid", type_ = "integer", json_path = ".status.claims.invalid"),
    printcolumn(name = "P50ms", type_ = "integer", json_path = ".status.p50Millis"),
    printcolumn(
        name = "Score",
        type_ = "integer",
        json_path = ".status.scoreMillionths",
        description = "in millionths"
    ),
    printcolumn(name = "Warm", type_ = "integer", json_path = ".spec.warm", priority = 1),
    printcolumn(name = "Identity", type_ = "string", json_path = ".status.identity", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = (
        "self.allowUnpinnedImage || self.image.matches('@sha256:[0-9a-f]{64}$')",
        "image must be pinned by digest (name@sha256:...), unless allowUnpinnedImage is set"
    ),
    validation = ("self.warm <= self.parallelism", "warm must not be more than parallelism"),
    validation = ("!has(self.possession) || has(self.identity)", "possession needs an identity"),
    validation = ("!has(self.hotkey) || has(self.identity)", "hotkey needs an identity, whose key signs the binding"),
    validation = ("!has(self.hotkeyBinding) || has(self.hotkey)", "hotkeyBinding needs a hotkey")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MinerPoolSpec {
    /// The miner's public key. The pool gets no slices until `possession` proves that it is the miner's. Absent: one is
    /// derived from the pool's uid, for which nobody has a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The key's signature over namespace, name and uid of this pool (`operator identity prove`), so it can be made only
    /// once the pool exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{128}$"))]
    pub possession: Option<String>,
    /// The miner's hotkey, as its SS58 address: weights go to its uid, once `hotkeyBinding` proves that both keys are one miner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[1-9A-HJ-NP-Za-km-z]{47,50}$"))]
    pub hotkey: Option<String>,
    /// Signatures of hotkey and identity over network, namespace, name and uid of this pool (`prover-worker weights bind`), so
    /// they can be made only once the pool exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotkey_binding: Option<HotkeyBinding>,
    /// Keys that the miner had before, each of which hands its score over to the next (`prover-worker weights rotate`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub key_rotations: Vec<KeyRotation>,
    /// The worker's image, pinned by digest.
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")
    )]
    pub image: String,
    /// Take an image without a digest: for development only.
    #[serde(default)]
    pub allow_unpinned_image: bool,
    /// The most workers at once.
    #[serde(default = "default_parallelism")]
    #[schemars(range(min = 1, max = 256))]
    pub parallelism: u32,
    /// What each worker gets.
    #[serde(default)]
    pub resources: WorkerResources,
    /// Settings of the workers' pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSettings>,
    /// The Kueue queue that admits the Jobs. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub queue_name: Option<String>,
    /// How many workers are kept running while there is nothing to do.
    #[serde(default)]
    #[schemars(range(min = 0, max = 256))]
    pub warm: u32,
    /// Namespaces whose requests the pool serves; `*` is every one. Empty: its own only. This is the miner's half: the
    /// Model's side says whether the pool may (`spec.servedBy` of a Model).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub allowed_namespaces: Vec<String>,
    /// Give the pool no new slices; open claims may end.
    #[serde(default)]
    pub drain: bool,
    /// Which installation of the cluster takes it: the one that was started with this `--controller-class`.
    #[serde(default = "default_class")]
    #[schemars(length(max = 32), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = ("self == oldSelf", "controllerClass is immutable"))]
    pub controller_class: String,
}

const fn default_parallelism() -> u32 {
    1
}

impl MinerPoolSpec {
    /// Whether the pool, which is in the namespace `own`, serves requests of `namespace`.
    #[must_use]
    pub fn serves(&self, own: &str, namespace: &str) -> bool {
        if self.allowed_namespaces.is_empty() {
            return own == namespace;
        }
        self.allowed_namespaces
            .iter()
            .any(|allowed| allowed == "*" || allowed == namespace)
    }
}

/// That a hotkey and an identity are one miner's.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HotkeyBinding {
    /// The hotkey's signature (sr25519).
    #[schemars(regex(pattern = "^[0-9a-f]{128}$"))]
    pub hotkey_signature: String,
    /// The identity's (ed25519).
    #[schemars(regex(pattern = "^[0-9a-f]{128}$"))]
    pub identity_signature: String,
}

/// That a key goes on with the score of another; both have signed it.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRotation {
    /// The old key.
    pub from: Identity,
    /// The new one.
    pub to: Identity,
    /// The old key's signature.
    #[schemars(regex(pattern = "^[0-9a-f]{128}$"))]
    pub from_signature: String,
    /// The new one's.
    #[schemars(regex(pattern = "^[0-9a-f]{128}$"))]
    pub to_signature: String,
}

/// What each worker gets; request and limit at once.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkerResources {
    /// Processor time.
    #[serde(default = "default_cpu")]
    pub cpu: Cpu,
    /// Memory.
    #[serde(default = "default_memory")]
    pub memory: Memory,
}

#[allow(clippy::expect_used, reason = "a constant, tested")]
fn default_cpu() -> Cpu {
    "1".parse().expect("1 is an amount of processor time")
}

#[allow(clippy::expect_used, reason = "a constant, tested")]
fn default_memory() -> Memory {
    "512Mi".parse().expect("512Mi is an amount of memory")
}

impl Default for WorkerResources {
    fn default() -> Self {
        Self {
            cpu: default_cpu(),
            memory: default_memory(),
        }
    }
}

/// What the pool has earned, folded from the ledger.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct MinerPoolStatus {
    /// The generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The identity in use: the spec's once it is proven, else the derived one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The miner's score, in millionths. It goes with the identity, whatever the pool is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_millionths: Option<u32>,
    /// Predicted milliseconds of all slices that were proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_delivered: Option<u64>,
    /// The share of claims that ended verified, in millionths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_millionths: Option<u32>,
    /// Ended claims by verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimCounts>,
    /// Failures by cause.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
    /// Half of the recent slices took at most this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_millis: Option<u64>,
    /// 95% of the recent slices took at most this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_millis: Option<u64>,
    /// The conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Ended claims by verdict.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimCounts {
    /// Proof verified.
    pub verified: u64,
    /// Proof wrong.
    pub invalid: u64,
    /// Proof after the lease ended.
    pub late: u64,
    /// No proof.
    pub lost: u64,
}
