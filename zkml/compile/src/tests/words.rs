//! What a model is refused with: ONNX's words, with the name of the node, input or output; never the reader's own.

use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value;

use super::onnx::{Onnx, int, ints, value_info};
use crate::import::import;

/// What only the reader says.
const READERS: &[&str] = &[
    "wire",
    "Failed",
    "Infering",
    "rule",
    "Rule",
    "Val(",
    "TDim",
    "F16",
    "F32",
    "I64",
    "Typed",
    "typed",
    "tract",
    "Condition",
    "Translating",
    "Source",
    "Squeeze13",
    "ModelProto",
    "Protobuf",
    "reference",
];

fn typed(mut onnx: Onnx, input: &str, kind: DataType) -> Onnx {
    let port = onnx.graph.input.iter_mut().find(|i| i.name == input).unwrap();
    if let Some(Value::TensorType(tensor)) = port.r#type.as_mut().and_then(|t| t.value.as_mut()) {
        tensor.elem_type = kind as i32;
    }
    onnx
}

/// With another first size of the only input than the builder can say.
fn sized(mut onnx: Onnx, axis: usize, size: i64) -> Onnx {
    let kind = onnx.graph.input[0].r#type.as_mut().unwrap().value.as_mut();
    if let Some(Value::TensorType(tensor)) = kind {
        tensor.shape.as_mut().unwrap().dim[axis].value = Some(Dim::DimValue(size));
    }
    onnx
}

fn relu(input: &[i64]) -> Onnx {
    Onnx::new(input).node("Relu", &["x"], "y", vec![])
}

/// With a constant of another type.
fn constant_of(mut onnx: Onnx, constant: &str, kind: DataType) -> Onnx {
    let tensor = onnx.graph.initializer.iter_mut().find(|t| t.name == constant);
    let tensor = tensor.unwrap();
    tensor.data_type = kind as i32;
    tensor.uint64_data = vec![0; tensor.float_data.len()];
    tensor.float_data.clear();
    onnx
}

fn output(mut onnx: Onnx, name: &str) -> Onnx {
    onnx.graph.output.push(value_info(name, &[1]));
    onnx
}

/// With that one instead of its outputs.
fn alone(mut onnx: Onnx, name: &str) -> Onnx {
    onnx.graph.output.clear();
    output(onnx, name)
}

fn sparse() -> AttributeProto {
    AttributeProto {
        name: "sparse_value".into(),
        r#type: AttributeType::SparseTensor as i32,
        sparse_tensor: Some(tract_onnx::pb::SparseTensorProto::default()),
        ..AttributeProto::default()
    }
}

/// Valid models, as `onnx.checker` finds, in forms that are not supported.
#[test]
fn a_valid_model_that_is_not_supported_is_never_called_invalid() {
    let cast =
        |input: &[i64], to: DataType| Onnx::new(input).node("Cast", &["x"], "i", vec![int("to", to as i64)]);
    let mut no_output = relu(&[1, 3]);
    no_output.graph.output.clear();
    let cases = [
        (
            typed(
                constant_of(Onnx::new(&[1, 3]).random("w", &[3, 2]), "w", DataType::Uint32),
                "x",
                DataType::Uint32,
            )
            .node("MatMul", &["x", "w"], "y", vec![]),
            &["constant `w`", "uint32", "float16"][..],
        ),
        (
            typed(relu(&[1, 3]), "x", DataType::Int64),
            &["`y_Relu` (Relu)", "its input `x`", "int64"],
        ),
        (
            typed(relu(&[1, 3]), "x", DataType::Uint16),
            &["input `x`", "uint16", "int64, int32, int8, uint8 and bool"],
        ),
        (sized(relu(&[1, 3]), 1, 0), &["input `x`", "dimension 1 is 0"]),
        (sized(relu(&[1, 3]), 0, 0), &["input `x`", "dimension 0 is 0"]),
        (sized(relu(&[1, 3]), 0, -1), &["input `x`", "dimension 0 is -1"]),
        (
            relu(&[1, 0]),
            &[
                "input `x`",
                "dimension 1 is left free",
                "--bind n=SIZE",
                "spec.dimensions",
            ],
        ),
        (
            Onnx::new(&[3])
                .random("w", &[3])
                .node("MatMul", &["x", "w"], "y", vec![]),
            &[
                "`y_MatMul` (MatMul)",
                "form of the operator is not supported",
                "`x`, float [3]",
            ],
        ),
        (
            Onnx::new(&[1, 3, 2, 2])
                .node("Relu", &["x"], "s", vec![])
                .node("Conv", &["x", "s"], "y", vec![]),
            &["`y_Conv` (Conv)", "its `W` is `s`", "computed"],
        ),
        (
            cast(&[1], DataType::Int64).node("Squeeze", &["x", "i"], "y", vec![]),
            &["`y_Squeeze` (Squeeze)", "its `axes` is `i`"],
        ),
        (
            cast(&[2], DataType::Int64).node("Reshape", &["x", "i"], "y", vec![]),
            &["`y_Reshape` (Reshape)", "its `shape` is `i`"],
        ),
        (
            cast(&[2], DataType::Int16).node("Cast", &["i"], "y", vec![int("to", 1)]),
            &["`i_Cast` (Cast)", "a cast to int16"],
        ),
        (
            Onnx::new(&[4]).node("NonZero", &["x"], "y", vec![]),
            &["`y_NonZero` (NonZero)", "depends on the input's values"],
        ),
        (
            Onnx::new(&[4]).node("Unique", &["x"], "y", vec![]),
            &["`y_Unique` (Unique)", "depends on the input's values"],
        ),
        (
            cast(&[4], DataType::Bool).node("Compress", &["x", "i"], "y", vec![]),
            &["`y_Compress` (Compress)", "depends on the input's values"],
        ),
        (
            alone(relu(&[1, 3]).random("k", &[2]), "k"),
            &["output `k`", "constant"],
        ),
        (
            Onnx::new(&[1, 4])
                .node("Constant", &[], "k", vec![sparse()])
                .node("Add", &["x", "k"], "y", vec![]),
            &["`k_Constant` (Constant)", "sparse"],
        ),
        (no_output, &["no output"]),
    ];
    for (onnx, words) in cases {
        let said = import(&onnx.bytes()).unwrap_err().to_string();
        assert!(words.iter().all(|w| said.contains(w)), "{said}: no {words:?}");
        assert!(!said.contains("valid ONNX model"), "{said}");
        assert!(!READERS.iter().any(|w| said.contains(w)), "{said}");
    }
}

#[test]
fn a_node_that_nobody_can_compute_is_named_with_its_operands() {
    let matrix = |input: &[i64]| Onnx::new(input).random("w", &[3, 2]);
    let cases = [
        (
            matrix(&[1, 4]).node("MatMul", &["x", "w"], "y", vec![]),
            &["node `y_MatMul` (MatMul) cannot be computed", "[1, 4]", "[3, 2]"][..],
        ),
        (
            Onnx::new(&[0, 4])
                .integers("s", &[2, 4])
                .node("Reshape", &["x", "s"], "y", vec![]),
            &[
                "node `y_Reshape` (Reshape)",
                "4 values do not have the shape [2, 4]",
                "1 for the sizes that it leaves free",
            ],
        ),
        (
            Onnx::new(&[1, 3])
                .integers("a", &[1])
                .node("Squeeze", &["x", "a"], "y", vec![]),
            &["node `y_Squeeze` (Squeeze) cannot be computed"],
        ),
        (
            Onnx::new(&[1, 4]).node("Transpose", &["x"], "y", vec![ints("perm", &[0, 0])]),
            &["node `y_Transpose` (Transpose)", "perm [0, 0]"],
        ),
    ];
    for (onnx, words) in cases {
        let said = import(&onnx.bytes()).unwrap_err().to_string();
        assert!(words.iter().all(|w| said.contains(w)), "{said}: no {words:?}");
        assert!(!READERS.iter().any(|w| said.contains(w)), "{said}");
    }
}

#[test]
fn a_file_that_is_no_model_is_named_for_what_it_is() {
    let good = relu(&[1, 3]).bytes();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    let twice = relu(&[1, 3]).node("Neg", &["x"], "y", vec![]).bytes();
    let cases: [(&[u8], &[&str]); 6] = [
        (
            pointer,
            &["not an ONNX model but a Git LFS pointer", "`git lfs pull`"],
        ),
        (b"PK\x03\x04", &["not an ONNX model but a zip archive"]),
        (b"", &["not an ONNX model but an empty file"]),
        (&good[..good.len() - 3], &["not a valid ONNX model", "cut off"]),
        (&[0xff; 40], &["not a valid ONNX model", "damaged"]),
        (&twice, &["not a valid ONNX model", "`y` is made twice"]),
    ];
    for (bytes, words) in cases {
        let said = import(bytes).unwrap_err().to_string();
        assert!(words.iter().all(|w| said.contains(w)), "{said}: no {words:?}");
        assert!(!READERS.iter().any(|w| said.contains(w)), "{said}");
    }
}

/// An operator that nobody knows, one that does not read whole numbers, and one that does not make such: each is refused by another
/// stage, and the last two read what the first makes.
#[test]
fn every_refused_node_is_named_at_once_whichever_stage_refuses_it() {
    let onnx = Onnx::new(&[1, 3])
        .node("NonMaxSuppression", &["x"], "lost", vec![])
        .node("Exp", &["lost"], "gone", vec![])
        .node("Det", &["x"], "d", vec![])
        .node("Cast", &["x"], "i", vec![int("to", DataType::Int64 as i64)])
        .node("Relu", &["i"], "r", vec![])
        .node("Cast", &["i"], "w", vec![int("to", DataType::Int16 as i64)])
        .node("Cast", &["r"], "f", vec![int("to", DataType::Float as i64)])
        .integers("axes", &[0])
        .constant("much", &[1], vec![100.0])
        .node("Pow", &["f", "much"], "y", vec![]);
    let crate::import::ImportError::Unsupported(nodes) = import(&onnx.bytes()).unwrap_err() else {
        panic!("it is a list of nodes");
    };
    let named: Vec<_> = nodes.iter().map(|n| n.node.as_str()).collect();
    assert_eq!(
        named,
        ["lost_NonMaxSuppression", "d_Det", "r_Relu", "w_Cast", "y_Pow"],
        "in the file's order"
    );
    assert!(nodes[2].reason.contains("its input `i`"), "{}", nodes[2]);
}
