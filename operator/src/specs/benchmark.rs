//! The request that a benchmark is, and how one is told from what only looks like it.
//!
//! Invariant: a request is a benchmark if it stands in the operator's namespace, is owned by the Validator that its note names, was
//! created when the note was written, and has the very spec that follows from the note; the note is the operator's alone to write.

use kube::{Resource, ResourceExt};
use serde_json::json;
use zkinfer_crds::k8s::{InferenceRequest, InferenceRequestSpec, Validator};

use crate::dispatch::BenchmarkNote;

/// The annotation that holds the operator's sealed note.
pub const BENCHMARK: &str = "zkinfer.dev/benchmark";
/// After everything that somebody asked for.
const PRIORITY: i32 = i32::MIN;
/// What nobody was free for by then is given up.
const DEADLINE: &str = "15m";
/// Between the operator's clock and the API server's.
const CLOCKS: i64 = 300;

/// The request of a note, of the Validator of this name; `sealed` is the note as it stands at it.
///
/// # Errors
/// What is no request; a test makes one.
pub fn benchmark(
    note: &BenchmarkNote,
    sealed: &str,
    validator: &str,
    class: &str,
) -> Result<InferenceRequest, serde_json::Error> {
    let (namespace, model) = &note.model;
    serde_json::from_value(json!({
        "apiVersion": InferenceRequest::api_version(&()),
        "kind": InferenceRequest::kind(&()),
        "metadata": {
            "namespace": note.namespace,
            "name": note.name,
            "annotations": { BENCHMARK: sealed },
            "ownerReferences": [{
                "apiVersion": Validator::api_version(&()),
                "kind": Validator::kind(&()),
                "name": validator,
                "uid": note.validator,
                "controller": true,
            }],
        },
        "spec": {
            "type": "Benchmark",
            "modelRef": { "namespace": namespace, "name": model },
            "input": { "artifact": note.input },
            "priority": PRIORITY,
            "deadline": DEADLINE,
            "redundancy": 1,
            "controllerClass": class,
        },
    }))
}

/// Why a request whose type is `Benchmark` is none; `note` is what its annotation says, if the operator has written it.
#[must_use]
pub fn no_benchmark(request: &InferenceRequest, note: Option<&BenchmarkNote>, own: &str) -> Option<String> {
    if request.namespace().as_deref() != Some(own) {
        return Some(format!(
            "spec.type is Benchmark: only the operator makes those, in its own namespace, `{own}`; leave spec.type out"
        ));
    }
    let made = "spec.type is Benchmark: only the operator makes those";
    let Some(note) = note.filter(|n| n.namespace == own && n.name == request.name_any()) else {
        return Some(format!("{made}, and it has not made this one"));
    };
    let owned = request
        .owner_references()
        .iter()
        .any(|owner| owner.kind == Validator::kind(&()) && owner.uid == note.validator);
    if !owned {
        return Some(format!("{made}, owned by a Validator, which this one is not"));
    }
    let created = request.creation_timestamp().map_or(0, |at| at.0.as_second());
    let apart = i64::try_from(note.made).map_or(i64::MAX, |made| (created - made).abs());
    if apart > CLOCKS {
        return Some(format!(
            "{made}, and this is a copy of one that it has made at another time"
        ));
    }
    let class = &request.spec.controller_class;
    let expected = benchmark(note, "", "", class).map(|expected| expected.spec);
    let stated = InferenceRequestSpec {
        suspend: false,
        cancel: false,
        ttl_seconds_after_finished: None,
        ..request.spec.clone()
    };
    match expected {
        Ok(expected) if expected == stated => None,
        _ => Some(format!(
            "{made}, and the spec of this one is another than it has made"
        )),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use zkinfer_crds::Digest;
    use zkinfer_crds::k8s::inference_request::PoolSelector;

    use super::*;

    fn note() -> BenchmarkNote {
        BenchmarkNote {
            validator: "uid".to_owned(),
            number: 4,
            namespace: "system".to_owned(),
            name: "bench-4".to_owned(),
            model: ("team-a".to_owned(), "wine".to_owned()),
            input: Digest::of(b"input"),
            made: 1000,
        }
    }

    /// As the API server has it so many seconds later.
    fn created(after: i64) -> InferenceRequest {
        let mut request = benchmark(&note(), "sealed", "zkinfer", "zkinfer").unwrap();
        let at = Timestamp::from_second(1000 + after).unwrap();
        request.metadata.creation_timestamp = Some(Time(at));
        request
    }

    fn why(request: &InferenceRequest) -> String {
        no_benchmark(request, Some(&note()), "system").unwrap_or_default()
    }

    #[test]
    fn what_the_operator_has_made_is_a_benchmark_of_a_model_elsewhere() {
        let request = created(1);
        assert_eq!(why(&request), "");
        assert!(request.is_benchmark());
        assert_eq!(request.model_namespace(), "team-a");
        let mut paused = request;
        paused.spec.suspend = true;
        assert_eq!(why(&paused), "", "what may change says nothing");
    }

    #[test]
    fn whoever_else_makes_one_is_told_what_is_otherwise() {
        let note = note();
        let mut elsewhere = created(0);
        elsewhere.metadata.namespace = Some("default".to_owned());
        assert!(why(&elsewhere).contains("its own namespace, `system`"));
        let without = no_benchmark(&created(0), None, "system").unwrap();
        assert!(without.ends_with("it has not made this one"), "{without}");
        let mut renamed = created(0);
        renamed.metadata.name = Some("mine".to_owned());
        assert!(why(&renamed).ends_with("it has not made this one"));
        let mut orphan = created(0);
        orphan.metadata.owner_references = None;
        assert!(why(&orphan).contains("owned by a Validator"));
        assert!(why(&created(301)).contains("a copy"));
        let mut steered = created(0);
        steered.spec.pool_selector = Some(PoolSelector::default());
        assert!(why(&steered).contains("another than it has made"));
        let mut other = created(0);
        other.spec.model_ref.name = "mine".to_owned();
        assert!(why(&other).contains("another than it has made"));
        let foreign = BenchmarkNote {
            validator: "other".to_owned(),
            ..note
        };
        let foreign = no_benchmark(&created(0), Some(&foreign), "system").unwrap();
        assert!(foreign.contains("owned by a Validator"), "{foreign}");
    }

    #[test]
    fn of_a_request_that_is_no_benchmark_the_model_is_in_its_own_namespace() {
        let mut organic = created(0);
        organic.spec.type_ = zkinfer_crds::k8s::inference_request::RequestType::Organic;
        assert_eq!(organic.model_namespace(), "system");
    }
}
