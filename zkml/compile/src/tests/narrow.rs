//! Floats of 16 bits: constants are what the file says, and nothing else is rounded but where nodes round to their types.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, TensorProto, attribute_proto::AttributeType};
use zkinfer_crds::ProofSystem;

use super::onnx::{Onnx, int};
use super::recipes::agrees_with_the_reference;
use super::whole::giving;
use crate::compile::{CompileOptions, plan};
use crate::float_model::{FloatModel, FloatModelError};
use crate::import::import;

const HALF: i64 = DataType::Float16 as i64;
const BRAIN: i64 = DataType::Bfloat16 as i64;
const FLOAT: i64 = DataType::Float as i64;

/// float16 of 1, -2, 0.0999755859375, and both infinities.
const ONE: i32 = 0x3c00;
const MINUS_TWO: i32 = 0xc000;
const TENTH: i32 = 0x2e66;
const INFINITE: i32 = 0x7c00;
const MINUS_INFINITE: i32 = 0xfc00;

fn tensor(name: &str, kind: DataType, dims: &[i64], bits: &[i32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: kind as i32,
        int32_data: bits.to_vec(),
        ..TensorProto::default()
    }
}

fn halves(mut onnx: Onnx, name: &str, dims: &[i64], bits: &[i32]) -> Onnx {
    let tensor = tensor(name, DataType::Float16, dims, bits);
    onnx.graph.initializer.push(tensor);
    onnx
}

/// The model's inputs are of another type.
fn typed(mut onnx: Onnx, kind: DataType) -> Onnx {
    for port in &mut onnx.graph.input {
        let value = port.r#type.as_mut().unwrap().value.as_mut().unwrap();
        let tract_onnx::pb::type_proto::Value::TensorType(tensor) = value;
        tensor.elem_type = kind as i32;
    }
    onnx
}

/// What verifier and operator take for the model's answer to one number.
fn settled(bytes: &[u8], input: f64) -> Result<Vec<Vec<f64>>, FloatModelError> {
    let options = CompileOptions {
        error_budget_millionths: 1_000_000,
        compare_top1: false,
        ..CompileOptions::new(ProofSystem::SumcheckWhir)
    };
    let samples: Vec<_> = [0.5, -0.5, 0.25].map(|v| vec![vec![v]]).to_vec();
    let plan = plan(bytes, Some(&samples), &options).unwrap();
    let model = FloatModel::read(bytes).unwrap();
    model.settled_outputs(&plan.graph, &[vec![input]], &[])
}

#[test]
fn a_model_of_16_bits_computes_what_the_reference_does() {
    let value = AttributeProto {
        name: "value".into(),
        r#type: AttributeType::Tensor as i32,
        t: Some(tensor("", DataType::Float16, &[3], &[TENTH, MINUS_TWO, ONE])),
        ..AttributeProto::default()
    };
    let onnx = halves(
        typed(Onnx::new(&[2, 3]), DataType::Float16),
        "w",
        &[3, 2],
        &[ONE, TENTH, MINUS_TWO, 0x3555, 0xb800, 0x3a00],
    );
    let onnx = onnx
        .node("Constant", &[], "c", vec![value])
        .node("Add", &["x", "c"], "s", vec![])
        .node("MatMul", &["s", "w"], "p", vec![])
        .node("Sigmoid", &["p"], "y", vec![]);
    agrees_with_the_reference("float16", &giving(onnx, &[("y", DataType::Float16)]));
}

#[test]
fn casts_to_16_bits_and_back_come_through() {
    for kind in [HALF, BRAIN] {
        let onnx = halves(Onnx::new(&[2, 3]), "w", &[3], &[ONE, TENTH, MINUS_TWO])
            .node("Cast", &["w"], "v", vec![int("to", kind)])
            .node("Cast", &["x"], "h", vec![int("to", kind)])
            .node("Mul", &["h", "v"], "p", vec![])
            .node("Cast", &["p"], "f", vec![int("to", FLOAT)])
            .node("Softmax", &["f"], "y", vec![int("axis", -1)]);
        agrees_with_the_reference("mixed", &giving(onnx, &[("y", DataType::Float)]));
    }
    let like = halves(Onnx::new(&[2, 3]), "w", &[1], &[ONE])
        .node("CastLike", &["x", "w"], "h", vec![])
        .node("Neg", &["h"], "y", vec![]);
    agrees_with_the_reference("CastLike", &giving(like, &[("y", DataType::Float16)]));
}

#[test]
fn a_constant_that_a_cast_rounds_to_16_bits_is_the_rounded_one() {
    let onnx = Onnx::new(&[1, 1])
        .constant("c", &[1], vec![0.1])
        .node("Cast", &["c"], "h", vec![int("to", HALF)])
        .node("Cast", &["h"], "f", vec![int("to", FLOAT)])
        .node("Mul", &["x", "f"], "y", vec![]);
    let graph = import(&giving(onnx, &[("y", DataType::Float)])).unwrap();
    let values = graph.evaluate(&[vec![1.0]]).unwrap();
    assert_eq!(values[graph.outputs[0].0 as usize], [0.099_975_585_937_5]);
}

#[test]
fn a_decimal_is_the_float16_that_the_file_asks_for() {
    // 0.1 is the float16 that the constant is, though the decimal is greater.
    let onnx = halves(typed(Onnx::new(&[1]), DataType::Float16), "c", &[1], &[TENTH]).node(
        "LessOrEqual",
        &["x", "c"],
        "y",
        vec![],
    );
    let bytes = giving(onnx, &[("y", DataType::Bool)]);
    assert_eq!(settled(&bytes, 0.1).unwrap(), [[1.0]]);
    assert_eq!(settled(&bytes, 0.11).unwrap(), [[0.0]]);
}

#[test]
fn an_answer_that_hangs_on_rounding_to_16_bits_is_refused_and_its_neighbours_are_not() {
    // What a cast to 16 bits takes away: nothing where floats have 64 bits.
    let lost = Onnx::new(&[1])
        .node("Cast", &["x"], "h", vec![int("to", HALF)])
        .node("Cast", &["h"], "f", vec![int("to", FLOAT)])
        .constant("c", &[], vec![0.1])
        .node("GreaterOrEqual", &["f", "c"], "y", vec![]);
    let lost = giving(lost, &[("y", DataType::Bool)]);
    assert_eq!(settled(&lost, 0.11).unwrap(), [[1.0]]);
    assert!(matches!(
        settled(&lost, 0.1),
        Err(FloatModelError::Unsettled { .. })
    ));
    // 65504 is the greatest there is.
    let beyond = halves(typed(Onnx::new(&[1]), DataType::Float16), "c", &[1], &[0x7bff]).node(
        "Mul",
        &["x", "c"],
        "y",
        vec![],
    );
    let beyond = giving(beyond, &[("y", DataType::Float16)]);
    assert_eq!(settled(&beyond, 0.5).unwrap(), [[32752.0]]);
    assert!(matches!(
        settled(&beyond, 1.5),
        Err(FloatModelError::Overflow { declared, .. }) if declared.is_infinite()
    ));
}

#[test]
fn minus_infinity_of_16_bits_masks_and_nothing_else_that_is_not_finite_is_read() {
    let mask = [0, MINUS_INFINITE, 0];
    let masked = halves(typed(Onnx::new(&[2, 3]), DataType::Float16), "m", &[3], &mask)
        .node("Add", &["x", "m"], "s", vec![])
        .node("Softmax", &["s"], "y", vec![int("axis", -1)]);
    let bytes = giving(masked, &[("y", DataType::Float16)]);
    agrees_with_the_reference("masked", &bytes);
    for bits in [INFINITE, MINUS_INFINITE, 0x7e00] {
        let read = halves(typed(Onnx::new(&[1]), DataType::Float16), "m", &[1], &[bits]).node(
            "Add",
            &["x", "m"],
            "y",
            vec![],
        );
        let said = import(&giving(read, &[("y", DataType::Float16)]))
            .unwrap_err()
            .to_string();
        assert!(said.contains("`m`") && said.contains("not finite"), "{said}");
    }
    let wide = halves(typed(Onnx::new(&[1]), DataType::Float16), "m", &[1], &[1 << 16]).node(
        "Add",
        &["x", "m"],
        "y",
        vec![],
    );
    let said = import(&giving(wide, &[("y", DataType::Float16)]))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("constant `m` has a value of more than 16 bits"),
        "{said}"
    );
}
