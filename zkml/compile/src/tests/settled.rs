//! Answers that hang on how floats are rounded are nobody's; inputs are of the file's own type.

use tract_onnx::pb::tensor_proto::DataType;
use zkinfer_crds::ProofSystem;

use super::onnx::{Onnx, int};
use super::whole::giving;
use crate::calibrate::CalibrateError;
use crate::compile::{CompileError, CompileOptions, Plan, plan};
use crate::float_model::{FloatModel, FloatModelError};

const SCALE: &[f64] = &[];

fn planned(bytes: &[u8], samples: &[f64]) -> Plan {
    plan_of(bytes, samples).unwrap()
}

fn plan_of(bytes: &[u8], samples: &[f64]) -> Result<Plan, CompileError> {
    let samples: Vec<_> = samples.iter().map(|&v| vec![vec![v]]).collect();
    let options = CompileOptions {
        error_budget_millionths: 500_000,
        ..CompileOptions::new(ProofSystem::SumcheckWhir)
    };
    plan(bytes, Some(&samples), &options)
}

/// The answer to one number, by verifier and operator.
fn settled(bytes: &[u8], input: f64) -> Result<Vec<Vec<f64>>, FloatModelError> {
    let plan = planned(bytes, &[0.5, -0.5]);
    let model = FloatModel::read(bytes).unwrap();
    model.settled_outputs(&plan.graph, &[vec![input]], SCALE)
}

/// `3·x ≥ 0.3`: in 64 bits three times the float 0.1 is less than the float 0.3, in 32 bits it is the same.
fn tripled() -> Onnx {
    Onnx::new(&[1])
        .constant("three", &[], vec![3.0])
        .constant("c", &[], vec![0.3])
        .node("Mul", &["x", "three"], "h", vec![])
        .node("GreaterOrEqual", &["h", "c"], "b", vec![])
}

#[test]
fn an_answer_that_turns_on_the_last_bit_is_refused_and_its_neighbours_are_not() {
    let yes = giving(tripled(), &[("b", DataType::Bool)]);
    let number = tripled()
        .constant("one", &[], vec![1.0])
        .constant("two", &[], vec![2.0])
        .node("Where", &["b", "one", "two"], "y", vec![]);
    let number = giving(number, &[("y", DataType::Float)]);
    for (bytes, [no, then], output) in [(&yes, [0.0, 1.0], "`b`"), (&number, [2.0, 1.0], "`y`")] {
        assert_eq!(settled(bytes, 0.0999).unwrap(), [[no]]);
        assert_eq!(settled(bytes, 0.1001).unwrap(), [[then]]);
        let said = settled(bytes, 0.1).unwrap_err().to_string();
        let words = format!(
            "output {output} hangs on how floats are rounded: at 0 it is {no} where they have 64 bits"
        );
        assert!(said.starts_with(&words), "{said}");
    }
}

#[test]
fn an_answer_that_floats_of_the_files_type_do_not_hold_is_refused() {
    // e^100 is beyond 32 bits; what is left of it is not.
    let onnx = Onnx::new(&[1])
        .constant("k", &[], vec![100.0])
        .node("Mul", &["x", "k"], "h", vec![])
        .node("Exp", &["h"], "e", vec![])
        .node("Log", &["e"], "y", vec![]);
    let bytes = giving(onnx, &[("y", DataType::Float)]);
    let model = FloatModel::read(&bytes).unwrap();
    let graph = planned(&tripled_numbers(), &[0.5]).graph;
    let answer = |x: f64| model.settled_outputs(&graph, &[vec![x]], SCALE);
    assert!((answer(0.5).unwrap()[0][0] - 50.0).abs() < 1e-9);
    assert!(matches!(answer(1.0), Err(FloatModelError::Overflow { declared, .. }) if declared.is_infinite()));
    // Compiled for such inputs it would be Ready, and refuse every request.
    let refused = plan_of(&bytes, &[1.0, 1.5]);
    assert!(
        matches!(&refused, Err(CompileError::Calibrate(CalibrateError::Overflow { index: 0, output })) if output == "y"),
        "{refused:?}"
    );
}

/// Any model of one number in and out: its integer graph gives names and shapes.
fn tripled_numbers() -> Vec<u8> {
    let onnx = Onnx::new(&[1])
        .constant("three", &[], vec![3.0])
        .node("Mul", &["x", "three"], "y", vec![]);
    giving(onnx, &[("y", DataType::Float)])
}

#[test]
fn a_decimal_is_the_float_that_the_file_asks_for() {
    // The float 0.1 is greater than the decimal.
    let onnx = Onnx::new(&[1])
        .constant("c", &[], vec![0.1])
        .node("GreaterOrEqual", &["x", "c"], "y", vec![]);
    let bytes = giving(onnx, &[("y", DataType::Bool)]);
    assert_eq!(settled(&bytes, 0.1).unwrap(), [[1.0]]);
    // Nor is it a sample that the program reads as another function than the file's.
    assert!(planned(&bytes, &[0.1, 0.5, -0.5]).accuracy.within_budget);
}

#[test]
fn a_model_whose_whole_numbers_no_profile_gives_is_over_its_budget() {
    let close = |weight: f32| {
        let onnx = Onnx::new(&[1, 1])
            .constant("w", &[1, 2], vec![weight, 1.0])
            .node("MatMul", &["x", "w"], "h", vec![])
            .node("ArgMax", &["h"], "y", vec![int("axis", 1)]);
        let samples: Vec<f64> = (0..32).map(|i| f64::from(i) - 15.5).collect();
        planned(&giving(onnx, &[("y", DataType::Int64)]), &samples).accuracy
    };
    let (told, alike) = (close(1.1), close(1.000_001));
    assert!(told.within_budget && told.exact_agreement == 1.0);
    assert!(!alike.within_budget && alike.exact_agreement < 0.9, "{alike:?}");
    assert_eq!(alike.max_error, 0.0);
}
