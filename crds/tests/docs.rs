//! The documents that are generated, and those that must name all of something.
#![cfg(feature = "k8s")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s;
use zkinfer_crds::wire::{self, ClaimGrant, ClaimRequest, CompileTask, Refusal};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Compares a file with what it should hold; with `ZKINFER_UPDATE` set, writes it.
fn is_current(file: &str, text: &str) {
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        std::fs::write(repository().join(file), text).unwrap();
    }
    assert!(
        read(file) == text,
        "{file} is not current: run the tests with ZKINFER_UPDATE=1"
    );
}

#[test]
fn the_api_reference_is_current() {
    is_current("docs/api-reference.md", &k8s::reference());
}

/// The line of `docs/openapi.yaml` after which everything is generated.
const GENERATED: &str = "  # Generated from here on.\n";

/// The schemas of the bodies, from their types.
fn schemas() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.definitions_path = "/components/schemas".into();
        s.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    for add in [
        SchemaGenerator::subschema_for::<ClaimRequest>,
        SchemaGenerator::subschema_for::<ClaimGrant>,
        SchemaGenerator::subschema_for::<Refusal>,
        SchemaGenerator::subschema_for::<CompileTask>,
        SchemaGenerator::subschema_for::<CompileOutcome>,
        SchemaGenerator::subschema_for::<wire::Problem>,
    ] {
        add(&mut generator);
    }
    let mut all = generator.take_definitions(true);
    all.insert(
        "InferenceRequest".to_owned(),
        json!({
            "type": "object",
            "description": "The Kubernetes object; its fields are in docs/api-reference.md.",
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "properties": {
                "apiVersion": { "const": format!("{}/{}", k8s::GROUP, k8s::VERSION) },
                "kind": { "const": "InferenceRequest" },
                "metadata": { "type": "object" },
                "spec": { "type": "object" },
                "status": { "type": "object" },
            },
        }),
    );
    Value::Object(all)
}

#[test]
fn the_schemas_of_the_openapi_document_are_current() {
    let file = "docs/openapi.yaml";
    let text = read(file);
    let (by_hand, _) = text.split_once(GENERATED).expect("the line before the schemas");
    let mut generated = String::from("  schemas:\n");
    for line in serde_yaml::to_string(&schemas()).unwrap().lines() {
        generated.push_str(&format!("    {line}\n"));
    }
    is_current(file, &format!("{by_hand}{GENERATED}{generated}"));
}

fn openapi() -> Value {
    serde_yaml::from_str(&read("docs/openapi.yaml")).expect("docs/openapi.yaml is YAML")
}

#[test]
fn references_of_the_openapi_document_lead_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(to) = map.get("$ref").and_then(Value::as_str) {
                    let there = to.strip_prefix('#').and_then(|p| document.pointer(p));
                    assert!(there.is_some(), "{to} leads nowhere");
                }
                map.values().for_each(|v| walk(v, document));
            }
            Value::Array(items) => items.iter().for_each(|v| walk(v, document)),
            _ => {}
        }
    }
    let document = openapi();
    walk(&document, &document);
}

/// `GET /v1/…` for every route of a router's source.
fn routes(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let methods = Regex::new(r"\b(get|post|put|patch|delete)\(").unwrap();
    for route in source.split(".route(").skip(1) {
        let path = route.split('"').nth(1).expect("a route begins with its path");
        // What follows the last route is not of it.
        let end = [".fallback(", ".with_state("]
            .into_iter()
            .filter_map(|e| route.find(e))
            .min();
        let calls = &route[..end.unwrap_or(route.len())];
        for call in methods.captures_iter(calls) {
            found.insert(format!("{} {path}", call[1].to_uppercase()));
        }
    }
    found
}

#[test]
fn the_openapi_document_has_exactly_the_gateways_routes() {
    let routers = ["operator/src/gateway/mod.rs", "operator/src/cluster/clients.rs"];
    let served: BTreeSet<String> = routers.iter().flat_map(|file| routes(&read(file))).collect();
    let mut documented = BTreeSet::new();
    for (path, item) in openapi()["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("a path item").keys() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert!(served.len() > 10, "{served:?}");
    assert_eq!(served, documented);
}

/// Every first group of `pattern` in the files stands in the document as code, with `prefix` before it.
fn names_all(document: &str, files: &[&str], pattern: &str, prefix: &str, least: usize) {
    let (text, pattern) = (read(document), Regex::new(pattern).unwrap());
    let mut found = BTreeSet::new();
    for file in files {
        found.extend(pattern.captures_iter(&read(file)).map(|c| c[1].to_owned()));
    }
    assert!(found.len() >= least, "{files:?}: {found:?}");
    for word in found {
        assert!(
            text.contains(&format!("`{prefix}{word}")),
            "{document} does not name `{word}`"
        );
    }
}

#[test]
fn the_worker_protocol_names_what_a_worker_meets() {
    let document = "docs/worker-protocol.md";
    names_all(
        document,
        &["operator/src/specs/pod.rs"],
        r#"\b(?:env\(|name: )"(ZKINFER_[A-Z_]+|RAYON_NUM_THREADS)""#,
        "",
        6,
    );
    let gateway = [
        "operator/src/gateway/routes.rs",
        "operator/src/gateway/problem.rs",
    ];
    names_all(
        document,
        &gateway,
        r#"StatusCode::[A-Z_]+,\s*"([A-Za-z]+)""#,
        "",
        10,
    );
}

#[test]
fn the_guide_to_installing_names_every_setting_and_metric() {
    let document = "docs/install.md";
    names_all(
        document,
        &["operator/src/metrics.rs"],
        r#"family\(\s*r,\s*"([a-z_]+)""#,
        "zkinfer_",
        9,
    );
    names_all(
        document,
        &["charts/zkinfer/values.yaml"],
        r"(?m)^([a-zA-Z]+):",
        "",
        12,
    );
    // The flags of `operator run`: the fields of its arguments, in kebab case.
    let args = read("operator/src/args.rs");
    let run = args
        .split_once("struct RunArgs {")
        .expect("RunArgs")
        .1
        .split_once("\n}")
        .unwrap()
        .0;
    let text = read(document);
    for field in Regex::new(r"(?m)^    ([a-z_]+): ").unwrap().captures_iter(run) {
        let flag = format!("`--{}", field[1].replace('_', "-"));
        assert!(text.contains(&flag), "{document} does not name {flag}");
    }
}

#[test]
fn the_guide_to_trouble_names_every_reason() {
    let text = read("docs/troubleshooting.md");
    let reasons = [
        k8s::model::reason::ALL,
        k8s::inference_request::reason::ALL,
        k8s::miner_pool::reason::ALL,
    ];
    for reason in reasons.concat() {
        assert!(
            text.contains(&format!("`{reason}`")),
            "docs/troubleshooting.md does not name `{reason}`"
        );
    }
}
