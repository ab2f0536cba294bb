//! Functions of one value: from ONNX to the rows of a table.

use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::attribute_proto::AttributeType;
use zkml::graph::{
    EvaluateError, IntGraph, IntTensor, Op, Profile, QuantisationPlan, dequantise, relative_error,
};

use super::onnx::{Onnx, float};
use crate::calibrate::{AccuracyReport, CalibrateError, CalibrationOptions, calibrate, synthetic_samples};
use crate::float::{FloatGraph, FloatOp};
use crate::float_model::FloatModel;
use crate::functions::operators;
use crate::import::import;
use crate::progress::silent;
use crate::quantise::{QuantiseError, apply};

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..AttributeProto::default()
    }
}

/// `op(x)`, in the first version of ONNX that has the operator.
fn one(op: &str, attributes: Vec<AttributeProto>) -> Onnx {
    Onnx::new(&[2, 3, 4]).opset(24).node(op, &["x"], "y", attributes)
}

/// Those that have no value for some numbers.
const PARTIAL: [&str; 8] = [
    "Acos",
    "Acosh",
    "Asin",
    "Atanh",
    "Log",
    "Reciprocal",
    "Sqrt",
    "Tan",
];

/// Those that jump: a jump is as large as it is, however near a number is to it.
const JUMPING: [&str; 6] = ["Ceil", "Floor", "Round", "Shrink", "Sign", "ThresholdedRelu"];

/// Every operator of the list that has a value for each number, in its forms.
fn every() -> Vec<(&'static str, Vec<AttributeProto>)> {
    let total = operators().iter().filter(|o| !PARTIAL.contains(&o.onnx));
    let mut all: Vec<_> = total.map(|o| (o.onnx, Vec::new())).collect();
    all.extend([
        ("Gelu", vec![text("approximate", "none")]),
        ("Gelu", vec![text("approximate", "tanh")]),
        ("LeakyRelu", vec![float("alpha", 0.2)]),
        ("LeakyRelu", vec![float("alpha", -1.5)]),
        ("Swish", vec![float("alpha", 1.702)]),
        ("Elu", vec![float("alpha", 1.5)]),
        ("HardSigmoid", vec![float("alpha", 0.3), float("beta", 0.4)]),
        ("Selu", vec![float("alpha", 0.5), float("gamma", 1.25)]),
        ("Celu", vec![float("alpha", 0.3)]),
        ("ThresholdedRelu", vec![float("alpha", -0.5)]),
    ]);
    all
}

pub(super) type Planned = (FloatGraph, QuantisationPlan, AccuracyReport, IntGraph);

/// Calibrated against the file's own answers, as `compile` does it.
fn calibrated(
    onnx: &Onnx,
    profile: Option<Profile>,
    (count, budget): (usize, f64),
) -> Result<Planned, CalibrateError> {
    let bytes = onnx.bytes();
    let (graph, model) = (import(&bytes).unwrap(), FloatModel::read(&bytes).unwrap());
    let samples = synthetic_samples(&graph, count, 3);
    let answers = samples.iter().map(|s| model.outputs_of(&graph, s).unwrap());
    let expected: Vec<_> = answers.collect();
    let options = CalibrationOptions {
        profile,
        deciding: Profile::P12,
        error_budget: budget,
        output_scale: None,
        compare_top1: false,
    };
    let (plan, accuracy) = calibrate(&graph, &samples, &expected, &options, &silent)?;
    let int = apply(&graph, &plan)?;
    Ok((graph, plan, accuracy, int))
}

pub(super) fn planned(onnx: &Onnx, profile: Profile, count: usize) -> Planned {
    calibrated(onnx, Some(profile), (count, 1.0)).unwrap()
}

fn tables(graph: &IntGraph) -> usize {
    let is_table = |op: &Op| matches!(op, Op::Table(_));
    graph.nodes.iter().filter(|n| is_table(&n.op)).count()
}

#[test]
fn every_function_becomes_a_table_and_follows_the_float_model() {
    for (op, attributes) in every().into_iter().filter(|(op, _)| !JUMPING.contains(op)) {
        let onnx = one(op, attributes);
        for (profile, most) in [(Profile::P8, 0.08), (Profile::P12, 0.005), (Profile::P16, 0.0004)] {
            let (_, _, accuracy, int) = planned(&onnx, profile, 30);
            assert_eq!((tables(&int), int.tables.len()), (1, 1), "{op}");
            assert!(
                accuracy.max_error < most,
                "{op} {profile:?}: {}",
                accuracy.max_error
            );
            let bytes = int.to_bytes();
            assert_eq!(IntGraph::from_bytes(&bytes, bytes.len()), Ok(int));
        }
    }
}

#[test]
fn an_operator_that_the_models_opset_does_not_have_is_refused_by_name() {
    for (op, first) in [("Gelu", 20), ("Swish", 24), ("HardSwish", 14)] {
        let model = |opset| {
            Onnx::new(&[2, 3, 4])
                .opset(opset)
                .node(op, &["x"], "y", vec![])
                .bytes()
        };
        import(&model(first)).unwrap();
        let refused = import(&model(first - 1)).unwrap_err().to_string();
        let why = format!("its form of today is ONNX's from opset {first} on");
        assert!(refused.contains(&why) && refused.contains(op), "{refused}");
    }
}

/// `tanh(x · factor)`: of 16-bit values, at 2^-24 steps.
#[test]
fn a_function_of_values_too_small_for_a_table_is_refused_by_name() {
    let of = |factor: f32| {
        let onnx = Onnx::new(&[1, 4])
            .constant("k", &[], vec![factor])
            .node("Mul", &["x", "k"], "s", vec![])
            .node("Tanh", &["s"], "y", vec![]);
        calibrated(&onnx, Some(Profile::P16), (20, 1.0))
    };
    of(1e-4).unwrap();
    let refused = of(1e-7).unwrap_err().to_string();
    assert!(
        refused.contains("`y_Tanh`: the function's values are so small"),
        "{refused}"
    );
}

#[test]
fn a_function_stands_anywhere_in_a_network() {
    let onnx = Onnx::new(&[0, 2, 6, 6])
        .opset(24)
        .random("k", &[4, 2, 3, 3])
        .node("Conv", &["x", "k"], "c", vec![])
        .node("HardSwish", &["c"], "h", vec![])
        .node("Flatten", &["h"], "f", vec![])
        .node("Relu", &["f"], "r", vec![])
        .node("Sigmoid", &["r"], "s", vec![])
        .random("w", &[64, 6])
        .node("MatMul", &["s", "w"], "m", vec![])
        .node("Tanh", &["m"], "t", vec![])
        .node("Tanh", &["t"], "u", vec![])
        .node("Exp", &["u"], "e", vec![])
        .random("v", &[6, 3])
        .node("MatMul", &["e", "v"], "y", vec![]);
    let (graph, _, accuracy, int) = planned(&onnx, Profile::P12, 30);
    assert!(accuracy.max_error < 0.02, "{}", accuracy.max_error);
    assert_eq!(tables(&int), 5);
    // What is behind an exponential is a requantisation of its own, not yet the product.
    assert_eq!(graph.nodes.iter().filter(|n| n.op.is_guard()).count(), 1);
}

#[test]
fn two_nodes_with_one_function_at_one_scale_read_one_table() {
    let onnx = Onnx::new(&[1, 8])
        .node("Neg", &["x"], "n", vec![])
        .node("Sigmoid", &["x"], "a", vec![])
        .node("Sigmoid", &["n"], "b", vec![])
        .node("Add", &["a", "b"], "y", vec![]);
    let (_, _, _, int) = planned(&onnx, Profile::P12, 30);
    assert_eq!((tables(&int), int.tables.len()), (2, 1));
}

#[test]
fn an_argument_without_a_value_is_refused_as_beyond_the_range() {
    for op in PARTIAL {
        let offset = match op {
            "Acos" | "Asin" | "Atanh" | "Tan" => -0.5,
            "Acosh" => 1.25,
            _ => 0.5,
        };
        let onnx = Onnx::new(&[1, 8])
            .opset(9)
            .constant("c", &[1], vec![offset])
            .node("Sigmoid", &["x"], "s", vec![])
            .node("Add", &["s", "c"], "p", vec![])
            .node(op, &["p"], "y", vec![]);
        for (profile, most) in [(Profile::P8, 0.08), (Profile::P12, 0.005), (Profile::P16, 0.0004)] {
            let (_, _, accuracy, _) = planned(&onnx, profile, 30);
            assert!(
                accuracy.max_error < most,
                "{op} {profile:?}: {}",
                accuracy.max_error
            );
        }
    }
    for op in ["Acos", "Acosh", "Asin", "Atanh", "Log", "Sqrt"] {
        let alone = Onnx::new(&[1, 8]).opset(9).node(op, &["x"], "y", vec![]);
        let refused = calibrated(&alone, Some(Profile::P12), (30, 1.0)).unwrap_err();
        assert!(
            refused.to_string().contains(&format!("`y_{op}`")),
            "{op}: {refused}"
        );
    }
}

/// Whatever the index is, the row is the function's value: no row ends at a clamp.
#[test]
fn every_value_of_the_range_has_its_own_row_and_none_beyond_is_accepted() {
    for (op, attributes) in every() {
        let (graph, _, _, int) = planned(&one(op, attributes), Profile::P12, 30);
        let (input, output) = (&int.tensors[0], &int.tensors[int.outputs[0].0 as usize]);
        let mut refused = 0;
        for v in input.range.lo()..=input.range.hi() {
            let values = vec![v; input.len()];
            let floats = dequantise(input, &values);
            let ran = int.evaluate(&[IntTensor {
                shape: input.shape.clone(),
                values,
            }]);
            let Some(function) = graph.nodes[0].op.function() else {
                panic!("a function")
            };
            match ran {
                Ok(all) => {
                    let got = dequantise(output, &all[int.outputs[0].0 as usize].values);
                    let error = (got[0] - function.of(floats[0])).abs();
                    assert!(
                        error <= 0.501 * output.step(),
                        "{op} of {}: off by {error}",
                        floats[0]
                    );
                }
                Err(EvaluateError::OutOfCalibratedRange { .. }) if function.grows() => refused += 1,
                Err(why) => panic!("{op}: {why}"),
            }
        }
        let grows = ["Cosh", "Exp", "Sinh"].contains(&op);
        assert_eq!(refused > 0, grows, "{op}: {refused}");
        let beyond = IntTensor {
            shape: input.shape.clone(),
            values: vec![input.range.hi() + 1; input.len()],
        };
        assert!(matches!(
            int.evaluate(&[beyond]),
            Err(EvaluateError::InputRange { .. })
        ));
    }
}

/// The table is of the quantised argument: where quantising crosses a jump, the error is the whole jump, and is reported.
#[test]
fn a_jump_that_quantising_crosses_is_beyond_every_budget() {
    for (op, near) in [
        ("Ceil", 1.0 + 1e-6),
        ("Floor", 1.0 - 1e-6),
        ("Round", 0.5 + 1e-6),
        ("Shrink", 0.5 + 1e-6),
        ("Sign", 1e-6),
    ] {
        let onnx = one(op, vec![]);
        let (graph, model) = (
            import(&onnx.bytes()).unwrap(),
            FloatModel::read(&onnx.bytes()).unwrap(),
        );
        let mut options = CalibrationOptions {
            profile: None,
            deciding: Profile::P12,
            error_budget: 0.01,
            output_scale: Some(vec![1.0]),
            compare_top1: false,
        };
        for (first, within) in [(2.0, true), (near, false)] {
            let mut sample = vec![-1.75; 24];
            sample[0] = first;
            let samples = vec![vec![sample]];
            let expected = vec![model.outputs_of(&graph, &samples[0]).unwrap()];
            let (_, accuracy) = calibrate(&graph, &samples, &expected, &options, &silent).unwrap();
            assert_eq!(accuracy.within_budget, within, "{op} of {first}: {accuracy:?}");
            options.error_budget = 0.2;
        }
    }
}

#[test]
fn a_plan_whose_rows_would_end_at_a_clamp_is_refused() {
    let (graph, plan, _, _) = planned(&one("Sigmoid", vec![]), Profile::P12, 8);
    let output = graph.outputs[0].0 as usize;
    let mut finer = plan.clone();
    finer.tensors[output].exponent += 1;
    assert!(matches!(
        apply(&graph, &finer),
        Err(QuantiseError::Clamped { .. })
    ));
    let mut shifted = plan.clone();
    shifted.shifts[0] = 1;
    assert!(matches!(
        apply(&graph, &shifted),
        Err(QuantiseError::ShiftOfNonLinear { .. })
    ));
    let mut wide = plan.clone();
    wide.tensors[0].bits = 17;
    let said = apply(&graph, &wide).unwrap_err().to_string();
    assert!(said.contains("`y_Sigmoid`") && said.contains("17 bits"), "{said}");
    let mut coarse = plan;
    coarse.tensors[0].exponent = -9;
    let said = apply(&graph, &coarse).unwrap_err().to_string();
    assert!(said.contains("exponent of a function's argument is -9"), "{said}");

    // Behind an exponential stands what refuses the clamp; as wide as the table it would not.
    let (graph, plan, _, _) = planned(&one("Exp", vec![]), Profile::P12, 8);
    let guard = graph.nodes.iter().position(|n| n.op.is_guard()).unwrap();
    let mut wide = plan.clone();
    wide.tensors[graph.nodes[guard].output.0 as usize].bits += 1;
    assert!(matches!(apply(&graph, &wide), Err(QuantiseError::Clamped { .. })));
    let mut coarse = plan;
    coarse.tensors[graph.nodes[guard].output.0 as usize].exponent -= 1;
    assert!(matches!(
        apply(&graph, &coarse),
        Err(QuantiseError::Clamped { .. })
    ));
}

#[test]
fn a_profile_with_too_many_rows_is_refused_and_a_narrower_one_taken() {
    let mut onnx = Onnx::new(&[1, 4]);
    for k in 0..65u8 {
        let (from, to) = (format!("t{k}"), format!("t{}", k + 1));
        let from = if k == 0 { "x" } else { from.as_str() };
        let to = if k == 64 { "y" } else { to.as_str() };
        let alpha = 1.0 - f32::from(k) / 256.0;
        onnx = onnx.node("LeakyRelu", &[from], to, vec![float("alpha", alpha)]);
    }
    let refused = calibrated(&onnx, Some(Profile::P16), (4, 1.0))
        .map(|_| ())
        .unwrap_err();
    assert!(refused.to_string().contains("narrower profile"), "{refused}");
    let (_, plan, _, _) = calibrated(&onnx, None, (4, 1e-9)).unwrap();
    assert_eq!(plan.profile, Profile::P12);
}

/// The parts of a product as models have them that were exported before there were operators for them.
#[test]
fn a_product_that_is_a_function_of_one_tensor_becomes_one_table() {
    let base = || {
        Onnx::new(&[1, 12])
            .constant("root", &[], vec![std::f32::consts::SQRT_2])
            .constant("inverse", &[], vec![std::f32::consts::FRAC_1_SQRT_2])
            .constant("one", &[], vec![1.0])
            .constant("half", &[1], vec![0.5])
            .constant("alpha", &[], vec![1.702])
    };
    let erf = |onnx: Onnx| {
        onnx.node("Erf", &["d"], "e", vec![])
            .node("Add", &["e", "one"], "a", vec![])
    };
    let silu = |inputs: &[&str]| {
        base()
            .node("Sigmoid", &["x"], "s", vec![])
            .node("Mul", inputs, "y", vec![])
    };
    let divided = || erf(base().node("Div", &["x", "root"], "d", vec![]));
    let cases = [
        (silu(&["x", "s"]), "swish/1(1)"),
        (silu(&["s", "x"]), "swish/1(1)"),
        (
            base()
                .node("Mul", &["x", "alpha"], "d", vec![])
                .node("Sigmoid", &["d"], "s", vec![])
                .node("Mul", &["x", "s"], "y", vec![]),
            "swish/1(1.702)",
        ),
        (
            divided()
                .node("Mul", &["x", "a"], "m", vec![])
                .node("Mul", &["m", "half"], "y", vec![]),
            "gelu/1",
        ),
        (
            divided()
                .node("Mul", &["x", "half"], "m", vec![])
                .node("Mul", &["m", "a"], "y", vec![]),
            "gelu/1",
        ),
        (
            erf(base().node("Mul", &["x", "inverse"], "d", vec![]))
                .node("Mul", &["a", "half"], "m", vec![])
                .node("Mul", &["m", "x"], "y", vec![]),
            "gelu/1",
        ),
    ];
    for (onnx, name) in cases {
        let (graph, _, accuracy, int) = planned(&onnx, Profile::P12, 20);
        assert!(int.tables[0].name.starts_with(name), "{}", int.tables[0].name);
        assert_eq!((tables(&int), int.tables.len()), (1, 1), "{name}");
        assert_eq!(graph.nodes.len(), 1, "{name}: {:?}", graph.nodes);
        assert!(accuracy.max_error < 0.005, "{name}: {}", accuracy.max_error);
    }
    // The tensor may be a shifted one itself.
    let shifted = base()
        .node("Add", &["x", "half"], "h", vec![])
        .node("Sigmoid", &["h"], "s", vec![])
        .node("Mul", &["s", "h"], "y", vec![]);
    let (graph, _, _, int) = planned(&shifted, Profile::P12, 20);
    assert!(int.tables[0].name.starts_with("swish/1(1)"));
    assert_eq!(graph.nodes.len(), 2);
}

#[test]
fn a_product_that_only_resembles_one_stays_a_product() {
    let cases = [
        // Of another tensor.
        Onnx::new(&[1, 4])
            .node("Relu", &["x"], "r", vec![])
            .node("Sigmoid", &["r"], "s", vec![])
            .node("Mul", &["x", "s"], "y", vec![]),
        // Shifted.
        Onnx::new(&[1, 4])
            .constant("c", &[], vec![0.5])
            .node("Add", &["x", "c"], "a", vec![])
            .node("Sigmoid", &["a"], "s", vec![])
            .node("Mul", &["x", "s"], "y", vec![]),
        // With a slope for each channel.
        Onnx::new(&[1, 4])
            .random("c", &[4])
            .node("Mul", &["x", "c"], "a", vec![])
            .node("Sigmoid", &["a"], "s", vec![])
            .node("Mul", &["x", "s"], "y", vec![]),
        // Without the 1, and with another root.
        Onnx::new(&[1, 4])
            .node("Erf", &["x"], "e", vec![])
            .node("Mul", &["x", "e"], "y", vec![]),
        Onnx::new(&[1, 4])
            .constant("c", &[], vec![1.5])
            .constant("one", &[], vec![1.0])
            .node("Div", &["x", "c"], "d", vec![])
            .node("Erf", &["d"], "e", vec![])
            .node("Add", &["e", "one"], "a", vec![])
            .node("Mul", &["x", "a"], "y", vec![]),
        // Values in another order.
        Onnx::new(&[2, 2])
            .node("Transpose", &["x"], "t", vec![])
            .node("Sigmoid", &["t"], "s", vec![])
            .node("Mul", &["x", "s"], "y", vec![]),
    ];
    for onnx in cases {
        let graph = import(&onnx.bytes()).unwrap();
        let last = graph.nodes.last().unwrap();
        assert!(matches!(last.op, FloatOp::Product(_)), "{last:?}");
    }
}

#[test]
fn attributes_that_onnx_does_not_have_are_refused_by_node() {
    let said = |op: &str, attribute| {
        let refused = import(&one(op, vec![attribute]).bytes());
        refused.unwrap_err().to_string()
    };
    let gelu = said("Gelu", text("approximate", "sinh"));
    assert!(gelu.contains("`y_Gelu`") && gelu.contains("`sinh`"), "{gelu}");
    let leaky = said("LeakyRelu", text("alpha", "0.1"));
    assert!(leaky.contains("`alpha`"), "{leaky}");
}

#[test]
fn the_float_form_is_the_references() {
    for (op, attributes) in every() {
        let bytes = one(op, attributes).bytes();
        let (graph, model) = (import(&bytes).unwrap(), FloatModel::read(&bytes).unwrap());
        let sample = vec![(-12..12).map(|i| f64::from(i) * 0.75).collect::<Vec<_>>()];
        let ours = graph.evaluate(&sample).unwrap();
        let theirs = model.outputs_of(&graph, &sample).unwrap();
        let error = relative_error(&ours[graph.outputs[0].0 as usize], &theirs[0]);
        assert!(error < 1e-7, "{op}: {error}");
    }
}
