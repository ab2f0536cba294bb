//! What a compiler has reported, and an input that is tried: to whom they are shown, and what is refused.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tower::ServiceExt;
use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::inference_request::InlineTensor;

use super::super::{Compiled, FloatOutput, NoFloat, Tried};
use super::{ALL, SOME, World, is, json_of, reason};

/// Knows of two Models of namespace `n`: `good`, which says back what it is given, and `bad`, which has an unsupported node.
pub(super) struct Two;

impl Compiled for Two {
    fn report(&self, namespace: &str, name: &str) -> Option<CompileOutcome> {
        let blob = json!({ "digest": Digest::of(b"file"), "size": 1 });
        let accuracy = json!({
            "profile": "P16", "samples": 1, "synthetic": true, "maxErrorMillionths": 7, "meanErrorMillionths": 1,
            "top1AgreementMillionths": 1_000_000, "outputScale": [1.0], "budgetMillionths": 1000, "withinBudget": true,
            "tried": [{ "profile": "P12", "headroomMillionths": 2_000_000, "maxErrorMillionths": 5000, "outcome": "overBudget" }],
            "nodes": [{ "node": "a", "bits": 8, "maxErrorMillionths": 3, "meanErrorMillionths": 1, "saturations": 0 }],
        });
        let slice = json!({
            "nodes": ["a"], "vk": Digest::of(b"key"), "predictedMicros": 5, "predictedMemoryBytes": 6, "predictedProofBytes": 7,
        });
        let work = json!({ "predictedMicros": 1, "predictedMemoryBytes": 2, "predictedProofBytes": 3 });
        let outcome = match (namespace, name) {
            ("n", "good") => json!({ "compiled": {
                "model": Digest::of(b"model"), "manifest": blob, "graph": blob, "slices": [slice], "accuracy": accuracy,
                "outlook": { "nodes": [{ "claims": ["Wired"], "alone": work }] },
            } }),
            ("n", "bad") => json!({ "failed": {
                "kind": "UnsupportedNodes", "message": "one",
                "unsupported": [{ "node": "a", "op": "Odd", "reason": "no circuit" }],
                "outline": { "nodes": [{ "name": "a", "op": "Odd" }], "edges": [] },
            } }),
            _ => return None,
        };
        Some(CompileOutcome::read(outcome.to_string().as_bytes()).unwrap())
    }

    fn answer(
        &self,
        _: String,
        name: String,
        given: BTreeMap<String, InlineTensor>,
    ) -> BoxFuture<'_, Result<Tried, NoFloat>> {
        let output = |(name, tensor): (String, InlineTensor)| FloatOutput {
            name,
            shape: tensor.shape,
            count: tensor.data.len(),
            values: tensor.data.into_iter().map(Some).collect(),
        };
        let found = match name.as_str() {
            "good" => Ok(Tried {
                integers: given.into_iter().map(output).collect(),
                floats: Err("it is away".to_owned()),
            }),
            _ => Err(NoFloat::Refused("it is not compiled".to_owned())),
        };
        std::future::ready(found).boxed()
    }
}

async fn tried(world: &World, path: &str, token: &str, body: &Value) -> Response<Body> {
    let request = Request::post(path)
        .header("host", "127.0.0.1:4000")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    world.router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_report_has_what_was_tried_and_what_each_node_takes_or_every_node_that_is_at_fault() {
    let world = World::new();
    let told = json_of(world.call("/api/v1/models/n/good/report", ALL).await).await;
    assert_eq!(told["tried"][0]["outcome"], "overBudget");
    assert_eq!(told["nodes"][0]["maxErrorMillionths"], 3);
    assert_eq!(told["slices"][0]["predictedProofBytes"], 7);
    assert_eq!(told["outlook"]["nodes"][0]["alone"]["predictedMemoryBytes"], 2);
    let told = json_of(world.call("/api/v1/models/n/bad/report", ALL).await).await;
    assert_eq!(told["unsupported"][0]["reason"], "no circuit");
    assert_eq!(told["outline"]["nodes"][0]["op"], "Odd");
    for (path, token, expected) in [
        ("/api/v1/models/n/none/report", ALL, is(404, "NotFound")),
        ("/api/v1/models/n/good/report", SOME, is(403, "Forbidden")),
        ("/api/v1/models/n/good/report", "guess", is(401, "UnknownToken")),
        ("/api/v1/models/n/bad/history?hours=24", ALL, is(404, "NotFound")),
        (
            "/api/v1/models/n/good/history?hours=24",
            SOME,
            is(403, "Forbidden"),
        ),
        (
            "/api/v1/models/n/good/history?hours=0",
            ALL,
            is(400, "InvalidQuery"),
        ),
    ] {
        assert_eq!(reason(world.call(path, token).await).await, expected, "{path}");
    }
    let told = json_of(world.call("/api/v1/models/n/good/history?hours=24", ALL).await).await;
    assert_eq!(told["spans"][0]["requests"], 11, "of its one manifest");
}

#[tokio::test]
async fn an_input_is_tried_by_whoever_may_have_it_proved() {
    let world = World::new();
    let path = "/api/v1/models/n/good/try";
    let input = json!({ "inline": { "x": { "shape": [2], "data": [0.5, -1.0] } } });
    let told = json_of(tried(&world, path, ALL, &input).await).await;
    assert_eq!(
        told["integers"],
        json!([{ "name": "x", "shape": [2], "values": [0.5, -1.0], "count": 2 }])
    );
    assert_eq!(
        (&told["floats"], &told["why"]),
        (&json!(null), &json!("it is away"))
    );
    for (path, token, body, expected) in [
        (path, SOME, input.clone(), is(403, "Forbidden")),
        (path, "guess", input.clone(), is(401, "UnknownToken")),
        (path, ALL, json!({}), is(400, "InvalidBody")),
        (path, ALL, json!({ "inline": {}, "x": 1 }), is(400, "InvalidBody")),
        (
            path,
            ALL,
            json!({ "inline": { "x": { "shape": [-1], "data": [] } } }),
            is(400, "InvalidBody"),
        ),
        (
            "/api/v1/models/n/bad/try",
            ALL,
            input.clone(),
            is(422, "NotTried"),
        ),
    ] {
        assert_eq!(
            reason(tried(&world, path, token, &body).await).await,
            expected,
            "{path} {body}"
        );
    }
}
