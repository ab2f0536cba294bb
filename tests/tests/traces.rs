//! A request is one trace: its span, those of its claims, and below each what the operator and the worker did for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use zkinfer_tests::collector::{Collector, Told};
use zkinfer_tests::local::{Ran, program, repository, run};

const OPERATOR: &str = "zkinfer-operator";
const WORKER: &str = "zkinfer-prover-worker";

/// The quickstart, with these arguments besides.
fn quickstart(state: &std::path::Path, more: &[&str]) -> Ran {
    let mut command = Command::new(program("operator"));
    command.args(["local", "--quiet", "-o", "json", "-f"]);
    command.arg(repository().join("manifests/quickstart"));
    command.arg("--state").arg(state).args(more);
    run(&mut command)
}

/// The uid of the only request that was printed, and how many slices it had.
fn request(ran: &Ran) -> (String, u64) {
    let objects: Value = serde_json::from_str(&ran.stdout).unwrap();
    let items = objects["items"].as_array().unwrap();
    let request = items.iter().find(|o| o["kind"] == "InferenceRequest").unwrap();
    let slices = request["status"]["slices"]["total"].as_u64().unwrap();
    (request["metadata"]["uid"].as_str().unwrap().to_owned(), slices)
}

fn named<'a>(spans: &'a [Told], name: &str) -> Vec<&'a Told> {
    spans.iter().filter(|s| s.name == name).collect()
}

#[test]
fn a_request_is_one_trace_across_operator_and_workers() {
    let collector = Collector::start().unwrap();
    let state = tempfile::tempdir().unwrap();
    let ran = quickstart(state.path(), &["--otlp-endpoint", &collector.endpoint()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (uid, slices) = request(&ran);
    let spans = collector.spans();
    assert!(collector.wrong().is_empty(), "{:?}", collector.wrong());

    // The trace's id is the request's, so that whoever knows one has the other.
    let traces: BTreeSet<&str> = spans.iter().map(|s| s.trace.as_str()).collect();
    assert_eq!(traces, BTreeSet::from([uid.replace('-', "").as_str()]));
    let ids: BTreeSet<&str> = spans.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "two spans have one id");

    let roots: Vec<_> = spans.iter().filter(|s| s.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{roots:#?}");
    let root = roots[0];
    assert_eq!((root.name.as_str(), root.service.as_str()), ("request", OPERATOR));
    assert_eq!(root.attribute("zkinfer.request"), uid);
    assert_eq!(root.attribute("zkinfer.phase"), "Succeeded");
    for part in ["load", "evaluate", "receipt"] {
        let parts = named(&spans, part);
        assert!(
            parts.iter().any(|s| s.parent == root.id && s.service == OPERATOR),
            "{part}"
        );
    }

    // A claim that was overtaken is one more.
    let claims = named(&spans, "claim");
    let verified: Vec<_> = claims
        .iter()
        .filter(|c| c.attribute("zkinfer.verdict") == "Verified")
        .collect();
    let proved: BTreeSet<_> = verified.iter().map(|c| c.attribute("zkinfer.slice")).collect();
    assert_eq!(proved.len() as u64, slices, "{claims:#?}");
    for claim in verified {
        assert_eq!(
            (claim.parent.as_str(), claim.service.as_str()),
            (root.id.as_str(), OPERATOR)
        );
        for key in [
            "zkinfer.request",
            "zkinfer.claim",
            "zkinfer.pool",
            "zkinfer.worker",
        ] {
            assert!(!claim.attribute(key).is_empty(), "{key} of {claim:?}");
        }
        assert!(claim.attribute("zkinfer.pool").contains('/'), "{claim:?}");
        let below = |parent: &str, name: &str, service: &str| {
            let found = spans
                .iter()
                .find(|s| s.parent == parent && s.name == name && s.service == service);
            found
                .cloned()
                .unwrap_or_else(|| panic!("{name} below {parent}: {spans:#?}"))
        };
        below(&claim.id, "verify", OPERATOR);
        let work = below(&claim.id, "work", WORKER);
        assert_eq!(work.attribute("zkinfer.claim"), claim.attribute("zkinfer.claim"));
        assert_eq!(work.attribute("zkinfer.slice"), claim.attribute("zkinfer.slice"));
        for part in ["load", "inputs", "prove", "submit"] {
            let part = below(&work.id, part, WORKER);
            assert!(
                part.times.0 >= work.times.0 && part.times.1 <= work.times.1,
                "{part:?} in {work:?}"
            );
        }
    }
}

/// Values and weights are nobody's but the request's side's: a collector has neither.
#[test]
fn no_span_says_what_was_computed() {
    let collector = Collector::start().unwrap();
    let state = tempfile::tempdir().unwrap();
    let ran = quickstart(state.path(), &["--otlp-endpoint", &collector.endpoint()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let known = [
        "zkinfer.request",
        "zkinfer.name",
        "zkinfer.model",
        "zkinfer.phase",
        "zkinfer.slice",
        "zkinfer.claim",
        "zkinfer.pool",
        "zkinfer.worker",
        "zkinfer.attempt",
        "zkinfer.verdict",
        "zkinfer.bytes",
    ];
    for span in collector.spans() {
        let keys = span.json["attributes"].as_array().unwrap();
        let keys = keys.iter().map(|a| a["key"].as_str().unwrap());
        let unknown: Vec<_> = keys.filter(|k| !known.contains(k)).collect();
        assert!(unknown.is_empty(), "{unknown:?} of {}", span.name);
    }
}

#[test]
fn a_collector_that_is_not_there_costs_no_request() {
    let state = tempfile::tempdir().unwrap();
    // Port 9 discards, or nobody listens.
    let ran = quickstart(state.path(), &["--otlp-endpoint", "http://127.0.0.1:9"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn what_is_no_address_of_a_collector_is_refused_by_name() {
    let state = tempfile::tempdir().unwrap();
    let ran = quickstart(state.path(), &["--otlp-endpoint", "collector:4318"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let words = "--otlp-endpoint: `collector:4318` is no address of a collector";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    let mut worker = Command::new(program("prover-worker"));
    worker.args([
        "work",
        "--gateway",
        "http://127.0.0.1:9",
        "--otlp-endpoint",
        "collector",
    ]);
    let ran = run(worker.env("ZKINFER_TOKEN", "secret"));
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("`collector` is no address"), "{}", ran.stderr);
}
