//! A manifest is judged on the verifier's data, and its receipts by what was found.

use zkinfer_crds::ProofSystem;
use zkml::accuracy::Rule;
use zkml::graph::Profile;
use zkml::receipt::DEFAULT_RULE;

use super::*;
use crate::compile::{CompileOptions, Compiled, Sample, compile, plan};
use crate::tests::example;

fn data(file: &str) -> Inputs {
    Inputs::read(&example(file), 1 << 20).unwrap()
}

fn wine(profile: Profile, proof_system: ProofSystem) -> (Vec<u8>, Compiled) {
    let samples = data("data/wine-calibration.npy").samples(&["features"]).unwrap();
    let samples: Vec<Sample> = samples.iter().map(|s| vec![s[0].values.clone()]).collect();
    let options = CompileOptions {
        profile: Some(profile),
        error_budget_millionths: 1_000_000,
        ..CompileOptions::new(proof_system)
    };
    let onnx = example("wine.onnx");
    let plan = plan(&onnx, Some(&samples), &options).unwrap();
    let setup = plan.setup(Some(&SrsSource::Development)).unwrap();
    let compiled = compile(&plan, &setup, &|_| ()).unwrap();
    (onnx, compiled)
}

#[test]
fn an_honest_manifest_is_qualified_and_says_what_was_met() {
    let (onnx, compiled) = wine(Profile::P16, ProofSystem::SumcheckWhir);
    let found = qualify(
        &onnx,
        &compiled.manifest,
        None,
        &data("data/wine-test.npy"),
        &DEFAULT_RULE,
    )
    .unwrap();
    assert!(found.qualified, "{found:?}");
    assert_eq!(
        (found.manifest, found.model),
        (compiled.manifest.digest(), compiled.manifest.model)
    );
    assert!(found.accepted_samples() > 20);
    assert!(
        found.greatest_error > 0.0 && found.greatest_error < 1e-3,
        "{}",
        found.greatest_error
    );
    assert!(found.mean_error > 0.0 && found.mean_error <= found.greatest_error);
    assert_eq!(found.same_class, Some(found.accepted_samples()));
    assert!(found.output_scale[0] > 1.0, "{:?}", found.output_scale);
    assert_eq!(found.inputs[0].name, "features");
    assert_eq!(found.tensors.len(), 1 + compiled.manifest.node_count as usize);
    assert!(
        found
            .tensors
            .iter()
            .all(|t| t.range > 0.0 && t.range <= 1.0 && t.greatest_error >= t.mean_error)
    );
    let json = serde_json::to_vec(&found).unwrap();
    let read = Qualification::from_json(&json).unwrap();
    assert_eq!(
        (read.manifest, read.same_class, read.tensors.len()),
        (found.manifest, found.same_class, found.tensors.len())
    );
    assert!((read.greatest_error / found.greatest_error - 1.0).abs() < 1e-9);
    let mut infinite = found.clone();
    infinite.greatest_error = f64::INFINITY;
    let read = Qualification::from_json(&serde_json::to_vec(&infinite).unwrap()).unwrap();
    assert!(read.greatest_error == f64::INFINITY && read.refusal(&DEFAULT_RULE).is_some());
    assert!(Qualification::from_json(&json[1..]).is_err());
    for (member, value) in [
        ("maxError", "-1"),
        ("outOfRange", "4000000000"),
        ("sameClass", "4000000000"),
        ("greatestError", "-1"),
        ("meanError", "-1e-9"),
        ("outputScale", "[-1.0]"),
        ("inputs", r#"[{"name": "features", "magnitude": -1}]"#),
    ] {
        let mut changed: serde_json::Value = serde_json::from_slice(&json).unwrap();
        changed[member] = serde_json::from_str(value).unwrap();
        let error = Qualification::from_json(&serde_json::to_vec(&changed).unwrap()).unwrap_err();
        assert!(error.to_string().contains(member), "{member}: {error}");
    }
    let other = String::from_utf8(json)
        .unwrap()
        .replacen("\"version\":1", "\"version\":7", 1);
    assert!(
        Qualification::from_json(other.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("version 7")
    );
}

#[test]
fn the_verifiers_rule_decides_and_not_the_manifests_budget() {
    let (onnx, compiled) = wine(Profile::P8, ProofSystem::SumcheckWhir);
    assert_eq!(compiled.manifest.error_budget_millionths, 1_000_000);
    let tests = data("data/wine-test.npy");
    let judged = |rule: &Rule| qualify(&onnx, &compiled.manifest, None, &tests, rule).unwrap();
    let found = judged(&Rule {
        max_error: 1e-5,
        ..DEFAULT_RULE.clone()
    });
    assert!(!found.qualified && found.refusal(&DEFAULT_RULE).is_none() == (found.greatest_error <= 1e-2));
    let lenient = Rule {
        max_error: 0.5,
        compare_top1: false,
        ..DEFAULT_RULE.clone()
    };
    let found = judged(&lenient);
    assert!(found.qualified);
    // A stricter reader looks at the numbers, not at the word.
    let strict = Rule {
        max_error: found.greatest_error / 2.0,
        ..lenient.clone()
    };
    assert!(found.refusal(&strict).unwrap().contains("greatest error"));
    // Errors are measured by the natural magnitude that the verifier says.
    let scaled = judged(&Rule {
        output_scale: vec![1e6],
        ..lenient
    });
    assert!(scaled.greatest_error < found.greatest_error / 1e3 && scaled.output_scale == [1e6]);
}

#[test]
fn samples_outside_the_range_are_counted_and_qualify_nothing() {
    let (onnx, compiled) = wine(Profile::P16, ProofSystem::SumcheckWhir);
    let mut far = data("data/wine-test.npy")
        .samples(&["features"])
        .unwrap()
        .remove(0)
        .remove(0);
    far.values[0] = 1e6;
    far.shape.insert(0, 1);
    let judged = qualify(&onnx, &compiled.manifest, None, &Inputs::One(far), &DEFAULT_RULE).unwrap();
    assert_eq!(
        (judged.samples, judged.out_of_range, judged.qualified),
        (1, 1, false)
    );
    assert!(
        judged
            .first_out_of_range
            .clone()
            .unwrap()
            .contains("input `features`")
    );
    assert!(
        judged
            .refusal(&DEFAULT_RULE)
            .unwrap()
            .contains("within its range")
    );
}

#[test]
fn what_does_not_follow_from_the_model_or_fit_it_is_refused() {
    let (onnx, compiled) = wine(Profile::P16, ProofSystem::Halo2Kzg);
    let tests = data("data/wine-test.npy");
    let srs = Some(&SrsSource::Development);
    assert!(
        qualify(&onnx, &compiled.manifest, srs, &tests, &DEFAULT_RULE)
            .unwrap()
            .qualified
    );
    let refused = |manifest: &zkml::manifest::Manifest, onnx: &[u8], srs, data: &Inputs| {
        qualify(onnx, manifest, srs, data, &DEFAULT_RULE)
            .unwrap_err()
            .to_string()
    };
    let mut other = compiled.manifest.clone();
    other.slices[0].vk = zkinfer_crds::Digest::of(b"another key");
    assert!(refused(&other, &onnx, srs, &tests).contains("the verifying key of slice 0"));
    let mut other = compiled.manifest.clone();
    other.graph = zkinfer_crds::Digest::of(b"another graph");
    assert!(refused(&other, &onnx, srs, &tests).contains("the integer graph differs"));
    assert!(refused(&compiled.manifest, &example("digits.onnx"), srs, &tests).contains("the model is"));
    assert!(refused(&compiled.manifest, &onnx, None, &tests).contains("the SRS differs"));
    let short = Inputs::read(b"[[1, 2], [3, 4]]", 9).unwrap();
    assert!(refused(&compiled.manifest, &onnx, srs, &short).contains("sample 0: input `features`"));
    let two = Rule {
        output_scale: vec![1.0, 1.0],
        ..DEFAULT_RULE.clone()
    };
    let error = qualify(&onnx, &compiled.manifest, srs, &tests, &two)
        .unwrap_err()
        .to_string();
    assert!(error.contains("2 output scales"), "{error}");
}
