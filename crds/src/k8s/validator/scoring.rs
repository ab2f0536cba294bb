//! By which rule miners are scored: its name, its constants, and who of them is one owner.
//!
//! Invariant: whatever is left out is what the rule says of itself; what is in force, all of it said, has a digest in the status and
//! stands in the ledger from when it came into force.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::{Digest, closed_word};

closed_word! {
    /// The rules there are: see the page on scoring.
    #[derive(Default)]
    ScoringRule {
        /// Verified work, by its speed and its size beside the network's best tenth.
        #[default]
        SpeedSizeAccuracy = "SpeedSizeAccuracy",
        /// A reference price for each proof of a slice, to a power, with a cap for each owner.
        DeliveredWork = "DeliveredWork",
        /// A moving mean of how each proof's time stands between the network's least and greatest.
        ResponseCurve = "ResponseCurve",
    }
}

/// By which rule miners are scored. A constant that is left out is the rule's own.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scoring {
    /// The rule.
    #[serde(default)]
    pub rule: ScoringRule,
    /// Hours after which a claim is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2160))]
    pub window_hours: Option<u32>,
    /// Minutes in which what was earned, and what is owed, halves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 525_600))]
    pub half_life_minutes: Option<u32>,
    /// The least predicted microseconds of a slice that count; those of less than 5 ms never do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5000, max = 1_000_000_000))]
    pub least_work_micros: Option<u32>,
    /// Verified proofs that a miner needs in the window to score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub cold_start: Option<u32>,
    /// Hours without a score after something that is no proof of what was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2160))]
    pub skip_hours: Option<u32>,
    /// What a fault owes, in millionths of what a proof of the slice would have earned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000_000))]
    pub fault_millionths: Option<u32>,
    /// The power to which what a miner has earned is raised, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 500_000, max = 2_000_000))]
    pub power_millionths: Option<u32>,
    /// The most that one owner may have of all, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub owner_cap_millionths: Option<u32>,
    /// How much of a proof's worth goes by its time, in millionths; the rest goes by its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub speed_millionths: Option<u32>,
    /// Namespaces whose pools have one owner. Any other namespace is an owner by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub owners: Vec<OwnerGroup>,
}

/// Namespaces that have one owner.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnerGroup {
    /// What the owner is called.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The owner's namespaces.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
}

/// The rule in force.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RuleInForce {
    /// Its name.
    pub rule: String,
    /// The version of what it computes.
    pub version: u32,
    /// Of name, version and all constants: `ledger replay` prints the same.
    pub digest: Digest,
}
