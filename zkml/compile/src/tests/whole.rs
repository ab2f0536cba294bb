//! Whole numbers, and yes and no: compared, joined, chosen by, and given as outputs.

use tract_onnx::pb::tensor_proto::DataType;
use zkml::graph::tensor_file::dequantise;
use zkml::graph::{FloatInput, IntGraph, Profile, quantise_input};
use zkml_reference::{ElementType, Model, Tensor, Values};

use super::calibrated;
use super::functions::text;
use super::onnx::{Onnx, int, ints, value_info};
use super::recipes::agrees_with_the_reference;
use super::trees::{floats, of_models, texts};
use crate::calibrate::CalibrationOptions;
use crate::import::import;
use crate::quantise::apply;

const COMPARISONS: [&str; 5] = ["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"];
pub(super) const PROFILES: [Profile; 4] = [Profile::P8, Profile::P12, Profile::P16, Profile::P20];

/// Outputs of these names and types.
pub(super) fn giving(mut onnx: Onnx, outputs: &[(&str, DataType)]) -> Vec<u8> {
    let port = |(name, kind): &(&str, DataType)| {
        let mut port = value_info(name, &[]);
        let value = port.r#type.as_mut().unwrap().value.as_mut().unwrap();
        let tract_onnx::pb::type_proto::Value::TensorType(tensor) = value;
        (tensor.elem_type, tensor.shape) = (*kind as i32, None);
        port
    };
    onnx.graph.output = outputs.iter().map(port).collect();
    onnx.opset(17).bytes()
}

/// The integer graph, calibrated on inputs of ±4, the second against the first.
pub(super) fn integers(bytes: &[u8], profile: Profile) -> IntGraph {
    let graph = import(bytes).unwrap();
    let sample = |size: f64| {
        let inputs = graph.inputs.iter().zip([1.0, -1.0]);
        let of =
            |(id, sign): (&zkml::graph::TensorId, f64)| vec![sign * size; graph.tensors[id.0 as usize].len()];
        inputs.map(of).collect::<Vec<_>>()
    };
    let options = CalibrationOptions {
        profile: Some(profile),
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    let samples: Vec<_> = [3.9, -3.9, 0.0].map(sample).to_vec();
    let (plan, _) = calibrated(&graph, &samples, &options).unwrap();
    apply(&graph, &plan).unwrap()
}

/// What the integers say, and what the file does; every value of the inputs is one that the integers hold.
pub(super) fn answers(bytes: &[u8], int: &IntGraph, inputs: &[Vec<f64>]) -> [Vec<Vec<f64>>; 2] {
    let info = |at: usize| &int.tensors[int.inputs[at].0 as usize];
    let given = inputs.iter().enumerate().map(|(at, values)| {
        let shape = info(at).shape.iter().map(|&d| d as usize).collect();
        let input = FloatInput::new(shape, values.clone()).unwrap();
        quantise_input(info(at), &input).unwrap()
    });
    let values = int.evaluate(&given.collect::<Vec<_>>()).unwrap();
    let got = int.outputs.iter().map(|id| {
        let at = id.0 as usize;
        dequantise(&int.tensors[at], &values[at].values)
    });
    let model = Model::read(bytes).unwrap();
    let tensors = inputs.iter().enumerate().map(|(at, values)| {
        let shape = info(at).shape.iter().map(|&d| d as usize).collect();
        Tensor::new(ElementType::Float32, shape, Values::Float(values.clone())).unwrap()
    });
    let expected = model.evaluate(&tensors.collect::<Vec<_>>()).unwrap();
    [got.collect(), expected.iter().map(Tensor::to_f64).collect()]
}

#[test]
fn a_comparison_decides_as_the_file_does_at_the_threshold_and_beside_it() {
    let onnx = COMPARISONS
        .iter()
        .fold(Onnx::new(&[1, 5]).constant("c", &[], vec![0.5]), |onnx, op| {
            onnx.node(op, &["x", "c"], &format!("a{op}"), vec![]).node(
                op,
                &["c", "x"],
                &format!("b{op}"),
                vec![],
            )
        });
    let names: Vec<String> = COMPARISONS
        .iter()
        .flat_map(|op| [format!("a{op}"), format!("b{op}")])
        .collect();
    let outputs: Vec<_> = names.iter().map(|name| (name.as_str(), DataType::Bool)).collect();
    let bytes = giving(onnx, &outputs);
    agrees_with_the_reference("compared", &bytes);
    for profile in PROFILES {
        let int = integers(&bytes, profile);
        let [got, expected] = answers(&bytes, &int, &[vec![0.5, 0.5625, 0.4375, -3.0, 3.0]]);
        assert_eq!(got, expected, "{profile:?}");
    }
}

#[test]
fn a_whole_number_is_compared_with_what_is_not_whole() {
    let mut onnx = Onnx::new(&[1, 4])
        .constant("zero", &[], vec![0.0])
        .constant("half", &[], vec![0.5])
        .node("Greater", &["x", "zero"], "b", vec![])
        .node("Cast", &["b"], "g", vec![int("to", DataType::Float as i64)]);
    let mut names = Vec::new();
    for op in COMPARISONS {
        for (first, second) in [("g", "half"), ("half", "g")] {
            let name = format!("{first}{op}");
            onnx = onnx.node(op, &[first, second], &name, vec![]);
            names.push(name);
        }
    }
    let outputs: Vec<_> = names.iter().map(|name| (name.as_str(), DataType::Bool)).collect();
    let bytes = giving(onnx, &outputs);
    for profile in PROFILES {
        let int = integers(&bytes, profile);
        let [got, expected] = answers(&bytes, &int, &[vec![1.0, -1.0, 2.0, 0.0]]);
        assert_eq!(got, expected, "{profile:?}");
    }
}

/// One tree of one branch: its leaves vote for these classes, in turn, with these weights.
fn tree(votes: &[i64], weights: &[f32], classes: i64, post: &str) -> Vec<u8> {
    let count = votes.len();
    let attributes = vec![
        ints("nodes_treeids", &[0; 3]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[0; 3]),
        texts("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        floats("nodes_values", &[0.25, 0.0, 0.0]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints("class_treeids", &vec![0; count]),
        ints(
            "class_nodeids",
            &(0..count).map(|at| 1 + at as i64 % 2).collect::<Vec<_>>(),
        ),
        ints("class_ids", votes),
        floats("class_weights", weights),
        ints("classlabels_int64s", &(0..classes).collect::<Vec<_>>()),
        text("post_transform", post),
    ];
    let mut onnx = of_models(Onnx::new(&[1, 2]), "TreeEnsembleClassifier", "label", attributes);
    onnx.graph.node.last_mut().unwrap().output.push("scores".into());
    giving(onnx, &[("label", DataType::Int64), ("scores", DataType::Float)])
}

#[test]
fn a_label_on_which_implementations_differ_is_refused() {
    let all = tree(&[0, 0, 1, 1, 2, 2], &[-1.0; 6], 3, "NONE");
    agrees_with_the_reference("all vote", &all);
    for (votes, weights, classes, post) in [
        (&[0, 0, 1, 2][..], &[-1.0; 4][..], 3, "NONE"),
        (&[0, 0, 1, 1], &[-1.0; 4], 2, "NONE"),
        (&[0, 0], &[0.0, 1.0], 2, "LOGISTIC"),
        (&[0, 0], &[0.4, 0.6], 2, "LOGISTIC"),
    ] {
        let bytes = tree(votes, weights, classes, post);
        let said = import(&bytes).unwrap_err().to_string();
        assert!(said.contains("implementations differ on it"), "{said}");
        // Its scores are what they are.
        agrees_with_the_reference("scores", &without_label(&bytes));
    }
}

/// ONNX Runtime and ONNX's own evaluator give these, of leaves that one class has to itself too.
#[test]
fn votes_for_one_class_that_are_not_below_0_are_its_probability() {
    for (weights, expected) in [
        ([0.0, 1.0], [(0.0, [1.0, 0.0]), (1.0, [0.0, 1.0])]),
        ([0.5, 0.75], [(0.0, [0.5, 0.5]), (1.0, [0.25, 0.75])]),
        ([0.0, 0.0], [(0.0, [1.0, 0.0]), (0.0, [1.0, 0.0])]),
    ] {
        let bytes = tree(&[0, 0], &weights, 2, "NONE");
        let int = integers(&bytes, Profile::P16);
        for (row, (label, scores)) in [[-1.0, 0.0], [1.0, 0.0]].iter().zip(expected) {
            for answer in answers(&bytes, &int, &[row.to_vec()]) {
                assert_eq!(answer[0], [label]);
                let near = |(got, want): (&f64, &f64)| (got - want).abs() < 1e-3;
                assert!(answer[1].iter().zip(&scores).all(near), "{answer:?}");
            }
        }
    }
}

#[test]
fn two_computed_tensors_are_compared_and_their_answers_joined() {
    let onnx = Onnx::new(&[2, 3])
        .input("u", &[3])
        .node("Greater", &["x", "u"], "more", vec![])
        .node("Equal", &["x", "u"], "same", vec![])
        .node("Not", &["same"], "other", vec![])
        .node("And", &["more", "other"], "and", vec![])
        .node("Or", &["more", "same"], "or", vec![])
        .node("Xor", &["or", "other"], "xor", vec![])
        .node("Equal", &["and", "more"], "y", vec![])
        .node("Where", &["more", "x", "u"], "z", vec![]);
    let outputs = ["more", "same", "other", "and", "or", "xor", "y"].map(|name| (name, DataType::Bool));
    let bytes = giving(onnx, &[&outputs[..], &[("z", DataType::Float)]].concat());
    agrees_with_the_reference("joined", &bytes);
    for profile in PROFILES {
        let int = integers(&bytes, profile);
        let inputs = [vec![1.0, 2.0, -3.0, 0.5, -0.5, 3.5], vec![1.0, -2.0, -3.0]];
        let [got, expected] = answers(&bytes, &int, &inputs);
        assert_eq!(got[..7], expected[..7], "{profile:?}");
        let far = got[7].iter().zip(&expected[7]).map(|(a, b)| (a - b).abs());
        assert!(
            far.fold(0.0, f64::max) < 0.2,
            "{profile:?}: {:?} {:?}",
            got[7],
            expected[7]
        );
    }
}

#[test]
fn a_condition_chooses_between_constants_and_one_computed_tensor() {
    let chosen = |with: [&str; 2]| {
        let onnx = Onnx::new(&[2, 2])
            .constant("c", &[], vec![0.25])
            .constant("few", &[2], vec![-1.0, 3.0])
            .constant("many", &[2, 2], vec![0.5, 1.5, 2.5, 3.5])
            .node("Less", &["x", "c"], "b", vec![])
            .node("Where", &["b", with[0], with[1]], "y", vec![]);
        giving(onnx, &[("y", DataType::Float)])
    };
    let bytes = giving(
        Onnx::new(&[1, 3])
            .integers("five", &[123_457, -2, 3])
            .integers("none", &[7])
            .constant("c", &[], vec![0.25])
            .node("Less", &["x", "c"], "b", vec![])
            .node("Where", &["b", "five", "none"], "y", vec![]),
        &[("y", DataType::Int64)],
    );
    for profile in PROFILES {
        let [got, expected] = answers(&bytes, &integers(&bytes, profile), &[vec![0.0, 1.0, -1.0]]);
        assert_eq!(got, expected, "{profile:?}");
    }
    for with in [["few", "many"], ["x", "few"], ["many", "x"]] {
        agrees_with_the_reference(&format!("{with:?}"), &chosen(with));
    }
}

#[test]
fn the_place_of_the_greatest_is_the_first_or_the_last_of_equal_ones() {
    let mut outputs = Vec::new();
    let mut onnx = Onnx::new(&[2, 4, 2]);
    for op in ["ArgMax", "ArgMin"] {
        for (at, (axis, keep, last)) in [(1, 1, 0), (1, 0, 1), (-1, 0, 0), (0, 1, 1)]
            .into_iter()
            .enumerate()
        {
            let name = format!("{op}{at}");
            let attributes = vec![
                int("axis", axis),
                int("keepdims", keep),
                int("select_last_index", last),
            ];
            onnx = onnx.node(op, &["x"], &name, attributes);
            outputs.push(name);
        }
    }
    let outputs: Vec<_> = outputs
        .iter()
        .map(|name| (name.as_str(), DataType::Int64))
        .collect();
    let bytes = giving(onnx, &outputs);
    agrees_with_the_reference("places", &bytes);
    let ties = vec![
        1.0, -2.0, 1.0, -2.0, 0.5, -2.0, 1.0, -2.0, 3.0, 0.25, -3.0, 0.5, -3.0, 0.5, 3.0, 0.25,
    ];
    for profile in PROFILES {
        let int = integers(&bytes, profile);
        for values in [ties.clone(), vec![0.0; 16], vec![-3.9; 16]] {
            let [got, expected] = answers(&bytes, &int, &[values]);
            assert_eq!(got, expected, "{profile:?}");
        }
    }
}

#[test]
fn places_of_long_rows_are_whole_in_every_profile() {
    let bytes = giving(
        Onnx::new(&[1, 3000]).node("ArgMax", &["x"], "y", vec![int("axis", 1)]),
        &[("y", DataType::Int64)],
    );
    for profile in PROFILES {
        let int = integers(&bytes, profile);
        for place in [0usize, 1, 1500, 2999] {
            let mut row = vec![0.0; 3000];
            row[place] = 3.0;
            let [got, expected] = answers(&bytes, &int, &[row]);
            assert_eq!((&got, got[0][0]), (&expected, place as f64), "{profile:?}");
        }
    }
}

#[test]
fn whole_numbers_are_moved_and_cast_and_nothing_else_is_done_with_them() {
    let place = || Onnx::new(&[2, 3]).node("ArgMax", &["x"], "at", vec![int("axis", 1)]);
    let moved = place()
        .node("Transpose", &["at"], "turned", vec![ints("perm", &[1, 0])])
        .node("Cast", &["turned"], "n", vec![int("to", DataType::Int32 as i64)])
        .node("Cast", &["n"], "f", vec![int("to", DataType::Float as i64)])
        .node("Mul", &["f", "f"], "y", vec![]);
    let bytes = giving(moved, &[("n", DataType::Int32), ("y", DataType::Float)]);
    agrees_with_the_reference("moved", &bytes);
    assert_eq!(import(&bytes).unwrap().exact, [true, false]);
    for op in ["Max", "Min"] {
        let onnx = place().node(op, &["at", "at"], "y", vec![]);
        let said = import(&giving(onnx, &[("y", DataType::Int64)]))
            .unwrap_err()
            .to_string();
        assert!(said.contains(&format!("`y_{op}` ({op})")), "{said}");
        assert!(
            said.contains("its input `at` is computed and of type int64"),
            "{said}"
        );
    }
    let back = place()
        .node("Cast", &["at"], "f", vec![int("to", DataType::Float as i64)])
        .node("Reshape", &["f", "one"], "g", vec![])
        .integers("one", &[2])
        .node("Cast", &["g"], "y", vec![int("to", DataType::Int64 as i64)]);
    let bytes = giving(back, &[("y", DataType::Int64)]);
    agrees_with_the_reference("back", &bytes);
    let narrow = place().node("Cast", &["at"], "y", vec![int("to", DataType::Int8 as i64)]);
    let said = import(&giving(narrow, &[("y", DataType::Int8)]))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("a cast of computed numbers of type int64"),
        "{said}"
    );
}

#[test]
fn calibration_takes_the_profile_that_says_the_same() {
    // Scores that differ by less than a step of the narrowest profile.
    let onnx = Onnx::new(&[1, 2])
        .constant("w", &[2, 2], vec![1.0, 1.01, 1.0, 1.0])
        .node("MatMul", &["x", "w"], "h", vec![])
        .node("ArgMax", &["h"], "y", vec![int("axis", 1)]);
    let bytes = giving(onnx, &[("y", DataType::Int64)]);
    let graph = import(&bytes).unwrap();
    let options = CalibrationOptions {
        profile: None,
        deciding: Profile::P12,
        error_budget: 0.01,
        output_scale: None,
        compare_top1: false,
    };
    let samples: Vec<Vec<Vec<f64>>> = (0..32).map(|i| vec![vec![f64::from(i) - 15.5, 2.0]]).collect();
    let (plan, accuracy) = calibrated(&graph, &samples, &options).unwrap();
    assert_ne!(plan.profile, Profile::P8);
    assert!(accuracy.top1_agreement >= 1.0 && accuracy.max_error == 0.0);
}

/// A linear classifier's node: its label and its scores.
fn classifier(coefficients: &[f32], intercepts: &[f32], names: &[i64], post: &str) -> Vec<u8> {
    let attributes = vec![
        floats("coefficients", coefficients),
        floats("intercepts", intercepts),
        ints("classlabels_ints", names),
        text("post_transform", post),
    ];
    let mut onnx = of_models(Onnx::new(&[2, 2]), "LinearClassifier", "label", attributes);
    onnx.graph.node.last_mut().unwrap().output.push("scores".into());
    giving(onnx, &[("label", DataType::Int64), ("scores", DataType::Float)])
}

#[test]
fn a_classifier_gives_its_label_beside_its_scores() {
    let three = [1.0, 0.5, -1.0, 0.25, 0.5, -1.0];
    let models = [
        classifier(&three, &[0.0, 0.5, 0.0], &[5, -700, 11], "NONE"),
        classifier(&three, &[0.0, 0.5, 0.0], &[0, 1, 2], "SOFTMAX"),
        classifier(&[1.0, -0.5], &[0.25], &[-3, 9], "LOGISTIC"),
        classifier(&[1.0, -0.5], &[0.25], &[0, 1], "NONE"),
    ];
    for (at, bytes) in models.iter().enumerate() {
        agrees_with_the_reference(&format!("classifier {at}"), bytes);
        let int = integers(bytes, Profile::P12);
        for row in [
            [1.0, 2.0, -1.0, 3.0],
            [3.0, -3.0, -2.0, -2.0],
            [-0.5, 0.5, 0.25, 1.5],
        ] {
            let [got, expected] = answers(bytes, &int, &[row.to_vec()]);
            assert_eq!(got[0], expected[0], "classifier {at}: {row:?}");
        }
    }
    // Nothing is made of a label that nobody reads.
    let (with, without) = (
        import(&models[0]).unwrap(),
        import(&without_label(&models[0])).unwrap(),
    );
    assert!(with.nodes.len() > without.nodes.len() + 3);
    assert_eq!((with.exact, without.exact), (vec![true, false], vec![false]));
}

#[test]
fn a_list_is_read_at_a_computed_place() {
    for (list, kind) in [
        (vec![-3.0, 700.0, 11.0], DataType::Int64),
        (vec![0.25, -1.5, 3.0], DataType::Float),
    ] {
        let onnx = Onnx::new(&[1, 3]);
        let onnx = match kind {
            DataType::Int64 => onnx.integers("list", &list.iter().map(|v| *v as i64).collect::<Vec<_>>()),
            _ => onnx.constant("list", &[3], list.iter().map(|v| *v as f32).collect()),
        };
        let mut onnx = onnx.node("ArgMax", &["x"], "at", vec![int("axis", 1)]).node(
            "ArrayFeatureExtractor",
            &["list", "at"],
            "y",
            vec![],
        );
        onnx.graph.node.last_mut().unwrap().domain = "ai.onnx.ml".into();
        let bytes = giving(onnx, &[("y", kind)]);
        agrees_with_the_reference("list", &bytes);
        let int = integers(&bytes, Profile::P12);
        for (place, entry) in list.iter().enumerate() {
            let mut row = vec![-1.0; 3];
            row[place] = 2.0;
            let [got, expected] = answers(&bytes, &int, &[row]);
            assert!(
                (got[0][0] - entry).abs() < 0.01 && (expected[0][0] - entry).abs() < 1e-6,
                "{got:?}"
            );
        }
    }
}

/// The same model, whose label is no output.
fn without_label(bytes: &[u8]) -> Vec<u8> {
    use prost::Message as _;
    let mut proto = tract_onnx::pb::ModelProto::decode(bytes).unwrap();
    proto.graph.as_mut().unwrap().output.remove(0);
    proto.encode_to_vec()
}
