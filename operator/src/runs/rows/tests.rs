//! The rows of a model that answers four inputs at once.

use std::sync::OnceLock;

use zkinfer_crds::ProofSystem;
use zkinfer_crds::compile_report::{Accuracy, CompileReport};
use zkinfer_crds::wire::BlobRef;
use zkinfer_crds::{Digest, Profile};
use zkml_compile::compile::{CompileOptions, compile, plan};

use super::*;

const MODEL: &[u8] = include_bytes!("../../../../tests/models/wine.onnx");
const BATCH: u32 = 4;

fn compiled() -> &'static (Manifest, IntGraph) {
    static COMPILED: OnceLock<(Manifest, IntGraph)> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let options = CompileOptions {
            error_budget_millionths: 200_000,
            batch: BATCH,
            ..CompileOptions::new(ProofSystem::SumcheckWhir)
        };
        let plan = plan(MODEL, None, &options).unwrap();
        let setup = plan.setup(None).unwrap();
        let made = compile(&plan, &setup, &|_| ()).unwrap();
        (made.manifest, plan.graph)
    })
}

fn of(batch: u32) -> CompileReport {
    let blob = |name: String| BlobRef {
        digest: Digest::of(name.as_bytes()),
        size: 1,
    };
    CompileReport {
        model: Digest::of(MODEL),
        batch,
        manifest: blob(format!("manifest {batch}")),
        graph: blob(format!("graph {batch}")),
        slices: Vec::new(),
        accuracy: Accuracy {
            profile: Profile::P12,
            samples: 1,
            synthetic: true,
            max_error_millionths: 0,
            mean_error_millionths: 0,
            top1_agreement_millionths: 0,
            exact_agreement_millionths: 1_000_000,
            top_margin_millionths: None,
            sqnr_millibels: None,
            saturations: 0,
            widened: 0,
            tried: Vec::new(),
            nodes: Vec::new(),
            output_scale: Vec::new(),
            budget_millionths: 0,
            within_budget: true,
        },
        outlook: None,
        batches: Vec::new(),
    }
}

/// Inputs of 13 features, each unlike the others.
fn given(shape: &[u32]) -> BTreeMap<String, InlineTensor> {
    let count = shape.iter().product::<u32>();
    let data = (0..count).map(|at| f64::from(at) / 64.0 - 0.4).collect();
    let tensor = InlineTensor {
        shape: shape.to_vec(),
        data,
    };
    BTreeMap::from([("features".to_owned(), tensor)])
}

#[test]
fn so_many_inputs_are_answered_by_the_least_manifest_that_holds_them() {
    let (manifest, _) = compiled();
    let report = CompileReport::joined(vec![of(BATCH), of(16)]).unwrap();
    let chosen = |shape: &[u32]| choose(&report, manifest, &given(shape)).map(|report| report.batch);
    for (shape, batch) in [
        (&[13][..], 4),
        (&[1, 13], 4),
        (&[4, 13], 4),
        (&[5, 1, 13], 16),
        (&[16, 13], 16),
    ] {
        assert_eq!(chosen(shape).unwrap(), batch, "{shape:?}");
    }
    let many = chosen(&[17, 13]).unwrap_err();
    assert!(
        matches!(&many, PrepareError::TooMany { inputs: 17, sizes } if *sizes == [4, 16]),
        "{many}"
    );
    for shape in [&[2, 12][..], &[2, 2, 13], &[26]] {
        assert_eq!(chosen(shape).unwrap_err().reason(), "InvalidInput", "{shape:?}");
    }
    // Of one input at a time nothing is counted.
    assert_eq!(choose(&of(1), manifest, &given(&[3, 13])).unwrap(), of(1));
}

#[test]
fn the_last_input_fills_the_batch_up_and_every_row_is_as_it_was_given() {
    let (manifest, _) = compiled();
    let inputs = given(&[3, 13]);
    let filled = quantise(manifest, &inputs).unwrap();
    let [tensor] = filled.as_slice() else {
        panic!("{filled:?}");
    };
    assert_eq!(tensor.shape, [BATCH, 13]);
    let row = |at| rows::row(&tensor.values, BATCH, at);
    assert_eq!(row(3), row(2));
    assert!(row(0) != row(1) && row(1) != row(2));
    let asked = floats(manifest, &inputs).unwrap();
    assert_eq!(asked.len(), 3, "what fills it up is not asked");
    for (at, row) in asked.iter().enumerate() {
        let [(input, values)] = row.as_slice() else {
            panic!("{row:?}");
        };
        assert_eq!(
            (input.name.as_str(), input.shape.as_slice()),
            ("features", &[1, 13][..])
        );
        assert_eq!(values[..], inputs["features"].data[13 * at..13 * (at + 1)]);
    }
    let mut far = inputs;
    far.get_mut("features").unwrap().data[14] = 1e9;
    let said = quantise(manifest, &far).unwrap_err();
    assert_eq!(said.reason(), "OutOfCalibratedRange");
    assert!(
        said.to_string()
            .starts_with("row 1 of the 3 inputs, from 0: input `features`: the value 1000000000 at 1 "),
        "{said}"
    );
    let said = quantise(manifest, &given(&[5, 13])).unwrap_err().to_string();
    assert!(said.contains("5 inputs were given at once"), "{said}");
}

#[test]
fn an_answer_that_its_input_does_not_have_alone_is_refused() {
    let (manifest, graph) = compiled();
    let filled = quantise(manifest, &given(&[3, 13])).unwrap();
    let tensors = graph.evaluate(&filled).unwrap();
    check_alone(graph, BATCH, 3, &tensors).unwrap();
    let output = graph.outputs[0].0 as usize;
    let each = tensors[output].values.len() / BATCH as usize;
    for row in 0..3 {
        let mut other = tensors.clone();
        other[output].values[row * each] += 1;
        let said = check_alone(graph, BATCH, 3, &other).unwrap_err();
        assert_eq!(said.reason(), "ModelFailed");
        assert!(
            said.to_string().starts_with(&format!("row {row} of the answer")),
            "{said}"
        );
    }
}

#[test]
fn an_input_that_is_given_twice_has_one_answer() {
    let (manifest, graph) = compiled();
    let mut twice = given(&[2, 13]);
    let data = &mut twice.get_mut("features").unwrap().data;
    let first: Vec<f64> = data[..13].to_vec();
    data[13..].copy_from_slice(&first);
    let tensors = graph.evaluate(&quantise(manifest, &twice).unwrap()).unwrap();
    check_alone(graph, BATCH, 2, &tensors).unwrap();
    let mut other = tensors;
    let output = graph.outputs[0].0 as usize;
    let each = other[output].values.len() / BATCH as usize;
    other[output].values[each] += 1;
    assert!(check_alone(graph, BATCH, 2, &other).is_err());
}
