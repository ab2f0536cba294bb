//! How much an installation takes at once, and from one client.
//!
//! Invariant: a limit makes something wait or refuses it by the limit's name; it ends nothing that was begun.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::k8s::common::Memory;

/// How much is taken at once. A client is who made a request through the gateway; of requests that were made otherwise nobody
/// says who made them, and the namespace counts as one client.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Requests that are proved at the same time. Others wait as `Queued`, those of higher priority first, then the oldest.
    /// Absent: there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_in_flight: Option<u32>,
    /// Requests of one client that are proved at the same time. Others of it wait, and hold back nobody else. Absent: there is no
    /// bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_client: Option<u32>,
    /// The largest request that the gateway takes, with its inline input; at most 3 MiB, and that where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<Memory>,
    /// The largest file that may be uploaded; at most 64 MiB, and that where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_bytes: Option<Memory>,
    /// Files that one client uploads at the same time; more are answered 429. Absent: there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub uploads_per_client: Option<u32>,
}
