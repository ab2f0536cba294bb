//! Values of unlike sizes in one tensor, which need the widest profile.

use zkml::graph::{IntGraph, IntRange, Op, Profile, TensorId};

use super::calibrated;
use super::given::said;
use super::onnx::{Onnx, network};
use crate::calibrate::CalibrationOptions;
use crate::import::import;
use crate::quantise::apply;

/// As features are: thousands beside hundredths.
const SIZES: [f32; 4] = [4000.0, 30.0, 0.5, 0.02];

fn options(profile: Option<Profile>) -> CalibrationOptions {
    CalibrationOptions {
        profile,
        deciding: Profile::P12,
        error_budget: 0.01,
        output_scale: None,
        compare_top1: false,
    }
}

/// Each feature by its own size.
fn scaled() -> Onnx {
    Onnx::new(&[1, 4])
        .constant("s", &[4], SIZES.map(|size| 1.0 / size).to_vec())
        .node("Mul", &["x", "s"], "y", vec![])
}

fn samples() -> Vec<Vec<Vec<f64>>> {
    let sample = |i: u32| {
        let value =
            |(at, size): (usize, &f32)| f64::from(*size) * f64::from((i * 7 + at as u32 * 5) % 31) / 31.0;
        vec![SIZES.iter().enumerate().map(value).collect()]
    };
    (0..31).map(sample).collect()
}

#[test]
fn features_of_unlike_sizes_are_each_as_good_as_alone() {
    let graph = import(&scaled().bytes()).unwrap();
    let (_, narrow) = calibrated(&graph, &samples(), &options(Some(Profile::P16))).unwrap();
    assert!(!narrow.within_budget, "{narrow:?}");
    let (plan, accuracy) = calibrated(&graph, &samples(), &options(None)).unwrap();
    assert_eq!(plan.profile, Profile::P20);
    assert!(accuracy.max_error < 1e-3, "{accuracy:?}");
}

/// Bits of the input, in the widest profile.
fn input_bits(onnx: &Onnx, samples: &[Vec<Vec<f64>>]) -> u8 {
    let graph = import(&onnx.bytes()).unwrap();
    let (plan, _) = calibrated(&graph, samples, &options(Some(Profile::P20))).unwrap();
    let bits = plan.tensors[graph.inputs[0].0 as usize].bits;
    let int = apply(&graph, &plan).unwrap();
    // Whatever the widths are, no table has more rows than a lookup reads, and what stands in the plan is the graph's.
    assert_eq!(
        int.tensors[int.inputs[0].0 as usize].range,
        IntRange::signed(bits)
    );
    for node in &int.nodes {
        if matches!(node.op, Op::Table(_)) {
            let TensorId(read) = node.inputs[0];
            assert!(int.tensors[read as usize].range.bits <= 16, "{}", node.name);
        }
    }
    bits
}

#[test]
fn an_input_is_as_wide_as_its_readers_take_it() {
    let ones = |len: usize| vec![vec![vec![1.0; len]], vec![vec![-1.0; len]]];
    assert_eq!(input_bits(&scaled(), &ones(4)), 32);
    // As many products as a tensor of this size may be added up.
    let long = Onnx::new(&[1, 4096])
        .constant("w", &[4096, 1], vec![1.0; 4096])
        .node("MatMul", &["x", "w"], "y", vec![]);
    assert_eq!(input_bits(&long, &ones(4096)), 29);
    // Through values that are moved.
    let turned = Onnx::new(&[2, 2])
        .node("Transpose", &["x"], "t", vec![])
        .constant("s", &[2], vec![1.0, 2.0])
        .node("Mul", &["t", "s"], "y", vec![]);
    assert_eq!(input_bits(&turned, &ones(4)), 32);
    let table = Onnx::new(&[1, 4]).node("Sigmoid", &["x"], "y", vec![]);
    assert_eq!(input_bits(&table, &ones(4)), 16);
    let both = Onnx::new(&[1, 4])
        .constant("s", &[4], vec![0.5; 4])
        .node("Mul", &["x", "s"], "m", vec![])
        .node("Tanh", &["x"], "u", vec![])
        .node("Add", &["u", "m"], "y", vec![]);
    assert_eq!(input_bits(&both, &ones(4)), 16);
    let product = Onnx::new(&[1, 4]).node("Mul", &["x", "x"], "y", vec![]);
    assert_eq!(input_bits(&product, &ones(4)), 20);
    // A function that grows is held by one bit less than its rows have, in front of another table.
    let grown = Onnx::new(&[1, 4])
        .node("Exp", &["x"], "e", vec![])
        .node("Sigmoid", &["e"], "y", vec![]);
    input_bits(&grown, &ones(4));
    input_bits(&network(), &[vec![vec![0.5; 72]]]);
}

#[test]
fn what_rounding_leaves_of_nothing_has_the_steps_of_what_it_is_made_of() {
    // The logarithm of a softmax's sum: 0, but for the last bits of floats.
    let onnx = Onnx::new(&[1, 4]).node("LogSoftmax", &["x"], "l", vec![]).node(
        "ReduceLogSumExp",
        &["l"],
        "y",
        vec![],
    );
    let graph = import(&onnx.bytes()).unwrap();
    let samples: Vec<_> = (0..8)
        .map(|i| vec![vec![f64::from(i) * 0.3, -0.2, 0.7, 0.1]])
        .collect();
    let unit = CalibrationOptions {
        output_scale: Some(vec![1.0]),
        ..options(None)
    };
    let (_, accuracy) = calibrated(&graph, &samples, &unit).unwrap();
    assert!(accuracy.within_budget, "{accuracy:?}");
}

#[test]
fn what_a_rounded_number_decides_begins_with_the_profile_that_the_proof_system_names_for_it() {
    // Far from the threshold: any profile answers these.
    let far = vec![vec![vec![3.0, -2.0, 1.5, -1.0]]];
    let chosen = |onnx: Onnx, deciding| {
        let options = CalibrationOptions {
            deciding,
            ..options(None)
        };
        let graph = import(&onnx.bytes()).unwrap();
        let (plan, _) = calibrated(&graph, &far, &options).unwrap();
        (apply(&graph, &plan).unwrap(), plan.profile)
    };
    // What is compared is computed: an input that only comparisons read is not rounded.
    let mut sums = vec![0.0; 16];
    (0..4).for_each(|at| sums[5 * at] = 1.0);
    sums[3] = 0.5;
    let above = || {
        Onnx::new(&[1, 4])
            .constant("w", &[4, 4], sums.clone())
            .constant("t", &[1], vec![0.2503])
            .node("MatMul", &["x", "w"], "s", vec![])
            .node("Greater", &["s", "t"], "y", vec![])
    };
    // Nearer to it than a step of 12 bits, further than one of 16, and nothing that calibration has seen.
    let close = vec![3.0, 0.2500, 0.2507, -1.0];
    let decided = |int: &IntGraph| said(int, std::slice::from_ref(&close)).unwrap();
    let (fine, profile) = chosen(above(), Profile::P16);
    assert_eq!(profile, Profile::P16);
    assert_eq!(decided(&fine), [1.0, 0.0, 1.0, 1.0]);
    let (coarse, profile) = chosen(above(), Profile::P8);
    assert!(profile < Profile::P16, "{profile:?}");
    assert_ne!(decided(&coarse), [1.0, 0.0, 1.0, 1.0]);
    // Nothing is decided: the cheapest that keeps the budget.
    let doubled = Onnx::new(&[1, 4])
        .constant("s", &[1], vec![2.0])
        .node("Mul", &["x", "s"], "y", vec![]);
    let (_, profile) = chosen(doubled, Profile::P16);
    assert!(profile < Profile::P16, "{profile:?}");
}
