//! Quantised operators: numbers of 8 bits by stated scales and by a tensor's own range, and what is made of them.

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;
use zkml::graph::Profile;
use zkml_reference::{ElementType, Model, Tensor, Values};

use super::onnx::{Onnx, int, ints};
use super::recipes::{agrees_with_the_reference, by_the_file};
use super::whole::{answers, giving};
use crate::calibrate::synthetic_samples;
use crate::float_model::FloatModel;
use crate::import::import;

const MICROSOFT: &str = "com.microsoft";

/// A constant of 8 bits.
fn bytes_of(mut onnx: Onnx, name: &str, kind: DataType, dims: &[i64], values: &[i32]) -> Onnx {
    onnx.graph.initializer.push(TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: kind as i32,
        int32_data: values.to_vec(),
        ..TensorProto::default()
    });
    onnx
}

/// Whole numbers that look random.
fn weights(count: i32) -> Vec<i32> {
    (0..count).map(|i| (i * 97 + 31) % 255 - 127).collect()
}

fn dynamic(mut onnx: Onnx, x: &str) -> Onnx {
    onnx = onnx.node("DynamicQuantizeLinear", &[x], "q", vec![]);
    let outputs = &mut onnx.graph.node.last_mut().unwrap().output;
    outputs.extend(["s".to_owned(), "z".to_owned()]);
    onnx
}

/// A product as quantised exports have it: `x` of `rows × 16` by a constant matrix of `16 × 5`.
fn product(rows: i64) -> Onnx {
    let onnx = bytes_of(
        Onnx::new(&[rows, 16]),
        "w",
        DataType::Int8,
        &[16, 5],
        &weights(80),
    );
    let onnx = bytes_of(onnx, "wz", DataType::Int8, &[5], &[0, 3, -2, 0, 1]);
    dynamic(onnx, "x")
        .constant("ws", &[5], vec![0.01, 0.02, 0.015, 0.01, 0.03])
        .node("MatMulInteger", &["q", "w", "z", "wz"], "m", vec![])
        .node("Cast", &["m"], "f", vec![int("to", DataType::Float as i64)])
        .node("Mul", &["s", "ws"], "sw", vec![])
        .node("Mul", &["f", "sw"], "y", vec![])
}

/// The greatest error of any output on inputs that calibration has not seen.
fn error_in(bytes: &[u8], profile: Profile) -> f64 {
    let graph = import(bytes).unwrap();
    let (_, int) = by_the_file(bytes, &synthetic_samples(&graph, 16, 1), profile);
    let model = FloatModel::read(bytes).unwrap();
    let mut worst = 0f64;
    for sample in synthetic_samples(&graph, 4, 2) {
        let expected = model.outputs_of(&graph, &sample).unwrap();
        let [got, _] = answers(bytes, &int, &sample);
        for (got, expected) in got.iter().zip(&expected) {
            worst = worst.max(zkml::accuracy::output_error(got, expected, 0.0));
        }
    }
    worst
}

#[test]
fn a_product_of_a_tensor_in_steps_of_its_own_range_is_the_files() {
    let bytes = product(2).opset(17).bytes();
    agrees_with_the_reference("dynamic", &bytes);
    let error = error_in(&bytes, Profile::P16);
    assert!(error < 0.01, "{error}");
}

#[test]
fn steps_scale_and_zero_point_of_a_range_are_the_files_within_a_step() {
    let onnx = dynamic(Onnx::new(&[4, 8]), "x");
    let outputs = [
        ("q", DataType::Uint8),
        ("s", DataType::Float),
        ("z", DataType::Uint8),
    ];
    let bytes = giving(onnx, &outputs);
    agrees_with_the_reference("steps", &bytes);
    let graph = import(&bytes).unwrap();
    let (_, int) = by_the_file(&bytes, &synthetic_samples(&graph, 16, 1), Profile::P16);
    for sample in synthetic_samples(&graph, 4, 2) {
        let [got, expected] = answers(&bytes, &int, &sample);
        let apart = |at: usize| got[at].iter().zip(&expected[at]).map(|(a, b)| (a - b).abs());
        assert!(apart(0).all(|d| d <= 1.0), "{:?} for {:?}", got[0], expected[0]);
        assert!(
            apart(0).filter(|d| *d != 0.0).count() <= 2,
            "{:?} for {:?}",
            got[0],
            expected[0]
        );
        assert!(apart(1).all(|d| d < 1e-3 * expected[1][0]), "{:?}", got[1]);
        assert!(apart(2).all(|d| d <= 1.0), "{:?} for {:?}", got[2], expected[2]);
    }
}

/// Values of a range of 34 multiples of a scale, as rows of a quantised table are: each is 7.5 steps, so that every other one lies
/// half way between two.
#[test]
fn halves_are_read_alike_by_graph_and_reference() {
    let outputs = [
        ("q", DataType::Uint8),
        ("s", DataType::Float),
        ("z", DataType::Uint8),
    ];
    let bytes = giving(dynamic(Onnx::new(&[1, 35]), "x"), &outputs);
    let (graph, model) = (import(&bytes).unwrap(), FloatModel::read(&bytes).unwrap());
    for scale in [0.013, 0.1, 1.0 / 3.0, 7e-4, 0.25] {
        for least in [0, 1, 7, 17, 34] {
            let value = |i: i32| f64::from((f64::from(i - least) * scale) as f32);
            let x: Vec<f64> = (0..35).map(value).collect();
            let expected = model.outputs_of(&graph, std::slice::from_ref(&x)).unwrap();
            let values = graph.evaluate(&[x]).unwrap();
            for (id, expected) in [0, 2].map(|at| (graph.outputs[at], &expected[at])) {
                assert_eq!(values[id.0 as usize], *expected, "{scale} from {least}");
            }
        }
    }
}

#[test]
fn a_tensor_of_zeros_is_zero_and_has_an_answer() {
    let bytes = product(1).opset(17).bytes();
    let graph = import(&bytes).unwrap();
    let (_, int) = by_the_file(&bytes, &synthetic_samples(&graph, 8, 1), Profile::P16);
    let [got, expected] = answers(&bytes, &int, &[vec![0.0; 16]]);
    assert_eq!(got, expected);
    assert!(got[0].iter().all(|v| *v == 0.0));
}

#[test]
fn a_tensor_on_one_side_of_zero_has_its_zero_point_at_an_end() {
    let bytes = product(1).opset(17).bytes();
    let graph = import(&bytes).unwrap();
    let (_, int) = by_the_file(&bytes, &synthetic_samples(&graph, 16, 1), Profile::P16);
    for sign in [1.0, -1.0] {
        let x: Vec<f64> = (1..17).map(|i| sign * f64::from(i) * 3.0 / 16.0).collect();
        let [got, expected] = answers(&bytes, &int, &[x]);
        let error = zkml::accuracy::output_error(&got[0], &expected[0], 0.0);
        assert!(error < 0.01, "{sign}: {error}");
    }
}

/// By a scale of 1/4 about 3: halves lie between two numbers.
fn stated() -> Vec<u8> {
    let onnx = Onnx::new(&[1, 8]).constant("s", &[], vec![0.25]);
    let onnx = bytes_of(onnx, "z", DataType::Int8, &[], &[3])
        .node("QuantizeLinear", &["x", "s", "z"], "q", vec![])
        .node("DequantizeLinear", &["q", "s", "z"], "d", vec![]);
    giving(onnx, &[("q", DataType::Int8), ("d", DataType::Float)])
}

#[test]
fn halves_go_to_the_even_number_and_what_is_beyond_the_type_to_its_end() {
    let bytes = stated();
    agrees_with_the_reference("stated", &bytes);
    let samples = [vec![vec![60.0; 8]], vec![vec![-60.0; 8]], vec![vec![0.5; 8]]];
    let (_, int) = by_the_file(&bytes, &samples, Profile::P16);
    let inputs = vec![0.125, 0.375, -0.125, -0.375, 0.625, 50.0, -50.0, 0.0];
    let [got, expected] = answers(&bytes, &int, &[inputs]);
    assert_eq!(got, expected);
    assert_eq!(got[0], [3.0, 5.0, 3.0, 1.0, 5.0, 127.0, -128.0, 3.0]);
}

#[test]
fn a_convolution_of_numbers_counts_its_padding_as_zero() {
    let onnx = bytes_of(Onnx::new(&[1, 2, 4, 4]), "k", DataType::Uint8, &[3, 2, 3, 3], &{
        (0..54).map(|i| (i * 53 + 7) % 256).collect::<Vec<i32>>()
    });
    let onnx = bytes_of(onnx, "kz", DataType::Uint8, &[], &[128]);
    let onnx = dynamic(onnx, "x")
        .node(
            "ConvInteger",
            &["q", "k", "z", "kz"],
            "c",
            vec![ints("pads", &[1, 1, 1, 1]), ints("kernel_shape", &[3, 3])],
        )
        .node("Cast", &["c"], "f", vec![int("to", DataType::Float as i64)])
        .node("Mul", &["f", "s"], "y", vec![]);
    let bytes = onnx.opset(17).bytes();
    agrees_with_the_reference("convolved", &bytes);
    let error = error_in(&bytes, Profile::P16);
    assert!(error < 0.01, "{error}");
}

#[test]
fn sums_of_many_products_are_held_exactly() {
    let n = 512;
    let onnx = bytes_of(
        Onnx::new(&[1, n]),
        "w",
        DataType::Int8,
        &[n, 2],
        &weights(2 * n as i32),
    );
    let onnx = dynamic(onnx, "x").node("MatMulInteger", &["q", "w", "z"], "m", vec![]);
    let bytes = giving(
        onnx,
        &[
            ("m", DataType::Int32),
            ("q", DataType::Uint8),
            ("z", DataType::Uint8),
        ],
    );
    let graph = import(&bytes).unwrap();
    let (_, int) = by_the_file(&bytes, &synthetic_samples(&graph, 4, 1), Profile::P16);
    let [got, _] = answers(&bytes, &int, &synthetic_samples(&graph, 1, 2)[0]);
    // What is made of the numbers that the integers have is the sum of their products.
    let w = weights(2 * n as i32);
    for column in 0..2 {
        let terms = got[1].iter().enumerate();
        let sum: f64 = terms
            .map(|(i, q)| (q - got[2][0]) * f64::from(w[i * 2 + column]))
            .sum();
        assert_eq!(got[0][column], sum);
    }
}

/// A bias in the steps of a range that the inputs decide, as older quantised files have it: of zeros it has no number.
#[test]
fn a_bias_is_put_into_steps_of_the_range_that_the_input_has() {
    let onnx = bytes_of(Onnx::new(&[1, 1, 4, 4]), "k", DataType::Uint8, &[2, 1, 3, 3], &{
        (0..18).map(|i| (i * 53 + 7) % 256).collect::<Vec<i32>>()
    });
    let onnx = bytes_of(onnx, "kz", DataType::Uint8, &[], &[120]);
    let bytes = dynamic(onnx, "x")
        .constant("ks", &[], vec![0.01])
        .constant("bias", &[2], vec![0.123, -0.077])
        .integers("shape", &[1, 2, 1, 1])
        .node("Mul", &["s", "ks"], "both", vec![])
        .node("Div", &["bias", "both"], "steps", vec![])
        .node("Floor", &["steps"], "down", vec![])
        .node("Cast", &["down"], "i", vec![int("to", DataType::Int32 as i64)])
        .node("Reshape", &["i", "shape"], "b", vec![])
        .node(
            "ConvInteger",
            &["q", "k", "z", "kz"],
            "c",
            vec![ints("kernel_shape", &[3, 3])],
        )
        .node("Add", &["c", "b"], "sum", vec![])
        .node("Cast", &["sum"], "f", vec![int("to", DataType::Float as i64)])
        .node("Mul", &["f", "both"], "y", vec![])
        .opset(17)
        .bytes();
    agrees_with_the_reference("bias", &bytes);
}

/// An LSTM of 5 steps, 3 inputs and 16 states.
fn lstm(batch: i64) -> Onnx {
    let onnx = bytes_of(
        Onnx::new(&[5, batch, 3]),
        "w",
        DataType::Int8,
        &[1, 3, 64],
        &weights(192),
    );
    let onnx = bytes_of(onnx, "r", DataType::Int8, &[1, 16, 64], &weights(1024));
    let onnx = bytes_of(onnx, "zero", DataType::Int8, &[1], &[0]);
    let inputs = ["x", "w", "r", "b", "", "", "", "", "s", "zero", "s", "zero"];
    let mut onnx = onnx.random("b", &[1, 128]).constant("s", &[1], vec![0.004]).node(
        "DynamicQuantizeLSTM",
        &inputs,
        "y",
        vec![int("hidden_size", 16)],
    );
    onnx.graph.node.last_mut().unwrap().domain = MICROSOFT.into();
    onnx
}

#[test]
fn a_network_that_reads_its_states_in_steps_answers_what_the_file_does() {
    let bytes = lstm(1).opset(17).bytes();
    agrees_with_the_reference("lstm", &bytes);
    let error = error_in(&bytes, Profile::P16);
    assert!(error < 0.01, "{error}");
}

#[test]
fn a_batch_whose_rows_may_share_a_range_or_not_is_refused() {
    let said = import(&lstm(2).opset(17).bytes()).unwrap_err().to_string();
    assert!(said.contains("share one range"), "{said}");
}

#[test]
fn a_computed_second_matrix_is_named() {
    let mut onnx = dynamic(Onnx::new(&[4, 4]), "x");
    onnx = onnx.node("MatMulInteger", &["q", "q"], "y", vec![]);
    let said = import(&giving(onnx, &[("y", DataType::Int32)]))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("`y_MatMulInteger`") && said.contains("`q` is computed"),
        "{said}"
    );
}

#[test]
fn a_scale_of_zero_is_no_number() {
    let onnx = Onnx::new(&[1, 3]).constant("s", &[], vec![0.0]);
    let onnx =
        bytes_of(onnx, "z", DataType::Uint8, &[], &[0]).node("QuantizeLinear", &["x", "s", "z"], "q", vec![]);
    let said = import(&giving(onnx, &[("q", DataType::Uint8)]))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("not finite") || said.contains("cannot be computed"),
        "{said}"
    );
}

#[test]
fn the_reference_rounds_a_state_to_steps_before_each_product() {
    // One input, one state, all weights 1: the second state depends on the first one's steps, which are 255 of itself.
    let bytes = {
        let onnx = bytes_of(
            Onnx::new(&[2, 1, 1]),
            "w",
            DataType::Int8,
            &[1, 1, 4],
            &[1, 1, 1, 1],
        );
        let onnx = bytes_of(onnx, "zero", DataType::Int8, &[1], &[0]).constant("s", &[1], vec![1.0]);
        let inputs = ["x", "w", "w", "", "", "", "", "", "s", "zero", "s", "zero"];
        let mut onnx = onnx.node("DynamicQuantizeLSTM", &inputs, "y", vec![]);
        onnx.graph.node.last_mut().unwrap().domain = MICROSOFT.into();
        onnx.opset(17).bytes()
    };
    let x = Tensor::new(
        ElementType::Float32,
        vec![2, 1, 1],
        Values::Float(vec![1.0, 0.25]),
    )
    .unwrap();
    let made = Model::read(&bytes).unwrap().evaluate(&[x]).unwrap()[0].to_f64();
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let step = |g: f64, c: f64| {
        let c = sigmoid(g) * c + sigmoid(g) * g.tanh();
        (sigmoid(g) * c.tanh(), c)
    };
    // The greatest of a range is 255 of its steps, so nothing of it is lost; of the input 0.25 is 63.75 steps, which become 64.
    let (first, c) = step(1.0, 0.0);
    let (second, _) = step(64.0 / 255.0 + first, c);
    assert!(
        (made[0] - first).abs() < 1e-12 && (made[1] - second).abs() < 1e-12,
        "{made:?}"
    );
}
