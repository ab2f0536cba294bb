//! What an image is made of is written down: no crate is missing that is linked into its program, none is in it that tests alone need.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use zkinfer_tests::local::{cargo_tree, repository, run};

/// The image's program, and its package.
const IMAGES: [(&str, &str); 2] = [
    ("operator", "zkinfer-operator"),
    ("prover-worker", "prover-worker"),
];

fn bill(package: &str) -> String {
    let mut command = Command::new(repository().join("scripts/sbom.py"));
    let ran = run(command.arg(package).arg("--offline").current_dir(repository()));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

/// The crates that Cargo links, as `name version`: of the programs' own, those that run in the compiler lead no further.
fn linked(package: &str) -> BTreeSet<String> {
    let tree = cargo_tree(
        package,
        &[
            "--edges",
            "normal,no-proc-macro",
            "--target",
            "x86_64-unknown-linux-gnu",
        ],
    );
    let name = |line: &str| {
        let mut words = line.split(' ');
        let (name, version) = (words.next()?, words.next()?);
        Some(format!("{name} {}", version.strip_prefix('v')?))
    };
    tree.iter().map(String::as_str).filter_map(name).collect()
}

/// Built as the whole workspace a program may be compiled from more than it needs by itself; never from less.
#[test]
fn a_bill_of_materials_has_every_crate_that_is_linked_with_its_digest() {
    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    for (_, package) in IMAGES {
        let bill: Value = serde_json::from_str(&bill(package)).unwrap();
        assert_eq!(
            (&bill["bomFormat"], &bill["specVersion"]),
            (&"CycloneDX".into(), &"1.6".into())
        );
        let components = bill["components"].as_array().unwrap();
        let text = |c: &Value, key: &str| c[key].as_str().unwrap().to_owned();
        let required = components.iter().filter(|c| c["scope"] == "required");
        let found: BTreeSet<String> = required
            .map(|c| format!("{} {}", text(c, "name"), text(c, "version")))
            .collect();
        let missing: Vec<_> = linked(package).difference(&found).cloned().collect();
        assert!(missing.is_empty(), "{package}: {missing:?}");
        for beside in ["glibc ", "rust-std "] {
            assert!(found.iter().any(|c| c.starts_with(beside)), "{package}: {beside}");
        }
        for component in components {
            let name = text(component, "name");
            if let Some(digest) = component["hashes"][0]["content"].as_str() {
                assert!(lock.contains(digest), "{name}");
            } else {
                let own =
                    name.starts_with("zk") || ["prover-worker", "glibc", "rust-std"].contains(&name.as_str());
                assert!(own, "{name} is of a registry and has no digest");
            }
            assert!(component["licenses"].is_array(), "{name} has no licence");
        }
        // What tests alone need is in no image.
        assert!(!components.iter().any(|c| c["name"] == "proptest"), "{package}");
    }
}

#[test]
fn every_reference_is_to_one_component_and_the_same_sources_are_the_same_bytes() {
    for (_, package) in IMAGES {
        let text = bill(package);
        assert_eq!(text, bill(package), "{package}");
        let bill: Value = serde_json::from_str(&text).unwrap();
        let reference = |c: &Value| c["bom-ref"].as_str().unwrap().to_owned();
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for component in bill["components"].as_array().unwrap() {
            *times.entry(reference(component)).or_default() += 1;
        }
        *times
            .entry(reference(&bill["metadata"]["component"]))
            .or_default() += 1;
        assert!(times.values().all(|n| *n == 1), "{package}: {times:?}");
        for dependency in bill["dependencies"].as_array().unwrap() {
            let to = dependency["dependsOn"].as_array().unwrap();
            for name in to.iter().chain([&dependency["ref"]]) {
                assert!(times.contains_key(name.as_str().unwrap()), "{package}: {name}");
            }
        }
    }
}

#[test]
fn a_package_that_is_none_is_named_beside_those_that_are() {
    let mut command = Command::new(repository().join("scripts/sbom.py"));
    let ran = run(command.args(["zkinfer", "--offline"]).current_dir(repository()));
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("`zkinfer` is none") && ran.stderr.contains("zkinfer-operator"),
        "{}",
        ran.stderr
    );
}
