//! `Loop` and `Scan`: what never ends is an error soon, and a body that does not fit its node is one by name.

use std::time::{Duration, Instant};

use zkml_reference::{EvaluateError, Model, Tensor};

use super::file::{Attribute, Graph, Node, Tensor as Stored, file, graph, int, list, node, port};
use super::refusal;

fn body(nodes: Vec<Node>, inputs: &[&str], outputs: &[&str]) -> Attribute {
    let ports = |names: &[&str]| names.iter().map(|name| port(name)).collect();
    graph(
        "body",
        Graph {
            node: nodes,
            input: ports(inputs),
            output: ports(outputs),
            ..Graph::default()
        },
    )
}

fn repeated(op: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<Attribute>) -> Node {
    Node {
        attribute,
        ..node(op, inputs, outputs)
    }
}

/// Takes each state for its negative, and shows it.
fn negatives() -> Attribute {
    let nodes = vec![node("Neg", &["h"], &["n"]), node("Identity", &["go"], &["more"])];
    body(nodes, &["i", "go", "h"], &["more", "n", "n"])
}

fn yes(name: &str) -> Stored {
    Stored {
        element: 9,
        raw: vec![1],
        name: name.into(),
        ..Stored::default()
    }
}

fn answer(bytes: &[u8], x: &[f64]) -> Result<Tensor, EvaluateError> {
    let x = Tensor::float(vec![x.len()], x.to_vec()).expect("a tensor");
    let made = Model::read(bytes).expect("it is read").evaluate(&[x])?;
    Ok(made[0].clone())
}

fn looped(trips: i64) -> Vec<u8> {
    let nodes = vec![repeated(
        "Loop",
        &["trips", "yes", "x"],
        &["last", "y"],
        vec![negatives()],
    )];
    file(nodes, vec![list("trips", &[1], &[trips]), yes("yes")])
}

#[test]
fn a_loop_hands_its_states_on_and_puts_together_what_it_shows() {
    let made = answer(&looped(3), &[1.0, -2.0]).expect("an answer");
    assert_eq!(made.shape(), [3, 2]);
    assert_eq!(made.to_f64(), [-1.0, 2.0, 1.0, -2.0, -1.0, 2.0]);
}

#[test]
fn a_condition_that_the_inputs_decide_ends_a_loop() {
    let nodes = vec![
        node("Add", &["h", "h"], &["n"]),
        node("ReduceMax", &["n"], &["top"]),
        node("Less", &["top", "most"], &["more"]),
    ];
    let body = body(nodes, &["i", "go", "h"], &["more", "n"]);
    let most = Stored {
        dims: vec![1],
        element: 1,
        raw: 10f32.to_le_bytes().to_vec(),
        name: "most".into(),
        ..Stored::default()
    };
    let bytes = file(
        vec![repeated("Loop", &["", "", "x"], &["y"], vec![body])],
        vec![most],
    );
    assert_eq!(answer(&bytes, &[1.0]).expect("an answer").to_f64(), [16.0]);
    assert_eq!(answer(&bytes, &[7.0]).expect("an answer").to_f64(), [14.0]);
    assert_eq!(answer(&bytes, &[20.0]).expect("an answer").to_f64(), [40.0]);
}

#[test]
fn a_scan_goes_along_what_it_reads_from_either_end() {
    let nodes = vec![node("Add", &["h", "e"], &["s"])];
    let of = || body(nodes.clone(), &["h", "e"], &["s", "s"]);
    let zero = Stored {
        element: 1,
        raw: vec![0; 4],
        name: "zero".into(),
        ..Stored::default()
    };
    let scan = |more: Vec<Attribute>| {
        let attributes = [vec![of(), int("num_scan_inputs", 1)], more].concat();
        let nodes = vec![repeated("Scan", &["zero", "x"], &["last", "y"], attributes)];
        answer(&file(nodes, vec![zero.clone()]), &[1.0, 2.0, 4.0]).map(|t| t.to_f64())
    };
    assert_eq!(scan(vec![]).expect("an answer"), [1.0, 3.0, 7.0]);
    let backward = super::file::ints("scan_input_directions", &[1]);
    assert_eq!(scan(vec![backward.clone()]).expect("an answer"), [4.0, 6.0, 7.0]);
    let turned = super::file::ints("scan_output_directions", &[1]);
    assert_eq!(scan(vec![backward, turned]).expect("an answer"), [7.0, 6.0, 4.0]);
    let said = scan(vec![super::file::ints("scan_input_axes", &[1])]);
    let said = said.expect_err("no such axis").to_string();
    assert!(said.contains("axis 1 of a tensor with 1 dimensions"), "{said}");
}

#[test]
fn what_does_not_end_is_an_error_soon() {
    let endless = body(
        vec![node("Identity", &["go"], &["more"])],
        &["i", "go", "h"],
        &["more", "h"],
    );
    let endless = file(
        vec![repeated("Loop", &["", "", "x"], &["y"], vec![endless])],
        vec![],
    );
    let inner = repeated(
        "Loop",
        &["trips", "go", "h"],
        &["m", "all"],
        vec![{
            let nodes = vec![node("Neg", &["s"], &["t"]), node("Identity", &["on"], &["so"])];
            body(nodes, &["j", "on", "s"], &["so", "t", "t"])
        }],
    );
    let outer = body(
        vec![inner, node("Identity", &["go"], &["more"])],
        &["i", "go", "h"],
        &["more", "m", "m"],
    );
    let nested = file(
        vec![repeated(
            "Loop",
            &["trips", "yes", "x"],
            &["last", "y"],
            vec![outer],
        )],
        vec![list("trips", &[1], &[1 << 20]), yes("yes")],
    );
    for bytes in [looped(i64::MAX), endless, nested] {
        let model = Model::read(&bytes).expect("it is read");
        let x = Tensor::float(vec![1], vec![1.0]).expect("a tensor");
        let begun = Instant::now();
        let said = model
            .evaluate_within(1 << 28, &[x], &mut |_, _| ())
            .expect_err("it does not end");
        assert!(matches!(said, EvaluateError::Work { .. }), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn refuses_bodies_that_do_not_fit_their_nodes_by_name() {
    let of = |op: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<Attribute>| {
        let nodes = vec![repeated(op, inputs, outputs, attribute)];
        file(nodes, vec![list("trips", &[1], &[2]), yes("yes")])
    };
    let cases = [
        (
            of("Loop", &["trips", "yes", "x"], &["y"], vec![]),
            "its body is missing",
        ),
        (
            of("Loop", &["trips", "yes", "x"], &["y"], vec![negatives()]),
            "its body has 3 outputs, not 2",
        ),
        (
            of("Loop", &["trips", "yes"], &["y", "z"], vec![negatives()]),
            "its body has 3 inputs, the node 2",
        ),
    ];
    for (bytes, wanted) in cases {
        let got = refusal(&bytes);
        assert!(got.contains(wanted), "{got}\n  has not: {wanted}");
    }
    let one = body(vec![], &["h", "e"], &["h", "e"]);
    let bytes = of(
        "Scan",
        &["x", "x"],
        &["z", "y"],
        vec![one.clone(), int("num_scan_inputs", 3)],
    );
    let said = answer(&bytes, &[1.0]).expect_err("too many").to_string();
    assert!(
        said.contains("num_scan_inputs is missing, or not from 1 to the 2 inputs"),
        "{said}"
    );
    let said = answer(&looped(0), &[1.0])
        .expect_err("nothing says its shape")
        .to_string();
    assert!(said.contains("it makes no step"), "{said}");
}
