//! Scores and carried states far beyond the samples: there is an answer, and it is the float model's.

use zkml::graph::Profile;

use super::given::{agrees, agrees_at, said};
use super::onnx::{Onnx, float, int};
use super::recipes::by_the_file;
use crate::calibrate::synthetic_samples;
use crate::float::Hold;
use crate::float_model::FloatModel;
use crate::import::import;

/// Samples of the standard normal.
fn samples(bytes: &[u8]) -> Vec<Vec<Vec<f64>>> {
    synthetic_samples(&import(bytes).unwrap(), 24, 3)
}

const KEYS: usize = 4;
const WIDE: usize = 8;

fn attention(cap: f32) -> Vec<u8> {
    let shape = [1, 1, KEYS as i64, WIDE as i64];
    let onnx = Onnx::new(&shape).input("k", &shape).input("v", &shape);
    onnx.node("Attention", &["x", "k", "v"], "y", vec![float("softcap", cap)])
        .opset(23)
        .bytes()
}

/// As exporters write it.
fn products(mask: bool) -> Vec<u8> {
    let [rows, wide] = [KEYS as i64, WIDE as i64];
    let onnx = Onnx::new(&[rows, wide])
        .input("k", &[wide, rows])
        .constant("s", &[], vec![(WIDE as f32).sqrt()])
        .node("MatMul", &["x", "k"], "p", vec![])
        .node("Div", &["p", "s"], "d", vec![]);
    let far = (0..KEYS * KEYS).map(|t| if t % KEYS > t / KEYS { -1e9 } else { 0.0 });
    let onnx = if mask {
        onnx.constant("m", &[rows, rows], far.collect())
            .node("Add", &["d", "m"], "a", vec![])
    } else {
        onnx.node("Identity", &["d"], "a", vec![])
    };
    onnx.node("Softmax", &["a"], "y", vec![int("axis", -1)]).bytes()
}

/// Of samples whose scores have a deviation of 1: queries and keys of which one pair has a score of so much.
fn aligned(score: f64) -> [Vec<f64>; 2] {
    let each = (score.abs() / (WIDE as f64).sqrt()).sqrt();
    let row = |by: f64| {
        (0..KEYS * WIDE)
            .map(move |t| if t < WIDE { by } else { 0.1 })
            .collect()
    };
    [row(each), row(each * score.signum())]
}

#[test]
fn scores_of_thirty_deviations_have_the_answer_of_the_float_model() {
    for cap in [0.0, 2.0] {
        let bytes = attention(cap);
        let (_, int) = by_the_file(&bytes, &samples(&bytes), Profile::P16);
        for score in [30.0, -30.0, 4.0] {
            let [q, k] = aligned(score);
            let v = (0..KEYS * WIDE).map(|t| (t as f64 * 0.7).sin() * 3.0).collect();
            agrees(&bytes, &int, &[q, k, v], 4e-3);
        }
    }
    for mask in [false, true] {
        let bytes = products(mask);
        let (_, int) = by_the_file(&bytes, &samples(&bytes), Profile::P16);
        for score in [30.0, -30.0, 4.0] {
            let [q, k] = aligned(score);
            let turned = (0..KEYS * WIDE).map(|t| k[t % KEYS * WIDE + t / KEYS]);
            agrees(&bytes, &int, &[q, turned.collect()], 2e-3);
        }
    }
}

const INPUTS: usize = 48;
const HIDDEN: usize = 3;
const STEPS: usize = 12;

fn network(op: &str, gates: usize) -> Vec<u8> {
    let [inputs, hidden, rows] = [INPUTS, HIDDEN, gates * HIDDEN].map(|n| n as i64);
    Onnx::new(&[STEPS as i64, 1, inputs])
        .random("w", &[1, rows, inputs])
        .random("r", &[1, rows, hidden])
        .random("b", &[1, 2 * rows])
        .node(op, &["x", "w", "r", "b"], "y", vec![int("hidden_size", hidden)])
        .opset(14)
        .bytes()
}

/// Inputs that all push one way, as far as inputs may go: what the gates make of them is ten deviations and more of what they make
/// of samples, and a memory that nothing forgets grows by a step each time.
#[test]
fn states_that_no_sample_has_have_the_answer_of_the_float_model() {
    for (op, gates) in [("LSTM", 4), ("GRU", 3), ("RNN", 1)] {
        let bytes = network(op, gates);
        let samples = samples(&bytes);
        let (_, int) = by_the_file(&bytes, &samples, Profile::P16);
        let most = greatest(samples.iter().flatten());
        // A state that is pushed to 0 is judged as every other: by what states are.
        let model = FloatModel::read(&bytes).unwrap();
        let states = samples.iter().map(|s| model.outputs(&int, s).unwrap().remove(0));
        let scale = greatest(&states.collect::<Vec<_>>());
        let rows = gates * HIDDEN;
        // The weights come first of the random constants.
        let drawn = weights(&bytes);
        for row in 0..rows {
            for sign in [1.0, -1.0] {
                let pushed = |t: usize| sign * most * drawn[row * INPUTS + t % INPUTS].signum();
                let input = (0..STEPS * INPUTS).map(pushed).collect();
                agrees_at(&bytes, &int, &[input], 4e-3, scale);
            }
        }
    }
}

/// Of small weights a gate's range is small as well, and its table as fine as it would be without a clamp. What is beyond is what the
/// gate is at the end: an answer between the states that there can be.
#[test]
fn gates_of_a_small_range_are_as_fine_as_before_and_refuse_nothing() {
    let small = |op: &str, gates: usize| {
        let [inputs, hidden, rows] = [INPUTS, HIDDEN, gates * HIDDEN].map(|n| n as i64);
        let of = |len: i64, by: f32| {
            (0..len)
                .map(move |t| by * ((t * 7 % 13) as f32 / 6.0 - 1.0))
                .collect()
        };
        Onnx::new(&[STEPS as i64, 1, inputs])
            .constant("w", &[1, rows, inputs], of(rows * inputs, 0.004))
            .constant("r", &[1, rows, hidden], of(rows * hidden, 0.1))
            .node(op, &["x", "w", "r"], "y", vec![int("hidden_size", hidden)])
            .opset(14)
            .bytes()
    };
    for (op, gates) in [("LSTM", 4), ("GRU", 3), ("RNN", 1)] {
        let bytes = small(op, gates);
        let samples = samples(&bytes);
        let (_, int) = by_the_file(&bytes, &samples, Profile::P16);
        agrees(&bytes, &int, &samples[0], 1e-3);
        let most = greatest(samples.iter().flatten());
        let drawn = weights(&bytes);
        for row in 0..gates * HIDDEN {
            let pushed = |t: usize| most * drawn[row * INPUTS + t % INPUTS].signum();
            let input = (0..STEPS * INPUTS).map(pushed).collect();
            let y = said(&int, &[input]).unwrap();
            assert!(y.iter().all(|h| h.abs() <= 1.0 + 1e-3), "{op}: {y:?}");
        }
    }
}

/// A plan is somebody's: one in which a clamp and what is beyond it have other steps is refused.
#[test]
fn a_plan_in_which_a_clamp_has_other_steps_than_what_is_beyond_it_is_refused() {
    let bytes = network("RNN", 1);
    let graph = import(&bytes).unwrap();
    let (plan, _) = by_the_file(&bytes, &samples(&bytes), Profile::P16);
    let held = |hold: Hold| {
        graph
            .tensors
            .iter()
            .position(|tensor| tensor.hold == hold)
            .unwrap()
    };
    for at in [held(Hold::Beyond), held(Hold::Within(7))] {
        let mut other = plan.clone();
        other.tensors[at].exponent -= 1;
        assert!(crate::quantise::apply(&graph, &other).is_err());
    }
}

fn greatest<'a>(all: impl IntoIterator<Item = &'a Vec<f64>>) -> f64 {
    all.into_iter().flatten().fold(0.0, |m: f64, v| m.max(v.abs()))
}

/// Of `w`.
fn weights(bytes: &[u8]) -> Vec<f64> {
    use prost::Message;
    let model = tract_onnx::pb::ModelProto::decode(bytes).unwrap();
    let initializers = model.graph.unwrap().initializer;
    let found = initializers.iter().find(|tensor| tensor.name == "w").unwrap();
    found.float_data.iter().map(|v| f64::from(*v)).collect()
}

/// What is no score and no state is refused beyond the samples, as everywhere.
#[test]
fn a_function_of_what_is_no_state_is_calibrated() {
    let bytes = Onnx::new(&[1, 4])
        .input("k", &[1, 4])
        .node("Mul", &["x", "k"], "p", vec![])
        .node("Sigmoid", &["p"], "y", vec![])
        .bytes();
    let near = |by: f64| vec![vec![by; 4], vec![0.1 / by; 4]];
    let (_, int) = by_the_file(&bytes, &[near(4.0), near(0.025)], Profile::P16);
    assert!(said(&int, &near(2.0)).is_ok());
    assert!(said(&int, &[vec![4.0; 4], vec![4.0; 4]]).is_err());
}
