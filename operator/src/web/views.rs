//! One object as its page shows it: with its status, and of a request without the values of its input.

use kube::Resource;
use kube::api::ObjectMeta;
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, Validator};
use zkml::graph::TensorInfo;
use zkml::manifest::Manifest;
use zkml::systems::SYSTEMS;

use super::refused::Refused;

fn metadata(of: &ObjectMeta) -> Value {
    json!({
        "namespace": of.namespace, "name": of.name, "uid": of.uid, "generation": of.generation,
        "created": of.creation_timestamp, "deleting": of.deletion_timestamp.is_some(),
        "version": of.resource_version,
    })
}

/// A request. Its input is told by where it is, and by names and shapes.
pub(super) fn request(of: &InferenceRequest) -> Value {
    let input = &of.spec.input;
    let inline = input.inline.iter().flatten();
    let inline: Vec<Value> = inline
        .map(|(name, tensor)| json!({ "name": name, "shape": tensor.shape }))
        .collect();
    json!({
        "metadata": metadata(of.meta()),
        "type": of.spec.type_,
        "model": of.spec.model_ref.name,
        "modelNamespace": of.model_namespace(),
        "priority": of.spec.priority,
        "deadline": of.spec.deadline,
        "suspended": of.spec.suspend,
        "input": { "inline": inline, "artifact": input.artifact, "configMap": input.config_map },
        "status": of.status,
    })
}

/// A Model.
pub(super) fn model(of: &Model) -> Value {
    json!({
        "metadata": metadata(of.meta()),
        "proofSystem": of.spec.proof_system,
        "parallelism": of.spec.slicing.parallelism,
        "errorBudgetMillionths": of.spec.quantization.error_budget_millionths,
        "classes": of.spec.classes.len(),
        "slo": of.spec.slo,
        "spec": of.spec,
        "status": of.status,
    })
}

/// A pool.
pub(super) fn pool(of: &MinerPool) -> Value {
    json!({ "metadata": metadata(of.meta()), "status": of.status })
}

/// A Validator: what is in force by it, and what it counts.
pub(super) fn validator(of: &Validator) -> Value {
    json!({ "metadata": metadata(of.meta()), "status": of.status })
}

/// A pool, for everybody: what is counted of it. What conditions say may name whatever runs where.
pub(super) fn public_pool(of: &MinerPool) -> Value {
    let status = of.status.as_ref().map(|status| {
        json!({
            "identity": status.identity, "scoreMillionths": status.score_millionths,
            "workDelivered": status.work_delivered, "successMillionths": status.success_millionths,
            "claims": status.claims, "failures": status.failures,
            "p50Millis": status.p50_millis, "p95Millis": status.p95_millis,
        })
    });
    json!({ "metadata": metadata(of.meta()), "status": status })
}

/// A Validator, for everybody: the network, what is accepted, and what it counts.
pub(super) fn public_validator(of: &Validator) -> Value {
    let status = of.status.as_ref().map(|status| {
        let settings = status.settings.as_ref();
        let settings = settings.map(|settings| {
            json!({ "network": settings.network, "maxErrorMillionths": settings.max_error_millionths })
        });
        json!({ "settings": settings, "totals": status.totals })
    });
    json!({ "metadata": metadata(of.meta()), "status": status })
}

/// The tensors that a Model takes and gives: what its integers hold of them, from its manifest.
pub(super) fn tensors(manifest: &[u8]) -> Result<Value, Refused> {
    let manifest = Manifest::from_bytes(manifest, SYSTEMS).map_err(|e| Refused::too_large(e.to_string()))?;
    let told = |info: &TensorInfo| {
        // Whatever a float holds has a rank.
        let values = if info.ranks.is_some() {
            (f32::MIN.into(), f32::MAX.into())
        } else if info.range.signed {
            let half = (2f64).powi(i32::from(info.range.bits) - 1);
            (-half, half - 1.0)
        } else {
            (0.0, (2f64).powi(i32::from(info.range.bits)) - 1.0)
        };
        json!({
            "name": info.name, "shape": info.shape, "whole": info.whole,
            "least": values.0 * info.step(), "greatest": values.1 * info.step(),
        })
    };
    let all = |ids: &[zkml::graph::TensorId]| -> Vec<Value> {
        let infos = ids.iter().filter_map(|id| manifest.tensor(*id));
        infos.map(told).collect()
    };
    Ok(json!({ "inputs": all(&manifest.inputs), "outputs": all(&manifest.outputs) }))
}
