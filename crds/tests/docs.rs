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
fn the_rules_of_every_role_are_current() {
    for file in [
        "manifests/default/operator-rbac.yaml",
        "manifests/default/client-roles.yaml",
        "manifests/namespaced/role/roles.yaml",
        "manifests/components/namespaced/kustomization.yaml",
        "manifests/cluster/user-roles.yaml",
    ] {
        let filled = k8s::rights::manifest(&read(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        is_current(file, &filled);
    }
    is_current("charts/zkinfer/templates/_rules.tpl", &k8s::rights::chart());
}

/// Every rule of a role of ours is made, none is written beside the marks.
#[test]
fn no_manifest_has_a_rule_that_is_written_by_hand() {
    let mut found = Vec::new();
    for folder in ["manifests", "charts/zkinfer/templates"] {
        files_with_rules(&repository().join(folder), &mut found);
    }
    assert!(found.len() >= 6, "{found:?}");
    for file in found {
        let text = std::fs::read_to_string(&file).unwrap();
        let emptied = zkinfer_crds::generated::filled(&text, |_, _| Some(String::new()));
        let whole = text.contains("Generated from crds/src/k8s/rights.rs");
        assert!(
            whole || emptied.is_ok_and(|rest| !rest.contains("apiGroups:")),
            "{}: a rule outside of what crds/src/k8s/rights.rs makes",
            file.display()
        );
    }
}

/// A policy of admission says of which kinds it judges: that is no right of anybody's.
fn gives_rights(text: &str) -> bool {
    let policy = text.contains("\nkind: ValidatingAdmissionPolicy\n") && !text.contains("Role");
    text.contains("apiGroups:") && !policy
}

fn files_with_rules(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with_rules(&path, into);
        } else if std::fs::read_to_string(&path).is_ok_and(|text| gives_rights(&text)) {
            into.push(path);
        }
    }
}

/// `scripts/recipe.sh` takes a file's own word that it is generated, as people do.
#[test]
fn every_file_that_says_it_is_generated_is_named_by_what_writes_it() {
    let (mut marked, mut writers) = (Vec::new(), String::new());
    let mut folders = vec![repository()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                // The previous chart is a copy, as it stood.
                let copy = path.ends_with("tests/previous");
                let others = ["target", "node_modules", "shared"].contains(&&*name);
                if !copy && !others && !name.starts_with('.') {
                    folders.push(path);
                }
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            if name.ends_with(".rs") || name.ends_with(".py") {
                // Tests, and programs that make tables of what they measured.
                if text.contains("ZKINFER_UPDATE") || text.contains("docs") {
                    writers += &text;
                }
            } else if is_marked(&text) {
                marked.push(path.strip_prefix(repository()).unwrap().to_owned());
            }
        }
    }
    assert!(marked.len() > 10, "{marked:?}");
    for file in marked {
        // Of the definitions their folder is named.
        let definition = file.parent().unwrap().ends_with("crds/yaml")
            || file.parent().unwrap().ends_with("charts/zkinfer/files/crds");
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(
            definition || writers.contains(name),
            "{}: nothing writes it",
            file.display()
        );
    }
}

fn is_marked(text: &str) -> bool {
    let head = ["Generated from ", "Generated by "];
    let mut first = text.lines().take(3);
    first.any(|line| head.iter().any(|words| line.contains(words)))
        || text.lines().any(|line| {
            let line = line.trim_start();
            line.starts_with("# generated: ") || line.starts_with("<!-- generated: ")
        })
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

/// Every first group of `pattern` in the files stands in the document as code.
fn names_all(document: &str, files: &[&str], pattern: &str, least: usize) {
    let (text, pattern) = (read(document), Regex::new(pattern).unwrap());
    let mut found = BTreeSet::new();
    for file in files {
        found.extend(pattern.captures_iter(&read(file)).map(|c| c[1].to_owned()));
    }
    assert!(found.len() >= least, "{files:?}: {found:?}");
    for word in found {
        assert!(
            text.contains(&format!("`{word}")),
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
fn the_guide_to_installing_names_every_setting() {
    let document = "docs/install.md";
    names_all(
        document,
        &["charts/zkinfer/values.yaml"],
        r"(?m)^([a-zA-Z]+):",
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

/// The reasons that begin an entry of a page: those in the first or, of tables by condition, the second place of a row, and those in
/// what a paragraph has in bold or italics at its beginning.
fn entries(text: &str) -> BTreeSet<String> {
    let word = Regex::new("`([A-Z][A-Za-z]+)`").unwrap();
    let begin = Regex::new(r"(?m)^(?:\| [^|]*\|[^|]*\||(?:- )?\*\*[^*]+\*\*)").unwrap();
    let begins = begin.find_iter(text).map(|found| found.as_str());
    begins
        .flat_map(|head| word.captures_iter(head).map(|c| c[1].to_owned()))
        .collect()
}

/// A line of a table, or a paragraph that begins with it in bold: a reason that is only mentioned is not explained.
#[test]
fn every_reason_that_the_code_can_write_has_an_entry_in_the_guide_to_trouble() {
    let found = entries(&read("docs/troubleshooting.md"));
    macro_rules! reasons {
        ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
            [$(k8s::$file::reason::ALL),*]
        };
    }
    let all = zkinfer_crds::kinds!(reasons).concat();
    let missing: Vec<&str> = all
        .into_iter()
        .chain(k8s::pods::reason::ALL.iter().copied())
        .filter(|reason| !found.contains(*reason))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/troubleshooting.md has no entry for {missing:?}"
    );
}

/// A reason that is written as a text beside the lists would have an entry nowhere.
#[test]
fn no_controller_writes_a_reason_that_is_in_no_list() {
    let text = Regex::new(r#"reason: "[A-Z]|reason::[a-z]|\.condition\([^)]*, "[A-Z]"#).unwrap();
    let mut folders = vec![repository().join("operator/src/controllers")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let code = std::fs::read_to_string(&path).unwrap();
                let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let found = text.find(code).map(|m| m.as_str());
                assert_eq!(found, None, "{}", path.display());
                read += 1;
            }
        }
    }
    assert!(read > 20, "{read} files");
}

/// Until a version is frozen by name: whoever keeps receipts has to know.
#[test]
fn the_readme_says_what_it_does_not_promise() {
    let readme = read("README.md");
    assert!(readme.contains("**Not promised yet:** that later versions verify receipts of today."));
    assert!(
        read("CHANGELOG.md").contains("## Unreleased"),
        "a release says which version is frozen"
    );
}
