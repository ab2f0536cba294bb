//! What the example models compile to: integer graph, plan and verifying keys in both proof systems, by digest. A manifest
//! names them, so two programs that disagree on one do not believe each other's receipts. `ZKINFER_UPDATE=1` writes the file
//! anew; a change of it is a change of version 2's bytes and belongs in CHANGELOG.md.
#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

use std::process::Command;

use zkinfer_crds::{Digest, ProofSystem};
use zkinfer_tests::local::{model_file, repository, run};
use zkml::canonical;
use zkml::graph::{Profile, tensor_file::read_npy};
use zkml::setup::SrsSource;
use zkml::sumcheck::{Key, SliceParameters};
use zkml_compile::compile::{CompileOptions, Sample, compile, plan};
use zkml_compile::slice::SlicingOptions;

/// A model with its calibration data, as the examples of manifests/ have them.
const MODELS: [(&str, &str); 3] = [
    ("wine", "wine"),
    ("digits", "digits"),
    ("digits-residual", "digits"),
];

fn samples(name: &str) -> Vec<Sample> {
    let file = std::fs::read(model_file(&format!("data/{name}-calibration.npy"))).unwrap();
    let all = read_npy(&file, 1 << 24).unwrap();
    let len = all.values.len() / all.shape[0];
    all.values.chunks(len).map(|v| vec![v.to_vec()]).collect()
}

fn digests(name: &str, data: &str, system: ProofSystem) -> String {
    let onnx = std::fs::read(model_file(&format!("{name}.onnx"))).unwrap();
    let options = CompileOptions {
        // Not the cheapest that is accurate enough: which one that is may change with how accuracy is measured.
        profile: Some(Profile::P12),
        slicing: SlicingOptions::at_least(2),
        ..CompileOptions::new(system)
    };
    let plan = plan(&onnx, Some(&samples(data)), &options).unwrap();
    let setup = plan.setup(Some(&SrsSource::Development)).unwrap();
    let compiled = compile(&plan, &setup, &|_| ()).unwrap();
    let mut text = format!("{name} {system}\n  graph {}\n", Digest::of(&compiled.graph));
    for (slice, of_manifest) in plan.slices.iter().zip(&compiled.manifest.slices) {
        let limb_bits = slice.parameters.limb_bits;
        let placed = match system {
            ProofSystem::SumcheckWhir => Key::new(&slice.relations, SliceParameters { limb_bits })
                .unwrap()
                .plan_digest(),
            ProofSystem::Halo2Kzg => canonical::digest(&of_manifest.circuit),
        };
        text += &format!(
            "  nodes {:?}\n    plan {placed}\n    vk {}\n",
            slice.nodes, of_manifest.vk
        );
    }
    text
}

#[test]
fn the_example_models_compile_to_the_stored_digests() {
    let mut now = String::new();
    for (name, data) in MODELS {
        for system in [ProofSystem::SumcheckWhir, ProofSystem::Halo2Kzg] {
            now += &digests(name, data, system);
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        now, stored,
        "another key, graph or plan: if that is meant, ZKINFER_UPDATE=1 and CHANGELOG.md"
    );
}

/// Figures that anybody makes again from the papers' formulas.
#[test]
fn the_account_of_bits_is_what_its_script_prints() {
    let script = repository().join("tests/soundness/account.py");
    for (arguments, file) in [
        (&[][..], "tests/soundness/account.json"),
        (&["--toml"], "docs/soundness/soundcalc.toml"),
    ] {
        let ran = run(Command::new("python3")
            .arg(&script)
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let kept = std::fs::read_to_string(repository().join(file)).unwrap();
        assert!(
            ran.stdout == kept,
            "{file} is not what {} prints",
            script.display()
        );
    }
}
