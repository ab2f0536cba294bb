//! A graph whose answers are not its file's.

use tract_onnx::pb::tensor_proto::DataType;
use zkml::graph::Profile;

use super::onnx::{Onnx, int, network};
use super::whole::giving;
use crate::calibrate::{CalibrateError, CalibrationOptions, calibrate, synthetic_samples};
use crate::compile::named;
use crate::float_model::FloatModel;
use crate::import::import;
use crate::progress::silent;

#[test]
fn a_graph_whose_answers_are_not_the_files_is_refused() {
    let graph = import(&network().bytes()).unwrap();
    let samples = synthetic_samples(&graph, 4, 1);
    let values: Vec<_> = samples.iter().map(|s| graph.evaluate(s).unwrap()).collect();
    let output = graph.outputs[0].0 as usize;
    let mut expected: Vec<_> = values.iter().map(|v| vec![v[output].clone()]).collect();
    let options = CalibrationOptions {
        profile: None,
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    assert!(calibrate(&graph, &samples, &expected, &options, &silent).is_ok());
    expected[3][0][2] *= 1.001;
    match calibrate(&graph, &samples, &expected, &options, &silent) {
        Err(CalibrateError::Differs(differs)) => assert!(differs.error > 1e-5, "{differs}"),
        other => panic!("{other:?}"),
    }
}

/// As a reader would be that takes one node for another: the file's answers are another file's with one weight changed.
#[test]
fn a_graph_that_is_not_its_files_is_refused_by_the_first_node_that_differs() {
    let file = |w: f32, v: f32| {
        Onnx::new(&[1, 2])
            .constant("w", &[2, 2], vec![0.5, -0.25, 0.75, w])
            .node("MatMul", &["x", "w"], "h", vec![])
            .node("Relu", &["h"], "r", vec![])
            .node("Sigmoid", &["r"], "s", vec![])
            .constant("v", &[2, 2], vec![v, 0.5, 0.25, 1.5])
            .node("MatMul", &["s", "v"], "y", vec![])
            .bytes()
    };
    let graph = import(&file(1.0, -1.0)).unwrap();
    let samples = vec![vec![vec![0.5, 0.75]]];
    let options = CalibrationOptions {
        profile: None,
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    let refused = |other: Vec<u8>| {
        let model = FloatModel::read(&other).unwrap();
        let answer = model.outputs_of(&graph, &samples[0]).unwrap();
        let why = calibrate(&graph, &samples, &[answer], &options, &silent).unwrap_err();
        match named(why, &graph, &model, &samples) {
            CalibrateError::Differs(differs) => differs.node,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(file(1.0, -1.01)), "y_MatMul");
    // The product and the Relu after it are one node of the graph, by the last one's name.
    let first = refused(file(1.01, -1.0));
    assert!(["h_MatMul", "r_Relu"].contains(&first.as_str()), "{first}");
}

/// A quotient by nearly 0 differs by as much as roundings do; where nothing is divided that is another function.
#[test]
fn an_answer_that_hangs_on_rounding_is_told_from_one_of_another_function() {
    let onnx = Onnx::new(&[1, 2]).constant("c", &[], vec![1.0]);
    let quotient = onnx.clone().node("Div", &["c", "x"], "y", vec![]);
    let sum = onnx.node("Add", &["c", "x"], "y", vec![]);
    let options = CalibrationOptions {
        profile: None,
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    for (onnx, unstable) in [(quotient, true), (sum, false)] {
        let graph = import(&onnx.bytes()).unwrap();
        let samples = vec![vec![vec![1.0, 1e-4]]];
        let values = graph.evaluate(&samples[0]).unwrap();
        let mut answer = values[graph.outputs[0].0 as usize].clone();
        answer[1] *= 1.0005;
        match calibrate(&graph, &samples, &[vec![answer]], &options, &silent) {
            Err(CalibrateError::Unstable { .. }) => assert!(unstable),
            Err(CalibrateError::Differs(_)) => assert!(!unstable),
            other => panic!("{other:?}"),
        }
    }
}

/// What is a tie in one program is none in another, whichever places it is between.
#[test]
fn an_answer_at_a_tie_hangs_on_rounding_whichever_places_it_is_between() {
    let options = CalibrationOptions {
        profile: None,
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    let onnx = Onnx::new(&[1, 8]).node("ArgMax", &["x"], "y", vec![int("axis", 1), int("keepdims", 0)]);
    let graph = import(&giving(onnx, &[("y", DataType::Int64)])).unwrap();
    for (first, second) in [(0, 1), (0, 2), (1, 3), (0, 4), (2, 7), (5, 6)] {
        for (other, tied) in [(1.0, true), (0.9, false)] {
            let mut sample = vec![0.25; 8];
            (sample[first], sample[second]) = (1.0, other);
            let answer = vec![second as f64];
            match calibrate(&graph, &[vec![sample]], &[vec![answer]], &options, &silent) {
                Err(CalibrateError::Unstable { .. }) => assert!(tied, "{first} {second}"),
                Err(CalibrateError::Differs(_)) => assert!(!tied, "{first} {second}"),
                judged => panic!("{judged:?}"),
            }
        }
    }
}

/// What is a step below a whole number in one program is one above it in another: whichever place it stands at.
#[test]
fn an_answer_at_a_jump_hangs_on_rounding_wherever_it_stands() {
    let options = CalibrationOptions {
        profile: None,
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    let graph = import(&Onnx::new(&[1, 2]).node("Ceil", &["x"], "y", vec![]).bytes()).unwrap();
    let (below, above) = (1.0 - 1e-9, 1.0 + 1e-9);
    for (sample, answer) in [
        ([below, 0.25], [2.0, 1.0]),
        ([0.25, below], [1.0, 2.0]),
        ([above, 0.25], [1.0, 1.0]),
        ([0.25, above], [1.0, 1.0]),
    ] {
        let judged = calibrate(
            &graph,
            &[vec![sample.to_vec()]],
            &[vec![answer.to_vec()]],
            &options,
            &silent,
        );
        assert!(
            matches!(judged, Err(CalibrateError::Unstable { .. })),
            "{sample:?}: {judged:?}"
        );
    }
    let judged = calibrate(
        &graph,
        &[vec![vec![0.25, 0.5]]],
        &[vec![vec![1.0, 2.0]]],
        &options,
        &silent,
    );
    assert!(matches!(judged, Err(CalibrateError::Differs(_))), "{judged:?}");
}
