//! Limits of a Clip, a Max or a Min that are infinite limit nothing; all other constants that are not finite are refused by name.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, TensorProto};

use super::onnx::{Onnx, float, int};
use super::recipes::agrees_with_the_reference;
use super::whole::giving;
use crate::import::import;

const INFINITE: f32 = f32::INFINITY;

fn clipped(low: f32, high: f32) -> Vec<u8> {
    let onnx = Onnx::new(&[2, 3])
        .constant("low", &[], vec![low])
        .constant("high", &[], vec![high])
        .node("Clip", &["x", "low", "high"], "c", vec![])
        .node("Sigmoid", &["c"], "y", vec![]);
    giving(onnx, &[("y", DataType::Float)])
}

#[test]
fn an_infinite_limit_clips_nothing() {
    for (low, high) in [
        (-INFINITE, 0.5),
        (-0.5, INFINITE),
        (-INFINITE, INFINITE),
        (-0.5, 0.5),
    ] {
        agrees_with_the_reference("Clip", &clipped(low, high));
    }
    // As attributes, until opset 10.
    for limits in [[-INFINITE, 0.5], [-0.5, INFINITE], [-INFINITE, INFINITE]] {
        let mut onnx = Onnx::new(&[2, 3])
            .node(
                "Clip",
                &["x"],
                "c",
                vec![float("min", limits[0]), float("max", limits[1])],
            )
            .node("Sigmoid", &["c"], "y", vec![])
            .opset(9);
        onnx.graph.output.truncate(1);
        agrees_with_the_reference("Clip of opset 9", &onnx.bytes());
    }
}

#[test]
fn a_limit_of_a_node_or_of_another_type_is_one_too() {
    let value = AttributeProto {
        name: "value".into(),
        r#type: tract_onnx::pb::attribute_proto::AttributeType::Tensor as i32,
        t: Some(TensorProto {
            data_type: DataType::Float as i32,
            raw_data: INFINITE.to_le_bytes().to_vec(),
            ..TensorProto::default()
        }),
        ..AttributeProto::default()
    };
    let onnx = Onnx::new(&[2, 3])
        .constant("low", &[], vec![0.25])
        .node("Constant", &[], "high", vec![value])
        .node("Clip", &["x", "low", "high"], "c", vec![])
        .node("Softmax", &["c"], "y", vec![int("axis", -1)]);
    agrees_with_the_reference("a node", &giving(onnx, &[("y", DataType::Float)]));
}

#[test]
fn an_infinite_limit_to_the_other_side_and_what_else_reads_it_are_refused_by_name() {
    for (low, high) in [(INFINITE, 1.0), (0.0, -INFINITE), (f32::NAN, 1.0)] {
        let said = import(&clipped(low, high)).unwrap_err().to_string();
        assert!(said.contains("not finite"), "{low} {high}: {said}");
    }
    let read = Onnx::new(&[2, 3])
        .constant("low", &[], vec![0.25])
        .constant("high", &[], vec![INFINITE])
        .node("Clip", &["x", "low", "high"], "c", vec![])
        .node("Mul", &["c", "high"], "y", vec![]);
    let said = import(&giving(read, &[("y", DataType::Float)]))
        .unwrap_err()
        .to_string();
    assert!(said.contains("`high`") && said.contains("not finite"), "{said}");
}

fn greatest(op: &str, inputs: &[&str], infinite: (&[i64], f32)) -> Vec<u8> {
    let onnx = Onnx::new(&[2, 3])
        .constant("infinite", infinite.0, vec![infinite.1])
        .constant("half", &[3], vec![0.5, -0.5, 0.0])
        .node("Neg", &["x"], "n", vec![])
        .node(op, inputs, "m", vec![])
        .node("Sigmoid", &["m"], "y", vec![]);
    giving(onnx, &[("y", DataType::Float)])
}

#[test]
fn an_infinite_number_below_a_maximum_or_above_a_minimum_is_nothing() {
    for (op, infinite) in [("Max", -INFINITE), ("Min", INFINITE)] {
        for inputs in [
            &["infinite", "n"][..],
            &["n", "infinite"],
            &["n", "infinite", "half"],
            &["infinite", "n", "x"],
        ] {
            agrees_with_the_reference(op, &greatest(op, inputs, (&[], infinite)));
        }
    }
    // To the other side it is the answer, and axes of its own are part of the result's.
    for (op, infinite) in [
        ("Max", (&[][..], INFINITE)),
        ("Min", (&[], -INFINITE)),
        ("Max", (&[1, 1, 1], -INFINITE)),
    ] {
        let said = import(&greatest(op, &["n", "infinite"], infinite)).unwrap_err();
        assert!(said.to_string().contains("not finite"), "{op}: {said}");
    }
}
