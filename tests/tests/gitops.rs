//! Argo CD and Flux, by the rules that the examples give them: of every reason that a condition can have, and of objects as the
//! operator leaves them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

use std::time::Duration;

use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{self, InferenceRequest, MinerPool, Model, is_true};
use zkinfer_tests::behaviours::Place as _;
use zkinfer_tests::gitops::{Wait, argo, examples, flux, flux_kinds, kstatus};
use zkinfer_tests::local_operator::LocalOperator;
use zkinfer_tests::operator::{Objects, model_ready, pool_ready};

const LONG: Duration = Duration::from_secs(60);

/// An object of a kind with conditions, as type, status and reason.
fn object(kind: &str, spec: &Value, observed: i64, conditions: &[(&str, &str, &str)]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(type_, status, reason)| {
            json!({
                "type": type_, "status": status, "reason": reason, "message": "why it is so", "observedGeneration": observed,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        })
        .collect();
    json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": kind,
        "metadata": { "name": "one", "namespace": "default", "generation": 2 },
        "spec": spec, "status": { "observedGeneration": observed, "conditions": conditions },
    })
}

/// Every kind with every reason that its conditions can have.
fn reasons() -> Vec<(&'static str, &'static [&'static str])> {
    macro_rules! reasons {
        ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
            vec![$((stringify!($kind), k8s::$file::reason::ALL)),*]
        };
    }
    zkinfer_crds::kinds!(reasons)
}

fn waits(kind: &str, object: &Value) -> Vec<Wait> {
    let mut all = vec![kstatus(object)];
    if flux_kinds().iter().any(|known| known == kind) {
        all.push(flux(object));
    }
    all
}

#[test]
fn of_every_reason_both_tools_say_whether_to_wait_to_go_on_or_to_call_somebody() {
    for (kind, all) in reasons() {
        for reason in all {
            for (observed, conditions, health, wait) in [
                (2, &[("Ready", "True", *reason)][..], "Healthy", Wait::Current),
                (2, &[("Ready", "False", *reason)], "Progressing", Wait::InProgress),
                (
                    2,
                    &[("Ready", "Unknown", *reason)],
                    "Progressing",
                    Wait::InProgress,
                ),
                (
                    2,
                    &[("Ready", "False", *reason), ("Stalled", "True", *reason)],
                    "Degraded",
                    Wait::Failed,
                ),
                // What was found out of an older spec says nothing of this one.
                (1, &[("Ready", "True", *reason)], "Progressing", Wait::InProgress),
                (
                    1,
                    &[("Ready", "False", *reason), ("Stalled", "True", *reason)],
                    "Progressing",
                    Wait::InProgress,
                ),
            ] {
                let object = object(kind, &json!({}), observed, conditions);
                let (status, message) = argo(&object);
                assert_eq!(status, health, "{kind} {conditions:?} of {observed}");
                if observed == 2 {
                    assert_eq!(message, format!("{reason}: why it is so"), "{kind}");
                }
                for got in waits(kind, &object) {
                    assert_eq!(got, wait, "{kind} {conditions:?} of {observed}");
                }
            }
        }
    }
}

#[test]
fn what_somebody_has_put_to_rest_is_suspended_unless_it_is_broken() {
    for (kind, spec) in [
        ("MinerPool", json!({ "drain": true })),
        ("InferenceRequest", json!({ "suspend": true })),
    ] {
        let rests = object(kind, &spec, 2, &[("Ready", "False", "Suspended")]);
        assert_eq!(argo(&rests).0, "Suspended", "{kind}");
        let broken = object(kind, &spec, 2, &[("Stalled", "True", "Broken")]);
        assert_eq!(argo(&broken).0, "Degraded", "{kind}");
    }
}

#[test]
fn an_object_that_nobody_has_looked_at_is_waited_for() {
    for kind in ["Model", "MinerPool", "Validator"] {
        let mut fresh = object(kind, &json!({}), 2, &[]);
        fresh["status"] = json!({ "conditions": [] });
        assert_eq!(argo(&fresh).0, "Progressing", "{kind}");
        assert_eq!(flux(&fresh), Wait::InProgress, "{kind}");
        fresh.as_object_mut().unwrap().remove("status");
        assert_eq!(argo(&fresh).0, "Progressing", "{kind}");
        assert_eq!(flux(&fresh), Wait::InProgress, "{kind}");
    }
}

/// Flux waits for what a repository has; requests are of people.
#[test]
fn flux_has_expressions_for_each_kind_that_belongs_into_a_repository() {
    let mut kinds: Vec<&str> = reasons().into_iter().map(|(kind, _)| kind).collect();
    kinds.retain(|kind| *kind != "InferenceRequest");
    kinds.sort_unstable();
    let mut has = flux_kinds();
    has.sort_unstable();
    assert_eq!(has, kinds);
}

/// Neither tool is told of Secrets by value, and both pin images by digest.
#[test]
fn the_examples_name_secrets_and_pin_images() {
    for path in ["argocd/applications.yaml", "flux/network.yaml"] {
        for object in examples(path) {
            assert_ne!(object["kind"], "Secret", "{path}");
            let values = ["/spec/values", "/spec/source/helm/valuesObject"];
            let Some(values) = values.iter().find_map(|at| object.pointer(at)) else {
                continue;
            };
            let digest = values["image"]["digest"].as_str().unwrap();
            assert!(
                digest.starts_with("sha256:") && digest.len() == 71,
                "{path}: {digest}"
            );
            let compiler = values["compilerImage"].as_str().unwrap();
            assert!(compiler.contains("@sha256:"), "{path}: {compiler}");
            for variable in values["extraEnv"].as_array().unwrap() {
                assert!(
                    variable["valueFrom"]["secretKeyRef"].is_object(),
                    "{path}: {variable}"
                );
            }
        }
    }
}

/// An object as the operator has left it.
async fn left<K>(objects: &Objects, name: &str, good: impl Fn(&K) -> bool) -> Value
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + serde::Serialize
        + std::fmt::Debug,
{
    let object = objects.until(name, LONG, good).await.unwrap();
    let mut object = serde_json::to_value(object).unwrap();
    object["apiVersion"] = K::api_version(&()).into_owned().into();
    object["kind"] = K::kind(&()).into_owned().into();
    object
}

#[tokio::test]
async fn of_objects_as_the_operator_leaves_them_the_tools_say_what_people_would() {
    let local = LocalOperator::start().await.unwrap();
    let objects = local.objects("b-gitops").await.unwrap();
    let model = |map: &str| json!({ "source": { "configMap": { "name": map, "key": "model.onnx" } }, "proofSystem": "SumcheckWhir" });
    let text = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "text", "namespace": "b-gitops" },
        "data": { "model.onnx": "no model" },
    });
    for yaml in [
        text.to_string(),
        objects.model_of("wine", "wine.onnx", 4, ProofSystem::SumcheckWhir),
        objects.object("Model", "bad", &model("text")),
        objects.object("Model", "to-come", &model("none")),
        objects.pool("own", &json!({})),
        objects.pool("drained", &json!({ "drain": true })),
        objects.wine_request("one", "wine", &json!({})),
        objects.wine_request("of-bad", "bad", &json!({})),
        objects.wine_request("suspended", "wine", &json!({ "suspend": true })),
    ] {
        local.apply(&yaml).await.unwrap();
    }
    let stalled = |conditions: &[_]| is_true(conditions, "Stalled");
    let model_stalled = |m: &Model| m.status.as_ref().is_some_and(|s| stalled(&s.conditions));
    let model_waits = |m: &Model| {
        let status = m.status.as_ref();
        status.is_some_and(|s| !s.conditions.is_empty() && !stalled(&s.conditions))
    };
    let pool_told = |p: &MinerPool| p.status.as_ref().is_some_and(|s| !s.conditions.is_empty());
    let over = |r: &InferenceRequest| r.status.as_ref().is_some_and(|s| s.phase.is_over());
    let told = |r: &InferenceRequest| r.status.as_ref().is_some_and(|s| !s.conditions.is_empty());
    for (object, health, wait) in [
        (
            left(&objects, "wine", model_ready).await,
            "Healthy",
            Some(Wait::Current),
        ),
        (
            left(&objects, "bad", model_stalled).await,
            "Degraded",
            Some(Wait::Failed),
        ),
        (
            left(&objects, "to-come", model_waits).await,
            "Progressing",
            Some(Wait::InProgress),
        ),
        (
            left(&objects, "own", pool_ready).await,
            "Healthy",
            Some(Wait::Current),
        ),
        // What Flux makes of a pool that is at rest is its spec's: it is not asked here.
        (left(&objects, "drained", pool_told).await, "Suspended", None),
        (left(&objects, "one", over).await, "Healthy", Some(Wait::Current)),
        (
            left(&objects, "of-bad", over).await,
            "Degraded",
            Some(Wait::Failed),
        ),
        (left(&objects, "suspended", told).await, "Suspended", None),
    ] {
        let kind = object["kind"].as_str().unwrap();
        let (status, message) = argo(&object);
        assert_eq!(status, health, "{message}: {object:#}");
        for got in waits(kind, &object) {
            if let Some(wait) = wait {
                assert_eq!(got, wait, "{object:#}");
            }
        }
    }
}
