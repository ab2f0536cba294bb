//! What leaves a cluster in a report, and what does not.
//!
//! Invariants: no input, no output, no Secret and no ConfigMap; of free fields, in which people put anything, those that are known to
//! hold nothing secret are kept and all others left out by name. An object is redacted before anything else is done with it.

use serde_json::{Value, json};

/// What stands in the place of something.
const LEFT_OUT: &str = "(left out)";
/// Annotations that are kept begin with one of these: they are the operator's, Kubernetes' or Helm's.
const KEPT: [&str; 4] = [
    "zkinfer.dev/",
    "deployment.kubernetes.io/",
    "meta.helm.sh/",
    "helm.sh/",
];
/// Variables whose values are kept begin with one of these; the operator's and the worker's own hold no secret.
const VARIABLES: [&str; 3] = ["ZKINFER_", "RAYON_", "RUST_"];

/// Takes out of an object whatever may be nobody else's business.
pub(super) fn object(object: &mut Value) {
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
        if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            // That of `kubectl apply` repeats the whole object, with its input.
            annotations.retain(|key, _| KEPT.iter().any(|kept| key.starts_with(kept)));
        }
    }
    match object["kind"].as_str().unwrap_or_default() {
        "InferenceRequest" => request(object),
        "Model" => {
            if let Some(url) = object.pointer_mut("/spec/source/url") {
                *url = json!(text(url.as_str().unwrap_or_default()));
            }
        }
        "Pod" => containers(object.get_mut("spec")),
        "Job" | "Deployment" => containers(object.pointer_mut("/spec/template/spec")),
        _ => {}
    }
}

/// What is asked and what is answered.
fn request(object: &mut Value) {
    if let Some(inline) = object
        .pointer_mut("/spec/input/inline")
        .and_then(Value::as_object_mut)
    {
        for tensor in inline.values_mut() {
            tensor["data"] = json!(LEFT_OUT);
        }
    }
    if let Some(status) = object.get_mut("status") {
        // Of several inputs each has an answer.
        items(status, "answers").for_each(answer);
        status.get_mut("output").into_iter().for_each(answer);
    }
}

fn answer(said: &mut Value) {
    let Some(said) = said.as_object_mut() else { return };
    for value in ["values", "class", "label"] {
        if said.contains_key(value) {
            said.insert(value.to_owned(), json!(LEFT_OUT));
        }
    }
}

fn containers(spec: Option<&mut Value>) {
    let Some(spec) = spec else { return };
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            for variable in items(container, "env") {
                let name = variable["name"].as_str().unwrap_or_default();
                let kept = VARIABLES.iter().any(|kept| name.starts_with(kept));
                if let Some(value) = variable.get_mut("value") {
                    *value = match value.as_str() {
                        Some(said) if kept => json!(text(said)),
                        _ => json!(LEFT_OUT),
                    };
                }
            }
            for word in ["args", "command"] {
                for said in items(container, word) {
                    *said = json!(text(said.as_str().unwrap_or_default()));
                }
            }
        }
    }
}

/// The items of a list that may be absent.
fn items<'a>(of: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    of.get_mut(key)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// A text without tokens, and without the passwords and signatures that addresses may have.
pub(super) fn text(text: &str) -> String {
    let parts = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '`' | '(' | ')');
    let mut clean = String::with_capacity(text.len());
    let mut bearer = false;
    for word in text.split_inclusive(parts) {
        let said = word.trim_end_matches(parts);
        let rest = &word[said.len()..];
        if said.is_empty() {
            clean.push_str(rest);
            continue;
        }
        if bearer || said.contains("eyJ") {
            clean.push_str(LEFT_OUT);
        } else {
            clean.push_str(&address(said));
        }
        bearer = said.trim_end_matches(':').eq_ignore_ascii_case("bearer");
        clean.push_str(rest);
    }
    clean
}

/// An address without who asks, and without what stands behind `?`; anything else as it is.
fn address(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?…"));
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host
        .rsplit_once('@')
        .map_or(host.to_owned(), |(_, host)| format!("…@{host}"));
    format!("{scheme}://{host}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "hunter2";

    fn redacted(mut value: Value) -> Value {
        object(&mut value);
        value
    }

    #[test]
    fn a_request_keeps_its_shape_and_loses_what_was_asked_and_answered() {
        let whole = json!({
            "kind": "InferenceRequest",
            "metadata": {
                "name": "r", "managedFields": [{}],
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":[0.703]}", "team": SECRET,
                    "zkinfer.dev/for": "a/b",
                },
            },
            "spec": { "modelRef": { "name": "m" }, "input": { "inline": { "x": { "shape": [1, 2], "data": [0.703, 7] } } } },
            "status": {
                "phase": "Succeeded", "progress": "2/2",
                "output": { "name": "y", "shape": [1, 3], "values": [0.703, 1, 2], "class": 2, "label": SECRET },
                "batch": { "size": 4, "inputs": 2 },
                "answers": [
                    { "values": [0.703], "class": 0, "label": SECRET, "errorVsFloatMillionths": 7 },
                    { "class": 0, "label": SECRET, "errorVsFloatMillionths": 0 },
                ],
            },
        });
        let seen = redacted(whole);
        let text = seen.to_string();
        assert!(!text.contains("0.703") && !text.contains(SECRET), "{text}");
        assert_eq!(seen["spec"]["input"]["inline"]["x"]["shape"], json!([1, 2]));
        assert_eq!(seen["status"]["output"]["shape"], json!([1, 3]));
        assert_eq!(seen["status"]["answers"][1]["class"], LEFT_OUT);
        assert_eq!(seen["status"]["answers"][0]["errorVsFloatMillionths"], 7);
        assert_eq!(seen["status"]["phase"], "Succeeded");
        assert_eq!(
            seen["metadata"],
            json!({ "name": "r", "annotations": { "zkinfer.dev/for": "a/b" } })
        );
    }

    #[test]
    fn an_input_by_reference_stays_a_reference() {
        let spec = json!({ "input": { "configMap": { "name": "c", "key": "k" } } });
        let seen = redacted(json!({ "kind": "InferenceRequest", "metadata": {}, "spec": spec }));
        assert_eq!(seen["spec"], spec);
    }

    #[test]
    fn of_a_pods_variables_only_the_operators_own_keep_their_values() {
        let container = json!({
            "name": "operator", "args": ["run", format!("--artifacts=s3://u:{SECRET}@b/p?sig={SECRET}")],
            "env": [
                { "name": "ZKINFER_NETWORK", "value": "default" },
                { "name": "AWS_SECRET_ACCESS_KEY", "value": SECRET },
                { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
            ],
        });
        for kind in ["Pod", "Job", "Deployment"] {
            let spec = json!({ "containers": [container], "initContainers": [container] });
            let spec = if kind == "Pod" {
                spec
            } else {
                json!({ "template": { "spec": spec } })
            };
            let seen = redacted(json!({ "kind": kind, "metadata": {}, "spec": spec })).to_string();
            assert!(!seen.contains(SECRET), "{kind}: {seen}");
            for kept in [
                "--artifacts=s3://…@b/p?…",
                "default",
                "secretKeyRef",
                "AWS_SECRET_ACCESS_KEY",
            ] {
                assert!(seen.contains(kept), "{kind}: {kept}: {seen}");
            }
        }
    }

    #[test]
    fn a_text_loses_tokens_and_what_addresses_say_of_who_asks() {
        for (said, seen) in [
            ("proved slice 3 in 20 ms", "proved slice 3 in 20 ms"),
            (
                "authorization: Bearer abc.def, again",
                "authorization: Bearer (left out), again",
            ),
            ("token=eyJhbGciOiJ.eyJzdWIi.sig end", "(left out) end"),
            (
                "{\"url\":\"https://u:p@h.example/a/b?X-Sig=1\"}",
                "{\"url\":\"https://…@h.example/a/b?…\"}",
            ),
            ("http://h:8080/readyz", "http://h:8080/readyz"),
            ("a\n  b\n", "a\n  b\n"),
        ] {
            assert_eq!(text(said), seen);
        }
    }
}
