//! How much of the store a namespace may take.
//!
//! Invariant: a quota refuses what is new at the door that it would come in by, and removes nothing.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::k8s::common::Memory;

/// What one namespace's own may take of the artifact store, each namespace for itself. It is counted at every look through the store,
/// and uploads as they come; a request that has begun goes on.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quotas {
    /// Files that were handed in for the namespace: models, calibration data, inputs. Beyond it an upload is refused (403
    /// `QuotaReached`). Absent: there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_bytes: Option<Memory>,
    /// Receipts of its requests. Beyond it no request of the namespace is taken, and none begins. Absent: there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_bytes: Option<Memory>,
    /// What miners are given of its requests: the inputs of their slices. Beyond it no request of the namespace is taken, and none
    /// begins. Absent: there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<Memory>,
    /// Namespaces that have others than these; what one leaves out is as for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub namespaces: Vec<NamespaceQuota>,
}

/// What one namespace may take.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceQuota {
    /// The namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// As above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_bytes: Option<Memory>,
    /// As above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_bytes: Option<Memory>,
    /// As above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<Memory>,
}

impl Quotas {
    /// Of uploads, receipts and inputs, what this namespace may take; `None` without a bound.
    #[must_use]
    pub fn of(&self, namespace: &str) -> [Option<&Memory>; 3] {
        let own = self.namespaces.iter().find(|own| own.namespace == namespace);
        let own = own.map(|own| [&own.upload_bytes, &own.receipt_bytes, &own.input_bytes]);
        let all = [&self.upload_bytes, &self.receipt_bytes, &self.input_bytes];
        std::array::from_fn(|at| own.and_then(|own| own[at].as_ref()).or(all[at].as_ref()))
    }

    /// Whether any namespace has a bound.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a namespace takes of the store, in bytes, at the last look.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceUsage {
    /// The namespace.
    pub namespace: String,
    /// Of files that were handed in for it.
    pub upload_bytes: u64,
    /// Of receipts of its requests.
    pub receipt_bytes: u64,
    /// Of inputs of its requests' slices.
    pub input_bytes: u64,
}
