//! Files that lie: errors that name what is wrong, in little time and memory, and never a panic.

#![allow(clippy::expect_used)] // a test may

use std::{fs, path::Path};

use proptest::prelude::*;
use prost::Message;
use zkml_reference::{Dimension, ElementType, EvaluateError, Model, Tensor, Values};

mod branches;
mod file;
mod loops;

use self::file::{Node, file, int, ints, list, node};

fn refusal(bytes: &[u8]) -> String {
    Model::read(bytes).expect_err("it is refused").to_string()
}

#[test]
fn refuses_what_a_file_alone_shows_to_be_wrong_by_name() {
    let relu = || node("Relu", &["x"], &["y"]);
    let external = file::Tensor {
        location: 1,
        ..list("w", &[1], &[])
    };
    let cases = [
        (
            file(vec![node("Relu", &["z"], &["y"])], vec![]),
            "reads `z`, which nothing before it makes",
        ),
        (
            file(
                vec![node("Add", &["x", "y"], &["z"]), node("Relu", &["z"], &["y"])],
                vec![],
            ),
            "reads `y`",
        ),
        (file(vec![relu(), relu()], vec![]), "the value `y` is made twice"),
        (
            file(vec![node("Relu", &["x"], &["x"]), relu()], vec![]),
            "the value `x` is made twice",
        ),
        (
            file(vec![node("Relu", &["x"], &["z"])], vec![]),
            "nothing makes the output `y`",
        ),
        (
            file(vec![node("Nonsense", &["x"], &["y"])], vec![]),
            "node `y` (Nonsense): the operator is not supported",
        ),
        (
            file(vec![node("Relu", &["x", "x"], &["y"])], vec![]),
            "node `y` (Relu): 2 inputs",
        ),
        (
            file(vec![relu()], vec![list("w", &[1], &[1]), list("w", &[1], &[1])]),
            "the value `w` is made twice",
        ),
        (file(vec![relu()], vec![list("", &[1], &[1])]), "has no name"),
        (
            file(vec![relu()], vec![list("w", &[-1], &[])]),
            "constant `w`: its shape [-1] has a negative size",
        ),
        (
            file(vec![relu()], vec![list("w", &[i64::MAX, 2], &[])]),
            "constant `w`",
        ),
        (
            file(vec![relu()], vec![list("w", &[1 << 40, 0], &[])]),
            "constant `w`",
        ),
        (
            file(vec![relu()], vec![list("w", &[1; 100], &[1])]),
            "constant `w`: 100 dimensions",
        ),
        (
            file(vec![relu()], vec![list("w", &[3], &[1, 2])]),
            "constant `w`: 2 values",
        ),
        (
            file(vec![relu()], vec![external]),
            "constant `w`: its data is in another file",
        ),
        (
            file(
                vec![relu()],
                vec![file::Tensor {
                    element: 8,
                    ..list("w", &[1], &[])
                }],
            ),
            "constant `w`: its type is string",
        ),
        (file::Model::default().encode_to_vec(), "there is no graph"),
    ];
    for (bytes, wanted) in cases {
        let got = refusal(&bytes);
        assert!(got.contains(wanted), "{got}\n  has not: {wanted}");
    }
    let mut twice = relu();
    twice.attribute = vec![int("axis", 0)];
    assert!(refusal(&file(vec![twice], vec![])).contains("no attribute `axis`"));
    let mut softmax = node("Softmax", &["x"], &["y"]);
    softmax.attribute = vec![int("axis", 0), int("axis", 1)];
    assert!(refusal(&file(vec![softmax.clone()], vec![])).contains("`axis` is stated twice"));
    softmax.attribute = vec![ints("axis", &[0])];
    assert!(refusal(&file(vec![softmax], vec![])).contains("`axis` is not an integer"));
}

#[test]
fn names_every_node_that_is_not_evaluated() {
    let nodes = vec![
        node("Loop", &["x"], &["a"]),
        node("Relu", &["a"], &["b"]),
        node("Nonsense", &["b"], &["y"]),
    ];
    let got = refusal(&file(nodes, vec![]));
    assert!(
        got.contains("node `a` (Loop)") && got.contains("node `y` (Nonsense)"),
        "{got}"
    );
}

/// Names are shown as they are: one that clears the screen or turns the direction of writing says what its file's author likes.
#[test]
fn refuses_names_and_texts_that_write_to_a_terminal_more_than_a_name() {
    let named = |name: &str| {
        file(
            vec![node("Relu", &["x"], &[name]), node("Relu", &[name], &["y"])],
            vec![],
        )
    };
    let operator = file(vec![node("Re\u{1b}[2Jlu", &["x"], &["y"])], vec![]);
    let constant = file(vec![node("Relu", &["x"], &["y"])], vec![list("w\r", &[1], &[1])]);
    let attribute = file(
        vec![Node {
            attribute: vec![int("ax\u{7}is", 1)],
            ..node("Softmax", &["x"], &["y"])
        }],
        vec![],
    );
    let text = file(
        vec![Node {
            attribute: vec![file::text("mode", "edge\nholds: all")],
            ..node("Pad", &["x", "p"], &["y"])
        }],
        vec![list("p", &[2], &[0, 0])],
    );
    let rest = [
        named("a\nb"),
        named("\u{202e}oof"),
        named("a\u{2028}b"),
        operator,
        constant,
        attribute,
        text,
    ];
    for bytes in rest {
        let said = refusal(&bytes);
        assert!(said.contains("controls a terminal"), "{said}");
        assert!(
            !said.contains(char::is_control) && !said.contains(['\u{202e}', '\u{2028}']),
            "{said:?}"
        );
    }
    let said = refusal(&named("a\u{1b}[31m"));
    assert!(said.contains(r#""a\u{1b}[31m""#), "{said}");
    // Every other script and sign is a name.
    for name in ["층/Gemm;β", "a b`'\"", "☃👍🏽"] {
        assert!(Model::read(&named(name)).is_ok(), "{name}");
    }
}

#[test]
fn refuses_more_records_than_a_model_has() {
    // Nodes of two bytes each.
    let nodes = vec![file::Node::default(); (1 << 21) + 1];
    assert!(refusal(&file(nodes, vec![])).contains("records"));
}

#[test]
fn what_would_make_too_much_is_an_error_at_its_node() {
    let x = Tensor::float(vec![1, 4], vec![1.0, -2.0, f64::NAN, f64::INFINITY]).expect("a tensor");
    let with = |op: &str, constant: &[i64], attribute: Vec<file::Attribute>| {
        let mut made = node(op, &["x", "c"], &["y"]);
        made.attribute = attribute;
        file(vec![made], vec![list("c", &[constant.len() as i64], constant)])
    };
    let cases = [
        with("Expand", &[1 << 30, 4], vec![]),
        with("Expand", &[i64::MAX, 4], vec![]),
        with("Tile", &[1 << 20, 1 << 20], vec![]),
        with("Tile", &[-1, 1], vec![]),
        with("Reshape", &[-1, 0, 7], vec![]),
        with("Reshape", &[i64::MIN], vec![]),
        with("Pad", &[i64::MAX, i64::MAX, i64::MAX, i64::MAX], vec![]),
        with("Pad", &[0, -9, 0, 0], vec![]),
        with("TopK", &[i64::MAX], vec![]),
        with("TopK", &[-1], vec![]),
        with("Gather", &[4], vec![int("axis", 1)]),
        with("Gather", &[0], vec![int("axis", i64::MIN)]),
        with("Split", &[i64::MAX, i64::MAX], vec![]),
        with("Unsqueeze", &[0, 0], vec![]),
        with("Squeeze", &[1], vec![]),
        with("Squeeze", &[i64::MIN], vec![]),
        with("ReduceSum", &[5], vec![]),
        with("CumSum", &[7], vec![]),
    ];
    for bytes in cases {
        let model = Model::read(&bytes).expect("it is read");
        let got = model
            .evaluate(std::slice::from_ref(&x))
            .expect_err("it is an error");
        assert!(
            matches!(&got, EvaluateError::Node { node, .. } if node == "y"),
            "{got}"
        );
    }
}

#[test]
fn a_chain_that_doubles_ends_in_an_error() {
    let mut nodes = vec![node("Concat", &["x", "x"], &["v0"])];
    for i in 0..60 {
        let (from, to) = (
            format!("v{i}"),
            if i == 59 {
                "y".to_owned()
            } else {
                format!("v{}", i + 1)
            },
        );
        nodes.push(node("Concat", &[&from, &from], &[&to]));
    }
    nodes.iter_mut().for_each(|n| n.attribute = vec![int("axis", 0)]);
    let model = Model::read(&file(nodes, vec![])).expect("it is read");
    let x = Tensor::float(vec![1 << 12], vec![0.0; 1 << 12]).expect("a tensor");
    let got = model.evaluate(&[x]).expect_err("it is an error").to_string();
    assert!(got.contains("values"), "{got}");
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let model = Model::read(&file(vec![node("Relu", &["x"], &["y"])], vec![])).expect("it is read");
    assert!(matches!(
        model.evaluate(&[]),
        Err(EvaluateError::Inputs { wanted: 1, got: 0 })
    ));
    let integers = Tensor::new(ElementType::Int64, vec![1], Values::Int(vec![1])).expect("a tensor");
    let got = model
        .evaluate(&[integers])
        .expect_err("it is an error")
        .to_string();
    assert!(got.contains("input `x`"), "{got}");
}

/// Operator, inputs, attributes by name, kind and numbers, and how many outputs.
type ArbitraryNode = (String, Vec<usize>, Vec<(String, u8, Vec<i64>)>, u8);

/// Operators with attributes and inputs that are none of theirs.
fn arbitrary_node() -> impl Strategy<Value = ArbitraryNode> {
    let names = zkml_reference::operators();
    let attribute = prop::sample::select(vec![
        "axis",
        "axes",
        "kernel_shape",
        "pads",
        "strides",
        "dilations",
        "group",
        "perm",
        "keepdims",
        "auto_pad",
        "size",
        "blocksize",
        "num_groups",
        "ceil_mode",
        "to",
        "batch_dims",
        "block_size",
        "output_shape",
        "output_padding",
        "count_include_pad",
        "num_outputs",
        "value_ints",
        "p",
        "k",
        "start",
        "end",
        "hidden_size",
        "layout",
        "exclusive",
    ]);
    let value = prop_oneof![
        Just(0i64),
        Just(1),
        Just(2),
        Just(-1),
        Just(i64::MAX),
        Just(i64::MIN),
        -9i64..99
    ];
    let values = prop::collection::vec(value, 0..5);
    (
        prop::sample::select(names).prop_map(str::to_owned),
        prop::collection::vec(0usize..8, 0..9),
        prop::collection::vec(
            (
                attribute.prop_map(str::to_owned),
                prop::sample::select(vec![2u8, 7]),
                values,
            ),
            0..4,
        ),
        1u8..4,
    )
}

fn examples() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models");
    let names = ["digits.onnx", "digits-residual.onnx", "wine.onnx"];
    names
        .iter()
        .map(|n| fs::read(folder.join(n)).expect("an example model"))
        .collect()
}

/// Evaluates whatever was read, on small inputs.
fn evaluate(bytes: &[u8]) {
    let Ok(model) = Model::read(bytes) else { return };
    let inputs = model.inputs().iter().map(|port| {
        let dims = port.shape.as_deref().unwrap_or_default().iter();
        let size = |d: &Dimension| {
            if let Dimension::Fixed(n) = d {
                *n.min(&16)
            } else {
                2
            }
        };
        let shape: Vec<usize> = dims.map(size).take(6).collect();
        let len = shape.iter().product();
        let values = if port.element.is_float() {
            Values::Float(vec![0.5; len])
        } else if port.element == ElementType::Bool {
            Values::Bool(vec![true; len])
        } else {
            Values::Int(vec![3; len])
        };
        Tensor::new(port.element, shape, values).expect("a tensor")
    });
    let _ = model.evaluate(&inputs.collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn random_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        evaluate(&bytes);
        let _ = Tensor::from_onnx(&bytes);
    }

    #[test]
    fn changed_examples_are_no_panic(
        which in 0usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = examples().swap_remove(which);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        evaluate(&bytes);
    }

    #[test]
    fn any_operator_on_any_inputs_is_no_panic(
        shape in prop::collection::vec(0i64..5, 0..6),
        values in prop::collection::vec(prop_oneof![Just(0i64), Just(1), Just(-1), Just(i64::MAX), Just(i64::MIN), -9i64..99], 5),
        cases in prop::collection::vec(arbitrary_node(), 1..4),
    ) {
        let count: usize = shape.iter().map(|&d| d as usize).product();
        let raw = |width: usize| (0..count * width).map(|i| (i * 37 % 64) as u8).collect::<Vec<u8>>();
        let of = |name: &str, element: i32, width: usize| {
            let name = name.to_owned();
            file::Tensor { dims: shape.clone(), element, raw: raw(width), name, ..Default::default() }
        };
        let constants = vec![
            of("0", 1, 4),
            of("1", 11, 8),
            of("2", 7, 8),
            of("3", 9, 1),
            of("4", 2, 1),
            list("5", &[5], &values),
            list("6", &[], &values[..1]),
        ];
        for (op, inputs, attributes, outputs) in cases {
            let names: Vec<String> = inputs.iter().map(|i| if *i == 7 { "x".into() } else { i.to_string() }).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let made = ["y", "z", "w"];
            let mut node = node(&op, &names, &made[..usize::from(outputs).min(3)]);
            node.attribute = attributes
                .iter()
                .map(|(name, kind, values)| match kind {
                    2 => int(name, values.first().copied().unwrap_or(1)),
                    _ => ints(name, values),
                })
                .collect();
            evaluate(&file(vec![node], constants.clone()));
        }
    }
}
