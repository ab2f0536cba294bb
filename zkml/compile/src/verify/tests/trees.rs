//! Forests are proved by every proof system, and the answer is the float model's.

use zkml::accuracy::Rule;

use super::*;
use crate::tests::{Onnx, int};

in_every_proof_system! {
    a_forest_is_proved_and_its_answer_is_the_float_models,
    a_receipt_of_ranks_is_bound_to_the_side_of_each_threshold,
    ranks_among_other_thresholds_than_the_models_are_refused,
}

fn a_forest_is_proved_and_its_answer_is_the_float_models(system: Tested) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/seeds/onnx");
    let onnx = std::fs::read(folder.join("ml-trees.onnx")).unwrap();
    let plan = planned(&onnx, None, Some(Profile::P12), 1, system);
    let model = Model::of(onnx, plan);
    let own = model.floats(5);
    let input = given(&own);
    let bytes = model.run_all(&model.quantised(&own), 1).to_bytes();
    let rule = Rule {
        max_error: 0.02,
        ..DEFAULT_RULE.clone()
    };
    let report = verify(
        &bytes,
        &Verification {
            input: Some(&input),
            rule: &rule,
            ..model.by_model()
        },
    );
    assert!(report.valid(), "{}", said(&report));
    assert!(report.judged.as_ref().unwrap().verdict.error < 0.02);
}

/// Half of each feature that is below its threshold.
fn below() -> Vec<u8> {
    Onnx::new(&[1, 2])
        .constant("t", &[2], vec![0.1, 2.0])
        .constant("half", &[], vec![0.5])
        .node("Less", &["x", "t"], "c", vec![])
        .node("Cast", &["c"], "f", vec![int("to", 1)])
        .node("Mul", &["f", "half"], "y", vec![])
        .bytes()
}

fn features(values: [f64; 2]) -> [FloatInput; 1] {
    [FloatInput::new(vec![1, 2], values.to_vec()).unwrap()]
}

fn a_receipt_of_ranks_is_bound_to_the_side_of_each_threshold(system: Tested) {
    let model = Model::new(below(), 1, system);
    let just_below = f64::from(0.1f32.next_down());
    let own = features([just_below, f64::NAN]);
    let receipt = model.run_all(&model.quantised(&own), 1);
    assert_eq!(receipt.input[0].values, [0, 2]);
    let verified = |receipt: &Receipt, own: Option<[FloatInput; 1]>| {
        let own = own.map(|own| given(&own));
        let verification = Verification {
            input: own.as_ref(),
            ..model.by_model()
        };
        verify(&receipt.to_bytes(), &verification)
    };
    // It answers whatever is on the same side of each threshold.
    for same in [just_below, -5.0, f64::NEG_INFINITY] {
        let report = verified(&receipt, Some(features([same, f64::NAN])));
        let told = said(&report);
        let how = "ranked by the manifest's rule: `x` by its place among the 2 thresholds that the model compares it with, exactly";
        assert!(report.valid() && told.contains(how), "{told}");
    }
    for other in [
        [0.1, f64::NAN],
        [f64::NAN, f64::NAN],
        [just_below, 1.0],
        [just_below, f64::INFINITY],
    ] {
        let report = verified(&receipt, Some(features(other)));
        assert!(
            !report.valid() && said(&report).contains("is not your input"),
            "{other:?}: {}",
            said(&report)
        );
    }
    let report = verified(&receipt, None);
    let told = said(&report);
    assert!(
        report.valid() && told.contains("among the 2 thresholds"),
        "{told}"
    );
    // By the manifest alone: what an input is rounded to is no matter where it is not.
    let own = given(&own);
    let bytes = receipt.to_bytes();
    let report = model.by_manifest(|v| {
        verify(
            &bytes,
            &Verification {
                input: Some(&own),
                ..v
            },
        )
    });
    assert!(report.valid(), "{}", said(&report));
    let mut none = receipt;
    none.input[0].values[0] = 3;
    let report = verified(&none, None);
    assert!(
        !report.valid() && said(&report).contains("a rank at 0 that no value has"),
        "{}",
        said(&report)
    );
}

/// A manifest whose graph, keys and proofs go with its own thresholds, and these are not the file's.
fn ranks_among_other_thresholds_than_the_models_are_refused(system: Tested) {
    let changes: [fn(&mut zkml::graph::Ranks); 4] = [
        |ranks| ranks.places[0].bounds[0] += 1,
        |ranks| ranks.places[1].bounds[0] -= 1,
        |ranks| ranks.places[0].missing = zkml::graph::Missing::Refused,
        |ranks| ranks.float = zkml::graph::FloatKind::Float64,
    ];
    for change in changes {
        let mut plan = planned(&below(), None, None, 1, system);
        let input = plan.graph.inputs[0].0 as usize;
        change(plan.graph.tensors[input].ranks.as_mut().unwrap());
        plan.graph.validate().unwrap();
        let model = Model::of(below(), plan);
        let own = features([1e-3, 1.0]);
        let receipt = model.run_all(&model.quantised(&own), 2);
        let own = given(&own);
        let verification = Verification {
            input: Some(&own),
            ..model.by_model()
        };
        let report = verify(&receipt.to_bytes(), &verification);
        assert!(
            !report.valid() && said(&report).contains("the integer graph differs"),
            "{}",
            said(&report)
        );
        // Who has no model takes the manifest's word for it, as for the rest of the function.
        assert!(model.verify(&receipt.to_bytes()).valid());
    }
}
