//! Prints what became of the objects: for people, or whole as `kubectl get` would.

use std::path::Path;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;
use zkinfer_crds::k8s::{InferenceRequest, Model, RequestPhase, find_condition, model::condition};

use super::objects::{Key, Objects};
use crate::answer;
use crate::runs::quoted;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The answer of each request, in a few lines.
    Text,
    /// The objects with their status: one YAML document each. Of `submit` on a cluster, the request.
    Yaml,
    /// The objects with their status: one JSON object, a Kubernetes List. Of `submit` on a cluster, the request.
    Json,
}

/// The program that the commands in an answer name; the status says `prover-worker`, wherever that is.
const VERIFIER: &str = "prover-worker ";

/// The requests stand last: they are what a person asked for. As text, only the requests that succeeded and, where
/// there is no request, the models that are ready.
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

/// What has not become what it should, and why: a line for each Model that is not ready and that no request asks, and one for
/// each request that has no answer.
#[must_use]
pub fn failures(objects: &Objects) -> Vec<String> {
    let asked = |key: &Key| {
        let of = |(at, request): (&Key, &InferenceRequest)| {
            at.namespace == key.namespace && request.spec.model_ref.name == key.name
        };
        objects.requests.iter().any(of)
    };
    let unready = |(key, model): (&Key, &Model)| {
        let why = match ready(model) {
            Some(c) if c.status == "True" => return None,
            Some(c) => format!("{}: {}", c.reason, c.message),
            None => "nothing is known of it".to_owned(),
        };
        (!asked(key)).then(|| format!("{key}: {why}"))
    };
    let without = objects.requests.iter().filter(|(_, r)| !succeeded(r));
    let without = without.map(|(key, request)| answer::failure(&key.to_string(), request));
    objects.models.iter().filter_map(unready).chain(without).collect()
}

fn ready(model: &Model) -> Option<&Condition> {
    let status = model.status.as_ref()?;
    find_condition(&status.conditions, condition::READY)
}

fn succeeded(request: &InferenceRequest) -> bool {
    let status = request.status.as_ref();
    status.is_some_and(|s| s.phase == RequestPhase::Succeeded)
}

fn text_of_models(objects: &Objects) -> String {
    let line = |(key, model): (&Key, &Model)| {
        let ready = ready(model).filter(|c| c.status == "True")?;
        Some(format!("{key}  {}: {}\n", ready.reason, ready.message))
    };
    objects.models.iter().filter_map(line).collect()
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
