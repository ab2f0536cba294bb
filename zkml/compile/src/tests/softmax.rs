//! Softmax: accurate over wide and many logits, with masks, and on inputs that are nothing like the samples.

use zkml::graph::{IntGraph, IntTensor, Profile, QuantisationPlan, dequantise};

use super::onnx::{Onnx, int};
use crate::calibrate::{AccuracyReport, CalibrateError, CalibrationOptions, calibrate, synthetic_samples};
use crate::float::{FloatGraph, FloatOp};
use crate::float_model::FloatModel;
use crate::import::import;
use crate::ops::{FloatMap, Linear};
use crate::progress::silent;
use crate::quantise::{QuantiseError, apply};

/// The integer graph, calibrated on samples that are so many times the standard normal, and its error on those.
fn calibrated(onnx: &Onnx, profile: Profile, times: f64) -> (FloatGraph, IntGraph, f64) {
    let (graph, calibrated) = tried(onnx, profile, times);
    let (plan, accuracy) = calibrated.unwrap();
    let int = apply(&graph, &plan).unwrap();
    (graph, int, accuracy.max_error)
}

type Calibrated = Result<(QuantisationPlan, AccuracyReport), CalibrateError>;

fn tried(onnx: &Onnx, profile: Profile, times: f64) -> (FloatGraph, Calibrated) {
    let bytes = onnx.bytes();
    let (graph, model) = (import(&bytes).unwrap(), FloatModel::read(&bytes).unwrap());
    let mut samples = synthetic_samples(&graph, 24, 3);
    samples.iter_mut().flatten().flatten().for_each(|v| *v *= times);
    let answers = samples.iter().map(|s| model.outputs_of(&graph, s).unwrap());
    let expected: Vec<_> = answers.collect();
    let options = CalibrationOptions {
        profile: Some(profile),
        deciding: Profile::P12,
        error_budget: 0.01,
        output_scale: None,
        compare_top1: false,
    };
    let calibrated = calibrate(&graph, &samples, &expected, &options, &silent);
    (graph, calibrated)
}

fn answer(int: &IntGraph, input: &[f64]) -> Vec<f64> {
    let info = &int.tensors[int.inputs[0].0 as usize];
    let factor = zkml::graph::scale::power_of_two(info.exponent.into());
    let tensor = IntTensor {
        shape: info.shape.clone(),
        values: input.iter().map(|v| (v * factor).round() as i64).collect(),
    };
    let values = int.evaluator().unwrap().run(&[tensor]).unwrap();
    let output = int.outputs[0].0 as usize;
    dequantise(&int.tensors[output], &values[output].values)
}

fn softmax(shape: &[i64]) -> Onnx {
    Onnx::new(shape).node("Softmax", &["x"], "y", vec![])
}

#[test]
fn rows_whose_places_are_all_alike_are_served() {
    let one_place = softmax(&[3, 1]);
    let alike = Onnx::new(&[3, 4]).node("Sub", &["x", "x"], "zeros", vec![]);
    for onnx in [one_place, alike.node("LogSoftmax", &["zeros"], "y", vec![])] {
        let (_, _, error) = calibrated(&onnx, Profile::P16, 1.0);
        assert!(error < 1e-3, "{error}");
    }
}

#[test]
fn a_softmax_of_few_or_many_keeps_the_default_budget() {
    for (n, times) in [
        (2, 7.0),
        (10, 1.0),
        (10, 7.0),
        (64, 7.0),
        (100, 7.0),
        (1000, 0.1),
        (1000, 3.0),
        (1000, 7.0),
    ] {
        let (_, _, error) = calibrated(&softmax(&[2, n]), Profile::P16, times);
        assert!(error < 5e-3, "{n} values of {times}: {error}");
    }
    let (_, _, error) = calibrated(&softmax(&[2, 10]), Profile::P12, 1.0);
    assert!(error < 1e-2, "12 bits: {error}");
    let log = Onnx::new(&[2, 10]).node("LogSoftmax", &["x"], "y", vec![]);
    let (_, _, error) = calibrated(&log, Profile::P16, 7.0);
    assert!(error < 1e-3, "logarithm: {error}");
}

/// Sums, inverses and results have room for all that there can be.
#[test]
fn rows_that_no_sample_was_like_are_not_refused() {
    let (_, int, _) = calibrated(&softmax(&[1, 16]), Profile::P16, 3.0);
    let even = answer(&int, &[0.0; 16]);
    assert!(even.iter().all(|p| (p - 1.0 / 16.0).abs() < 1e-3), "{even:?}");
    let mut one = [-4.0; 16];
    one[3] = 8.0;
    let peak = answer(&int, &one);
    assert!((peak[3] - 1.0).abs() < 1e-3, "{peak:?}");
    let (_, int, _) = calibrated(&softmax(&[1, 16]), Profile::P16, 0.05);
    let mut apart = [-0.1; 16];
    apart[0] = 0.1;
    let given = answer(&int, &apart);
    assert!((given.iter().sum::<f64>() - 1.0).abs() < 2e-3, "{given:?}");
}

fn far(n: usize, value: f32) -> Vec<f32> {
    (0..n * n)
        .map(|t| if t % n > t / n { value } else { 0.0 })
        .collect()
}

#[test]
fn a_mask_takes_places_out_and_costs_no_accuracy() {
    for value in [-1e4, -65504.0, -1e9, f32::MIN, f32::NEG_INFINITY] {
        let onnx = Onnx::new(&[2, 6, 6])
            .constant("eight", &[], vec![8.0])
            .constant("mask", &[6, 6], far(6, value))
            .node("Div", &["x", "eight"], "s", vec![])
            .node("Add", &["s", "mask"], "m", vec![])
            .node("Softmax", &["m"], "y", vec![int("axis", -1)]);
        let (graph, int, error) = calibrated(&onnx, Profile::P16, 30.0);
        assert!(error < 2e-3, "{value}: {error}");
        let linear = |op: &FloatOp| {
            matches!(
                op,
                FloatOp::Linear(Linear {
                    map: FloatMap::Affine { .. },
                    ..
                })
            )
        };
        let count = graph.nodes.iter().filter(|n| linear(&n.op)).count();
        assert_eq!(
            count, 2,
            "neither the factor nor the mask has a node of its own beside differences and what holds them"
        );
        let y = answer(&int, &[1.0; 72]);
        assert!(
            (0..6).all(|i| (0..6).all(|j| (y[i * 6 + j] == 0.0) == (j > i))),
            "{y:?}"
        );
    }
}

#[test]
fn what_cannot_be_masked_is_refused_by_name() {
    let refused = |onnx: Onnx| import(&onnx.bytes()).unwrap_err().to_string();
    let all = Onnx::new(&[2, 3])
        .constant("mask", &[2, 1], vec![0.0, -1e9])
        .node("Add", &["x", "mask"], "m", vec![])
        .node("Softmax", &["m"], "y", vec![]);
    let said = refused(all);
    assert!(
        said.contains("`y_Softmax`") && said.contains("every place is masked"),
        "{said}"
    );
    let infinite = Onnx::new(&[2, 3])
        .constant("mask", &[3], vec![0.0, 0.0, f32::NEG_INFINITY])
        .node("Mul", &["x", "mask"], "m", vec![])
        .node("Softmax", &["m"], "y", vec![]);
    assert!(refused(infinite).contains("`mask`"));
    let read = Onnx::new(&[2, 3])
        .constant("mask", &[3], vec![0.0, 0.0, f32::NEG_INFINITY])
        .node("Add", &["x", "mask"], "m", vec![])
        .node("Relu", &["m"], "y", vec![]);
    assert!(refused(read).contains("`mask`"));
}

/// Samples of one great logit each are answered well by weights that say nothing; other inputs are not.
#[test]
fn differences_too_coarse_for_any_weight_are_refused_by_node() {
    for (times, refused) in [(20.0, false), (20_000.0, true)] {
        match tried(&softmax(&[1, 4]), Profile::P16, times).1 {
            Ok(_) => assert!(!refused, "{times}"),
            Err(CalibrateError::Quantise(QuantiseError::Coarse { node, .. })) => {
                assert!(refused && node == "y_Softmax", "{times}: {node}");
            }
            Err(e) => panic!("{times}: {e}"),
        }
    }
}
