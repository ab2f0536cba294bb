//! The API promises nothing that nobody keeps: every condition and reason is set by the operator, every field of a spec is
//! read, every field of a status is written, every value of an enum is told from the others; by code that is no test.
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
use zkinfer_crds::k8s::crds;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs")
            && path.file_stem().is_some_and(|n| n != "tests")
        {
            into.push(path);
        }
    }
}

/// The code below these folders without its tests and comments.
fn code(folders: &[&str]) -> String {
    let mut files = Vec::new();
    folders.iter().for_each(|f| sources(&folder(f), &mut files));
    assert!(!files.is_empty());
    let mut text = String::new();
    for file in files {
        let source = std::fs::read_to_string(file).unwrap();
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.for_each(|line| text.extend([line, "\n"]));
    }
    text
}

/// Without the rules that the API server checks: that a text names a field is no use of it.
fn without_rules(code: &str) -> String {
    let rule = Regex::new(r#"validation = \(\s*"(?:[^"\\]|\\.)*""#).unwrap();
    assert!(
        rule.find_iter(code).count() > 20,
        "rules are written otherwise by now"
    );
    rule.replace_all(code, "").into_owned()
}

/// Fields that a rule alone looks at, which is what they are for.
const BY_RULE: &[&str] = &["MinerPool.spec.allowUnpinnedImage"];

/// By module of words (`reason`, `condition`): the names of a kind's constants.
fn constants(kind: &str) -> Vec<(String, String)> {
    let source = std::fs::read_to_string(folder("crds/src/k8s").join(format!("{kind}.rs"))).unwrap();
    let (module, name) = (
        Regex::new(r"pub mod (reason|condition) \{").unwrap(),
        Regex::new(r#"(?m)^        ([A-Z_]+) = ""#).unwrap(),
    );
    let mut found = Vec::new();
    for block in source.split("string_consts! {").skip(1) {
        let block = block.split("\n}\n").next().unwrap();
        let of = module.captures(block).unwrap()[1].to_owned();
        found.extend(name.captures_iter(block).map(|c| (of.clone(), c[1].to_owned())));
    }
    found
}

macro_rules! folders {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        &[$((stringify!($file), concat!("operator/src/controllers/", stringify!($one)))),*]
    };
}

/// Kinds of which each has words of its own, with their controllers' folders; two kinds may have one of the same name.
const KINDS: &[(&str, &str)] = zkinfer_crds::kinds!(folders);

#[test]
fn the_operator_sets_every_condition_and_reason() {
    for (kind, own) in KINDS {
        // A request's reasons are also found where its run is prepared, a Validator's where weights are published.
        let code = code(&[
            own,
            "operator/src/runs",
            "operator/src/local",
            "operator/src/cluster",
        ]);
        let words = constants(kind);
        let of = |module: &str| words.iter().filter(|(of, _)| of == module).count();
        assert!(of("condition") > 0 && of("reason") > 0, "{kind}: {words:?}");
        for (of, name) in words {
            assert!(
                code.contains(&format!("{of}::{name}")),
                "{kind}: nothing sets {of}::{name}"
            );
        }
    }
}

fn walk(schema: &Value, path: &str, see: &mut impl FnMut(&str, &str, &Value)) {
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        see(&path, name, child);
        // Conditions are Kubernetes' own.
        if name != "conditions" {
            walk(child, &path, see);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            let path = format!("{path}[]");
            see(&path, "", &schema[inner]);
            walk(&schema[inner], &path, see);
        }
    }
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// The name of a word's variant.
fn word(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_ascii_uppercase() + rest
}

#[test]
fn every_field_is_read_or_written_and_every_enum_value_told_from_the_others() {
    // Types of the API have methods that read fields; what they define is no use of it.
    let code = without_rules(&code(&["operator/src", "crds/src/k8s"]));
    // Proof systems are told apart where their proofs are made.
    let engine = self::code(&["zkml/src"]);
    let mut checked = BTreeSet::new();
    for crd in crds() {
        let kind = crd.spec.names.kind;
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let schema = &schema["openAPIV3Schema"]["properties"];
        for part in ["spec", "status"] {
            walk(
                &schema[part],
                &format!("{kind}.{part}"),
                &mut |path, name, field| {
                    let (own, name) = (name, snake_case(name));
                    // A spec's field is read from a value or taken out of a pattern; a status' is given a value.
                    let uses = match part {
                        "spec" => vec![
                            format!(".{name}"),
                            format!("{name}: Some("),
                            format!("{name}: true"),
                        ],
                        // A measure is a word that a proof system's cost names.
                        _ if path.contains(".measures.") => vec![format!("Measure::{}", word(own))],
                        _ => vec![format!(".{name}"), format!("{name}: "), format!("{name},")],
                    };
                    let defined = Regex::new(&format!("pub {name}: ")).unwrap();
                    let without = defined.replace_all(&code, "");
                    assert!(
                        name.is_empty()
                            || BY_RULE.contains(&path)
                            || uses
                                .iter()
                                .any(|u| without.contains(u) || engine.contains(u) && u.contains("::")),
                        "{path}: nothing uses it"
                    );
                    for value in field["enum"].as_array().into_iter().flatten() {
                        let value = value.as_str().unwrap();
                        assert!(
                            [&code, &engine]
                                .iter()
                                .any(|c| c.contains(&format!("::{}", word(value)))),
                            "{path}: nothing knows {value}"
                        );
                        checked.insert(value.to_owned());
                    }
                    checked.insert(name);
                },
            );
        }
    }
    for known in [
        "error_budget_millionths",
        "possession",
        "error_vs_float_millionths",
        "P12",
    ] {
        assert!(checked.contains(known), "{known} was not looked at");
    }
}
