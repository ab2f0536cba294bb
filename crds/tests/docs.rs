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
use serde_json::Value;
use zkinfer_crds::calls::{self, Reason, Reply};
use zkinfer_crds::k8s;

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

#[test]
fn the_openapi_document_is_current() {
    is_current("docs/openapi.yaml", &calls::openapi().unwrap());
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
    // Every word with which one of its calls is answered.
    let text = read(document);
    let own = calls::work::ALL.iter().flat_map(|call| call.about.replies);
    let own = own.filter_map(|reply| match reply {
        Reply::Problem(_, reasons) => Some(reasons.iter().map(|(reason, _)| *reason)),
        Reply::Answer(..) | Reply::Empty(..) => None,
    });
    let any = Reason::ANY.iter().copied().chain([Reason::OtherClaim]);
    for reason in own.flatten().chain(any) {
        assert!(
            text.contains(&format!("`{reason}`")),
            "{document} does not name `{reason}`"
        );
    }
    for call in calls::work::ALL {
        let named = call
            .path
            .replace("{digest}", "sha256:<hex>")
            .replace("{claim}", "<claim>");
        let call = format!("`{} {named}`", call.method.as_str());
        assert!(text.contains(&call), "{document} does not name {call}");
    }
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
