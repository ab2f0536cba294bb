//! The kinds that the store in memory holds, and what it does to one when it is made or changed.
//!
//! Invariant: an object of ours, or a ConfigMap, is in the store only as `zkinfer_crds` admits it, defaults and all.

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use zkinfer_crds::k8s::{Document, Problem, parse_document};

use super::refused::Refused;

/// A kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::local) enum Kind {
    Model,
    InferenceRequest,
    MinerPool,
    ConfigMap,
    Secret,
    ServiceAccount,
    Pod,
    Job,
    Deployment,
    NetworkPolicy,
    Event,
}

const OURS: &str = "zkinfer.dev/v1alpha1";

/// By the API version and plural under which it is asked for, with its name.
const ALL: [(&str, &str, &str, Kind); 12] = [
    (OURS, "models", "Model", Kind::Model),
    (
        OURS,
        "inferencerequests",
        "InferenceRequest",
        Kind::InferenceRequest,
    ),
    (OURS, "minerpools", "MinerPool", Kind::MinerPool),
    ("v1", "configmaps", "ConfigMap", Kind::ConfigMap),
    ("v1", "secrets", "Secret", Kind::Secret),
    ("v1", "serviceaccounts", "ServiceAccount", Kind::ServiceAccount),
    ("v1", "pods", "Pod", Kind::Pod),
    ("batch/v1", "jobs", "Job", Kind::Job),
    ("apps/v1", "deployments", "Deployment", Kind::Deployment),
    (
        "networking.k8s.io/v1",
        "networkpolicies",
        "NetworkPolicy",
        Kind::NetworkPolicy,
    ),
    ("events.k8s.io/v1", "events", "Event", Kind::Event),
    // What the pods of local mode have to tell stands in their status: no event has an `involvedObject`.
    ("v1", "events", "Event", Kind::Event),
];

impl Kind {
    pub(super) fn find(api_version: &str, plural: &str) -> Option<Self> {
        let found = ALL.iter().find(|(v, p, ..)| (*v, *p) == (api_version, plural));
        found.map(|(.., kind)| *kind)
    }

    /// Its API version and name.
    pub(in crate::local) fn types(self) -> (&'static str, &'static str) {
        let found = ALL.iter().find(|(.., kind)| *kind == self);
        found.map_or(("", ""), |(version, _, name, _)| (version, name))
    }

    /// Checks and completes an object that is to be stored.
    pub(super) fn admit(self, mut object: Value) -> Result<Value, Refused> {
        let (version, name) = self.types();
        object["apiVersion"] = json!(version);
        object["kind"] = json!(name);
        match self {
            Self::Model | Self::InferenceRequest | Self::MinerPool | Self::ConfigMap => admitted(object),
            Self::Secret => Ok(with_data(object)),
            // What the node reads.
            Self::Pod => typed::<Pod>(object),
            Self::Job => typed::<Job>(object),
            Self::Deployment => typed::<Deployment>(object),
            Self::ServiceAccount | Self::NetworkPolicy | Self::Event => Ok(object),
        }
    }
}

fn typed<K: DeserializeOwned>(object: Value) -> Result<Value, Refused> {
    K::deserialize(&object).map_err(|e| Refused::bad_request(e.to_string()))?;
    Ok(object)
}

fn admitted(object: Value) -> Result<Value, Refused> {
    let status = object.get("status").cloned();
    let value = match parse_document(object, "") {
        Ok(Document::Model(o)) => serde_json::to_value(o),
        Ok(Document::InferenceRequest(o)) => serde_json::to_value(o),
        Ok(Document::MinerPool(o)) => serde_json::to_value(o),
        Ok(Document::ConfigMap(o)) => serde_json::to_value(o),
        Ok(Document::Ignored { kind, .. }) => {
            return Err(Refused::invalid(format!("a {kind} is not kept here")));
        }
        Err(problems) => {
            let told = |p: &Problem| match p.field.as_str() {
                "" => p.message.clone(),
                field => format!("{field}: {}", p.message),
            };
            let all: Vec<String> = problems.iter().map(told).collect();
            return Err(Refused::invalid(all.join("; ")));
        }
    };
    let mut value = value.map_err(|e| Refused::invalid(e.to_string()))?;
    if let Some(status) = status {
        value["status"] = status;
    }
    Ok(value)
}

/// `stringData` is for writing only.
fn with_data(mut object: Value) -> Value {
    let texts = object.as_object_mut().and_then(|o| o.remove("stringData"));
    if let Some(Value::Object(texts)) = texts {
        let mut data = object["data"].as_object().cloned().unwrap_or_default();
        let bytes = |text: Value| json!(ByteString(text.as_str().unwrap_or_default().into()));
        data.extend(
            texts
                .into_iter()
                .map(|(k, text)| (k, bytes(text)))
                .collect::<Map<_, _>>(),
        );
        object["data"] = Value::Object(data);
    }
    object
}
