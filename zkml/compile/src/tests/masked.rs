//! A softmax of scores that a condition masks which the inputs decide.

use tract_onnx::pb::tensor_proto::DataType;
use zkml::graph::{IntGraph, Profile};

use super::calibrated;
use super::onnx::{Onnx, int};
use super::recipes::agrees_with_the_reference;
use super::whole::{answers, giving};
use crate::calibrate::CalibrationOptions;
use crate::import::import;
use crate::quantise::apply;

/// Scores `x`, kept where `u` is above 0; `other` chooses the other way round.
fn masked(far: f32, other: bool) -> Vec<u8> {
    let onnx = Onnx::new(&[3, 4])
        .input("u", &[3, 4])
        .constant("zero", &[], vec![0.0])
        .constant("far", &[], vec![far])
        .constant("half", &[], vec![0.5])
        .node("Mul", &["x", "half"], "scores", vec![]);
    let onnx = if other {
        onnx.node("LessOrEqual", &["u", "zero"], "c", vec![]).node(
            "Where",
            &["c", "far", "scores"],
            "m",
            vec![],
        )
    } else {
        onnx.node("Greater", &["u", "zero"], "c", vec![])
            .node("Where", &["c", "scores", "far"], "m", vec![])
    };
    let onnx = onnx
        .integers("shape", &[1, 3, 4])
        .node("Reshape", &["m", "shape"], "r", vec![])
        .node("Softmax", &["r"], "y", vec![int("axis", -1)]);
    giving(onnx.opset(17), &[("y", DataType::Float)])
}

/// The integer graph, calibrated on these inputs and their negatives.
fn calibrated_on(bytes: &[u8], profile: Profile, inputs: &[Vec<f64>]) -> IntGraph {
    let graph = import(bytes).unwrap();
    let times = |by: f64| {
        let each = |x: &Vec<f64>| x.iter().map(|v| by * v).collect();
        inputs.iter().map(each).collect::<Vec<Vec<f64>>>()
    };
    let options = CalibrationOptions {
        profile: Some(profile),
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    let (plan, _) = calibrated(&graph, &[times(1.0), times(-1.0)], &options).unwrap();
    apply(&graph, &plan).unwrap()
}

#[test]
fn what_is_masked_has_no_weight_however_great_it_is_and_costs_no_accuracy() {
    // Nothing is masked in the first row, the greatest in the second, all in the last.
    let x = vec![1.0, -2.0, 3.0, 0.5, 3.9, -3.9, -3.0, -3.5, 1.0, 2.0, 3.0, -1.0];
    let u = vec![1.0, 1.0, 2.0, 3.0, -1.0, 2.0, 1.0, 3.0, -1.0, -2.0, -1.0, -3.0];
    for far in [-10_000.0, -1e9, f32::MIN] {
        for other in [false, true] {
            let bytes = masked(far, other);
            agrees_with_the_reference("masked", &bytes);
            for (profile, most) in [(Profile::P8, 0.1), (Profile::P12, 0.01), (Profile::P16, 0.001)] {
                let int = calibrated_on(&bytes, profile, &[x.clone(), u.clone()]);
                let [got, expected] = answers(&bytes, &int, &[x.clone(), u.clone()]);
                let off = got[0].iter().zip(&expected[0]).map(|(a, b)| (a - b).abs());
                assert!(
                    off.fold(0.0, f64::max) < most,
                    "{far} {profile:?}: {got:?} {expected:?}"
                );
                assert_eq!(got[0][4], 0.0);
                let last = &got[0][8..];
                assert!(last.iter().all(|v| *v == last[0]), "{last:?}");
            }
        }
    }
}

#[test]
fn a_mask_of_a_condition_and_one_of_a_constant_together_are_what_the_file_says() {
    let onnx = Onnx::new(&[2, 3])
        .constant("zero", &[], vec![0.0])
        .constant("far", &[], vec![-6000.0])
        .constant("mask", &[3], vec![0.0, 0.0, -9000.0])
        .node("Add", &["x", "mask"], "s", vec![])
        .node("Greater", &["x", "zero"], "c", vec![])
        .node("Where", &["c", "s", "far"], "m", vec![])
        .node("Softmax", &["m"], "y", vec![int("axis", -1)]);
    agrees_with_the_reference("both", &giving(onnx, &[("y", DataType::Float)]));
}
