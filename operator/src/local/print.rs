//! Prints the objects with their status, as `kubectl get -o yaml` would.

use serde_json::{Value, json};

use super::objects::Objects;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One YAML document per object.
    Yaml,
    /// A JSON list.
    Json,
}

/// Models, pools, then requests: what a person asked for stands last.
#[must_use]
pub fn render(objects: &Objects, format: Format) -> String {
    let models = objects.models.values().map(serde_json::to_value);
    let pools = objects.pools.values().map(serde_json::to_value);
    let requests = objects.requests.values().map(serde_json::to_value);
    let items: Vec<Value> = models
        .chain(pools)
        .chain(requests)
        .filter_map(Result::ok)
        .collect();
    match format {
        Format::Json => format!(
            "{:#}\n",
            json!({ "apiVersion": "v1", "kind": "List", "items": items })
        ),
        Format::Yaml => {
            let documents: Vec<String> = items
                .iter()
                .filter_map(|i| serde_yaml::to_string(i).ok())
                .collect();
            documents.join("---\n")
        }
    }
}
