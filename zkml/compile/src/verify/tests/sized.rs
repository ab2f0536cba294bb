//! A model whose file leaves sizes free: what the manifest has is the shape of what is asked, and nothing else.

use super::*;
use crate::tests::Onnx;

in_every_proof_system! { an_answer_is_to_an_input_of_the_shape_that_was_asked, }

fn an_answer_is_to_an_input_of_the_shape_that_was_asked(system: Tested) {
    let onnx = Onnx::new(&[1, 0, 4])
        .random("w", &[4, 2])
        .node("MatMul", &["x", "w"], "h", vec![])
        .node("Relu", &["h"], "y", vec![])
        .bytes();
    let model = |n: u32| {
        let options = CompileOptions {
            system,
            dimensions: [("n".to_owned(), n)].into(),
            ..CompileOptions::new(ProofSystem::SumcheckWhir)
        };
        Model::of(onnx.clone(), plan(&onnx, None, &options).unwrap())
    };
    let (three, five) = (model(3), model(5));
    assert_ne!(three.compiled.manifest.graph, five.compiled.manifest.graph);
    let asked = three.floats(1);
    let receipt = three.run(&three.quantised(&asked)[0], 1).to_bytes();
    let judged = |model: &Model, input: &[FloatInput]| {
        let input = given(input);
        let verification = Verification {
            input: Some(&input),
            ..model.by_model()
        };
        verify(&receipt, &verification)
    };
    let report = judged(&three, &asked);
    assert!(report.valid(), "{}", said(&report));
    // The same values in another shape, and fewer of them.
    let mut turned = asked.clone();
    turned[0].shape = vec![1, 4, 3];
    let mut fewer = asked.clone();
    fewer[0].shape = vec![1, 2, 4];
    fewer[0].values.truncate(8);
    for other in [turned, fewer] {
        assert!(!judged(&three, &other).valid());
    }
    // A manifest that calls the same graph's input by another size is none of this model.
    let mut forged = three.compiled.manifest.clone();
    let input = forged.inputs[0];
    let entry = forged
        .boundary
        .iter_mut()
        .find(|entry| entry.id == input)
        .unwrap();
    entry.info.shape = vec![1, 5, 4];
    assert!(follow(&onnx, &forged, srs(system), known()).is_err());
}
