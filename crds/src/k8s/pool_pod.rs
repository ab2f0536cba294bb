//! Settings of a pool's pods: which of Kubernetes' a miner chooses.
//!
//! Invariant: a closed list, under Kubernetes' own words. None of it gives a pod more than the operator shaped: where it runs, by
//! which class, how its image is fetched; never what it runs, mounts or may do.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the workers' pods.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSettings {
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<PoolToleration>,
    /// Which nodes they may go to, and which they had better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<PoolAffinity>,
    /// How the pool's workers are spread, of all its Jobs together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 4),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["topologyKey", "whenUnsatisfiable"])
    )]
    pub topology_spread_constraints: Vec<PoolSpread>,
    /// The runtime class, such as gVisor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
    /// The priority class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Names of Secrets in the pool's namespace with which the image is fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)))]
    pub image_pull_secrets: Vec<String>,
}

/// A taint that the pods stand.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[x_kube(validation = (
    "self.operator == 'Equal' ? has(self.key) : !has(self.value)",
    "operator Equal needs a key, operator Exists takes no value"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolToleration {
    /// The taint's key. Absent, with `Exists`: every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub key: Option<String>,
    /// How the taint is compared.
    #[serde(default)]
    pub operator: TolerationOperator,
    /// The taint's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// The taint's effect. Absent: every effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// How long an evicting taint is stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a taint is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Key and value are equal.
    #[default]
    Equal,
    /// The key is there.
    Exists,
}

/// What a taint does to pods that do not stand it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// None is scheduled.
    NoSchedule,
    /// None is scheduled if there is another node.
    PreferNoSchedule,
    /// They are evicted.
    NoExecute,
}

/// How workers are spread over the values of a node's label. Which pods are counted is not stated: the pool's workers.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolSpread {
    /// The label, such as `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = 317))]
    pub topology_key: String,
    /// How many more workers one value may have than another.
    #[serde(default = "default_skew")]
    #[schemars(range(min = 1, max = 256))]
    pub max_skew: u32,
    /// What becomes of a worker that would break it.
    #[serde(default)]
    pub when_unsatisfiable: WhenUnsatisfiable,
}

const fn default_skew() -> u32 {
    1
}

/// What becomes of a worker for which there is no place that keeps the spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum WhenUnsatisfiable {
    /// It runs where it breaks it least.
    #[default]
    ScheduleAnyway,
    /// It waits.
    DoNotSchedule,
}

/// Which nodes workers go to, in Kubernetes' words.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolAffinity {
    /// By the labels of nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<PoolNodeAffinity>,
}

/// Which nodes workers go to, by the nodes' labels.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolNodeAffinity {
    /// Nodes that fit one of these terms, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_during_scheduling_ignored_during_execution: Option<PoolNodeSelector>,
    /// Nodes that fit these terms rather than others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub preferred_during_scheduling_ignored_during_execution: Vec<PoolPreference>,
}

/// Terms of which one has to fit.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolNodeSelector {
    /// The terms.
    #[schemars(length(min = 1, max = 8))]
    pub node_selector_terms: Vec<PoolNodeTerm>,
}

/// A term with its weight beside others.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolPreference {
    /// The weight.
    #[schemars(range(min = 1, max = 100))]
    pub weight: u32,
    /// The term.
    pub preference: PoolNodeTerm,
}

/// Expressions that have to hold, all of them.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolNodeTerm {
    /// The expressions. A term without any fits no node, so there is at least one.
    #[schemars(length(min = 1, max = 8))]
    pub match_expressions: Vec<PoolNodeExpression>,
}

/// What is said of a label of a node.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[x_kube(validation = (
    "self.operator == 'In' || self.operator == 'NotIn' ? has(self.values) && self.values.size() > 0 : \
     (self.operator == 'Gt' || self.operator == 'Lt' ? has(self.values) && self.values.size() == 1 : !has(self.values))",
    "operators In and NotIn need values, Exists and DoesNotExist take none, Gt and Lt take one"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolNodeExpression {
    /// The label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How it is compared.
    pub operator: NodeOperator,
    /// What it is compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a node's label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NodeOperator {
    /// It is one of the values.
    In,
    /// It is none of them, or not there.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
    /// It is a number greater than the value.
    Gt,
    /// It is a number less than the value.
    Lt,
}
