//! Tree ensembles and other operators of ai.onnx.ml, in integers.

use tract_onnx::pb::{AttributeProto, attribute_proto::AttributeType};
use zkml::graph::tensor_file::dequantise;
use zkml::graph::{FloatInput, IntGraph, Profile, quantise_input};

use super::functions::text;
use super::onnx::{float, int, ints, value_info};
use super::{Onnx, calibrated};
use crate::calibrate::CalibrationOptions;
use crate::float::{FloatGraph, FloatOp};
use crate::import::import;
use crate::quantise::{QuantiseError, apply};

const ML: &str = "ai.onnx.ml";

pub(super) fn floats(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Floats as i32,
        floats: values.to_vec(),
        ..AttributeProto::default()
    }
}

pub(super) fn texts(name: &str, values: &[&str]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Strings as i32,
        strings: values.iter().map(|v| v.as_bytes().to_vec()).collect(),
        ..AttributeProto::default()
    }
}

/// A node of the domain.
pub(super) fn of_models(onnx: Onnx, op: &str, output: &str, attributes: Vec<AttributeProto>) -> Onnx {
    let mut onnx = onnx.node(op, &["x"], output, attributes);
    onnx.graph.node.last_mut().unwrap().domain = ML.into();
    onnx
}

/// One branch for each of these, each in a tree of its own: feature 0 against a threshold. What is true votes 2 for the tree's
/// own target, what is false −1.
pub(super) fn stumps(branches: &[(&str, f32)], more: Vec<AttributeProto>) -> Onnx {
    let trees = branches.len() as i64;
    let each = |of: [i64; 3]| (0..trees).flat_map(|_| of).collect::<Vec<i64>>();
    let own: Vec<i64> = (0..trees).flat_map(|t| [t; 3]).collect();
    let voted: Vec<i64> = (0..trees).flat_map(|t| [t; 2]).collect();
    let modes: Vec<&str> = branches.iter().flat_map(|b| [b.0, "LEAF", "LEAF"]).collect();
    let thresholds: Vec<f32> = branches.iter().flat_map(|b| [b.1, 0.0, 0.0]).collect();
    let mut attributes = vec![
        ints("nodes_treeids", &own),
        ints("nodes_nodeids", &each([0, 1, 2])),
        ints("nodes_featureids", &each([0, 0, 0])),
        texts("nodes_modes", &modes),
        floats("nodes_values", &thresholds),
        ints("nodes_truenodeids", &each([1, 0, 0])),
        ints("nodes_falsenodeids", &each([2, 0, 0])),
        ints("target_treeids", &voted),
        ints("target_ids", &voted),
        ints(
            "target_nodeids",
            &(0..trees).flat_map(|_| [1, 2]).collect::<Vec<_>>(),
        ),
        floats(
            "target_weights",
            &branches.iter().flat_map(|_| [2.0, -1.0]).collect::<Vec<_>>(),
        ),
        int("n_targets", trees),
    ];
    attributes.extend(more);
    of_models(Onnx::new(&[1, 2]), "TreeEnsembleRegressor", "y", attributes)
}

pub(super) const MODES: [&str; 6] = [
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
];

/// The integer graph, calibrated on what an input may reach.
pub(super) fn integers(bytes: &[u8], profile: Profile, reach: f64) -> (FloatGraph, IntGraph) {
    let graph = import(bytes).unwrap();
    let sample = |size: f64| {
        let of = |id: &zkml::graph::TensorId| vec![size; graph.tensors[id.0 as usize].len()];
        graph.inputs.iter().map(of).collect::<Vec<_>>()
    };
    let samples: Vec<_> = [reach, -reach, 0.0].map(sample).to_vec();
    let options = CalibrationOptions {
        profile: Some(profile),
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    let (plan, _) = calibrated(&graph, &samples, &options).unwrap();
    let int = apply(&graph, &plan).unwrap();
    (graph, int)
}

pub(super) fn answer(int: &IntGraph, row: &[f64]) -> Vec<f64> {
    let info = &int.tensors[int.inputs[0].0 as usize];
    let input = FloatInput {
        shape: info.shape.iter().map(|&d| d as usize).collect(),
        values: row.to_vec(),
    };
    let values = int.evaluate(&[quantise_input(info, &input).unwrap()]).unwrap();
    let output = int.outputs[0].0 as usize;
    dequantise(&int.tensors[output], &values[output].values)
}

pub(super) fn holds(mode: &str, x: f64, t: f64) -> bool {
    match mode {
        "BRANCH_LEQ" => x <= t,
        "BRANCH_LT" => x < t,
        "BRANCH_GTE" => x >= t,
        "BRANCH_GT" => x > t,
        "BRANCH_EQ" => x == t,
        _ => x != t,
    }
}

/// A threshold that is no integer of the scale, and one that is; the values beside them by a step of the coarsest profile.
#[test]
fn a_value_that_equals_a_threshold_goes_where_the_operator_says() {
    for profile in [Profile::P8, Profile::P12, Profile::P16] {
        for threshold in [2.0f32, -3.0, 0.1, -0.7, 3.7, 0.0] {
            let branches = MODES.map(|mode| (mode, threshold));
            let (_, int) = integers(&stumps(&branches, vec![]).bytes(), profile, 4.0);
            let t = f64::from(threshold);
            for x in [t, t + 0.2, t - 0.2, 3.95, -3.95, 0.0] {
                if x.abs() > 4.0 {
                    continue;
                }
                let got = answer(&int, &[x, 0.0]);
                for (mode, got) in MODES.iter().zip(got) {
                    let expected = if holds(mode, x, t) { 2.0 } else { -1.0 };
                    assert!(
                        (got - expected).abs() < 0.05,
                        "{profile:?}: {x} {mode} {threshold}: {got}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_threshold_that_no_value_reaches_is_decided_all_the_same() {
    let branches = [1e9f32, -1e9].map(|t| MODES.map(|mode| (mode, t))).concat();
    let (_, int) = integers(&stumps(&branches, vec![]).bytes(), Profile::P12, 4.0);
    for x in [-3.5, 0.0, 3.5] {
        for ((mode, t), got) in branches.iter().zip(answer(&int, &[x, 0.0])) {
            let expected = if holds(mode, x, f64::from(*t)) { 2.0 } else { -1.0 };
            assert!((got - expected).abs() < 0.05, "{x} {mode} {t}: {got}");
        }
    }
}

#[test]
fn a_plan_that_rounds_a_comparison_is_refused() {
    let graph = import(&stumps(&[("BRANCH_LEQ", 0.5)], vec![]).bytes()).unwrap();
    let options = CalibrationOptions {
        profile: Some(Profile::P12),
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    let samples = vec![vec![vec![1.0, -1.0]]];
    let (plan, _) = calibrated(&graph, &samples, &options).unwrap();
    let steps = graph.nodes.iter().enumerate();
    let steps: Vec<_> = steps.filter(|(_, n)| matches!(n.op, FloatOp::Step(_))).collect();
    assert_eq!(steps.len(), 2);
    for (at, node) in steps {
        let refused = |change: &dyn Fn(&mut zkml::graph::QuantisationPlan)| {
            let mut plan = plan.clone();
            change(&mut plan);
            let refused = apply(&graph, &plan);
            assert!(matches!(refused, Err(QuantiseError::Step { .. })), "{refused:?}");
        };
        refused(&|plan| plan.shifts[at] -= 1);
        refused(&|plan| plan.shifts[at] += 1);
        refused(&|plan| plan.tensors[node.output.0 as usize].exponent = 1);
        refused(&|plan| plan.tensors[node.output.0 as usize].bits = 3);
    }
}

#[test]
fn what_an_ensemble_may_not_have_is_named() {
    let said = |onnx: &Onnx| import(&onnx.bytes()).unwrap_err().to_string();
    let stump = |more| stumps(&[("BRANCH_LEQ", 0.5)], more);
    let least = said(&stump(vec![text("aggregate_function", "MIN")]));
    assert!(
        least.contains("`y_TreeEnsembleRegressor`") && least.contains("`MIN`"),
        "{least}"
    );
    let softmax = said(&stump(vec![text("post_transform", "PROBIT")]));
    assert!(softmax.contains("`PROBIT`"), "{softmax}");
    let mode = said(&stumps(&[("BRANCH_MEMBER", 0.5)], vec![]));
    assert!(mode.contains("BRANCH_MEMBER"), "{mode}");
    let mut circle = stump(vec![]);
    let attributes = &mut circle.graph.node[0].attribute;
    attributes.retain(|a| a.name != "nodes_truenodeids");
    attributes.push(ints("nodes_truenodeids", &[0, 0, 0]));
    assert!(!said(&circle).is_empty());
    let missing = of_models(
        Onnx::new(&[1, 2]),
        "Imputer",
        "y",
        vec![
            floats("imputed_value_floats", &[1.0]),
            float("replaced_value_float", 0.0),
        ],
    );
    assert!(said(&missing).contains("a value that is a number"));
    let mut other = stump(vec![]);
    other.graph.node[0].domain = "com.microsoft".into();
    assert!(said(&other).contains("domain `com.microsoft`"));
    let mut none = stump(vec![]);
    none.graph.node[0].domain = String::new();
    assert!(said(&none).contains("not supported"));
}

#[test]
fn a_classifier_has_scores_and_its_label_is_refused_where_it_is_read() {
    let classifier = |label: bool| {
        let mut onnx = of_models(
            Onnx::new(&[1, 2]),
            "LinearClassifier",
            "label",
            vec![
                floats("coefficients", &[1.0, 2.0, -1.0, 0.5, 0.25, 0.125]),
                texts("classlabels_strings", &["a", "b", "c"]),
            ],
        );
        onnx.graph.node[0].output.push("scores".into());
        onnx.graph.output = vec![value_info("scores", &[1, 3])];
        if label {
            onnx.graph.output.push(value_info("label", &[1]));
        }
        onnx
    };
    let graph = import(&classifier(false).bytes()).unwrap();
    assert_eq!(graph.outputs.len(), 1);
    assert_eq!(graph.tensors[graph.outputs[0].0 as usize].name, "scores");
    let said = import(&classifier(true).bytes()).unwrap_err().to_string();
    assert!(said.contains("`label`, the label"), "{said}");
}
