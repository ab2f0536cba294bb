//! One object as its page shows it: with its status, and without the values of its input.

use kube::Resource;
use kube::api::ObjectMeta;
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, Model};

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
        "model": of.spec.model_ref.name,
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
        "status": of.status,
    })
}
