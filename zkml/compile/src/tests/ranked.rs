//! Inputs that nothing but comparisons with constants reads: ranked, so that every branch is the float model's.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tract_onnx::pb::tensor_proto::DataType;
use zkinfer_crds::dimensions::Dimensions;
use zkml::graph::{FloatInput, FloatKind, IntGraph, Missing, Profile, TensorInfo, quantise_input};

use super::Onnx;
use super::onnx::{float, given_ports, int, ints};
use super::trees::{MODES, answer, floats, holds, integers, of_models, stumps};
use crate::batch;
use crate::float_model::FloatModel;
use crate::import::{import, rounded};

fn input(int: &IntGraph) -> &TensorInfo {
    &int.tensors[int.inputs[0].0 as usize]
}

/// The values at which a comparison with this turns, those an ulp beside them, and those that have an order of their own.
fn beside(t: f32) -> Vec<f64> {
    let near = [
        t.next_down().next_down(),
        t.next_down(),
        t,
        t.next_up(),
        t.next_up().next_up(),
    ];
    let far = [
        f32::MIN,
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        -0.0,
        0.0,
        0.10001,
        -0.70001,
    ];
    near.into_iter().chain(far).map(f64::from).collect()
}

#[test]
fn a_branch_goes_where_the_node_says_at_a_threshold_beside_it_and_of_a_missing_value() {
    let thresholds = [0.1f32, -0.7, 0.0, 3.0, -1e-40, 16_777_216.0];
    let branches: Vec<(&str, f32)> = thresholds
        .iter()
        .flat_map(|t| [MODES, MODES].concat().into_iter().map(move |mode| (mode, *t)))
        .collect();
    // Of the same feature some send a missing value one way and some the other.
    let tracks: Vec<bool> = (0..branches.len()).map(|at| at / MODES.len() % 2 == 1).collect();
    let list: Vec<i64> = tracks.iter().flat_map(|t| [i64::from(*t), 0, 0]).collect();
    let onnx = stumps(&branches, vec![ints("nodes_missing_value_tracks_true", &list)]);
    for profile in [Profile::P8, Profile::P12, Profile::P16] {
        let (graph, int) = integers(&onnx.bytes(), profile, 4.0);
        assert!(rounded(&graph).is_empty());
        let ranks = input(&int).ranks.as_ref().unwrap();
        assert_eq!((ranks.float, ranks.places.len()), (FloatKind::Float32, 2));
        // What nothing asks for has one rank, and one for a missing value.
        assert_eq!(ranks.most(1), 1);
        for x in thresholds.into_iter().flat_map(beside) {
            let got = answer(&int, &[x, f64::NAN]);
            for (((mode, t), tracks), got) in branches.iter().zip(&tracks).zip(got) {
                let t = f64::from(*t);
                let expected = holds(mode, x, t) || (x.is_nan() && *tracks);
                let expected = if expected { 2.0 } else { -1.0 };
                assert!(
                    (got - expected).abs() < 0.05,
                    "{profile:?}: {x:e} {mode} {t:e}, {tracks}: {got}"
                );
            }
        }
    }
}

/// All comparisons alike, a missing value has the side that they send it to, and nothing is asked about it.
#[test]
fn a_feature_that_sends_missing_values_one_way_costs_nothing_more() {
    let steps = |tracks: [i64; 2]| {
        let list: Vec<i64> = tracks.iter().flat_map(|t| [*t, 0, 0]).collect();
        let more = vec![ints("nodes_missing_value_tracks_true", &list)];
        let onnx = stumps(&[("BRANCH_LT", 0.5), ("BRANCH_LT", 1.5)], more);
        let (graph, int) = integers(&onnx.bytes(), Profile::P12, 4.0);
        let missing = input(&int).ranks.as_ref().unwrap().places[0].missing;
        (missing, graph.nodes.len())
    };
    let (above, nodes) = steps([0, 0]);
    assert_eq!((above, steps([1, 1])), (Missing::Above, (Missing::Below, nodes)));
    assert!(steps([0, 1]).1 > nodes);
}

#[test]
fn comparisons_of_tensors_are_exact_and_of_a_missing_value_what_floats_say() {
    let thresholds = [0.1f32, -0.7, 0.0, 3.0];
    for (op, holds) in [
        ("Less", (|x, t| x < t) as fn(f64, f64) -> bool),
        ("LessOrEqual", |x, t| x <= t),
        ("Greater", |x, t| x > t),
        ("GreaterOrEqual", |x, t| x >= t),
        ("Equal", |x, t| x == t),
    ] {
        for constant_first in [false, true] {
            let operands = if constant_first { ["t", "x"] } else { ["x", "t"] };
            let onnx = Onnx::new(&[1, 4])
                .constant("t", &[4], thresholds.to_vec())
                .node(op, &operands, "c", vec![])
                .node("Cast", &["c"], "f", vec![int("to", 1)])
                .constant("half", &[], vec![0.5])
                .node("Mul", &["f", "half"], "y", vec![]);
            let (_, int) = integers(&onnx.bytes(), Profile::P12, 4.0);
            assert!(input(&int).ranks.is_some());
            for x in thresholds.into_iter().flat_map(beside) {
                let got = answer(&int, &[x; 4]);
                for (t, got) in thresholds.map(f64::from).into_iter().zip(got) {
                    let expected = if constant_first { holds(t, x) } else { holds(x, t) };
                    let expected = if expected { 0.5 } else { 0.0 };
                    assert!(
                        (got - expected).abs() < 0.01,
                        "{op} {constant_first}: {x:e} {t}: {got}"
                    );
                }
            }
        }
    }
}

/// As trees are written as matrices: a column of zeros and a one takes a feature.
fn matrices() -> Onnx {
    Onnx::new(&[1, 3])
        .constant("m", &[3, 4], vec![0., 0., 1., 0., 1., 0., 0., 1., 0., 1., 0., 0.])
        .constant("t", &[4], vec![0.1, 0.2, 0.3, 0.1])
        .node("MatMul", &["x", "m"], "s", vec![])
        .node("Less", &["s", "t"], "c", vec![])
        .node("Cast", &["c"], "f", vec![int("to", 1)])
        .constant("half", &[], vec![0.5])
        .node("Mul", &["f", "half"], "y", vec![])
}

#[test]
fn a_matrix_that_takes_features_takes_their_ranks_and_no_value_that_is_not_finite() {
    let (graph, int) = integers(&matrices().bytes(), Profile::P12, 4.0);
    assert!(rounded(&graph).is_empty());
    for (x, expected) in [
        (
            [0.3f32.next_down(), 0.1f32.next_down(), 0.2],
            [0.5, 0.0, 0.5, 0.5],
        ),
        ([0.3, 0.1, 0.2f32.next_down()], [0.0, 0.5, 0.0, 0.0]),
    ] {
        let got = answer(&int, &x.map(f64::from));
        assert!(
            got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.01),
            "{x:?}: {got:?}"
        );
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e39] {
        let given = FloatInput::new(vec![1, 3], vec![0.0, value, 0.0]).unwrap();
        let said = quantise_input(input(&int), &given).unwrap_err().to_string();
        assert_eq!(said, "the value at 1 is missing or not finite", "{value}");
    }
}

/// What is not ranked says so: which node compares what.
#[test]
fn an_input_that_something_else_reads_or_the_file_rounds_is_not_ranked_and_that_is_told() {
    let tree = || {
        let mut onnx = stumps(&[("BRANCH_LEQ", 0.5)], vec![]);
        onnx.graph.output[0].name = "z".into();
        onnx
    };
    let also_read = tree()
        .node("ReduceSum", &["x"], "sum", vec![])
        .node("Add", &["y", "sum"], "z", vec![]);
    let scaled = {
        let scaler = vec![floats("offset", &[1.0, 2.0]), floats("scale", &[0.5, 3.0])];
        let mut onnx = tree().node("Identity", &["y"], "z", vec![]);
        onnx.graph.node[0].input[0] = "scaled".into();
        let scaler = of_models(Onnx::new(&[1, 2]), "Scaler", "scaled", scaler);
        onnx.graph.node.insert(0, scaler.graph.node[0].clone());
        onnx
    };
    let half = {
        let mut onnx = tree().node("Identity", &["y"], "z", vec![]);
        onnx.graph.node[0].input[0] = "single".into();
        let cast = Onnx::new(&[1, 2])
            .node("Cast", &["x"], "half", vec![int("to", DataType::Float16 as i64)])
            .node("Cast", &["half"], "single", vec![int("to", 1)]);
        let nodes = std::mem::take(&mut onnx.graph.node);
        onnx.graph.node = cast.graph.node.into_iter().chain(nodes).collect();
        onnx
    };
    for (onnx, what) in [(also_read, "x"), (scaled, "scaled"), (half, "x")] {
        let (graph, int) = integers(&onnx.bytes(), Profile::P12, 4.0);
        assert!(int.tensors.iter().all(|t| t.ranks.is_none()), "{what}");
        let told = rounded(&graph);
        let [one] = &told[..] else { panic!("{told:?}") };
        assert!(one.node.contains("TreeEnsembleRegressor"), "{told:?}");
        let tensor = &graph.tensors[one.tensor.0 as usize].name;
        assert!(tensor.contains(what), "{tensor}");
        let given = FloatInput::new(vec![1, 2], vec![0.0, f64::NAN]).unwrap();
        let said = quantise_input(input(&int), &given).unwrap_err().to_string();
        assert_eq!(said, "the value at 1 is missing or not finite");
    }
}

#[test]
fn what_an_imputer_reads_may_not_be_missing() {
    let mut onnx = stumps(&[("BRANCH_LEQ", 0.5)], vec![]);
    onnx.graph.node[0].input[0] = "full".into();
    let imputer = vec![
        floats("imputed_value_floats", &[1.0]),
        float("replaced_value_float", f32::NAN),
    ];
    let imputer = of_models(Onnx::new(&[1, 2]), "Imputer", "full", imputer);
    onnx.graph.node.insert(0, imputer.graph.node[0].clone());
    let (_, int) = integers(&onnx.bytes(), Profile::P12, 4.0);
    let ranks = input(&int).ranks.as_ref().unwrap();
    assert!(ranks.places.iter().all(|place| place.missing == Missing::Refused));
}

#[test]
fn doubles_are_ranked_as_doubles() {
    let onnx = Onnx::new(&[1, 2])
        .constant("t", &[2], vec![0.5, 0.25])
        .node("Cast", &["x"], "d", vec![int("to", DataType::Double as i64)])
        .node("Cast", &["t"], "u", vec![int("to", DataType::Double as i64)])
        .node("Greater", &["d", "u"], "c", vec![])
        .node("Cast", &["c"], "f", vec![int("to", DataType::Double as i64)])
        .node("Add", &["f", "f"], "y", vec![]);
    let bytes = given_ports(onnx, &[("x", DataType::Double as i32, &[1, 2])]);
    let (_, int) = integers(&bytes, Profile::P12, 4.0);
    let ranks = input(&int).ranks.as_ref().unwrap();
    assert_eq!(ranks.float, FloatKind::Float64);
    // Nearer to the threshold than a float of 32 bits can be.
    for (x, expected) in [(0.5f64.next_up(), 2.0), (0.5, 0.0), (0.5f64.next_down(), 0.0)] {
        assert!((answer(&int, &[x, 0.0])[0] - expected).abs() < 0.01, "{x:e}");
    }
}

/// Whole numbers are compared as they are: half a threshold rounds nowhere.
#[test]
fn whole_features_are_compared_with_thresholds_between_them() {
    let all: Vec<(&str, f32)> = [2.5, -3.0]
        .into_iter()
        .flat_map(|t| MODES.map(move |mode| (mode, t)))
        .collect();
    let mut onnx = stumps(&all, vec![]);
    onnx.graph.node[0].input[0] = "f".into();
    let cast = Onnx::new(&[1, 2]).node("Cast", &["x"], "f", vec![int("to", 1)]);
    onnx.graph.node.insert(0, cast.graph.node[0].clone());
    let bytes = given_ports(onnx, &[("x", DataType::Int64 as i32, &[1, 2])]);
    let (_, int) = integers(&bytes, Profile::P12, 8.0);
    assert!(input(&int).whole);
    for x in -5..=5 {
        let x = f64::from(x);
        for ((mode, t), got) in all.iter().zip(answer(&int, &[x, 0.0])) {
            let expected = if holds(mode, x, f64::from(*t)) { 2.0 } else { -1.0 };
            assert!((got - expected).abs() < 0.05, "{x} {mode} {t}: {got}");
        }
    }
}

/// The reference has the same answer to missing and infinite values, and to thresholds themselves.
#[test]
fn the_float_model_of_a_forest_agrees_on_whatever_a_float_may_be() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let thresholds: Vec<f32> = (0..40).map(|_| rng.gen_range(-3.0f32..3.0)).collect();
    let branches: Vec<(&str, f32)> = thresholds
        .iter()
        .enumerate()
        .map(|(at, t)| (MODES[at % 6], *t))
        .collect();
    let list: Vec<i64> = (0..40).flat_map(|_| [rng.gen_range(0..2), 0, 0]).collect();
    let bytes = stumps(&branches, vec![ints("nodes_missing_value_tracks_true", &list)]).bytes();
    let model = FloatModel::read(&bytes).unwrap();
    let (graph, int) = integers(&bytes, Profile::P16, 4.0);
    for x in thresholds.iter().flat_map(|t| beside(*t)) {
        let expected = model.outputs_of(&graph, &[vec![x, 0.0]]).unwrap();
        let got = answer(&int, &[x, 0.0]);
        assert!(
            got.iter().zip(&expected[0]).all(|(a, b)| (a - b).abs() < 0.01),
            "{x:e}: {got:?}"
        );
        let own = graph.evaluate(&[vec![x, 0.0]]).unwrap();
        assert_eq!(own[graph.outputs[0].0 as usize], expected[0], "{x:e}");
    }
}

#[test]
fn a_batch_ranks_each_row_as_one_input() {
    let bytes = stumps(&[("BRANCH_LEQ", 0.1), ("BRANCH_GT", 0.7)], vec![]).bytes();
    let alone = import(&bytes).unwrap();
    let ranks = alone.tensors[alone.inputs[0].0 as usize].ranks.as_ref().unwrap();
    assert_eq!(ranks.places.len(), 2);
    let wide = batch::import(&bytes, &Dimensions::new(), 4, &alone, &[vec![vec![0.3, 0.9]]]).unwrap();
    let input = &wide.tensors[wide.inputs[0].0 as usize];
    assert_eq!((input.len(), input.ranks.as_ref()), (8, Some(ranks)));
}
