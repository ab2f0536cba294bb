//! The kinds that the store in memory holds, and what it does to one when it is made or changed.
//!
//! Invariant: an object of ours, or a ConfigMap, is in the store only as `zkinfer_crds` admits it, defaults and all.

use std::borrow::Cow;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use zkinfer_crds::k8s::{self, Problem, parse_document};

use super::refused::Refused;

/// The kinds of our group, and those of Kubernetes.
macro_rules! kept {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        /// A kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(in crate::local) enum Kind {
            $($(#[$doc])* $kind,)*
            ConfigMap,
            Secret,
            ServiceAccount,
            Pod,
            Job,
            Deployment,
            NetworkPolicy,
            Event,
        }

        /// Ours, by the plural under which they are asked for, with their names.
        fn ours() -> Vec<(Cow<'static, str>, &'static str, Kind)> {
            vec![$((k8s::$kind::plural(&()), stringify!($kind), Kind::$kind)),*]
        }
    };
}

zkinfer_crds::kinds!(kept);

const OURS: &str = "zkinfer.dev/v1alpha1";

/// Those of Kubernetes, by the API version and plural under which they are asked for, with their names.
const THEIRS: [(&str, &str, &str, Kind); 9] = [
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
        if api_version == OURS {
            let found = ours().into_iter().find(|(p, ..)| p == plural);
            return found.map(|(.., kind)| kind);
        }
        let found = THEIRS.iter().find(|(v, p, ..)| (*v, *p) == (api_version, plural));
        found.map(|(.., kind)| *kind)
    }

    /// Its API version and name.
    pub(in crate::local) fn types(self) -> (&'static str, &'static str) {
        if let Some((_, name, _)) = ours().into_iter().find(|(.., kind)| *kind == self) {
            return (OURS, name);
        }
        let found = THEIRS.iter().find(|(.., kind)| *kind == self);
        found.map_or(("", ""), |(version, _, name, _)| (version, name))
    }

    /// Checks and completes an object that is to be stored.
    pub(super) fn admit(self, mut object: Value) -> Result<Value, Refused> {
        let (version, name) = self.types();
        object["apiVersion"] = json!(version);
        object["kind"] = json!(name);
        match self {
            Self::Secret => Ok(with_data(object)),
            // What the node reads.
            Self::Pod => typed::<Pod>(object),
            Self::Job => typed::<Job>(object),
            Self::Deployment => typed::<Deployment>(object),
            Self::ServiceAccount | Self::NetworkPolicy | Self::Event => Ok(object),
            // Ours, and what ours refer to: one that is not read is refused.
            _ => admitted(object),
        }
    }
}

fn typed<K: DeserializeOwned>(object: Value) -> Result<Value, Refused> {
    K::deserialize(&object).map_err(|e| Refused::bad_request(e.to_string()))?;
    Ok(object)
}

fn admitted(object: Value) -> Result<Value, Refused> {
    let status = object.get("status").cloned();
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let document = parse_document(object, "").map_err(|problems| {
        let told = |p: &Problem| match p.field.as_str() {
            "" => p.message.clone(),
            field => format!("{field}: {}", p.message),
        };
        let all: Vec<String> = problems.iter().map(told).collect();
        Refused::invalid(all.join("; "))
    })?;
    let value = document
        .as_value()
        .ok_or_else(|| Refused::invalid(format!("a {kind} is not kept here")))?;
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
