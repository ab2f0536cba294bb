//! What users of a Model may expect of its answers.
//!
//! Invariant: an objective changes nothing but a condition, a metric and an alert.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Objectives of a Model's requests, judged over those that ended in the latest hours, without benchmarks: at least one of the two. The
/// condition `SloMet` says whether they are met, from twenty requests on.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[x_kube(validation = (
    "has(self.p95Seconds) || has(self.successMillionths)",
    "one of p95Seconds and successMillionths must be set"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slo {
    /// Of a hundred requests ninety-five have their receipt within so many seconds of their creation. One that is not over counts as
    /// soon as it has taken longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub p95_seconds: Option<u32>,
    /// So many of a million requests succeed, of those whose end is not their client's doing: inputs that are refused, and requests
    /// that were cancelled or erased, do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub success_millionths: Option<u32>,
    /// The hours that are looked back on.
    #[serde(default = "default_window")]
    #[schemars(range(min = 1, max = 168))]
    pub window_hours: u32,
}

const fn default_window() -> u32 {
    24
}
