//! Erasing a request: what stands in the place of its input, and what is said of it from then on.
//!
//! Invariant: nothing of an erased request tells a value of its input or its answer; digests do not.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::inference_request::RequestInput;
use crate::words::Digest;

/// Where `kubectl apply` keeps what it was given: the whole input, where that is inline.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The longest name of who has erased a request.
pub const MAX_ERASED_BY: usize = 256;

/// In the place of an input: it was erased, and cannot be brought back.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErasedInput {
    /// Who did it, as whoever did it says: the gateway and `operator erase` write the API server's name of the caller. Who has
    /// written an object in truth, the API server's audit log knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub by: Option<String>,
    /// What `artifact` was, where the input was one: that file is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
}

/// That a request was erased.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// Who did it, as the spec says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When nothing was left of it.
    pub at: Time,
}

/// The merge patch that erases a request with this input.
#[must_use]
pub fn erasing(input: &RequestInput, by: Option<&str>) -> Value {
    let by: Option<String> = by
        .map(|by| by.chars().take(MAX_ERASED_BY).collect())
        .filter(|by: &String| !by.is_empty());
    let erased = ErasedInput {
        by,
        artifact: input.artifact,
    };
    json!({
        "metadata": { "annotations": { LAST_APPLIED: null } },
        "spec": { "input": { "inline": null, "artifact": null, "configMap": null, "erased": erased } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patch_leaves_nothing_of_the_input_but_the_digest_of_a_file() {
        let inline = json!({ "inline": { "x": { "shape": [1], "data": [0.5] } } });
        let inline: RequestInput = serde_json::from_value(inline).unwrap();
        let patch = erasing(&inline, Some("alice"));
        assert!(!patch.to_string().contains("0.5"));
        assert_eq!(patch["spec"]["input"]["erased"], json!({ "by": "alice" }));
        assert_eq!(patch["metadata"]["annotations"][LAST_APPLIED], Value::Null);
        let digest = Digest::of(b"input");
        let file: RequestInput = serde_json::from_value(json!({ "artifact": digest })).unwrap();
        let patch = erasing(&file, None);
        assert_eq!(patch["spec"]["input"]["erased"], json!({ "artifact": digest }));
        let long = erasing(&file, Some(&"é".repeat(1000)));
        let by = long["spec"]["input"]["erased"]["by"].as_str().unwrap();
        assert_eq!(by.chars().count(), MAX_ERASED_BY);
    }
}
