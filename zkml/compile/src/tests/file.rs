//! The graph is the file's function: every form below is compared with the reference, which reads the file by itself.

use tract_onnx::pb::{TensorProto, tensor_proto::DataType};
use zkinfer_crds::ProofSystem;

use super::onnx::{Onnx, int, ints, value_info};
use crate::calibrate::CalibrateError;
use crate::compile::{CompileError, CompileOptions, plan};
use crate::import::import;

/// What compiling says: `Ok` only where the graph's answers are the reference's on every sample.
fn compiled(onnx: &Onnx) -> Result<(), CompileError> {
    let options = CompileOptions {
        error_budget_millionths: 1_000_000,
        compare_top1: false,
        ..CompileOptions::new(ProofSystem::SumcheckWhir)
    };
    plan(&onnx.bytes(), None, &options).map(|_| ())
}

/// A tensor `p` of shape [1, 4, 5, 5] made by each of the operators that readers like to fuse with what follows.
fn producers() -> Vec<(&'static str, Onnx)> {
    let image = || Onnx::new(&[1, 4, 5, 5]);
    let conv = |kernel: i64, group: i64| {
        let pad = kernel / 2;
        image()
            .random("k", &[4, 4 / group, kernel, kernel])
            .random("kb", &[4])
            .node(
                "Conv",
                &["x", "k", "kb"],
                "p",
                vec![ints("pads", &[pad, pad, pad, pad]), int("group", group)],
            )
    };
    let normed = Onnx::new(&[1, 4, 5, 5])
        .random("k", &[4, 4, 3, 3])
        .node("Conv", &["x", "k"], "c", vec![ints("pads", &[1, 1, 1, 1])])
        .random("s", &[4])
        .random("o", &[4])
        .constant("m", &[4], vec![0.1, -0.2, 0.3, 0.0])
        .constant("v", &[4], vec![1.0, 0.5, 2.0, 1.5])
        .node("BatchNormalization", &["c", "s", "o", "m", "v"], "p", vec![]);
    let product = image()
        .random("w", &[5, 5])
        .node("MatMul", &["x", "w"], "p", vec![]);
    let pooled = image().node(
        "MaxPool",
        &["x"],
        "p",
        vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1])],
    );
    vec![
        ("Conv 3x3", conv(3, 1)),
        ("Conv 1x1", conv(1, 1)),
        ("Conv depthwise", conv(3, 4)),
        ("BatchNormalization", normed),
        ("MatMul", product),
        ("MaxPool", pooled),
        ("Relu", image().node("Relu", &["x"], "p", vec![])),
        ("Neg", image().node("Neg", &["x"], "p", vec![])),
        (
            "Transpose",
            image().node("Transpose", &["x"], "p", vec![ints("perm", &[0, 1, 3, 2])]),
        ),
    ]
}

/// Producers of the same shape whose values are all away from 0, so that a constant divided by them has integers.
fn divisors() -> Vec<(&'static str, Onnx)> {
    let depthwise = |bias: &[&str]| {
        let inputs = [&["x", "k"], bias].concat();
        let attributes = vec![ints("pads", &[1, 1, 1, 1]), int("group", 4)];
        Onnx::new(&[1, 4, 5, 5])
            .random("k", &[4, 1, 3, 3])
            .constant("kb", &[4], vec![24.0, -24.0, 30.0, -36.0])
            .node(
                "Conv",
                &inputs,
                if bias.is_empty() { "c" } else { "p" },
                attributes,
            )
    };
    let normed = depthwise(&[])
        .constant("s", &[4], vec![0.9, -0.5, 0.3, 0.7])
        .constant("m", &[4], vec![0.1, -0.2, 0.3, 0.0])
        .constant("v", &[4], vec![1.0, 0.5, 2.0, 1.5])
        .node("BatchNormalization", &["c", "s", "kb", "m", "v"], "p", vec![]);
    let one = Onnx::new(&[1, 4, 5, 5])
        .node("Sigmoid", &["x"], "g", vec![])
        .constant("one", &[], vec![1.0])
        .node("Add", &["g", "one"], "p", vec![]);
    vec![
        ("Conv away from 0", depthwise(&["kb"])),
        ("BatchNormalization away from 0", normed),
        ("Sigmoid + 1", one),
    ]
}

#[test]
fn a_constant_on_either_side_of_whatever_was_computed_is_proved_as_the_file_says() {
    let shapes: [&[i64]; 7] = [&[], &[1], &[5], &[4, 1, 1], &[1, 4, 1, 1], &[5, 1], &[4, 5, 5]];
    let (mut proved, mut near_zero, mut quotients) = (0, 0, 0);
    for (name, producer) in producers().into_iter().chain(divisors()) {
        for op in ["Add", "Sub", "Mul", "Div", "Max", "Min"] {
            for left in [false, true] {
                for shape in shapes {
                    let operands = if left { ["d", "p"] } else { ["p", "d"] };
                    let onnx = producer
                        .clone()
                        .random("d", shape)
                        .node(op, &operands, "y", vec![]);
                    let what = format!(
                        "{name}, {op}, constant {shape:?} on the {}",
                        if left { "left" } else { "right" }
                    );
                    match compiled(&onnx) {
                        Ok(()) => {
                            proved += 1;
                            quotients += usize::from(op == "Div" && left);
                        }
                        // A divisor near 0: no integers hold the quotient.
                        Err(CompileError::Calibrate(why)) if op == "Div" && left => {
                            assert!(!matches!(why, CalibrateError::Differs(_)), "{what}: {why}");
                            near_zero += 1;
                        }
                        Err(e) => panic!("{what}: {e}"),
                    }
                }
            }
        }
    }
    assert_eq!(proved + near_zero, 12 * 7 * 12);
    assert!(near_zero <= 9 * 7, "{near_zero}");
    assert!(quotients >= 3 * 7, "{quotients}");
}

#[test]
fn slices_gathers_and_concatenations_are_proved_as_the_file_says() {
    let image = || Onnx::new(&[1, 3, 7, 4]);
    let slice = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| {
        let named = [("s", starts), ("e", ends), ("a", axes), ("t", steps)];
        let onnx = named
            .into_iter()
            .fold(image(), |o, (name, v)| o.integers(name, v));
        let onnx = onnx.node("Slice", &["x", "s", "e", "a", "t"], "c", vec![]);
        onnx.node("Relu", &["c"], "y", vec![])
    };
    let gather = |axis: i64, indices: &[i64]| {
        let onnx = image().integers("i", indices);
        let onnx = onnx.node("Gather", &["x", "i"], "c", vec![int("axis", axis)]);
        onnx.node("Neg", &["c"], "y", vec![])
    };
    let concat = |axis: i64, parts: &[&str]| {
        image()
            .node("Relu", &["x"], "r", vec![])
            .random("d", &[1, 3, 7, 4])
            .node("Concat", parts, "y", vec![int("axis", axis)])
    };
    let last_step = Onnx::new(&[1, 6, 5])
        .integers("i", &[-1])
        .node("Gather", &["x", "i"], "g", vec![int("axis", 1)])
        .random("w", &[5, 3])
        .node("MatMul", &["g", "w"], "y", vec![]);
    let strided = Onnx::new(&[1, 4, 6, 6]).random("k", &[8, 4, 1, 1]).node(
        "Conv",
        &["x", "k"],
        "y",
        vec![ints("strides", &[2, 2])],
    );
    let max = i64::MAX;
    let cases = vec![
        slice(&[1], &[6], &[2], &[2]),
        slice(&[0], &[max], &[2], &[3]),
        slice(&[-1], &[-max], &[2], &[-1]),
        slice(&[5, -2], &[0, -5], &[2, 3], &[-2, -1]),
        slice(&[-100], &[100], &[-2], &[1]),
        slice(&[1, 2], &[3, 7], &[1, 2], &[1, 4]),
        gather(2, &[6, 0, 0, -1]),
        gather(1, &[2]),
        gather(-1, &[-4, 3]),
        concat(1, &["x", "r"]),
        concat(3, &["r", "x", "r"]),
        concat(-2, &["x", "d", "r"]),
        concat(0, &["d", "x"]),
        last_step,
        strided,
    ];
    for (at, onnx) in cases.iter().enumerate() {
        if let Err(e) = compiled(onnx) {
            panic!("case {at}: {e}");
        }
    }
    let outside = gather(2, &[7]);
    assert!(compiled(&outside).is_err());
}

#[test]
fn a_reshape_before_an_output_leaves_other_readers_of_its_source_alone() {
    // Two reshapes of one tensor: one is read on, the other leads to an output.
    let mut onnx = Onnx::new(&[1, 3, 4])
        .random("w", &[4, 4])
        .node("MatMul", &["x", "w"], "p", vec![])
        .integers("flat", &[1, 12])
        .integers("tall", &[12, 1])
        .node("Reshape", &["p", "flat"], "f", vec![])
        .node("Reshape", &["p", "tall"], "y", vec![])
        .random("c", &[12])
        .node("Add", &["f", "c"], "z", vec![]);
    onnx.graph.output.push(value_info("z", &[]));
    compiled(&onnx).unwrap();
}

#[test]
fn dropout_passes_on_what_it_reads() {
    let dropped = Onnx::new(&[1, 4])
        .constant("ratio", &[], vec![0.4])
        .node("Relu", &["x"], "r", vec![])
        .node("Dropout", &["r", "ratio"], "y", vec![]);
    compiled(&dropped).unwrap();
}

#[test]
fn a_cast_to_64_bits_and_back_leaves_a_tensor_as_it_is() {
    // The output is 0, whatever more f64 has of the convolution than 32 bits.
    for operands in [["f", "p"], ["p", "f"]] {
        let (_, conv) = producers().swap_remove(0);
        let onnx = conv
            .node("Cast", &["p"], "d", vec![int("to", 11)])
            .node("Cast", &["d"], "f", vec![int("to", 1)])
            .node("Sub", &operands, "y", vec![]);
        compiled(&onnx).unwrap();
    }
}

#[test]
fn a_constant_that_a_cast_rounds_is_the_rounded_one() {
    // 2^24 + 1 and the like: what is left of the subtraction is 0 for 32-bit floats.
    let mut onnx = Onnx::new(&[1, 4]);
    onnx.graph.initializer.push(TensorProto {
        name: "d".into(),
        dims: vec![4],
        data_type: DataType::Double as i32,
        double_data: vec![0.1, 0.7, -1.3, 2.9],
        ..TensorProto::default()
    });
    let onnx = onnx
        .constant("s", &[4], vec![0.1, 0.7, -1.3, 2.9])
        .node("Cast", &["d"], "c", vec![int("to", 1)])
        .node("Sub", &["x", "c"], "p", vec![])
        .node("Sub", &["x", "s"], "q", vec![])
        .node("Sub", &["p", "q"], "y", vec![]);
    compiled(&onnx).unwrap();
}

#[test]
fn a_constant_that_onnx_leaves_open_is_refused_by_name() {
    let cast = |value: f32, to: i64| {
        let onnx = Onnx::new(&[1, 4])
            .constant("c", &[1], vec![value])
            .node("Cast", &["c"], "i", vec![int("to", to)])
            .node("Cast", &["i"], "f", vec![int("to", 1)])
            .node("Add", &["x", "f"], "y", vec![]);
        compiled(&onnx)
    };
    for (value, to) in [
        (-128.9, 3),
        (127.9, 3),
        (255.0, 2),
        (-0.5, 2),
        (3e4, 5),
        (1e9, 6),
        (-1e6, 7),
    ] {
        cast(value, to).unwrap_or_else(|e| panic!("{value} to {to}: {e}"));
    }
    let open = [(300.0, 3), (-1.5, 2), (7e4, 4), (3e9, 6), (1e19, 7)];
    for (value, to) in open {
        let error = cast(value, to).unwrap_err().to_string();
        assert!(
            error.contains("i_Cast") && error.contains("leaves open"),
            "{value} to {to}: {error}"
        );
    }
}

#[test]
fn inputs_keep_the_files_names() {
    let onnx = Onnx::new(&[4])
        .node("Transpose", &["x"], "t", vec![ints("perm", &[0])])
        .node("Relu", &["t"], "y", vec![]);
    let graph = crate::import::import(&onnx.bytes()).unwrap();
    assert_eq!(graph.tensors[graph.inputs[0].0 as usize].name, "x");
}

#[test]
fn a_form_that_is_told_in_several_ways_is_refused_by_name() {
    let pooled = |size: i64| {
        let valid = tract_onnx::pb::AttributeProto {
            name: "auto_pad".into(),
            r#type: tract_onnx::pb::attribute_proto::AttributeType::String as i32,
            s: b"VALID".to_vec(),
            ..Default::default()
        };
        let attributes = vec![
            ints("kernel_shape", &[2, 2]),
            ints("strides", &[2, 2]),
            int("ceil_mode", 1),
            valid,
        ];
        compiled(&Onnx::new(&[1, 2, size, size]).node("MaxPool", &["x"], "y", attributes))
    };
    assert!(pooled(6).is_ok(), "all windows are whole");
    let error = pooled(5).unwrap_err().to_string();
    assert!(error.contains("told in several ways"), "{error}");
}

#[test]
fn an_output_that_is_an_input_or_another_output_has_a_node_of_its_own() {
    let mut onnx = Onnx::new(&[1, 4])
        .node("Relu", &["x"], "y", vec![])
        .node("Identity", &["y"], "z", vec![]);
    onnx.graph.output.push(value_info("z", &[]));
    let graph = import(&onnx.bytes()).unwrap();
    assert_eq!(graph.outputs.len(), 2);
    assert_ne!(graph.outputs[0], graph.outputs[1]);
    let values = graph.evaluate(&[vec![1.0, -1.0, 0.5, 0.0]]).unwrap();
    assert_eq!(
        values[graph.outputs[0].0 as usize],
        values[graph.outputs[1].0 as usize]
    );
}
