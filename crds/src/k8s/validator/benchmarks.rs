//! Which Models are proved when nobody asks, and how much of that is done.
//!
//! Invariant: what is left out makes no benchmark; every bound holds over all Models together.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Requests that the operator makes by itself, so that miners have scores when nobody asks. They are proved by workers that have
/// nothing else to do.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Benchmarks {
    /// The Models, each once.
    #[schemars(length(min = 1, max = 64))]
    pub models: Vec<BenchmarkModel>,
    /// Predicted milliseconds of work that are asked for in a minute, in the mean; two benchmarks are five seconds apart at least.
    #[serde(default = "default_work")]
    #[schemars(range(min = 1, max = 60_000_000))]
    pub work_millis_per_minute: u32,
    /// Benchmarks that are not over, at once.
    #[serde(default = "default_in_flight")]
    #[schemars(range(min = 1, max = 100))]
    pub max_in_flight: u32,
    /// No further benchmark is made while more slices of other requests than this wait, of requests that most of the pools which have
    /// workers up could serve.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub pause_above: u32,
    /// So many benchmarks stay after their end, with their receipts; of more the oldest go. The ledger keeps their entries.
    #[serde(default = "default_keep")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep: u32,
}

/// A Model that is proved when nobody asks.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BenchmarkModel {
    /// The Model's namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// How often it is chosen, beside the others.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
}

const fn default_work() -> u32 {
    3000
}

const fn default_in_flight() -> u32 {
    1
}

const fn default_keep() -> u32 {
    20
}

const fn default_weight() -> u32 {
    1
}

/// What came of benchmarks. They are counted nowhere else.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct BenchmarkTotals {
    /// Benchmarks that were made since the Validator was. The next one has the next number.
    pub made: u64,
    /// The one that was made last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_models_is_all_that_benchmarks_need() {
        let json = r#"{"models":[{"namespace":"a","name":"wine"}]}"#;
        let read: Benchmarks = serde_json::from_str(json).unwrap();
        assert_eq!(read.models[0].weight, 1);
        assert_eq!(
            (
                read.work_millis_per_minute,
                read.max_in_flight,
                read.pause_above,
                read.keep
            ),
            (3000, 1, 0, 20)
        );
        for bad in [
            "{}",
            r#"{"models":[{"name":"wine"}]}"#,
            r#"{"models":[],"rate":3}"#,
        ] {
            assert!(serde_json::from_str::<Benchmarks>(bad).is_err(), "{bad}");
        }
    }
}
