//! Operators of our own rules, and what is constant in a file: imported, they compute what the reference does.

use prost::Message;
use tract_onnx::pb::ModelProto;
use zkml::graph::{IntGraph, Profile, QuantisationPlan};
use zkml_reference::{ElementType, Model, Tensor, Values};

use super::onnx::{Onnx, float, int, ints};
use crate::calibrate::{CalibrationOptions, calibrate, synthetic_samples};
use crate::float_model::FloatModel;
use crate::import::import;
use crate::progress::silent;
use crate::quantise::apply;

/// Every output of the imported graph is the reference's.
pub(super) fn agrees_with_the_reference(name: &str, bytes: &[u8]) {
    let graph = import(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    let model = Model::read(bytes).unwrap();
    for seed in 0..2 {
        let sample = &synthetic_samples(&graph, 1, seed)[0];
        let ports = graph.inputs.iter().zip(model.inputs()).zip(sample);
        let given = ports.map(|((id, port), values)| {
            let shape = graph.tensors[id.0 as usize].shape.iter().map(|&d| d as usize);
            let values = match port.element {
                kind if kind.is_float() => Values::Float(values.clone()),
                ElementType::Bool => Values::Bool(values.iter().map(|v| *v != 0.0).collect()),
                _ => Values::Int(values.iter().map(|v| *v as i64).collect()),
            };
            Tensor::new(port.element, shape.collect(), values).unwrap()
        });
        let expected = model.evaluate(&given.collect::<Vec<_>>()).unwrap();
        let values = graph.evaluate(sample).unwrap();
        for (id, expected) in graph.outputs.iter().zip(&expected) {
            let tensor = &graph.tensors[id.0 as usize];
            let shape: Vec<usize> = tensor.shape.iter().map(|&d| d as usize).collect();
            assert_eq!(shape, expected.shape(), "{name}: {}", tensor.name);
            let error = zkml::accuracy::output_error(&values[id.0 as usize], &expected.to_f64(), 0.0);
            assert!(error < 1e-5, "{name}: {} is wrong by {error:e}", tensor.name);
        }
    }
}

/// Calibrates with the file's answers as the expected ones, whatever the error is.
pub(super) fn by_the_file(
    bytes: &[u8],
    samples: &[Vec<Vec<f64>>],
    profile: Profile,
) -> (QuantisationPlan, IntGraph) {
    let (graph, model) = (import(bytes).unwrap(), FloatModel::read(bytes).unwrap());
    let expected: Vec<_> = samples
        .iter()
        .map(|s| model.outputs_of(&graph, s).unwrap())
        .collect();
    let options = CalibrationOptions {
        profile: Some(profile),
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    let (plan, _) = calibrate(&graph, samples, &expected, &options, &silent).unwrap();
    let int = apply(&graph, &plan).unwrap();
    (plan, int)
}

/// So that no list names an operator for which there is no translation.
#[test]
fn every_seed_computes_what_the_reference_does_and_together_they_have_every_operator() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/seeds/onnx");
    let mut listed = crate::import::operators();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        agrees_with_the_reference(&path.display().to_string(), &bytes);
        for node in ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap().node {
            listed.remove(node.op_type.as_str());
        }
    }
    assert!(listed.is_empty(), "in no seed: {listed:?}");
}

#[test]
fn values_that_are_only_moved_are_held_by_a_requantisation() {
    let onnx = Onnx::new(&[2, 3]).node("Transpose", &["x"], "y", vec![ints("perm", &[1, 0])]);
    agrees_with_the_reference("transposed", &onnx.bytes());
    let graph = import(&onnx.bytes()).unwrap();
    assert_eq!(graph.nodes.len(), 2);
    assert!(graph.nodes[1].op.is_guard());
}

#[test]
fn an_input_may_be_an_output_too() {
    let mut onnx = Onnx::new(&[1, 3]).node("Relu", &["x"], "y", vec![]);
    onnx.graph.output.push(super::onnx::value_info("x", &[1, 3]));
    agrees_with_the_reference("both", &onnx.bytes());
    onnx.graph.output.remove(0);
    agrees_with_the_reference("alone", &onnx.bytes());
}

#[test]
fn a_model_of_doubles_has_a_float_answer() {
    use tract_onnx::pb::{tensor_proto::DataType, type_proto};
    let mut onnx = Onnx::new(&[1, 3]).node("Relu", &["x"], "y", vec![]);
    for port in onnx.graph.input.iter_mut().chain(&mut onnx.graph.output) {
        if let Some(type_proto::Value::TensorType(tensor)) = &mut port.r#type.as_mut().unwrap().value {
            tensor.elem_type = DataType::Double as i32;
        }
    }
    let graph = import(&onnx.bytes()).unwrap();
    let model = crate::float_model::FloatModel::read(&onnx.bytes()).unwrap();
    let answer = model.outputs_of(&graph, &[vec![-1.0, 0.5, 2.0]]).unwrap();
    assert_eq!(answer, [[0.0, 0.5, 2.0]]);
}

#[test]
fn a_constant_output_stands_beside_computed_ones() {
    let mut onnx = Onnx::new(&[1, 3])
        .node("Relu", &["x"], "y", vec![])
        .random("c", &[2, 2]);
    onnx.graph.output.push(super::onnx::value_info("c", &[2, 2]));
    agrees_with_the_reference("constant", &onnx.bytes());
}

#[test]
fn a_normalisation_of_training_in_an_old_form_is_refused() {
    let old = |tested: i64| {
        let mut onnx = Onnx::new(&[2, 3, 4]).opset(6);
        for name in ["s", "b", "m", "v"] {
            onnx = onnx.constant(name, &[3], vec![0.5, 1.0, 2.0]);
        }
        let inputs = ["x", "s", "b", "m", "v"];
        onnx.node("BatchNormalization", &inputs, "y", vec![int("is_test", tested)])
    };
    agrees_with_the_reference("tested", &old(1).bytes());
    let said = import(&old(0).bytes()).unwrap_err().to_string();
    assert!(said.contains("that of training"), "{said}");
}

#[test]
fn an_old_sum_is_aligned_at_its_axis_and_not_at_the_end() {
    let onnx = Onnx::new(&[2, 3, 3])
        .opset(6)
        .constant("c", &[3], vec![0.5, 1.0, 2.0])
        .node("Add", &["x", "c"], "y", vec![int("broadcast", 1), int("axis", 1)]);
    agrees_with_the_reference("aligned", &onnx.bytes());
    let graph = import(&onnx.bytes()).unwrap();
    let made = graph.evaluate(&[vec![0.0; 18]]).unwrap();
    let made = &made[graph.outputs[0].0 as usize];
    let each = [0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0];
    assert_eq!(*made, [each, each].concat());
}

#[test]
fn what_a_rule_does_not_have_is_named_by_node_and_attribute() {
    let refused = |onnx: Onnx| import(&onnx.bytes()).unwrap_err().to_string();
    let scatter = Onnx::new(&[3]).opset(16).integers("i", &[0, 1, 2]).node(
        "ScatterElements",
        &["x", "i", "x"],
        "y",
        vec![super::functions::text("reduction", "mul")],
    );
    let said = refused(scatter);
    assert!(
        said.contains("`y_ScatterElements`") && said.contains("`reduction` is `mul`"),
        "{said}"
    );
    let celu = Onnx::new(&[3]).node("Celu", &["x"], "y", vec![float("alpha", -1.0)]);
    assert!(refused(celu).contains("only more than 0"));
    let depth = Onnx::new(&[3]).node("CumSum", &["x", "x"], "y", vec![int("reverse", 1)]);
    assert!(!refused(depth).is_empty());
    let pow = |exponents: Vec<f32>| {
        let onnx = Onnx::new(&[2, 9]).constant("p", &[exponents.len() as i64], exponents);
        refused(onnx.opset(15).node("Pow", &["x", "p"], "y", vec![]))
    };
    let (much, many) = (pow(vec![65.0]), pow((0..9).map(|p| p as f32).collect()));
    assert!(
        much.contains("`y_Pow`") && much.contains("its exponent is 65"),
        "{much}"
    );
    assert!(many.contains("more than 8 different exponents"), "{many}");
    let computed = Onnx::new(&[2, 3])
        .opset(15)
        .constant("base", &[3], vec![2.0, 1.0, -0.5])
        .node("Pow", &["base", "x"], "y", vec![]);
    assert!(refused(computed).contains("its base is -0.5"));
    let norm = Onnx::new(&[1, 1, 4]).opset(18).node(
        "LpPool",
        &["x"],
        "y",
        vec![ints("kernel_shape", &[2]), int("p", 2)],
    );
    assert!(refused(norm).contains("`p` is 2; only 1"));
}

#[test]
fn a_power_with_a_computed_exponent_is_that_of_every_base_above_zero() {
    let constant = Onnx::new(&[2, 3])
        .opset(15)
        .constant("base", &[3], vec![2.0, 1.0, 0.25])
        .node("Pow", &["base", "x"], "y", vec![]);
    agrees_with_the_reference("constant base", &constant.bytes());
    let scalar = Onnx::new(&[2, 3])
        .opset(15)
        .constant("base", &[], vec![10.0])
        .node("Pow", &["base", "x"], "y", vec![]);
    agrees_with_the_reference("one base", &scalar.bytes());
    let computed = Onnx::new(&[2, 3])
        .opset(15)
        .constant("half", &[], vec![0.5])
        .node("Sigmoid", &["x"], "part", vec![])
        .node("Add", &["part", "half"], "base", vec![])
        .node("Pow", &["base", "x"], "y", vec![]);
    agrees_with_the_reference("computed base", &computed.bytes());
    for (onnx, most) in [(&constant, 0.01), (&scalar, 0.05), (&computed, 0.01)] {
        let bytes = onnx.bytes();
        let samples = [
            vec![vec![1.5, -1.0, 0.5, -1.5, 1.0, -0.5]],
            vec![vec![-1.5, 1.0, -0.5, 1.5, -1.0, 0.5]],
        ];
        let (_, int) = by_the_file(&bytes, &samples, Profile::P16);
        super::given::agrees(&bytes, &int, &samples[0], most);
    }
}

/// What a power of a base that is not above 0 would be, nothing is proved of.
#[test]
fn a_computed_base_that_is_not_above_zero_has_no_proof() {
    let bytes = Onnx::new(&[1, 2])
        .input("p", &[1, 2])
        .opset(15)
        .node("Pow", &["x", "p"], "y", vec![])
        .bytes();
    let samples = [
        vec![vec![1.0, 2.0], vec![1.0, -1.0]],
        vec![vec![0.5, 1.5], vec![0.5, 1.0]],
    ];
    let (_, int) = by_the_file(&bytes, &samples, Profile::P12);
    super::given::agrees(&bytes, &int, &samples[0], 0.02);
    for base in [0.0, -1.0] {
        assert!(
            super::given::said(&int, &[vec![base, 1.0], vec![1.0, 1.0]]).is_err(),
            "{base}"
        );
    }
}

#[test]
fn a_squeeze_without_axes_takes_out_all_dimensions_of_one_in_every_opset() {
    for opset in [9, 12, 13, 21] {
        for dims in [[1, 2, 1], [2, 1, 3], [2, 3, 4]] {
            let onnx = Onnx::new(&dims)
                .opset(opset)
                .node("Neg", &["x"], "a", vec![])
                .node("Squeeze", &["a"], "y", vec![]);
            agrees_with_the_reference("squeeze", &onnx.bytes());
        }
    }
}
