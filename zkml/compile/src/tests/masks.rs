//! Masks that are added to scores, several of them, and masks that are moved: of inputs, and of what is computed.

use tract_onnx::pb::tensor_proto::DataType;
use zkml::graph::Profile;

use super::given::{agrees, said};
use super::onnx::{Onnx, given_ports, int, ints};
use super::recipes::{agrees_with_the_reference, by_the_file};
use super::whole::giving;
use crate::import::import;

const FARS: [f32; 4] = [-10_000.0, -65_504.0, -1e9, f32::MIN];
const SCORES: [f64; 12] = [1.0, -2.0, 3.0, 0.5, 3.9, -3.9, -3.0, -3.5, 1.0, 2.0, 3.0, -1.0];

/// `(1 − m) · far` behind the scores, as transformers have it, for each of them; `m` is an input.
fn added(far: f32, kind: DataType, causal: bool) -> Vec<u8> {
    let above = |t: usize| if t % 4 > t / 4 { far } else { 0.0 };
    let onnx = Onnx::new(&[3, 4])
        .constant("half", &[], vec![0.5])
        .constant("one", &[], vec![1.0])
        .constant("far", &[], vec![far])
        .constant("causal", &[3, 4], (0..12).map(above).collect())
        .integers("axes", &[0])
        .node("Mul", &["x", "half"], "h", vec![])
        .node("Unsqueeze", &["m", "axes"], "u", vec![])
        .node("Cast", &["u"], "f", vec![int("to", DataType::Float as i64)])
        .node("Sub", &["one", "f"], "o", vec![])
        .node("Mul", &["o", "far"], "mask", vec![]);
    let onnx = if causal {
        onnx.node("Add", &["h", "causal"], "scores", vec![])
    } else {
        onnx.node("Identity", &["h"], "scores", vec![])
    };
    let onnx = onnx
        .node("Add", &["scores", "mask"], "s", vec![])
        .node("Softmax", &["s"], "y", vec![int("axis", -1)])
        .opset(17);
    given_ports(
        onnx,
        &[("x", DataType::Float as i32, &[3, 4]), ("m", kind as i32, &[4])],
    )
}

fn samples() -> Vec<Vec<Vec<f64>>> {
    let scores = |by: f64| SCORES.iter().map(|v| v * by).collect::<Vec<f64>>();
    vec![
        vec![scores(1.0), vec![1.0, 0.0, 1.0, 1.0]],
        vec![scores(-1.0), vec![1.0, 1.0, 0.0, 1.0]],
    ]
}

/// All sixteen masks, that of nothing among them: so does a row that is masked as a whole.
#[test]
fn a_mask_of_an_input_takes_out_what_it_says_and_costs_no_accuracy() {
    for far in FARS {
        for kind in [DataType::Int64, DataType::Int32, DataType::Bool, DataType::Float] {
            for causal in [false, true] {
                let bytes = added(far, kind, causal);
                agrees_with_the_reference("added", &bytes);
                let (_, int) = by_the_file(&bytes, &samples(), Profile::P16);
                for bits in 0..16u32 {
                    let mask: Vec<f64> = (0..4).map(|at| f64::from(bits >> at & 1)).collect();
                    let inputs = [SCORES.to_vec(), mask.clone()];
                    agrees(&bytes, &int, &inputs, 2e-3);
                    let y = said(&int, &inputs).unwrap();
                    let out = |t: usize| mask[t % 4] == 0.0 || (causal && t % 4 > t / 4);
                    let kept_row = |t: usize| (t / 4 * 4..t / 4 * 4 + 4).any(|t| !out(t));
                    let masked = (0..12).filter(|&t| out(t) && kept_row(t));
                    assert!(masked.map(|t| y[t]).all(|y| y == 0.0), "{far} {bits}: {y:?}");
                }
            }
        }
    }
}

#[test]
fn a_mask_of_an_input_takes_nothing_but_one_and_zero() {
    for kind in [DataType::Int64, DataType::Float] {
        let bytes = added(-1e4, kind, false);
        let graph = import(&bytes).unwrap();
        let mask = &graph.tensors[graph.inputs[1].0 as usize];
        let bound = mask.bound.unwrap();
        assert_eq!((bound.least(), bound.most(), mask.whole), (0, 1, true));
        let (_, int) = by_the_file(&bytes, &samples(), Profile::P12);
        for wrong in [2.0, -1.0] {
            let refused = said(&int, &[SCORES.to_vec(), vec![1.0, wrong, 1.0, 1.0]]).unwrap_err();
            assert!(refused.contains("calibrated"), "{refused}");
        }
        assert!(said(&int, &[SCORES.to_vec(), vec![1.0, 0.5, 1.0, 1.0]]).is_err());
    }
}

/// Floats of an input that are added to scores and mask nothing are floats.
#[test]
fn an_input_that_is_no_mask_takes_any_floats() {
    let onnx = Onnx::new(&[3, 4])
        .input("m", &[4])
        .constant("half", &[], vec![0.5])
        .node("Mul", &["m", "half"], "h", vec![])
        .node("Add", &["x", "h"], "s", vec![])
        .node("Softmax", &["s"], "y", vec![int("axis", -1)]);
    let bytes = onnx.opset(17).bytes();
    agrees_with_the_reference("no mask", &bytes);
    let graph = import(&bytes).unwrap();
    assert!(!graph.tensors[graph.inputs[1].0 as usize].whole);
}

/// Scores with a causal mask and one of an input, and the greater of the sum and the least float, as OPT has it.
fn lifted(causal: bool, of_input: bool) -> Vec<u8> {
    let far = f32::MIN;
    let above = |t: usize| if t % 4 > t / 4 { far } else { 0.0 };
    let onnx = Onnx::new(&[3, 4])
        .constant("one", &[], vec![1.0])
        .constant("far", &[], vec![far])
        .constant("causal", &[3, 4], (0..12).map(above).collect());
    let first = if causal { "c" } else { "x" };
    let onnx = onnx.node("Add", &["x", "causal"], "c", vec![]);
    let onnx = if of_input {
        onnx.node("Cast", &["m"], "f", vec![int("to", DataType::Float as i64)])
            .node("Sub", &["one", "f"], "o", vec![])
            .node("Mul", &["o", "far"], "mask", vec![])
            .node("Add", &[first, "mask"], "s", vec![])
    } else {
        onnx.node("Identity", &[first], "s", vec![])
    };
    let onnx = onnx
        .node("Max", &["s", "far"], "l", vec![])
        .node("Softmax", &["l"], "y", vec![int("axis", -1)])
        .opset(17);
    let ports: &[(&str, i32, &[i64])] = &[
        ("x", DataType::Float as i32, &[3, 4]),
        ("m", DataType::Int64 as i32, &[4]),
    ];
    given_ports(onnx, if of_input { ports } else { &ports[..1] })
}

#[test]
fn what_masks_take_out_once_or_twice_is_alike_where_the_sum_is_lifted_to_the_least() {
    for causal in [false, true] {
        let bytes = lifted(causal, true);
        agrees_with_the_reference("lifted", &bytes);
        let (_, int) = by_the_file(&bytes, &samples(), Profile::P16);
        for bits in 0..16u32 {
            let mask = (0..4).map(|at| f64::from(bits >> at & 1)).collect();
            agrees(&bytes, &int, &[SCORES.to_vec(), mask], 2e-3);
        }
    }
}

#[test]
fn a_constant_mask_is_found_behind_the_greater_of_it_and_the_least() {
    let bytes = lifted(true, false);
    agrees_with_the_reference("constant", &bytes);
    let samples: Vec<Vec<Vec<f64>>> = samples().into_iter().map(|s| s[..1].to_vec()).collect();
    let (_, int) = by_the_file(&bytes, &samples, Profile::P16);
    agrees(&bytes, &int, &[SCORES.to_vec()], 2e-3);
}

/// Scores `x` where `u` is above 0 and `v` is: by two choices, by one of two conditions, by one that is added.
fn of_conditions(form: &str, far: f32) -> Vec<u8> {
    let onnx = Onnx::new(&[3, 4])
        .input("u", &[3, 4])
        .input("v", &[3, 4])
        .constant("zero", &[], vec![0.0])
        .constant("far", &[], vec![far])
        .constant("two", &[], vec![2.0])
        .node("Greater", &["u", "zero"], "c", vec![])
        .node("Greater", &["v", "zero"], "d", vec![]);
    let onnx = match form {
        "twice" => onnx.node("Where", &["c", "x", "far"], "first", vec![]).node(
            "Where",
            &["d", "first", "far"],
            "s",
            vec![],
        ),
        "both" => onnx
            .node("And", &["c", "d"], "e", vec![])
            .node("Where", &["e", "zero", "far"], "mask", vec![])
            .node("Add", &["x", "mask"], "s", vec![]),
        "of a mask" => onnx
            .node("Where", &["c", "zero", "far"], "first", vec![])
            .node("Where", &["d", "first", "far"], "mask", vec![])
            .node("Add", &["x", "mask"], "s", vec![]),
        "moved" => onnx
            .node("Where", &["c", "x", "far"], "first", vec![])
            .node("Transpose", &["first"], "turned", vec![ints("perm", &[1, 0])])
            .node("Mul", &["turned", "two"], "s", vec![]),
        _ => panic!("{form}"),
    };
    let onnx = onnx.node("Softmax", &["s"], "y", vec![int("axis", -1)]);
    giving(onnx, &[("y", DataType::Float)])
}

#[test]
fn masks_of_conditions_are_found_through_choices_sums_and_moves() {
    // Nothing is masked in the first row, some in the second, all in the third.
    let u = vec![1.0, 1.0, 2.0, 3.0, -1.0, 2.0, 1.0, 3.0, -1.0, -2.0, -1.0, -3.0];
    let v = vec![1.0, 2.0, 1.0, 1.0, 1.0, -2.0, 1.0, 1.0, 2.0, -2.0, 1.0, -1.0];
    for form in ["twice", "both", "of a mask", "moved"] {
        for far in FARS {
            let bytes = of_conditions(form, far);
            agrees_with_the_reference(form, &bytes);
            let inputs = [SCORES.to_vec(), u.clone(), v.clone()];
            let other = inputs.clone().map(|x| x.iter().map(|v| -v).collect());
            let samples = [inputs.to_vec(), other.to_vec()];
            let (_, int) = by_the_file(&bytes, &samples, Profile::P16);
            for inputs in [&inputs, &other] {
                agrees(&bytes, &int, inputs, 4e-3);
            }
        }
    }
}

/// Of a row that two unlike masks take out, the places that the lesser one takes out are left.
#[test]
fn a_mask_far_beyond_another_counts_for_more() {
    let onnx = Onnx::new(&[3, 4])
        .input("u", &[3, 4])
        .constant("zero", &[], vec![0.0])
        .constant("far", &[], vec![-1e4])
        .constant("farther", &[4], vec![0.0, -1e6, 0.0, -1e6])
        .node("Greater", &["u", "zero"], "c", vec![])
        .node("Where", &["c", "zero", "far"], "mask", vec![])
        .node("Add", &["x", "mask"], "s", vec![])
        .node("Add", &["s", "farther"], "t", vec![])
        .node("Softmax", &["t"], "y", vec![int("axis", -1)]);
    let bytes = giving(onnx, &[("y", DataType::Float)]);
    agrees_with_the_reference("unlike", &bytes);
    let u = vec![1.0, -1.0, 2.0, 3.0, -1.0, 2.0, -1.0, 3.0, -1.0, -2.0, -1.0, -3.0];
    let inputs = [SCORES.to_vec(), u];
    let other = inputs.clone().map(|x| x.iter().map(|v| -v).collect());
    let (_, int) = by_the_file(&bytes, &[inputs.to_vec(), other.to_vec()], Profile::P16);
    for inputs in [&inputs, &other] {
        agrees(&bytes, &int, inputs, 2e-3);
    }
}

/// Attention with a mask of yes and no of an input, in which the first key always counts, and without that.
fn attending(first: bool, causal: i64) -> Vec<u8> {
    let mut onnx = Onnx::new(&[1, 2, 3, 4]).opset(23);
    onnx.graph.initializer.push(tract_onnx::pb::TensorProto {
        name: "first".into(),
        dims: vec![3],
        data_type: DataType::Bool as i32,
        int32_data: vec![i32::from(first), 0, 0],
        ..Default::default()
    });
    let onnx = onnx
        .node("Or", &["m", "first"], "keep", vec![])
        .node("Neg", &["x"], "k", vec![])
        .node(
            "Attention",
            &["x", "k", "x", "keep"],
            "y",
            vec![int("is_causal", causal)],
        );
    given_ports(
        onnx,
        &[
            ("x", DataType::Float as i32, &[1, 2, 3, 4]),
            ("m", DataType::Bool as i32, &[3, 3]),
        ],
    )
}

#[test]
fn attention_takes_a_mask_of_yes_and_no_that_the_inputs_decide() {
    let x: Vec<f64> = (0..24).map(|t| f64::from(t * 7 % 11) / 5.0 - 1.0).collect();
    let masks = [
        [1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0],
        [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0],
    ];
    for causal in [0, 1] {
        let bytes = attending(true, causal);
        agrees_with_the_reference("attention", &bytes);
        let samples: Vec<Vec<Vec<f64>>> = masks.iter().map(|m| vec![x.clone(), m.to_vec()]).collect();
        let (_, int) = by_the_file(&bytes, &samples, Profile::P16);
        for sample in &samples {
            agrees(&bytes, &int, sample, 4e-3);
        }
    }
    let bytes = attending(false, 0);
    let kept = vec![x.clone(), vec![1.0; 9]];
    let (_, int) = by_the_file(
        &bytes,
        &[kept.clone(), vec![x.clone(), masks[0].to_vec()]],
        Profile::P16,
    );
    agrees(&bytes, &int, &kept, 4e-3);
    let nothing = [[0.0; 3], [1.0; 3], [1.0; 3]].concat();
    assert!(
        said(&int, &[x, nothing]).is_err(),
        "a row in which no place counts has no values"
    );
}
