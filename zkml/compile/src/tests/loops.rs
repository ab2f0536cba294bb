//! `Loop` and `Scan`: what their bodies make of every step is part of the graph, where the inputs' values do not say how many there are.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::branches::{part, refused, yes};
use super::onnx::{Onnx, int, ints, value_info};
use super::recipes::agrees_with_the_reference;
use crate::import::import;

/// The nodes and constants of a model as a body with these inputs and outputs.
fn body(of: Onnx, inputs: &[&str], outputs: &[&str]) -> AttributeProto {
    let ports = |names: &[&str]| names.iter().map(|name| value_info(name, &[])).collect();
    AttributeProto {
        name: "body".into(),
        r#type: AttributeType::Graph as i32,
        g: Some(GraphProto {
            input: ports(inputs),
            output: ports(outputs),
            ..of.graph
        }),
        ..AttributeProto::default()
    }
}

fn repeated(
    mut onnx: Onnx,
    op: &str,
    inputs: &[&str],
    outputs: &[&str],
    attribute: Vec<AttributeProto>,
) -> Onnx {
    onnx.graph.node.push(NodeProto {
        name: format!("{}_{op}", outputs[0]),
        op_type: op.into(),
        input: inputs.iter().map(|&i| i.into()).collect(),
        output: outputs.iter().map(|&o| o.into()).collect(),
        attribute,
        ..NodeProto::default()
    });
    onnx
}

fn whole(mut onnx: Onnx, name: &str, value: i64) -> Onnx {
    onnx.graph.initializer.push(TensorProto {
        name: name.into(),
        data_type: DataType::Int64 as i32,
        int64_data: vec![value],
        ..TensorProto::default()
    });
    onnx
}

/// `h ← tanh(x[trip] · w + h)`, and every `2 · h`.
fn cell() -> AttributeProto {
    let of = part()
        .node("Gather", &["x", "i"], "e", vec![int("axis", 0)])
        .node("MatMul", &["e", "w"], "p", vec![])
        .node("Add", &["p", "h"], "s", vec![])
        .node("Tanh", &["s"], "n", vec![])
        .constant("two", &[], vec![2.0])
        .node("Mul", &["n", "two"], "d", vec![])
        .node("Identity", &["go"], "more", vec![]);
    body(of, &["i", "go", "h"], &["more", "n", "d"])
}

fn recurrent(opset: i64) -> Onnx {
    let onnx =
        Onnx::new(&[4, 1, 3])
            .opset(opset)
            .random("w", &[3, 2])
            .constant("zeros", &[1, 2], vec![0.0; 2]);
    yes(whole(onnx, "four", 4), "yes")
}

#[test]
fn a_loop_of_known_trips_hands_its_states_on_and_puts_together_what_it_scans() {
    for opset in [11, 13] {
        let onnx = repeated(
            recurrent(opset),
            "Loop",
            &["four", "yes", "zeros"],
            &["last", "all"],
            vec![cell()],
        );
        let onnx = onnx.node("Add", &["all", "last"], "y", vec![]);
        agrees_with_the_reference("loop", &onnx.bytes());
        let graph = import(&onnx.bytes()).unwrap();
        assert!(graph.nodes.len() > 12, "{}", graph.nodes.len());
    }
    // Without a condition, and without a use for what is scanned.
    let onnx = repeated(
        recurrent(13),
        "Loop",
        &["four", "", "zeros"],
        &["y", ""],
        vec![cell()],
    );
    agrees_with_the_reference("last", &onnx.bytes());
}

#[test]
fn a_condition_that_counts_ends_a_loop_and_so_does_a_count_made_of_shapes() {
    // While a counter of the loop's own is below 3, whatever the trip count says.
    let counting = part()
        .node("Gather", &["x", "n"], "e", vec![int("axis", 0)])
        .node("Add", &["h", "e"], "s", vec![])
        .integers("one", &[1])
        .node("Squeeze", &["one"], "by", vec![])
        .node("Add", &["n", "by"], "m", vec![])
        .integers("three", &[3])
        .node("Less", &["m", "three"], "more", vec![]);
    let counting = body(counting, &["i", "go", "h", "n"], &["more", "s", "m"]);
    let onnx = Onnx::new(&[4, 3]).constant("zeros", &[3], vec![0.0; 3]);
    let onnx = yes(whole(whole(onnx, "zero", 0), "most", i64::MAX), "yes");
    let onnx = repeated(
        onnx,
        "Loop",
        &["most", "yes", "zeros", "zero"],
        &["y", "n"],
        vec![counting],
    );
    agrees_with_the_reference("counted", &onnx.bytes());
    let onnx = recurrent(13)
        .node("Shape", &["x"], "sizes", vec![])
        .integers("first", &[0])
        .node("Gather", &["sizes", "first"], "trips", vec![]);
    let onnx = repeated(onnx, "Loop", &["trips", "yes", "zeros"], &["y", ""], vec![cell()]);
    agrees_with_the_reference("sizes", &onnx.bytes());
}

#[test]
fn a_loop_may_stand_in_a_loop_and_follow_another_by_its_shape() {
    let inner = part().node("Mul", &["s", "s"], "t", vec![]);
    let inner = inner.node("Identity", &["on"], "so", vec![]);
    let inner = body(inner, &["j", "on", "s"], &["so", "t"]);
    let outer = whole(part(), "two", 2);
    let outer = repeated(outer, "Loop", &["two", "go", "h"], &["m"], vec![inner]);
    let outer = outer.node("Identity", &["go"], "more", vec![]);
    let outer = body(outer, &["i", "go", "h"], &["more", "m", "m"]);
    let onnx = yes(whole(Onnx::new(&[2]), "three", 2), "yes");
    let onnx = repeated(onnx, "Loop", &["three", "yes", "x"], &["z", "a"], vec![outer]);
    let onnx = onnx
        .node("Shape", &["a"], "sizes", vec![])
        .integers("first", &[0])
        .node("Gather", &["sizes", "first"], "trips", vec![]);
    let half = part()
        .constant("half", &[], vec![0.5])
        .node("Mul", &["q", "half"], "r", vec![])
        .node("Identity", &["go2"], "more2", vec![]);
    let half = body(half, &["i2", "go2", "q"], &["more2", "r"]);
    let onnx = repeated(onnx, "Loop", &["trips", "yes", "x"], &["y"], vec![half]);
    agrees_with_the_reference("nested", &onnx.bytes());
}

#[test]
fn a_scan_goes_along_its_axes_in_its_directions() {
    let of = part()
        .node("Add", &["h", "a"], "s", vec![])
        .node("Mul", &["s", "b"], "m", vec![]);
    let step = || body(of.clone(), &["h", "a", "b"], &["s", "m"]);
    for (axes, directions, out) in [
        (vec![0, 1], vec![0, 0], (0, 0)),
        (vec![1, -2], vec![1, 0], (1, 1)),
        (vec![0, 1], vec![0, 1], (-1, 0)),
    ] {
        // Along each axis that is scanned there are 3.
        let onnx = Onnx::new(&[3, 3])
            .random("c", &[3, 3])
            .constant("zeros", &[3], vec![0.0; 3]);
        let attributes = vec![
            step(),
            int("num_scan_inputs", 2),
            ints("scan_input_axes", &axes),
            ints("scan_input_directions", &directions),
            ints("scan_output_axes", &[out.0]),
            ints("scan_output_directions", &[out.1]),
        ];
        let onnx = repeated(onnx, "Scan", &["zeros", "x", "c"], &["last", "all"], attributes);
        let onnx = onnx.node("Add", &["all", "last"], "y", vec![]);
        agrees_with_the_reference("scan", &onnx.bytes());
    }
    // Of opset 8, each element of a batch by itself.
    let onnx = Onnx::new(&[2, 3, 4])
        .opset(8)
        .constant("zeros", &[2, 4], vec![0.0; 8]);
    let of = part()
        .node("Add", &["h", "a"], "s", vec![])
        .node("Neg", &["s"], "m", vec![]);
    let attributes = vec![
        body(of, &["h", "a"], &["s", "m"]),
        int("num_scan_inputs", 1),
        ints("directions", &[1]),
    ];
    let onnx = repeated(onnx, "Scan", &["", "zeros", "x"], &["last", "y"], attributes);
    agrees_with_the_reference("batch", &onnx.bytes());
}

#[test]
fn distances_to_constant_points_are_a_scan() {
    let of = part()
        .node("Identity", &["next_in"], "next_out", vec![])
        .node("Sub", &["next_in", "next"], "d", vec![])
        .node(
            "ReduceSumSquare",
            &["d"],
            "r",
            vec![ints("axes", &[1]), int("keepdims", 0)],
        )
        .node("Identity", &["r"], "scan_out", vec![]);
    let of = body(of, &["next_in", "next"], &["next_out", "scan_out"]);
    let onnx = Onnx::new(&[2, 4]).opset(12).random("points", &[6, 4]);
    let attributes = vec![of, int("num_scan_inputs", 1)];
    let onnx = repeated(onnx, "Scan", &["x", "points"], &["same", "far"], attributes).node(
        "Transpose",
        &["far"],
        "y",
        vec![ints("perm", &[1, 0])],
    );
    agrees_with_the_reference("distances", &onnx.bytes());
}

#[test]
fn what_the_inputs_decide_about_a_loop_is_refused_by_name() {
    let by_state = part()
        .constant("half", &[], vec![0.5])
        .node("Mul", &["h", "half"], "s", vec![])
        .node("ReduceSum", &["s"], "t", vec![int("keepdims", 0)])
        .node("Greater", &["t", "half"], "more", vec![]);
    let by_state = body(by_state, &["i", "go", "h"], &["more", "s"]);
    let onnx = yes(whole(Onnx::new(&[2]), "ten", 10), "yes");
    let said = refused(&repeated(
        onnx.clone(),
        "Loop",
        &["ten", "yes", "x"],
        &["y"],
        vec![by_state],
    ));
    assert!(
        said.contains("`y_Loop` (Loop): the condition `more` of its body is computed"),
        "{said}"
    );
    let same = || {
        let of = part().node("Identity", &["go"], "more", vec![]);
        let of = of.node("Neg", &["h"], "s", vec![]);
        body(of, &["i", "go", "h"], &["more", "s"])
    };
    let count = onnx
        .node("ReduceSum", &["x"], "sum", vec![int("keepdims", 0)])
        .node("Cast", &["sum"], "n", vec![int("to", DataType::Int64 as i64)]);
    let said = refused(&repeated(count, "Loop", &["n", "yes", "x"], &["y"], vec![same()]));
    assert!(said.contains("its trip count `n` is computed"), "{said}");
    // No trip at all hands a state on.
    let none = yes(whole(Onnx::new(&[2]), "none", 0), "yes");
    let none = repeated(none, "Loop", &["none", "yes", "x"], &["z"], vec![same()]);
    agrees_with_the_reference("none", &none.node("Relu", &["z"], "y", vec![]).bytes());
}

#[test]
fn no_loop_is_unrolled_beyond_what_there_is_room_for() {
    let neg = |of: &str, to: &str, go: &str, more: &str, i: &str| {
        let part = part().node("Identity", &[go], more, vec![]);
        body(part.node("Neg", &[of], to, vec![]), &[i, go, of], &[more, to])
    };
    for trips in [i64::MAX, 1 << 40, 20_000] {
        let onnx = yes(whole(Onnx::new(&[2]), "trips", trips), "yes");
        let simple = neg("h", "s", "go", "more", "i");
        let said = refused(&repeated(
            onnx,
            "Loop",
            &["trips", "yes", "x"],
            &["y"],
            vec![simple],
        ));
        assert!(
            said.contains("how often it is computed") || said.contains("more than 16384 nodes"),
            "{said}"
        );
    }
    let outer = whole(part(), "inner", 1000);
    let inner = neg("s", "t", "on", "so", "j");
    let outer = repeated(outer, "Loop", &["inner", "go", "h"], &["m"], vec![inner]);
    let outer = outer.node("Identity", &["go"], "more", vec![]);
    let outer = body(outer, &["i", "go", "h"], &["more", "m"]);
    let onnx = yes(whole(Onnx::new(&[2]), "trips", 1000), "yes");
    let said = refused(&repeated(
        onnx,
        "Loop",
        &["trips", "yes", "x"],
        &["y"],
        vec![outer],
    ));
    assert!(
        said.contains("how often it is computed") || said.contains("more than 16384 nodes"),
        "{said}"
    );
}

#[test]
fn names_of_graphs_within_a_body_are_their_own_in_each_trip() {
    let onnx = yes(Onnx::new(&[2]), "yes").node("Neg", &["x"], "a", vec![]);
    let onnx = whole(onnx, "two", 2);
    let branch = |name: &str, of: Onnx, output: &str| AttributeProto {
        name: name.into(),
        r#type: AttributeType::Graph as i32,
        g: Some(GraphProto {
            input: vec![],
            output: vec![value_info(output, &[])],
            ..of.graph
        }),
        ..AttributeProto::default()
    };
    let of = |made: &str| {
        let then = part()
            .node("Relu", &["h"], made, vec![])
            .node("Add", &[made, "h"], "k", vec![]);
        let branches = vec![
            branch("then_branch", then.clone(), "k"),
            branch("else_branch", then, "k"),
        ];
        let of = part()
            .node("If", &["go"], "b", branches)
            .node("Identity", &["go"], "more", vec![]);
        body(of, &["i", "go", "h"], &["more", "b"])
    };
    let looped = |made: &str| repeated(onnx.clone(), "Loop", &["two", "yes", "a"], &["y"], vec![of(made)]);
    agrees_with_the_reference("own", &looped("r").bytes());
    // ONNX has each name once, those of graphs around included.
    let said = refused(&looped("a"));
    assert!(said.contains("the value `a` is made twice"), "{said}");
}

#[test]
fn recurrent_networks_of_keras_and_distances_of_scikit_learn_come_through() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/zoo/models");
    for file in [
        "tf2onnx/simple-rnn.onnx",
        "tf2onnx/lstm.onnx",
        "tf2onnx/gru.onnx",
        "tf2onnx/bidirectional-lstm.onnx",
        "scikit-learn/gaussian-process.onnx",
    ] {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        agrees_with_the_reference(file, &bytes);
    }
}
