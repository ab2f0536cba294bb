//! Honest receipts are valid at every depth, and the report claims no more than was checked.

use zkml::accuracy::Rule;

use super::*;
use crate::fidelity::Fidelity;
use crate::float_model::FloatModel;

in_every_proof_system! {
    an_honest_receipt_is_valid_at_every_depth,
    the_report_says_whose_the_names_are,
    keys_and_manifest_do_not_depend_on_the_number_of_threads,
    honest_receipts_of_every_profile_are_valid,
}

/// A rule with this greatest error.
fn within(max_error: f64) -> Rule {
    Rule {
        max_error,
        ..DEFAULT_RULE.clone()
    }
}

fn an_honest_receipt_is_valid_at_every_depth(system: Tested) {
    let (model, bytes) = (model(system), receipt(system).to_bytes());
    assert!(model.compiled.manifest.slices.len() >= 4);
    let report = model.verify(&bytes);
    assert!(report.valid(), "{}", said(&report));
    assert_eq!(
        said(&report).contains("FORGEABLE BY ANYONE"),
        system.id() == ProofSystem::Halo2Kzg
    );
    assert!(said(&report).contains(&format!("The proofs are of {}", system.id())));
    assert!(said(&report).contains("NotChecked: Whose input this is was not checked"));
    assert!(said(&report).contains("NotChecked: Your manifest is not qualified"));
    assert!(
        report.verdict().contains("valid for the integers in it"),
        "{}",
        report.verdict()
    );

    let own = model.floats(1);
    let input = given(&own);
    let rule = within(0.1);
    let miners: Vec<Identity> = receipt(system).slices.iter().map(|s| s.identity).collect();
    let with_model = Verification {
        input: Some(&input),
        rule: &rule,
        expected: Expected {
            network: Some("test"),
            request: Some(RequestUid::new([1; 16])),
            miners: &miners,
        },
        ..model.by_model()
    };
    let report = verify(&bytes, &with_model);
    assert!(report.valid(), "{}", said(&report));
    let judged = report.judged.as_ref().unwrap();
    assert!(judged.verdict.error > 0.0 && judged.verdict.error < 0.1);
    assert!(
        report.sentences.iter().all(|s| s.outcome == Outcome::Holds),
        "{}",
        said(&report)
    );
    assert_eq!(report.verdict(), "The receipt is valid.");
    assert!(said(&report).contains("The same class as the float model's"));

    // Of the receipt's own integers only without the input; then the verdict says so.
    let unasked = Verification {
        input: None,
        ..with_model
    };
    let report = verify(&bytes, &unasked);
    assert!(
        report.valid() && report.verdict().contains("whose input they are"),
        "{}",
        said(&report)
    );
    assert!(said(&report).contains("in steps of") && said(&report).contains("distinct values"));
    assert!(said(&report).contains("on the receipt's integers the greatest error"));

    let mut other = own.clone();
    other[0].values[0] += 0.5;
    let other = given(&other);
    let report = verify(
        &bytes,
        &Verification {
            input: Some(&other),
            ..with_model
        },
    );
    assert!(!report.valid() && said(&report).contains("is not your input"));
    assert_eq!(report.verdict(), "The receipt is invalid.");
}

#[test]
fn the_development_srs_is_refused_unless_it_is_allowed() {
    let model = model(HALO2);
    let bytes = receipt(HALO2).to_bytes();
    let report = model.by_manifest(|v| {
        verify(
            &bytes,
            &Verification {
                allow_development_srs: false,
                ..v
            },
        )
    });
    assert!(!report.valid() && said(&report).contains("FORGEABLE BY ANYONE"));
}

fn the_report_says_whose_the_names_are(system: Tested) {
    let (model, bytes) = (model(system), receipt(system).to_bytes());
    let report = model.verify(&bytes);
    assert!(
        said(&report).contains("which nobody has signed: request 0101"),
        "{}",
        said(&report)
    );
    let miners: Vec<Identity> = receipt(system).slices.iter().map(|s| s.identity).collect();
    for (expected, name) in [
        (
            Expected {
                network: Some("other"),
                ..Expected::default()
            },
            "names network \"test\", not yours, \"other\"",
        ),
        (
            Expected {
                request: Some(RequestUid::new([2; 16])),
                ..Expected::default()
            },
            "names request",
        ),
        (
            Expected {
                miners: &miners[..1],
                ..Expected::default()
            },
            "Slice 1 names miner",
        ),
    ] {
        let report = model.by_manifest(|v| verify(&bytes, &Verification { expected, ..v }));
        assert!(
            !report.valid() && said(&report).contains(name),
            "{}",
            said(&report)
        );
    }
    let report = model.by_manifest(|v| {
        let expected = Expected {
            network: Some("test"),
            ..Expected::default()
        };
        verify(&bytes, &Verification { expected, ..v })
    });
    assert!(
        report.valid()
            && said(&report).contains("Holds: The receipt names what you expect: network \"test\".")
    );
}

fn keys_and_manifest_do_not_depend_on_the_number_of_threads(system: Tested) {
    let digest = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            Model::new(network().bytes(), 2, system)
                .compiled
                .manifest
                .digest()
        })
    };
    assert_eq!(digest(1), digest(2));
}

/// The wine model, one slice: small enough for both systems.
fn honest_receipts_of_every_profile_are_valid(system: Tested) {
    let calibration = flat(&samples("data/wine-calibration.npy"));
    let sample = samples("data/wine-test.npy").remove(0);
    for &profile in Profile::ALL {
        let onnx = example("wine.onnx");
        let plan = planned(&onnx, Some(&calibration), Some(profile), 1, system);
        let model = Model::of(onnx, plan);
        let receipt = model.run(&model.quantised(&sample)[0], 1);
        let (input, rule) = (given(&sample), within(0.1));
        let verification = Verification {
            input: Some(&input),
            rule: &rule,
            ..model.by_model()
        };
        let report = verify(&receipt.to_bytes(), &verification);
        assert!(report.valid(), "{profile:?}: {}", said(&report));
    }
}

/// What `fidelity` says of its bound: an answer that a rule accepts is not refused for coarse tensors.
#[test]
fn no_honest_answer_is_refused_for_the_scales_of_its_tensors() {
    let mut coarse = 0;
    for (name, data) in [
        ("digits", "digits"),
        ("digits-residual", "digits"),
        ("wine", "wine"),
    ] {
        let onnx = example(&format!("{name}.onnx"));
        let calibration = flat(&samples(&format!("data/{data}-calibration.npy")));
        let tests = samples(&format!("data/{data}-test.npy"));
        let float_model = FloatModel::read(&onnx).unwrap();
        for &profile in Profile::ALL {
            let plan = planned(&onnx, Some(&calibration), Some(profile), 1, SUMCHECK);
            let (float, int) = (&plan.float, &plan.graph);
            // Ordinary inputs, and faint ones, for which the scales are too coarse.
            let inputs = tests.iter().take(60);
            for (sample, dim) in inputs.flat_map(|s| [(s, 1.0), (s, 0.1), (s, 0.01)]) {
                let mut sample = sample[0].clone();
                sample.values.iter_mut().for_each(|v| *v *= dim);
                let quantised = quantise_input(&int.tensors[int.inputs[0].0 as usize], &sample);
                let values = quantised.ok().and_then(|q| int.evaluate(&[q]).ok());
                // Out of the calibrated range there is no receipt.
                let Some(values) = values else { continue };
                let floats = vec![sample.values];
                let answer = float_model.outputs(int, &floats).unwrap();
                let output = int.outputs[0].0 as usize;
                let outputs = [(&int.tensors[output], values[output].values.as_slice())];
                let fidelity = Fidelity::new(float, int, &floats, &values).unwrap();
                for rule in [0.01, 0.02, 0.05, 0.1].map(within) {
                    let effect = fidelity.effect((float, int), &floats, &values, &answer, &rule);
                    if let Some(effect) = effect.unwrap()
                        && judge_outputs(&rule, &outputs, &answer, &[false]).accepted()
                    {
                        coarse += 1;
                        assert!(effect.harmless(&rule), "{name} {profile:?} at {dim}: {effect:?}");
                    }
                }
            }
        }
    }
    assert!(coarse > 50, "coarse tensors were met {coarse} times only");
}

/// Depth (a) with what the verifier's own data said of the manifest.
#[test]
fn a_qualification_of_this_manifest_stands_for_the_model() {
    let system = SUMCHECK;
    let calibration = samples("data/wine-calibration.npy");
    let onnx = example("wine.onnx");
    let model = Model::of(
        onnx.clone(),
        planned(&onnx, Some(&flat(&calibration)), None, 1, system),
    );
    let sample = samples("data/wine-test.npy").remove(0);
    let bytes = model.run(&model.quantised(&sample)[0], 1).to_bytes();
    let lenient = within(0.1);
    let data = Inputs::read(&example("data/wine-test.npy"), 1 << 20).unwrap();
    let found = crate::qualify::qualify(&onnx, &model.compiled.manifest, None, &data, &lenient).unwrap();
    assert!(found.qualified, "{found:?}");
    let input = given(&sample);
    let with = |found: &zkml::qualification::Qualification, rule: &Rule| {
        model.by_manifest(|v| {
            let verification = Verification {
                input: Some(&input),
                qualification: Some(found),
                rule,
                ..v
            };
            verify(&bytes, &verification)
        })
    };
    let report = with(&found, &lenient);
    assert!(report.valid() && report.scope.qualified, "{}", said(&report));
    assert!(
        said(&report).contains("Holds: The manifest was qualified"),
        "{}",
        said(&report)
    );
    assert_eq!(report.verdict(), "The receipt is valid.");
    // Stricter than what was found, of another manifest, or without any: it says so.
    let report = with(&found, &within(found.greatest_error / 2.0));
    assert!(
        !report.valid() && said(&report).contains("is not qualified"),
        "{}",
        said(&report)
    );
    // What a stricter rule refused then is not qualified by a looser one now.
    let strict = within(found.greatest_error / 2.0);
    let refused = crate::qualify::qualify(&onnx, &model.compiled.manifest, None, &data, &strict).unwrap();
    let report = with(&refused, &lenient);
    assert!(!report.valid() && said(&report).contains("`qualify` found so when you accepted"));
    let mut other = found.clone();
    other.manifest = Digest::of(b"another");
    let report = with(&other, &lenient);
    assert!(!report.valid() && said(&report).contains("Your qualification is of manifest"));
    let mut other = found.clone();
    other.model = Digest::of(b"another");
    let report = with(&other, &lenient);
    assert!(!report.valid() && said(&report).contains("Your qualification is of the model"));
    let mut other = found.clone();
    other.output_scale.push(1.0);
    let report = with(&other, &lenient);
    assert!(!report.valid() && said(&report).contains("Your qualification has 2 output scales"));
    let report = model.by_manifest(|v| {
        verify(
            &bytes,
            &Verification {
                input: Some(&input),
                ..v
            },
        )
    });
    assert!(report.valid() && said(&report).contains("NotChecked: Your manifest is not qualified"));
    assert!(
        report
            .verdict()
            .contains("how far they are from a float model was not checked")
    );
}

#[test]
fn several_inputs_are_given_by_name() {
    use crate::tests::Onnx;
    let onnx = Onnx::new(&[1, 3])
        .input("z", &[1, 3])
        .random("w", &[3, 2])
        .node("Add", &["x", "z"], "s", vec![])
        .node("MatMul", &["s", "w"], "y", vec![])
        .bytes();
    let model = Model::new(onnx, 1, SUMCHECK);
    let named = |json: &[u8]| Inputs::read(json, 99).unwrap();
    let own = named(br#"{"z": [[0.5, 0.25, 1]], "x": [[1, -1, 0.5]]}"#);
    let floats: Vec<FloatInput> = own.in_order(&["x", "z"]).unwrap().into_iter().cloned().collect();
    let bytes = model.run_all(&model.quantised(&floats), 1).to_bytes();
    let rule = within(0.1);
    let report_of = |input: &Inputs| {
        verify(
            &bytes,
            &Verification {
                input: Some(input),
                rule: &rule,
                ..model.by_model()
            },
        )
    };
    let report = report_of(&own);
    assert!(report.valid() && report.scope.own_input, "{}", said(&report));
    for (json, why) in [
        (
            &br#"{"x": [[0.5, 0.25, 1]], "z": [[1, -1, 0.5]]}"#[..],
            "`x` is not your input",
        ),
        (br#"{"x": [[1, -1, 0.5]]}"#, "input `z` is missing"),
        (
            br#"{"x": [[1, -1, 0.5]], "z": [[1, 1, 1]], "q": [1]}"#,
            "no input `q`",
        ),
        (br#"[[1, -1, 0.5]]"#, "the model has 2 inputs"),
    ] {
        let report = report_of(&named(json));
        assert!(
            !report.valid() && said(&report).contains(why),
            "{}",
            said(&report)
        );
    }
}

/// An input that the model does not use is part of the request all the same.
#[test]
fn an_input_that_no_node_reads_is_bound_too() {
    use crate::tests::Onnx;
    let onnx = Onnx::new(&[1, 3])
        .input("z", &[1, 2])
        .random("w", &[3, 2])
        .node("MatMul", &["x", "w"], "y", vec![])
        .bytes();
    let model = Model::new(onnx, 1, SUMCHECK);
    let own = Inputs::read(br#"{"z": [[0.5, 0.25]], "x": [[1, -1, 0.5]]}"#, 99).unwrap();
    let floats: Vec<FloatInput> = own.in_order(&["x", "z"]).unwrap().into_iter().cloned().collect();
    let receipt = model.run_all(&model.quantised(&floats), 1);
    assert_eq!(receipt.input.len(), 2);
    let rule = within(0.1);
    let report_of = |receipt: &Receipt| {
        let verification = Verification {
            input: Some(&own),
            rule: &rule,
            ..model.by_model()
        };
        verify(&receipt.to_bytes(), &verification)
    };
    let report = report_of(&receipt);
    assert!(report.valid() && report.scope.own_input, "{}", said(&report));
    let mut other = receipt.clone();
    other.input[1].values[0] ^= 1;
    let report = report_of(&other);
    assert!(
        !report.valid() && said(&report).contains("`z` is not your input"),
        "{}",
        said(&report)
    );
    let report = verify(&other.to_bytes(), &model.by_model());
    assert!(
        !report.valid() && said(&report).contains("does not hold"),
        "{}",
        said(&report)
    );
}
