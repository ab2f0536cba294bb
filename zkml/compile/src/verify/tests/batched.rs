//! Several inputs that are proved at once: each has the answer that it has alone, by the rule for one, and nothing else is taken
//! for it.

use zkml::accuracy::Rule;
use zkml::graph::{TensorInfo, rows};

use super::*;
use crate::qualify::qualify;
use crate::tests::{Onnx, ints};

const BATCH: u32 = 4;

in_every_proof_system! {
    each_input_of_a_batch_has_the_answer_that_it_has_alone,
    a_batch_answers_its_inputs_in_their_order_and_no_others,
    no_row_of_a_batch_is_free,
    a_small_answer_is_not_hidden_by_a_large_one_beside_it,
    a_graph_that_mixes_its_rows_is_refused_whatever_its_manifest_says,
}

/// Without a constant term: the smaller an input, the smaller its answer.
fn perceptron() -> Vec<u8> {
    Onnx::new(&[1, 6])
        .random("w", &[6, 5])
        .random("v", &[5, 3])
        .node("MatMul", &["x", "w"], "h", vec![])
        .node("Relu", &["h"], "r", vec![])
        .node("MatMul", &["r", "v"], "y", vec![])
        .bytes()
}

fn batched(system: Tested) -> &'static Model {
    static MODELS: Once<Model> = Once::new();
    MODELS.of(system, || {
        let onnx = perceptron();
        let options = CompileOptions {
            system,
            batch: BATCH,
            ..CompileOptions::new(ProofSystem::SumcheckWhir)
        };
        let plan = plan(&onnx, None, &options).unwrap();
        Model::of(onnx, plan)
    })
}

/// An input of the perceptron, unlike those of other seeds.
fn one(seed: usize, size: f64) -> Inputs {
    let values = (0..6).map(|i| size * (((seed * 5 + i * 3) % 11) as f64 / 5.0 - 1.0));
    Inputs::One(FloatInput::new(vec![1, 6], values.collect()).unwrap())
}

fn several(seeds: &[usize]) -> Inputs {
    Inputs::several(seeds.iter().map(|seed| one(*seed, 1.0)).collect())
}

fn proved(model: &Model, given: &Inputs) -> Receipt {
    let infos: Vec<&TensorInfo> = model.plan.graph.inputs.iter().map(|id| model.info(*id)).collect();
    let rows = rows::fill(&infos, BATCH, given).unwrap();
    model.run_all(&model.quantised(&rows.tensors), 1)
}

fn judged(model: &Model, receipt: &Receipt, given: Option<&Inputs>, rule: &Rule) -> Report {
    let verification = Verification {
        input: given,
        rule,
        ..model.by_model()
    };
    verify(&receipt.to_bytes(), &verification)
}

fn each_input_of_a_batch_has_the_answer_that_it_has_alone(system: Tested) {
    let model = batched(system);
    assert_eq!(model.compiled.manifest.batch, BATCH);
    let given = several(&[1, 2, 3]);
    let receipt = proved(model, &given);
    let report = judged(model, &receipt, Some(&given), &DEFAULT_RULE);
    let told = said(&report);
    assert!(report.valid(), "{told}");
    assert_eq!(report.scope.rows, Some(3));
    assert!(
        told.contains("Each of the first 3 of the batch's 4 rows is the answer that its input has alone"),
        "{told}"
    );
    // Classes are compared, though the tensor has a shape of four rows.
    assert!(
        told.contains("The same class as the float model's: `y`"),
        "{told}"
    );
    // Without an input nobody knows what fills it up: each row is judged.
    let report = judged(model, &receipt, None, &DEFAULT_RULE);
    assert!(report.valid() && report.scope.rows.is_none(), "{}", said(&report));
    // By the manifest alone the input is compared, too.
    let report = model.by_manifest(|v| {
        let input = Some(&given);
        verify(&receipt.to_bytes(), &Verification { input, ..v })
    });
    assert!(
        report.valid() && report.scope.rows == Some(3),
        "{}",
        said(&report)
    );
}

fn a_batch_answers_its_inputs_in_their_order_and_no_others(system: Tested) {
    let model = batched(system);
    let receipt = proved(model, &several(&[1, 2, 3]));
    let report = |seeds: &[usize]| judged(model, &receipt, Some(&several(seeds)), &DEFAULT_RULE);
    // What fills it up is the last one again, and may be said.
    assert!(report(&[1, 2, 3, 3]).valid());
    for others in [
        &[2, 1, 3][..],
        &[1, 2],
        &[1],
        &[1, 2, 3, 4],
        &[1, 2, 4],
        &[3, 2, 1],
    ] {
        let report = report(others);
        assert!(!report.valid(), "{others:?}");
        assert!(said(&report).contains("is not your input"), "{}", said(&report));
    }
    let report = report(&[1, 2, 3, 3, 3]);
    assert!(!report.valid());
    assert!(
        said(&report).contains("5 inputs were given, and the batch holds at most 4"),
        "{}",
        said(&report)
    );
}

fn no_row_of_a_batch_is_free(system: Tested) {
    let model = batched(system);
    let given = several(&[1, 2, 3]);
    let receipt = proved(model, &given);
    let each = receipt.output[0].values.len() / BATCH as usize;
    for row in 0..BATCH as usize {
        let mut other = receipt.clone();
        other.output[0].values[row * each] ^= 1;
        assert!(
            !judged(model, &other, Some(&given), &DEFAULT_RULE).valid(),
            "row {row} is free"
        );
    }
    // The answers of two inputs in each other's place.
    let mut swapped = receipt.clone();
    let (first, second) = swapped.output[0].values.split_at_mut(each);
    first.swap_with_slice(&mut second[..each]);
    assert!(!judged(model, &swapped, Some(&given), &DEFAULT_RULE).valid());
    // A manifest that calls the batch another one is none of this model's.
    for batch in [1, 2] {
        let mut other = model.compiled.manifest.clone();
        other.batch = batch;
        assert!(follow(&model.onnx, &other, srs(system), known()).is_err());
    }
}

fn a_small_answer_is_not_hidden_by_a_large_one_beside_it(system: Tested) {
    let model = batched(system);
    let info = model.info(model.plan.graph.inputs[0]);
    // Below half a step everything is 0, so that the proved answer is 0 and the float model's is not.
    let small = one(1, 0.4 * info.step());
    let given = Inputs::several(vec![one(2, 1.0), small]);
    let receipt = proved(model, &given);
    let rule = |scale: f64| Rule {
        output_scale: if scale > 0.0 { vec![scale] } else { Vec::new() },
        compare_top1: false,
        ..DEFAULT_RULE.clone()
    };
    let report = judged(model, &receipt, Some(&given), &rule(0.0));
    assert!(!report.valid(), "{}", said(&report));
    assert!(said(&report).contains("Fails: Row 1: "), "{}", said(&report));
    // Where a person says that answers have the size of 1, it is as near as any.
    let report = judged(model, &receipt, Some(&given), &rule(1.0));
    assert!(report.valid(), "{}", said(&report));
}

fn a_graph_that_mixes_its_rows_is_refused_whatever_its_manifest_says(system: Tested) {
    // By itself an input is added to itself; here to the mean of all.
    let onnx = Onnx::new(&[0, 3])
        .node("ReduceMean", &["x"], "m", vec![ints("axes", &[0])])
        .node("Add", &["x", "m"], "y", vec![])
        .bytes();
    let alike = CompileOptions {
        system,
        batch: BATCH,
        ..CompileOptions::new(ProofSystem::SumcheckWhir)
    };
    let refused = plan(&onnx, None, &alike).unwrap_err().to_string();
    assert!(refused.contains("mixes the inputs of a batch"), "{refused}");
    // A compiler that does not look at it makes a manifest all the same.
    let bound = CompileOptions {
        system,
        dimensions: [("n".to_owned(), BATCH)].into(),
        ..CompileOptions::new(ProofSystem::SumcheckWhir)
    };
    let mut plan = plan(&onnx, None, &bound).unwrap();
    plan.batch = BATCH;
    let model = Model::of(onnx, plan);
    let mut floats = model.floats(1);
    for value in floats.iter_mut().flat_map(|tensor| &mut tensor.values) {
        *value /= 4.0;
    }
    let receipt = model.run_all(&model.quantised(&floats), 1);
    let report = judged(&model, &receipt, None, &DEFAULT_RULE);
    assert!(!report.valid());
    assert!(
        said(&report).contains("the model mixes the inputs of a batch"),
        "{}",
        said(&report)
    );
}

#[test]
fn a_manifest_of_a_batch_is_qualified_on_single_samples() {
    let system = zkml::systems::proving(ProofSystem::SumcheckWhir);
    let model = batched(system);
    let rows: Vec<f64> = (0..8usize)
        .flat_map(|seed| match one(seed, 1.0) {
            Inputs::One(tensor) => tensor.values,
            _ => Vec::new(),
        })
        .collect();
    let data = Inputs::One(FloatInput::new(vec![8, 1, 6], rows).unwrap());
    let found = qualify(&model.onnx, &model.compiled.manifest, None, &data, &DEFAULT_RULE).unwrap();
    assert_eq!((found.samples, found.out_of_range), (8, 0));
    // Classes are counted and errors measured of single answers.
    assert!(
        found.same_class.is_some() && found.greatest_error < 0.01,
        "{found:?}"
    );
}
