//! Forests are proved by every proof system, and the answer is the float model's.

use zkml::accuracy::Rule;

use super::*;

in_every_proof_system! {
    a_forest_is_proved_and_its_answer_is_the_float_models,
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
