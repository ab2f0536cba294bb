//! What the programs are made of. The operator holds a store, tokens and everybody's requests: it verifies and evaluates
//! integers, so no reader of models and no prover is in it. The worker has both, which shows that these tests see them.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

use std::process::Command;

use zkinfer_tests::local::{program, repository};

/// Crates that read models.
const READERS: &[&str] = &[
    "tract-onnx",
    "tract-core",
    "prost",
    "zkml-compile",
    "zkml-reference",
];

/// Modules of the engine that prove, as they stand in the names of symbols.
const PROVERS: &[&str] = &[
    "4zkml8sumcheck6prover",
    "4zkml5halo26prover",
    "4zkml7backend6prover",
    "4zkml5proof6prover",
];

/// The packages that a package is built from, tests apart, each with its features.
fn tree(package: &str) -> Vec<String> {
    let out = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--prefix",
            "none",
            "--edges",
            "normal,build,features",
        ])
        .args(["--package", package])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn has(tree: &[String], package: &str) -> bool {
    tree.iter().any(|line| line.split(' ').next() == Some(package))
}

/// Which of these fragments occur in the names of a program's symbols.
fn symbols(name: &str, fragments: &[&'static str]) -> Vec<&'static str> {
    let bytes = std::fs::read(program(name)).unwrap();
    let mut found: Vec<&str> = Vec::new();
    for symbol in bytes.split(|b| *b == 0).filter(|s| s.starts_with(b"_")) {
        let Ok(symbol) = std::str::from_utf8(symbol) else {
            continue;
        };
        for fragment in fragments {
            if !found.contains(fragment) && symbol.contains(fragment) {
                found.push(fragment);
            }
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn the_operator_depends_on_no_reader_of_models() {
    let (operator, worker) = (tree("zkinfer-operator"), tree("prover-worker"));
    for reader in READERS {
        assert!(!has(&operator, reader), "the operator depends on {reader}");
        assert!(
            has(&worker, reader),
            "the worker does not depend on {reader}: is that its name?"
        );
    }
    let ours = operator.iter().filter(|l| l.starts_with("zk"));
    for line in ours {
        let feature = ["feature \"prove\"", "feature \"import\""];
        assert!(
            !feature.iter().any(|f| line.contains(f)),
            "the operator takes {line}"
        );
    }
}

#[test]
fn the_client_of_the_gateway_has_no_engine_in_it() {
    let client = tree("zkinfer-client");
    assert!(has(&client, "zkinfer-crds"), "is that its name?");
    for engine in ["zkml", "halo2-axiom", "p3-whir", "kube"].iter().chain(READERS) {
        assert!(!has(&client, engine), "the client depends on {engine}");
    }
}

#[test]
fn no_reader_and_no_prover_is_linked_into_the_operator() {
    let fragments: Vec<&str> = PROVERS
        .iter()
        .copied()
        .chain([
            "10tract_core",
            "10tract_onnx",
            "12zkml_compile",
            "14zkml_reference",
        ])
        .collect();
    let mut all = fragments.clone();
    all.sort_unstable();
    assert_eq!(symbols("prover-worker", &fragments), all);
    assert_eq!(symbols("operator", &fragments), Vec::<&str>::new());
    // Its verifiers are.
    assert_eq!(symbols("operator", &["4zkml8sumcheck8verifier"]).len(), 1);
}
