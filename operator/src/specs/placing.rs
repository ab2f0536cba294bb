//! Where a pool's pods may run: what its spec says, in Kubernetes' types.
//!
//! Invariant: what is spread are the pool's own workers, whatever request they are for; no pool says what else is counted.

use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec,
    PreferredSchedulingTerm, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use zkinfer_crds::k8s::pool_pod::{
    NodeOperator, PodSettings, PoolNodeAffinity, PoolNodeExpression, PoolNodeTerm, PoolSpread,
    PoolToleration, TaintEffect, TolerationOperator, WhenUnsatisfiable,
};

use super::labels;

/// Says of a pod where it may run.
pub(super) fn place(pod: &mut PodSpec, pool: &str, own: &PodSettings) {
    pod.node_selector = (!own.node_selector.is_empty()).then(|| own.node_selector.clone());
    pod.tolerations = some(own.tolerations.iter().map(toleration));
    let by_nodes = own.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    pod.affinity = by_nodes.map(|nodes| Affinity {
        node_affinity: Some(node_affinity(nodes)),
        ..Affinity::default()
    });
    let spread = own.topology_spread_constraints.iter();
    pod.topology_spread_constraints = some(spread.map(|spread| constraint(pool, spread)));
}

/// A list that is left out where it is empty, as the API server writes it.
fn some<T>(all: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let all: Vec<T> = all.collect();
    (!all.is_empty()).then_some(all)
}

fn constraint(pool: &str, spread: &PoolSpread) -> TopologySpreadConstraint {
    let workers = [(labels::COMPONENT, labels::WORKER), (labels::POOL, pool)];
    let workers = workers.map(|(k, v)| (k.to_owned(), v.to_owned()));
    TopologySpreadConstraint {
        topology_key: spread.topology_key.clone(),
        // At most 256, by the definition.
        max_skew: i32::try_from(spread.max_skew).unwrap_or(i32::MAX),
        when_unsatisfiable: match spread.when_unsatisfiable {
            WhenUnsatisfiable::ScheduleAnyway => "ScheduleAnyway",
            WhenUnsatisfiable::DoNotSchedule => "DoNotSchedule",
        }
        .to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(workers.into()),
            match_expressions: None,
        }),
        ..TopologySpreadConstraint::default()
    }
}

fn node_affinity(own: &PoolNodeAffinity) -> NodeAffinity {
    let required = own.required_during_scheduling_ignored_during_execution.as_ref();
    let preferred = own.preferred_during_scheduling_ignored_during_execution.iter();
    NodeAffinity {
        required_during_scheduling_ignored_during_execution: required.map(|required| NodeSelector {
            node_selector_terms: required.node_selector_terms.iter().map(term).collect(),
        }),
        preferred_during_scheduling_ignored_during_execution: some(preferred.map(|preferred| {
            PreferredSchedulingTerm {
                // At most 100, by the definition.
                weight: i32::try_from(preferred.weight).unwrap_or(i32::MAX),
                preference: term(&preferred.preference),
            }
        })),
    }
}

fn term(own: &PoolNodeTerm) -> NodeSelectorTerm {
    NodeSelectorTerm {
        match_expressions: some(own.match_expressions.iter().map(requirement)),
        match_fields: None,
    }
}

fn requirement(own: &PoolNodeExpression) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: own.key.clone(),
        operator: match own.operator {
            NodeOperator::In => "In",
            NodeOperator::NotIn => "NotIn",
            NodeOperator::Exists => "Exists",
            NodeOperator::DoesNotExist => "DoesNotExist",
            NodeOperator::Gt => "Gt",
            NodeOperator::Lt => "Lt",
        }
        .to_owned(),
        values: some(own.values.iter().cloned()),
    }
}

fn toleration(t: &PoolToleration) -> Toleration {
    Toleration {
        key: t.key.clone(),
        operator: Some(
            match t.operator {
                TolerationOperator::Equal => "Equal",
                TolerationOperator::Exists => "Exists",
            }
            .to_owned(),
        ),
        value: t.value.clone(),
        effect: t.effect.map(|effect| {
            match effect {
                TaintEffect::NoSchedule => "NoSchedule",
                TaintEffect::PreferNoSchedule => "PreferNoSchedule",
                TaintEffect::NoExecute => "NoExecute",
            }
            .to_owned()
        }),
        toleration_seconds: t.toleration_seconds,
    }
}
