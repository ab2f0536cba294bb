//! What the programs are made of. The operator holds a store, tokens and everybody's requests: it verifies and evaluates
//! integers, so no reader of models and no prover is in it. The worker has both, which shows that these tests see them.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

use std::collections::BTreeSet;

use zkinfer_crds::ProofSystem;
use zkinfer_tests::local::{cargo_tree, program};

/// Crates that read models.
const READERS: &[&str] = &[
    "tract-onnx",
    "tract-core",
    "prost",
    "zkml-compile",
    "zkml-reference",
];

/// Modules of the engine that only a prover needs, as they stand in the names of symbols: those with functions that are too large
/// to be inlined.
const PROVERS: &[&str] = &[
    "4zkml8sumcheck6prover",
    "4zkml5halo27witness",
    "4zkml5proof6prover",
];

/// The packages that a package is built from, tests apart, each with its features.
fn tree(package: &str) -> Vec<String> {
    cargo_tree(package, &["--edges", "normal,build,features"])
}

fn has(tree: &[String], package: &str) -> bool {
    tree.iter().any(|line| line.split(' ').next() == Some(package))
}

/// The names of a program's symbols.
fn names(program_name: &str) -> Vec<String> {
    let bytes = std::fs::read(program(program_name)).unwrap();
    let names = bytes.split(|b| *b == 0).filter(|s| s.starts_with(b"_"));
    let texts = names.filter_map(|name| std::str::from_utf8(name).ok());
    texts.map(str::to_owned).collect()
}

/// The types of ours that a program has with this trait, as the names of their functions say.
fn implementors(program_name: &str, of: &str) -> BTreeSet<String> {
    let after = ["$u20$as$u20$", of, "$GT$"].concat();
    let types = names(program_name).into_iter().filter_map(|name| {
        let (before, _) = name.split_once(&after)?;
        Some(before.rsplit("..").next()?.to_owned())
    });
    types.collect()
}

/// Which of these fragments occur in the names of a program's symbols.
fn symbols(name: &str, fragments: &[&'static str]) -> Vec<&'static str> {
    let mut found: Vec<&str> = Vec::new();
    for symbol in names(name) {
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

/// What tells a collector is in every build, so it brings nothing along: no protobuf, and no SDK.
#[test]
fn spans_are_told_without_engine_cluster_or_crates_of_their_own() {
    let spans = tree("zkinfer-spans");
    assert!(has(&spans, "zkinfer-crds"), "is that its name?");
    for other in ["zkml", "kube", "opentelemetry", "opentelemetry-proto", "tonic"]
        .iter()
        .chain(READERS)
    {
        assert!(!has(&spans, other), "spans depend on {other}");
    }
}

#[test]
fn the_scoring_rules_know_no_cluster_no_network_and_no_engine() {
    let scoring = tree("zkinfer-scoring");
    assert!(has(&scoring, "zkinfer-crds"), "is that its name?");
    for other in ["zkml", "kube", "reqwest", "hyper", "tokio"]
        .iter()
        .chain(READERS)
    {
        assert!(!has(&scoring, other), "the scoring rules depend on {other}");
    }
}

#[test]
fn weights_know_no_cluster_no_network_and_no_engine() {
    let weights = tree("zkinfer-weights");
    assert!(has(&weights, "zkinfer-scoring"), "is that its name?");
    for other in ["zkml", "kube", "reqwest", "hyper", "tokio"]
        .iter()
        .chain(READERS)
    {
        assert!(!has(&weights, other), "weights depend on {other}");
    }
}

#[test]
fn the_proof_of_weights_knows_no_cluster_no_network_and_no_model() {
    let proof = tree("zkinfer-weights-proof");
    assert!(has(&proof, "zkml"), "is that its name?");
    for other in ["kube", "reqwest", "hyper", "tokio"].iter().chain(READERS) {
        assert!(!has(&proof, other), "the proof of weights depends on {other}");
    }
}

/// Whoever tries it out compiles no chain; images have it.
#[test]
fn a_chain_is_in_the_operators_that_were_asked_for_one() {
    let tree = |more: &[&str]| {
        let edges = ["--edges", "normal,build,features"];
        cargo_tree("zkinfer-operator", &[&edges, more].concat())
    };
    let (without, with) = (tree(&[]), tree(&["--features", "bittensor"]));
    for package in ["zkinfer-bittensor", "timelock"] {
        assert!(!has(&without, package), "the operator depends on {package}");
        assert!(
            has(&with, package),
            "feature `bittensor` does not bring {package}"
        );
    }
    let images =
        std::fs::read_to_string(zkinfer_tests::local::repository().join("scripts/images.sh")).unwrap();
    assert!(images.contains("features=zkinfer-operator/bittensor"));
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

/// Proof systems that the tests' lists have beside these (`Clear`) are in no program that is shipped.
#[test]
fn the_proof_systems_of_a_program_are_those_that_are_shipped() {
    let (verifying, proving) = ("zkml..backend..System", "zkml..backend..prover..Proving");
    let shipped: BTreeSet<String> = ProofSystem::ALL.iter().map(ToString::to_string).collect();
    for name in ["operator", "prover-worker"] {
        assert_eq!(implementors(name, verifying), shipped, "{name}");
    }
    assert_eq!(implementors("prover-worker", proving), shipped);
    assert_eq!(implementors("operator", proving), BTreeSet::new());
}
