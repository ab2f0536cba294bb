//! Support vector machines that classify: scores of pairs of classes, and the class that wins most of them.

use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::tensor_proto::DataType;
use zkml_reference::{ElementType, Model, Tensor, Values};

use super::functions::text;
use super::onnx::{Onnx, ints};
use super::recipes::{agrees_with_the_reference, by_the_file};
use super::trees::{floats, of_models};
use super::whole::{PROFILES, answers, giving};
use crate::import::import;

fn machine(kernel: &str, counts: &[i64], more: Vec<AttributeProto>) -> Vec<u8> {
    let (classes, supports) = (counts.len(), counts.iter().sum::<i64>() as usize);
    let pairs = classes * (classes - 1) / 2;
    // Any numbers, no two alike.
    let some = |n: usize, by: f32| -> Vec<f32> { (0..n).map(|i| (by * (i as f32 + 1.0)).sin()).collect() };
    let mut attributes = vec![
        text("kernel_type", kernel),
        floats("kernel_params", &[0.25, 0.5, 2.0]),
        ints("vectors_per_class", counts),
        floats("coefficients", &some((classes - 1) * supports, 1.3)),
        floats("support_vectors", &some(supports * 3, 2.1)),
        floats("rho", &some(pairs, 0.7)),
        ints("classlabels_ints", &[7, -2, 5, 4][..classes]),
    ];
    attributes.extend(more);
    let mut onnx = of_models(Onnx::new(&[4, 3]), "SVMClassifier", "label", attributes);
    onnx.graph.node[0].output.push("scores".into());
    giving(onnx, &[("label", DataType::Int64), ("scores", DataType::Float)])
}

#[test]
fn a_machine_of_any_kernel_and_number_of_classes_computes_what_the_reference_does() {
    for kernel in ["LINEAR", "POLY", "RBF", "SIGMOID"] {
        for counts in [&[1, 2][..], &[2, 1, 2], &[1, 1, 2, 1]] {
            agrees_with_the_reference(kernel, &machine(kernel, counts, vec![]));
        }
    }
}

#[test]
fn the_label_is_the_first_class_of_those_with_most_votes() {
    let x = vec![1.0, -2.0, 3.0, -3.0, 0.25, 1.0, 0.0, 0.0, 0.0, 3.5, 3.5, -3.5];
    for counts in [&[1, 2][..], &[2, 1, 2], &[1, 1, 2, 1]] {
        let bytes = machine("LINEAR", counts, vec![]);
        for profile in &PROFILES[1..] {
            let other = x.iter().map(|v| -v).collect();
            let (_, int) = by_the_file(&bytes, &[vec![x.clone()], vec![other]], *profile);
            let [got, expected] = answers(&bytes, &int, std::slice::from_ref(&x));
            assert_eq!(got[0], expected[0], "{profile:?} {counts:?}");
        }
    }
}

/// By hand: `rho + 0.5 · 2 − 0.5 · (−2)` for the first class against the second.
#[test]
fn a_score_above_zero_is_a_vote_for_the_first_class_and_stands_behind_its_negative() {
    let attributes = vec![
        text("kernel_type", "LINEAR"),
        ints("vectors_per_class", &[1, 1]),
        floats("coefficients", &[0.5, -0.5]),
        floats("support_vectors", &[1.0, -1.0]),
        floats("rho", &[0.25]),
        ints("classlabels_ints", &[3, 8]),
    ];
    let mut onnx = of_models(Onnx::new(&[2, 1]), "SVMClassifier", "label", attributes);
    onnx.graph.node[0].output.push("scores".into());
    let bytes = giving(onnx, &[("label", DataType::Int64), ("scores", DataType::Float)]);
    let x = Tensor::new(ElementType::Float32, vec![2, 1], Values::Float(vec![2.0, -1.0])).unwrap();
    let said = Model::read(&bytes).unwrap().evaluate(&[x]).unwrap();
    assert_eq!(said[0].to_f64(), [3.0, 8.0]);
    assert_eq!(said[1].to_f64(), [-2.25, 2.25, 0.75, -0.75]);
    agrees_with_the_reference("by hand", &bytes);
}

#[test]
fn probabilities_and_numbers_that_do_not_fit_are_refused_by_name() {
    let refused = |more| import(&machine("RBF", &[1, 2], more)).unwrap_err().to_string();
    let platt = vec![floats("prob_a", &[1.0]), floats("prob_b", &[1.0])];
    let said = refused(platt);
    assert!(
        said.contains("SVMClassifier") && said.contains("prob_a"),
        "{said}"
    );
}
