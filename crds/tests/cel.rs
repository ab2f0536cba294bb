//! The CEL rules of every kind, evaluated as the API server does: what is admitted, and what may change afterwards.
#![cfg(feature = "k8s")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, Validator};

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, value) => *into = value,
    }
}

/// An object of the kind with a changed spec; `null` removes.
fn object(kind: &str, change: Value) -> Value {
    let spec = match kind {
        "Model" => {
            json!({ "source": { "configMap": { "name": "m", "key": "k" } }, "proofSystem": "Halo2Kzg" })
        }
        "InferenceRequest" => json!({
            "modelRef": { "name": "m" },
            "input": { "inline": { "x": { "shape": [1], "data": [0.5] } } },
        }),
        "Validator" => json!({}),
        _ => json!({ "image": "a/b@sha256:".to_owned() + &"0".repeat(64) }),
    };
    let mut object = json!({ "apiVersion": "zkinfer.dev/v1alpha1", "kind": kind, "metadata": { "name": "o" }, "spec": spec });
    merge(&mut object["spec"], change);
    object
}

const HOTKEY: &str = "5ETmuXSyBiDHwabzdAxmbyj1A25asAmNXm5gtzf7edxxQYaq";

/// A Validator that publishes weights, with this changed.
fn weights(change: &Value) -> Value {
    let mut weights = json!({
        "netuid": 2, "versionKey": 11003, "uids": { "static": { HOTKEY: 7 } }, "publisher": { "file": {} },
    });
    for (field, value) in change.as_object().unwrap() {
        weights[field] = value.clone();
    }
    json!({ "weights": weights })
}

fn bittensor() -> Value {
    json!({
        "endpoint": "wss://chain.example", "genesis": format!("0x{}", "ab".repeat(32)),
        "allowedSpecVersions": [{ "spec": 365, "transaction": 1 }],
    })
}

/// A pool whose workers' nodes are chosen by this.
fn affine(expression: &Value) -> Value {
    let terms = json!({ "nodeSelectorTerms": [{ "matchExpressions": [expression] }] });
    json!({ "pod": { "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": terms } } } })
}

#[test]
fn nodes_are_chosen_by_expressions_with_as_many_values_as_their_operator_takes() {
    for good in [
        json!({ "key": "k", "operator": "In", "values": ["a", "b"] }),
        json!({ "key": "k", "operator": "NotIn", "values": ["a"] }),
        json!({ "key": "k", "operator": "Exists" }),
        json!({ "key": "k", "operator": "DoesNotExist" }),
        json!({ "key": "k", "operator": "Gt", "values": ["3"] }),
        json!({ "key": "k", "operator": "Lt", "values": ["3"] }),
    ] {
        assert_eq!(
            says("MinerPool", object("MinerPool", affine(&good)), None),
            Ok(()),
            "{good}"
        );
    }
}

/// What the rules say of a new object, and of a change from another.
fn says(kind: &str, new: Value, old: Option<Value>) -> Result<(), String> {
    macro_rules! check {
        ($kind:ty) => {{
            let read =
                |value: Value| serde_json::from_value::<$kind>(value).expect("the object fits its type");
            let new = read(new);
            let found = match old {
                Some(old) => new.validate_cel_update(&read(old)),
                None => new.validate_cel(),
            };
            found.map_err(|e| e.to_string())
        }};
    }
    match kind {
        "Model" => check!(Model),
        "InferenceRequest" => check!(InferenceRequest),
        "Validator" => check!(Validator),
        _ => check!(MinerPool),
    }
}

#[test]
fn good_objects_are_admitted() {
    for kind in ["Model", "InferenceRequest", "MinerPool", "Validator"] {
        assert_eq!(says(kind, object(kind, json!({})), None), Ok(()));
    }
}

#[test]
fn refuses_what_contradicts_itself() {
    let digest = format!("sha256:{}", "1".repeat(64));
    let identity = format!("ed25519:{}", "2".repeat(64));
    for (kind, change, expected) in [
        (
            "Validator",
            json!({ "leases": { "leastSeconds": 30, "longestSeconds": 20 } }),
            "leastSeconds must not be more than longestSeconds",
        ),
        (
            "InferenceRequest",
            json!({ "modelRef": { "namespace": "elsewhere" }, "type": "Organic" }),
            "modelRef.namespace is of benchmarks",
        ),
        (
            "Model",
            json!({ "batchSizes": [1, 4, 1] }),
            "batchSizes names a size twice",
        ),
        (
            "Validator",
            weights(&json!({ "uids": {} })),
            "exactly one of static and chain must be set",
        ),
        (
            "Validator",
            weights(&json!({ "publisher": { "file": {}, "bittensor": bittensor() } })),
            "exactly one of file and bittensor must be set",
        ),
        (
            "Validator",
            weights(&json!({ "uids": { "chain": {} } })),
            "uids.chain needs publisher.bittensor",
        ),
        (
            "Validator",
            weights(&json!({ "publisher": { "bittensor": bittensor() } })),
            "publisher.bittensor needs uids.chain",
        ),
        (
            "MinerPool",
            json!({ "hotkey": HOTKEY }),
            "hotkey needs an identity",
        ),
        (
            "MinerPool",
            json!({ "identity": identity, "hotkeyBinding": {
                "hotkeySignature": "aa".repeat(64), "identitySignature": "aa".repeat(64),
            } }),
            "hotkeyBinding needs a hotkey",
        ),
        (
            "Model",
            json!({ "source": { "artifact": digest } }),
            "exactly one of configMap, artifact and url",
        ),
        (
            "Model",
            json!({ "source": { "configMap": null } }),
            "exactly one of configMap, artifact and url",
        ),
        (
            "Model",
            json!({ "quantization": { "calibration": {} } }),
            "exactly one of configMap and artifact",
        ),
        (
            "InferenceRequest",
            json!({ "input": { "artifact": digest } }),
            "exactly one of inline, artifact and configMap",
        ),
        (
            "InferenceRequest",
            json!({ "input": { "inline": null } }),
            "exactly one of inline, artifact and configMap",
        ),
        (
            "MinerPool",
            json!({ "image": "worker:latest" }),
            "pinned by digest",
        ),
        (
            "MinerPool",
            json!({ "warm": 2, "parallelism": 1 }),
            "warm must not be more than parallelism",
        ),
        (
            "MinerPool",
            json!({ "possession": "aa".repeat(64) }),
            "possession needs an identity",
        ),
        (
            "MinerPool",
            json!({ "identity": identity, "pod": { "tolerations": [{ "operator": "Exists", "value": "v" }] } }),
            "Exists takes no value",
        ),
        (
            "MinerPool",
            json!({ "pod": { "tolerations": [{ "operator": "Equal", "value": "v" }] } }),
            "Equal needs a key",
        ),
        (
            "MinerPool",
            json!({ "pod": { "tolerations": [{ "key": "k" }, { "value": "v" }] } }),
            "Equal needs a key",
        ),
        (
            "MinerPool",
            affine(&json!({ "key": "k", "operator": "In" })),
            "In and NotIn need values",
        ),
        (
            "MinerPool",
            affine(&json!({ "key": "k", "operator": "Exists", "values": ["v"] })),
            "Exists and DoesNotExist take none",
        ),
        (
            "MinerPool",
            affine(&json!({ "key": "k", "operator": "Gt", "values": ["1", "2"] })),
            "Gt and Lt take one",
        ),
    ] {
        let said = says(kind, object(kind, change.clone()), None);
        assert!(
            said.as_ref().is_err_and(|e| e.contains(expected)),
            "{kind} {change}: {said:?}"
        );
    }
}

/// Names become values of labels, which hold no more.
#[test]
fn names_are_as_long_as_a_label_and_no_longer() {
    for kind in ["Model", "InferenceRequest", "MinerPool"] {
        let named = |length: usize| {
            let mut object = object(kind, json!({}));
            object["metadata"]["name"] = json!("n".repeat(length));
            says(kind, object, None)
        };
        assert_eq!(named(63), Ok(()), "{kind}");
        let said = named(64);
        let expected = "metadata.name must have at most 63 characters";
        assert!(
            said.as_ref().is_err_and(|e| e.contains(expected)),
            "{kind}: {said:?}"
        );
    }
}

#[test]
fn what_fixes_the_circuits_and_what_is_asked_never_changes() {
    let digest = |n: &str| format!("sha256:{}", n.repeat(64));
    for (kind, old, change, expected) in [
        (
            "Model",
            json!({}),
            json!({ "source": { "configMap": { "key": "other" } } }),
            "source is immutable",
        ),
        (
            "Model",
            json!({}),
            json!({ "slicing": { "parallelism": 2 } }),
            "slicing is immutable",
        ),
        (
            "Model",
            json!({}),
            json!({ "quantization": { "profile": "P8" } }),
            "quantization is immutable",
        ),
        (
            "Model",
            json!({ "dimensions": { "seq": 16 } }),
            json!({ "dimensions": { "seq": 17 } }),
            "dimensions is immutable",
        ),
        (
            "Model",
            json!({}),
            json!({ "dimensions": { "seq": 16 } }),
            "dimensions is immutable",
        ),
        (
            "Model",
            json!({}),
            json!({ "batchSizes": [1, 4] }),
            "batchSizes is immutable",
        ),
        (
            "Model",
            json!({ "sha256": digest("1") }),
            json!({ "sha256": digest("2") }),
            "sha256 cannot be changed",
        ),
        (
            "Model",
            json!({ "sha256": digest("1") }),
            json!({ "sha256": null }),
            "sha256 cannot be changed",
        ),
        (
            "Model",
            json!({}),
            json!({ "proofSystem": "SumcheckWhir" }),
            "proofSystem is immutable",
        ),
        (
            "InferenceRequest",
            json!({}),
            json!({ "modelRef": { "name": "n" } }),
            "modelRef is immutable",
        ),
        (
            "InferenceRequest",
            json!({}),
            json!({ "input": { "inline": { "x": { "data": [0.25] } } } }),
            "input is immutable",
        ),
        (
            "InferenceRequest",
            json!({}),
            json!({ "input": { "inline": null, "artifact": digest("1") } }),
            "input is immutable",
        ),
        (
            "InferenceRequest",
            json!({}),
            json!({ "input": { "inline": null, "erased": { "artifact": digest("1") } } }),
            "input is immutable",
        ),
        (
            "InferenceRequest",
            json!({ "input": { "inline": null, "artifact": digest("1") } }),
            json!({ "input": { "artifact": null, "erased": { "artifact": digest("2") } } }),
            "input is immutable",
        ),
        (
            "InferenceRequest",
            json!({ "input": { "inline": null, "erased": { "by": "alice" } } }),
            json!({ "input": { "erased": { "by": "bob" } } }),
            "input is immutable",
        ),
        (
            "InferenceRequest",
            json!({}),
            json!({ "type": "Benchmark" }),
            "type is immutable",
        ),
        (
            "InferenceRequest",
            json!({}),
            json!({ "priority": 1 }),
            "priority is immutable",
        ),
        (
            "InferenceRequest",
            json!({}),
            json!({ "deadline": "2h" }),
            "deadline is immutable",
        ),
        (
            "InferenceRequest",
            json!({}),
            json!({ "redundancy": 2 }),
            "redundancy is immutable",
        ),
        (
            "InferenceRequest",
            json!({}),
            json!({ "poolSelector": { "matchLabels": { "a": "b" } } }),
            "poolSelector is immutable",
        ),
        (
            "InferenceRequest",
            json!({ "poolSelector": { "matchLabels": { "a": "b" } } }),
            json!({ "poolSelector": null }),
            "poolSelector is immutable",
        ),
        (
            "InferenceRequest",
            json!({ "cancel": true }),
            json!({ "cancel": false }),
            "cancel cannot be undone",
        ),
    ] {
        let before = object(kind, old.clone());
        let mut after = before.clone();
        merge(&mut after["spec"], change.clone());
        let said = says(kind, after, Some(before));
        assert!(
            said.as_ref().is_err_and(|e| e.contains(expected)),
            "{kind} {old} to {change}: {said:?}"
        );
    }
}

#[test]
fn a_model_that_says_nothing_of_batches_is_of_one_input_at_a_time() {
    let bare = object("Model", json!({}));
    let read: Model = serde_json::from_value(bare.clone()).unwrap();
    assert_eq!(read.spec.batch_sizes, [1]);
    let stated = object("Model", json!({ "batchSizes": [1] }));
    assert_eq!(says("Model", stated, Some(bare)), Ok(()));
    for sizes in [json!([16]), json!([1, 4, 16, 64])] {
        let model = object("Model", json!({ "batchSizes": sizes }));
        assert_eq!(says("Model", model, None), Ok(()));
    }
}

#[test]
fn what_may_change_may() {
    for (kind, change) in [
        (
            "Model",
            json!({ "sha256": format!("sha256:{}", "1".repeat(64)), "classes": ["a"] }),
        ),
        ("Model", json!({ "servedBy": [{ "namespace": "miner" }] })),
        ("InferenceRequest", json!({ "suspend": true })),
        (
            "InferenceRequest",
            json!({ "cancel": true, "ttlSecondsAfterFinished": 5 }),
        ),
        (
            "InferenceRequest",
            json!({ "input": { "inline": null, "erased": { "by": "alice" } } }),
        ),
        (
            "InferenceRequest",
            json!({ "input": { "inline": null, "erased": {} } }),
        ),
        ("MinerPool", json!({ "drain": true, "parallelism": 7, "warm": 7 })),
        ("Validator", weights(&json!({ "every": 360 }))),
        (
            "Validator",
            weights(&json!({ "uids": { "chain": {} }, "publisher": { "bittensor": bittensor() } })),
        ),
    ] {
        let before = object(kind, json!({}));
        let mut after = before.clone();
        merge(&mut after["spec"], change.clone());
        assert_eq!(says(kind, after, Some(before)), Ok(()), "{kind} {change}");
    }
}

#[test]
fn a_file_that_was_an_input_is_erased_by_the_digest_that_named_it() {
    let digest = format!("sha256:{}", "1".repeat(64));
    let before = object(
        "InferenceRequest",
        json!({ "input": { "inline": null, "artifact": digest } }),
    );
    let erase = |erased: Value| {
        let mut after = before.clone();
        merge(
            &mut after["spec"],
            json!({ "input": { "artifact": null, "erased": erased } }),
        );
        says("InferenceRequest", after, Some(before.clone()))
    };
    assert_eq!(erase(json!({ "artifact": digest })), Ok(()));
    let without = erase(json!({ "by": "alice" }));
    assert!(
        without.is_err_and(|e| e.contains("with the digest of artifact")),
        "the file would stay"
    );
}
