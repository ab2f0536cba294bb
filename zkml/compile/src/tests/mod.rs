//! ONNX → floats → integers, against tract's own evaluation and against hostile files.

mod arithmetic;
mod batched;
mod bounded;
mod branches;
mod chosen;
mod clip;
mod computed_rows;
mod differs;
mod file;
mod functions;
mod given;
mod held;
mod labels;
mod loops;
mod masked;
mod masks;
mod modulo;
mod narrow;
mod norms;
mod onnx;
mod page;
mod places;
mod quantised;
mod ranked;
mod recipes;
mod settled;
mod sized;
mod softmax;
mod steps;
mod support_vectors;
mod transposed;
mod trees;
mod unlike;
mod whole;
mod words;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tract_onnx::pb::{StringStringEntryProto, tensor_proto::DataLocation};
use tract_onnx::prelude::*;
use zkml::graph::{
    EvaluateError, FloatInput, IntTensor, Profile, QuantisationPlan, quantise_input, relative_error,
};

use self::onnx::value_info;
pub(crate) use self::onnx::{Onnx, example, given_ports, int, ints, network};
use crate::calibrate::{AccuracyReport, CalibrateError, CalibrationOptions, calibrate, synthetic_samples};
use crate::float::FloatGraph;
use crate::import::{ImportError, import};
use crate::progress::silent;
use crate::quantise::{QuantiseError, apply};

/// What tract computes for the first output.
fn by_tract(onnx: &[u8], shape: &[usize], input: &[f64]) -> Vec<f64> {
    let data: Vec<f32> = input.iter().map(|&v| v as f32).collect();
    let model = tract_onnx::onnx()
        .model_for_read(&mut std::io::Cursor::new(onnx))
        .unwrap();
    let model = model
        .with_input_fact(0, f32::fact(shape).into())
        .unwrap()
        .into_optimized()
        .unwrap();
    let input = Tensor::from_shape(shape, &data).unwrap();
    let made = model.into_runnable().unwrap().run(tvec!(input.into())).unwrap();
    made[0]
        .to_plain_array_view::<f32>()
        .unwrap()
        .iter()
        .map(|&v| f64::from(v))
        .collect()
}

/// The imported float graph computes what tract computes.
fn agrees_with_tract(onnx: &Onnx, shape: &[usize]) -> FloatGraph {
    let bytes = onnx.bytes();
    let graph = import(&bytes).unwrap();
    for seed in 0..3 {
        let sample = &synthetic_samples(&graph, 1, seed)[0];
        let values = graph.evaluate(sample).unwrap();
        let expected = by_tract(&bytes, shape, &sample[0]);
        let got = &values[graph.outputs[0].0 as usize];
        assert!(
            relative_error(got, &expected) < 1e-5,
            "{got:?} instead of {expected:?}"
        );
    }
    graph
}

#[test]
fn imports_and_fuses_a_network_with_every_kind_of_node() {
    let graph = agrees_with_tract(&network(), &[1, 2, 6, 6]);
    // conv + batch norm + relu, conv, add + relu, max, average, dense.
    assert_eq!(
        graph.nodes.len(),
        6,
        "{:?}",
        graph.nodes.iter().map(|n| &n.name).collect::<Vec<_>>()
    );
    assert_eq!(graph.tensors[graph.outputs[0].0 as usize].name, "y");
    assert_eq!(graph.tensors[graph.inputs[0].0 as usize].name, "x");
}

#[test]
fn agrees_with_tract_on_each_operator() {
    let pool = |op: &str, attributes| Onnx::new(&[1, 3, 7, 5]).node(op, &["x"], "y", attributes);
    let conv = |attributes| {
        Onnx::new(&[1, 2, 7, 5])
            .random("k", &[4, 2, 3, 2])
            .random("b", &[4])
            .node("Conv", &["x", "k", "b"], "y", attributes)
    };
    let unary = |op: &str| Onnx::new(&[1, 3, 4]).node(op, &["x"], "y", vec![]);
    let binary = |op: &str, dims: &[i64]| {
        Onnx::new(&[1, 3, 4])
            .random("c", dims)
            .node(op, &["x", "c"], "y", vec![])
    };
    let swapped = |op: &str| {
        Onnx::new(&[1, 3, 4])
            .random("c", &[3, 1])
            .node(op, &["c", "x"], "y", vec![])
    };
    let both = |op: &str| {
        Onnx::new(&[1, 3, 4])
            .node("Relu", &["x"], "a", vec![])
            .random("c", &[4])
            .node("Mul", &["x", "c"], "b", vec![])
            .node(op, &["a", "b"], "y", vec![])
    };
    let cases: Vec<(Onnx, &[usize])> = vec![
        (conv(vec![]), &[1, 2, 7, 5]),
        (
            conv(vec![ints("strides", &[2, 3]), ints("pads", &[2, 1, 0, 1])]),
            &[1, 2, 7, 5],
        ),
        (conv(vec![ints("dilations", &[2, 2])]), &[1, 2, 7, 5]),
        (
            Onnx::new(&[1, 4, 9]).random("k", &[4, 1, 3]).node(
                "Conv",
                &["x", "k"],
                "y",
                vec![int("group", 4)],
            ),
            &[1, 4, 9],
        ),
        (
            pool(
                "MaxPool",
                vec![ints("kernel_shape", &[3, 2]), ints("pads", &[1, 1, 1, 1])],
            ),
            &[1, 3, 7, 5],
        ),
        (
            pool(
                "MaxPool",
                vec![
                    ints("kernel_shape", &[2, 2]),
                    ints("strides", &[2, 2]),
                    int("ceil_mode", 1),
                ],
            ),
            &[1, 3, 7, 5],
        ),
        (
            pool(
                "AveragePool",
                vec![ints("kernel_shape", &[3, 2]), ints("strides", &[2, 1])],
            ),
            &[1, 3, 7, 5],
        ),
        (
            pool(
                "AveragePool",
                vec![
                    ints("kernel_shape", &[3, 3]),
                    ints("pads", &[1, 1, 1, 1]),
                    int("count_include_pad", 1),
                ],
            ),
            &[1, 3, 7, 5],
        ),
        (pool("GlobalAveragePool", vec![]), &[1, 3, 7, 5]),
        (pool("GlobalMaxPool", vec![]), &[1, 3, 7, 5]),
        (
            pool("ReduceMean", vec![ints("axes", &[2]), int("keepdims", 0)]),
            &[1, 3, 7, 5],
        ),
        (
            pool("ReduceMax", vec![ints("axes", &[1, 3]), int("keepdims", 1)]),
            &[1, 3, 7, 5],
        ),
        (
            pool("Transpose", vec![ints("perm", &[0, 2, 3, 1])]),
            &[1, 3, 7, 5],
        ),
        (unary("Relu"), &[1, 3, 4]),
        (unary("Neg"), &[1, 3, 4]),
        (binary("Add", &[3, 4]), &[1, 3, 4]),
        (binary("Sub", &[3, 1]), &[1, 3, 4]),
        (binary("Mul", &[4]), &[1, 3, 4]),
        (binary("Div", &[1]), &[1, 3, 4]),
        (binary("Max", &[3, 1]), &[1, 3, 4]),
        (binary("Min", &[4]), &[1, 3, 4]),
        (binary("Add", &[2, 1, 1]), &[1, 3, 4]),
        (swapped("Sub"), &[1, 3, 4]),
        (swapped("Max"), &[1, 3, 4]),
        (both("Add"), &[1, 3, 4]),
        (both("Sub"), &[1, 3, 4]),
        (both("Max"), &[1, 3, 4]),
        (both("Min"), &[1, 3, 4]),
        (
            Onnx::new(&[1, 3, 4])
                .random("w", &[4, 6])
                .node("MatMul", &["x", "w"], "y", vec![]),
            &[1, 3, 4],
        ),
        (
            Onnx::new(&[1, 3, 4])
                .random("w", &[2, 3])
                .node("MatMul", &["w", "x"], "y", vec![]),
            &[1, 3, 4],
        ),
        (
            Onnx::new(&[1, 3, 4])
                .constant("lo", &[], vec![-0.5])
                .constant("hi", &[], vec![0.75])
                .node("Clip", &["x", "lo", "hi"], "y", vec![]),
            &[1, 3, 4],
        ),
        (
            Onnx::new(&[1, 3, 4])
                .integers("s", &[1, 4, 3])
                .node("Reshape", &["x", "s"], "y", vec![]),
            &[1, 3, 4],
        ),
        (
            Onnx::new(&[1, 3, 4])
                .integers("from", &[1])
                .integers("to", &[3])
                .integers("axis", &[2])
                .node("Slice", &["x", "from", "to", "axis"], "y", vec![]),
            &[1, 3, 4],
        ),
    ];
    for (onnx, shape) in cases {
        agrees_with_tract(&onnx, shape);
    }
}

/// Calibrates with the graph's own answers as the expected ones.
fn calibrated(
    graph: &FloatGraph,
    samples: &[Vec<Vec<f64>>],
    options: &CalibrationOptions,
) -> Result<(QuantisationPlan, AccuracyReport), CalibrateError> {
    let answer = |sample: &Vec<Vec<f64>>| {
        let values = graph.evaluate(sample).unwrap();
        graph
            .outputs
            .iter()
            .map(|id| values[id.0 as usize].clone())
            .collect()
    };
    let expected: Vec<_> = samples.iter().map(answer).collect();
    calibrate(graph, samples, &expected, options, &silent)
}

#[test]
fn the_integer_graph_follows_the_float_graph_within_each_profiles_error() {
    let graph = import(&network().bytes()).unwrap();
    let samples = synthetic_samples(&graph, 40, 1);
    let bounds = [
        (Profile::P8, 0.1),
        (Profile::P12, 0.005),
        (Profile::P16, 0.0005),
        (Profile::P20, 0.00003),
    ];
    for (profile, bound) in bounds {
        let options = CalibrationOptions {
            profile: Some(profile),
            deciding: Profile::P12,
            error_budget: bound,
            output_scale: None,
            compare_top1: true,
        };
        let (plan, accuracy) = calibrated(&graph, &samples, &options).unwrap();
        assert!(accuracy.within_budget, "{profile:?}: {accuracy:?}");
        let int = apply(&graph, &plan).unwrap();
        let inputs: Vec<_> = graph
            .inputs
            .iter()
            .zip(&samples[7])
            .map(|(id, values)| {
                let info = &int.tensors[id.0 as usize];
                let shape = info.shape.iter().map(|&d| d as usize).collect();
                let input = FloatInput::new(shape, values.clone()).unwrap();
                quantise_input(info, &input).unwrap()
            })
            .collect();
        let values = int.evaluate(&inputs).unwrap();
        assert_eq!(values.len(), int.tensors.len());
        assert!(
            values
                .iter()
                .zip(&int.tensors)
                .all(|(v, t)| v.values.iter().all(|v| t.range.contains(*v)))
        );
    }
}

#[test]
fn the_budget_chooses_the_profile() {
    let graph = import(&network().bytes()).unwrap();
    let samples = synthetic_samples(&graph, 20, 2);
    let chosen = |error_budget| {
        let (plan, accuracy) = calibrated(
            &graph,
            &samples,
            &CalibrationOptions {
                profile: None,
                deciding: Profile::P12,
                error_budget,
                output_scale: None,
                compare_top1: true,
            },
        )
        .unwrap();
        (plan.profile, accuracy.within_budget)
    };
    assert_eq!(chosen(0.5), (Profile::P8, true));
    assert_eq!(chosen(0.003), (Profile::P12, true));
    assert_eq!(chosen(0.0005), (Profile::P16, true));
    // With more bits for some tensors, or for all.
    let (fine, kept) = chosen(0.00005);
    assert!(fine >= Profile::P16 && kept);
    assert_eq!(chosen(1e-9), (Profile::P20, false));
}

#[test]
fn a_plan_with_weights_that_round_to_nothing_is_refused() {
    let graph = import(&network().bytes()).unwrap();
    let options = CalibrationOptions {
        profile: Some(Profile::P8),
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: true,
    };
    let (good, _) = calibrated(&graph, &synthetic_samples(&graph, 4, 1), &options).unwrap();
    let mut plan = good.clone();
    plan.shifts[0] = plan.shifts[0].saturating_sub(6);
    assert!(matches!(
        apply(&graph, &plan),
        Err(QuantiseError::Resolution { .. })
    ));
    let mut plan = good.clone();
    plan.tensors[0].exponent = 49;
    assert!(matches!(
        apply(&graph, &plan),
        Err(QuantiseError::Limit { what: "exponent", .. })
    ));
    let mut plan = good.clone();
    plan.shifts.pop();
    assert!(matches!(
        apply(&graph, &plan),
        Err(QuantiseError::PlanLength { what: "shifts", .. })
    ));
    assert_eq!(apply(&graph, &good), apply(&graph, &good));
}

#[test]
fn names_every_unsupported_node_at_once() {
    let onnx = network()
        .node("Det", &["y"], "s", vec![])
        .node("GridSample", &["s"], "t", vec![]);
    let Err(ImportError::Unsupported(nodes)) = import(&onnx.bytes()) else {
        panic!("it was imported")
    };
    let named: Vec<_> = nodes.iter().map(|n| (n.node.as_str(), n.op.as_str())).collect();
    assert_eq!(named, [("s_Det", "Det"), ("t_GridSample", "GridSample")]);
    // Operators of the list in forms that have no integer relation: found after typing, all of them.
    let mut onnx = Onnx::new(&[1, 4])
        .node("Relu", &["x"], "a", vec![])
        .node("Cast", &["a"], "b", vec![int("to", 3)])
        .node("Cast", &["b"], "c", vec![int("to", 1)])
        .node("Cast", &["c"], "d", vec![int("to", 5)])
        .node("Cast", &["d"], "y", vec![int("to", 1)]);
    onnx.graph.output = vec![value_info("y", &[])];
    let Err(ImportError::Unsupported(nodes)) = import(&onnx.bytes()) else {
        panic!("it was imported")
    };
    let named: Vec<_> = nodes.iter().map(|n| (n.node.as_str(), n.op.as_str())).collect();
    assert_eq!(named, [("b_Cast", "Cast"), ("d_Cast", "Cast")]);
    assert!(nodes[0].reason.contains("a cast to int8"), "{}", nodes[0].reason);
}

#[test]
fn refuses_models_that_are_not_self_contained_fixed_and_finite() {
    let error = |onnx: &Onnx| import(&onnx.bytes()).unwrap_err().to_string();
    let mut external = network();
    external.graph.initializer[0].data_location = Some(DataLocation::External as i32);
    external.graph.initializer[0].external_data = vec![StringStringEntryProto {
        key: "location".into(),
        value: "../../etc/passwd".into(),
    }];
    assert!(error(&external).contains("`k1` keeps its data in another file"));
    let mut nan = network();
    nan.graph.initializer[0].float_data[3] = f32::NAN;
    assert!(error(&nan).contains("not finite"));
    let mut short = network();
    short.graph.initializer[0].float_data.pop();
    assert!(error(&short).contains("more or less data than its shape"));
    let mut huge = network();
    huge.graph.initializer[0].dims = vec![1 << 40, 1 << 40];
    assert!(error(&huge).contains("values"));
    let mut negative = network();
    negative.graph.initializer[0].dims = vec![-4, 2, 3, 3];
    assert!(import(&negative.bytes()).is_err());
    assert!(
        error(&Onnx::new(&[1, 3, 0, 8]).node("Relu", &["x"], "y", vec![]))
            .contains("dimension 2 is left free: say how large it is (--bind n=SIZE")
    );
    let cycle = Onnx::new(&[1, 4])
        .node("Add", &["x", "b"], "a", vec![])
        .node("Relu", &["a"], "b", vec![]);
    assert!(import(&cycle.bytes()).is_err());
    let absent = Onnx::new(&[1, 4]).node("Add", &["x", "nothing"], "y", vec![]);
    assert!(error(&absent).contains("`nothing` is read and never made"));
}

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let good = network().bytes();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for len in (0..good.len()).step_by(7) {
        let _ = import(&good[..len]);
    }
    for _ in 0..400 {
        let mut bad = good.clone();
        for _ in 0..rng.gen_range(1..4) {
            let at = rng.gen_range(0..bad.len());
            bad[at] = rng.r#gen();
        }
        let _ = import(&bad);
    }
    assert!(matches!(import(b"not a model"), Err(ImportError::OtherFile(_))));
    assert!(import(&[]).is_err());
}

#[test]
fn an_input_outside_the_calibrated_range_names_the_node() {
    let graph = import(&network().bytes()).unwrap();
    let samples = synthetic_samples(&graph, 8, 1);
    let options = CalibrationOptions {
        profile: Some(Profile::P12),
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: true,
    };
    let (plan, _) = calibrated(&graph, &samples, &options).unwrap();
    let int = apply(&graph, &plan).unwrap();
    let info = &int.tensors[0];
    let extreme = IntTensor {
        shape: info.shape.clone(),
        values: vec![info.range.hi(); info.len()],
    };
    match int.evaluate(&[extreme]) {
        Err(EvaluateError::OutOfCalibratedRange { node, .. }) => {
            assert!(graph.nodes.iter().any(|n| n.name == node))
        }
        other => panic!("{other:?}"),
    }
}
