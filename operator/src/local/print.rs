//! Prints what became of the objects: for people, or whole as `kubectl get` would.

use std::path::Path;

use serde_json::json;
use zkinfer_crds::k8s::{InferenceRequest, RequestPhase, find_condition, model::condition};

use super::objects::{Key, Objects};
use crate::answer;
use crate::runs::quoted;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The answer of each request, in a few lines.
    Text,
    /// The objects with their status: one YAML document each.
    Yaml,
    /// The objects with their status: one JSON object, a Kubernetes List.
    Json,
}

/// The program that the commands in an answer name; the status says `prover-worker`, wherever that is.
const VERIFIER: &str = "prover-worker ";

/// The requests stand last: they are what a person asked for. As text, only the requests that succeeded and, where
/// there is no request, the models.
#[must_use]
pub fn render(objects: &Objects, format: Format, worker: &Path) -> String {
    match format {
        Format::Text if objects.requests.is_empty() => text_of_models(objects),
        Format::Text => text_of_requests(objects, worker),
        Format::Json => format!(
            "{:#}\n",
            json!({ "apiVersion": "v1", "kind": "List", "items": objects.values() })
        ),
        Format::Yaml => {
            let documents: Vec<String> = objects
                .values()
                .iter()
                .filter_map(|i| serde_yaml::to_string(i).ok())
                .collect();
            documents.join("---\n")
        }
    }
}

/// Why there is no answer, a line for each request that has none.
#[must_use]
pub fn failures(objects: &Objects) -> Vec<String> {
    let without = objects.requests.iter().filter(|(_, r)| !succeeded(r));
    without
        .map(|(key, request)| answer::failure(&key.to_string(), request))
        .collect()
}

fn succeeded(request: &InferenceRequest) -> bool {
    let status = request.status.as_ref();
    status.is_some_and(|s| s.phase == RequestPhase::Succeeded)
}

fn text_of_models(objects: &Objects) -> String {
    let line = |(key, model): (&Key, &zkinfer_crds::k8s::Model)| {
        let status = model.status.clone().unwrap_or_default();
        let ready = find_condition(&status.conditions, condition::READY);
        let ready = ready.map_or_else(
            || "nothing is known of it".to_owned(),
            |c| format!("Ready={}: {}: {}", c.status, c.reason, c.message),
        );
        format!("{key}  {ready}\n")
    };
    objects.models.iter().map(line).collect()
}

fn text_of_requests(objects: &Objects, worker: &Path) -> String {
    let program = quoted(&worker.display().to_string());
    let text = |(key, request): (&Key, &InferenceRequest)| {
        let verify = request.status.as_ref().and_then(|s| s.verify.as_deref());
        let verify = verify.unwrap_or_default();
        let verify = match verify.strip_prefix(VERIFIER) {
            Some(arguments) => format!("{program} {arguments}"),
            None => verify.to_owned(),
        };
        let model = objects.models.get(&Key {
            namespace: key.namespace.clone(),
            name: request.spec.model_ref.name.clone(),
        });
        answer::answer(&key.to_string(), request, model, None, &verify)
    };
    let all = objects.requests.iter().filter(|(_, r)| succeeded(r));
    all.map(text).collect::<Vec<_>>().join("\n")
}
