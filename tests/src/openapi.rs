//! Whether objects are what an API server knows: its own OpenAPI document, with the definitions that are installed, is the schema.
//!
//! Invariant: what a schema does not name is an error, as `kubectl --validate=strict` has it; a kind of which the server knows nothing
//! is told apart from one that fits.

use std::collections::BTreeMap;

use kube::Client;
use serde_json::Value;

/// The schemas of every kind that a server has.
pub struct Schemas {
    documents: Vec<Value>,
    /// By `apiVersion` and `kind`: which document, and the schema's name in it.
    kinds: BTreeMap<(String, String), (usize, String)>,
}

async fn get(client: &Client, path: &str) -> Result<Value, kube::Error> {
    let request = http::Request::get(path).body(Vec::new());
    client.request(request.map_err(kube::Error::HttpError)?).await
}

impl Schemas {
    /// Asks a server for them.
    ///
    /// # Errors
    /// The server.
    pub async fn of(client: &Client) -> Result<Self, kube::Error> {
        let mut all = Self {
            documents: Vec::new(),
            kinds: BTreeMap::new(),
        };
        let index = get(client, "/openapi/v3").await?;
        for place in index["paths"]
            .as_object()
            .into_iter()
            .flat_map(|paths| paths.values())
        {
            if let Some(path) = place["serverRelativeURL"].as_str() {
                all.add(get(client, path).await?);
            }
        }
        Ok(all)
    }

    fn add(&mut self, document: Value) {
        let at = self.documents.len();
        let schemas = document["components"]["schemas"].as_object();
        for (name, schema) in schemas.into_iter().flatten() {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            for kind in kinds.into_iter().flatten() {
                let text = |key: &str| kind[key].as_str().unwrap_or_default().to_owned();
                let version = match text("group") {
                    group if group.is_empty() => text("version"),
                    group => format!("{group}/{}", text("version")),
                };
                self.kinds.insert((version, text("kind")), (at, name.clone()));
            }
        }
        self.documents.push(document);
    }

    /// Whether there is a schema of this kind. Of a definition that was just made there is none for a moment.
    #[must_use]
    pub fn know(&self, version: &str, kind: &str) -> bool {
        self.kinds.contains_key(&(version.to_owned(), kind.to_owned()))
    }

    /// What is wrong with an object, by place; `None` where the server does not know its kind.
    #[must_use]
    pub fn faults(&self, object: &Value) -> Option<Vec<String>> {
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let (at, name) = self.kinds.get(&(text("apiVersion"), text("kind")))?;
        let document = self.documents.get(*at)?;
        let mut faults = Vec::new();
        let schema = &document["components"]["schemas"][name];
        fits(document, schema, object, "", &mut faults);
        Some(faults)
    }
}

/// Collects what does not fit.
fn fits(document: &Value, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    if let Some(to) = schema["$ref"].as_str() {
        let schema = document.pointer(to.trim_start_matches('#'));
        return match schema {
            Some(schema) => fits(document, schema, value, path, faults),
            None => faults.push(format!("{path}: no schema {to}")),
        };
    }
    for one in schema["allOf"].as_array().into_iter().flatten() {
        fits(document, one, value, path, faults);
    }
    // Of Kubernetes' own: numbers that may be texts.
    if let Some(several) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        let fits_one = several.iter().any(|one| {
            let mut found = Vec::new();
            fits(document, one, value, path, &mut found);
            found.is_empty()
        });
        if !fits_one {
            faults.push(format!(
                "{path}: {value} is none of {}",
                Value::from(several.clone())
            ));
        }
    }
    if schema["x-kubernetes-int-or-string"] == true && !(value.is_i64() || value.is_string()) {
        faults.push(format!("{path}: {value} is neither a whole number nor a text"));
    }
    match schema["type"].as_str() {
        Some("object") => object(document, schema, value, path, faults),
        Some("array") => array(document, schema, value, path, faults),
        Some("string") if !value.is_string() => faults.push(format!("{path}: {value} is no text")),
        Some("boolean") if !value.is_boolean() => {
            faults.push(format!("{path}: {value} is neither true nor false"))
        }
        Some("integer") if !(value.is_i64() || value.is_u64()) => {
            faults.push(format!("{path}: {value} is no whole number"));
        }
        Some("number") if !value.is_number() => faults.push(format!("{path}: {value} is no number")),
        _ => {}
    }
    bounds(schema, value, path, faults);
}

fn bounds(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    let words = schema["enum"].as_array();
    if words.is_some_and(|words| !words.contains(value)) {
        faults.push(format!("{path}: {value} is none of {}", schema["enum"]));
    }
    let size = |value: &Value| match value {
        Value::String(text) => Some(("Length", text.chars().count())),
        Value::Array(items) => Some(("Items", items.len())),
        Value::Object(fields) => Some(("Properties", fields.len())),
        _ => None,
    };
    if let Some((what, size)) = size(value) {
        let limit = |word: &str| schema[format!("{word}{what}")].as_u64();
        if limit("min").is_some_and(|least| (size as u64) < least)
            || limit("max").is_some_and(|most| size as u64 > most)
        {
            faults.push(format!("{path}: it has {size} {}", what.to_lowercase()));
        }
    }
    if let Some(number) = value.as_f64() {
        let limit = |word: &str| schema[word].as_f64();
        if limit("minimum").is_some_and(|least| number < least)
            || limit("maximum").is_some_and(|most| number > most)
        {
            faults.push(format!("{path}: {number} is out of range"));
        }
    }
}

fn object(document: &Value, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    let Some(fields) = value.as_object() else {
        return faults.push(format!("{path}: {value} is no object"));
    };
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !fields.contains_key(name) {
            faults.push(format!("{path}.{name} is missing"));
        }
    }
    let (known, others) = (schema["properties"].as_object(), &schema["additionalProperties"]);
    let anything =
        schema["x-kubernetes-preserve-unknown-fields"] == true || (known.is_none() && others.is_null());
    // To Kubernetes null is as good as absent.
    for (name, field) in fields.iter().filter(|(_, field)| !field.is_null()) {
        let path = format!("{path}.{name}");
        match known.and_then(|known| known.get(name)) {
            Some(schema) => fits(document, schema, field, &path, faults),
            None if others.is_object() => fits(document, others, field, &path, faults),
            None if anything || *others == Value::Bool(true) => {}
            None => faults.push(format!("{path} is no field")),
        }
    }
}

fn array(document: &Value, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    let Some(items) = value.as_array() else {
        return faults.push(format!("{path}: {value} is no list"));
    };
    for (at, item) in items.iter().enumerate() {
        fits(document, &schema["items"], item, &format!("{path}[{at}]"), faults);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemas() -> Schemas {
        let mut all = Schemas {
            documents: Vec::new(),
            kinds: BTreeMap::new(),
        };
        all.add(json!({ "components": { "schemas": {
            "Port": { "oneOf": [{ "type": "integer" }, { "type": "string" }] },
            "Spec": {
                "type": "object", "required": ["name"],
                "properties": {
                    "name": { "type": "string", "maxLength": 3, "enum": ["a", "bcde"] },
                    "ports": { "type": "array", "items": { "allOf": [{ "$ref": "#/components/schemas/Port" }] } },
                    "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                    "free": { "type": "object" },
                    "size": { "type": "integer", "minimum": 1 },
                },
            },
            "Thing": {
                "type": "object",
                "properties": {
                    "apiVersion": { "type": "string" }, "kind": { "type": "string" },
                    "spec": { "$ref": "#/components/schemas/Spec" },
                },
                "x-kubernetes-group-version-kind": [{ "group": "g", "version": "v1", "kind": "Thing" }],
            },
        } } }));
        all
    }

    fn faults(spec: &Value) -> Vec<String> {
        let object = json!({ "apiVersion": "g/v1", "kind": "Thing", "spec": spec });
        schemas().faults(&object).unwrap()
    }

    #[test]
    fn what_fits_has_no_fault_and_what_does_not_is_named_by_its_place() {
        let whole = json!({ "name": "a", "ports": [1, "x"], "labels": { "b": "c" }, "free": { "d": [1] }, "size": 2 });
        assert_eq!(faults(&whole), Vec::<String>::new());
        for (spec, place) in [
            (json!({}), ".spec.name is missing"),
            (json!({ "name": "a", "nmae": 1 }), ".spec.nmae is no field"),
            (json!({ "name": 1 }), ".spec.name: 1 is no text"),
            (json!({ "name": "x" }), ".spec.name: \"x\" is none of"),
            (json!({ "name": "bcde" }), ".spec.name: it has 4 length"),
            (
                json!({ "name": "a", "ports": [{}] }),
                ".spec.ports[0]: {} is none of",
            ),
            (json!({ "name": "a", "ports": 1 }), ".spec.ports: 1 is no list"),
            (
                json!({ "name": "a", "labels": { "b": 1 } }),
                ".spec.labels.b: 1 is no text",
            ),
            (json!({ "name": "a", "size": 0 }), ".spec.size: 0 is out of range"),
            (
                json!({ "name": "a", "size": 1.5 }),
                ".spec.size: 1.5 is no whole number",
            ),
        ] {
            let found = faults(&spec);
            assert!(
                found.iter().any(|fault| fault.starts_with(place)),
                "{spec}: {found:?}"
            );
        }
    }

    #[test]
    fn a_kind_that_nobody_knows_is_not_one_that_fits() {
        assert_eq!(
            schemas().faults(&json!({ "apiVersion": "g/v1", "kind": "Other" })),
            None
        );
    }
}
