//! `If`: the branch that a condition takes is part of the graph, where the inputs' values do not decide.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, TensorProto};

use super::onnx::{Onnx, float, int, value_info};
use super::recipes::agrees_with_the_reference;
use crate::import::import;

fn graph(name: &str, of: GraphProto) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Graph as i32,
        g: Some(of),
        ..AttributeProto::default()
    }
}

/// The nodes and constants of a model as a branch of these outputs.
fn branch(of: Onnx, outputs: &[&str]) -> GraphProto {
    GraphProto {
        input: vec![],
        output: outputs.iter().map(|name| value_info(name, &[])).collect(),
        ..of.graph
    }
}

fn part() -> Onnx {
    Onnx::new(&[])
}

fn choice(onnx: Onnx, condition: &str, then: GraphProto, otherwise: GraphProto, output: &str) -> Onnx {
    let branches = vec![graph("then_branch", then), graph("else_branch", otherwise)];
    onnx.node("If", &[condition], output, branches)
}

fn yes(mut onnx: Onnx, name: &str) -> Onnx {
    onnx.graph.initializer.push(TensorProto {
        name: name.into(),
        data_type: DataType::Bool as i32,
        raw_data: vec![1],
        ..TensorProto::default()
    });
    onnx
}

fn refused(onnx: &Onnx) -> String {
    import(&onnx.bytes()).unwrap_err().to_string()
}

/// Both branches have a value and a constant of the same names.
fn doubled_or_halved() -> [GraphProto; 2] {
    let of = |factor: f32| {
        let part = part().constant("k", &[1], vec![factor]);
        branch(part.node("Mul", &["a", "k"], "b", vec![]), &["b"])
    };
    [of(2.0), of(0.5)]
}

#[test]
fn the_branch_taken_reads_what_is_around_it_and_keeps_its_names_to_itself() {
    let [double, half] = doubled_or_halved();
    let onnx = yes(Onnx::new(&[2, 3]), "yes")
        .node("Not", &["yes"], "no", vec![])
        .node("Relu", &["x"], "a", vec![]);
    let onnx = choice(onnx, "yes", double.clone(), half.clone(), "c");
    let onnx = choice(onnx, "no", double, half, "d").node("Sub", &["c", "d"], "y", vec![]);
    agrees_with_the_reference("twice", &onnx.bytes());
    let graph = import(&onnx.bytes()).unwrap();
    let made = graph.evaluate(&[vec![-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]]).unwrap();
    assert_eq!(made[graph.outputs[0].0 as usize], [0.0, 0.0, 1.5, 3.0, 4.5, 6.0]);
}

#[test]
fn a_condition_may_be_made_of_shapes_within_a_branch_that_was_taken() {
    let of_rank = |onnx: Onnx, of: &str, size: i64| {
        onnx.node("Shape", &[of], "s", vec![])
            .integers("first", &[0])
            .integers("size", &[size])
            .node("Gather", &["s", "first"], "n", vec![])
            .node("Equal", &["n", "size"], "c", vec![])
    };
    let [double, half] = doubled_or_halved();
    let turned = branch(part().node("Transpose", &["a"], "t", vec![]), &["t"]);
    let inner = choice(of_rank(part(), "r", 3), "c", double, half, "m");
    let inner = branch(inner, &["m"]);
    let onnx = yes(Onnx::new(&[2, 3]), "yes").node("Relu", &["x"], "a", vec![]);
    let onnx = choice(onnx, "yes", turned.clone(), turned, "r");
    let onnx = choice(onnx, "yes", inner.clone(), inner, "y");
    agrees_with_the_reference("nested", &onnx.bytes());
}

#[test]
fn what_a_branch_may_have_is_asked_of_the_one_that_is_taken() {
    let unknown = branch(part().node("Det", &["x"], "b", vec![]), &["b"]);
    let nonsense = branch(part().node("Nonsense", &["x"], "b", vec![]), &["b"]);
    let known = branch(part().node("Relu", &["x"], "b", vec![]), &["b"]);
    let of = |then: &GraphProto, otherwise: &GraphProto| {
        choice(
            yes(Onnx::new(&[2, 3]), "yes"),
            "yes",
            then.clone(),
            otherwise.clone(),
            "y",
        )
    };
    for other in [&unknown, &nonsense] {
        agrees_with_the_reference("known", &of(&known, other).bytes());
        let said = refused(&of(other, &known));
        let op = &other.node[0].op_type;
        assert!(
            said.contains(&format!("`b_{op}` ({op}): the operator is not supported")),
            "{said}"
        );
    }
}

#[test]
fn a_condition_that_the_inputs_decide_is_refused_by_name() {
    let known = branch(part().node("Relu", &["x"], "b", vec![]), &["b"]);
    let onnx = Onnx::new(&[1])
        .constant("k", &[], vec![0.5])
        .node("Greater", &["x", "k"], "c", vec![]);
    let onnx = choice(onnx, "c", known.clone(), known.clone(), "y");
    let said = refused(&onnx);
    assert!(
        said.contains("`y_If` (If): its condition `c` is computed"),
        "{said}"
    );
    // Its shape is not known before, and neither is what a condition makes of it.
    let onnx = onnx
        .node("Shape", &["y"], "s", vec![])
        .integers("one", &[1])
        .node("Equal", &["s", "one"], "d", vec![]);
    let said = refused(&choice(onnx, "d", known.clone(), known.clone(), "z"));
    assert!(said.contains("its condition `c` is computed"), "{said}");
    let onnx = Onnx::new(&[1])
        .node("Nonsense", &["x"], "n", vec![])
        .node("Shape", &["n"], "c", vec![]);
    let said = refused(&choice(onnx, "c", known.clone(), known.clone(), "y"));
    assert!(
        said.contains("`n_Nonsense` (Nonsense): the operator is not supported"),
        "{said}"
    );
    assert!(
        said.contains("its condition `c` is made by nodes that are not supported"),
        "{said}"
    );
    let list = Onnx::new(&[1]).integers("c", &[1, 1]);
    let said = refused(&choice(list, "c", known.clone(), known, "y"));
    assert!(
        said.contains("the condition `c` of an If is int64 [2], not one bool"),
        "{said}"
    );
}

#[test]
fn branches_within_branches_end() {
    let known = branch(part().node("Relu", &["x"], "b", vec![]), &["b"]);
    let nested = |depth: usize| {
        (0..depth).fold(known.clone(), |inner, at| {
            let output = format!("n{at}");
            branch(choice(part(), "yes", inner, known.clone(), &output), &[&output])
        })
    };
    let onnx = |depth| {
        choice(
            yes(Onnx::new(&[2]), "yes"),
            "yes",
            nested(depth),
            known.clone(),
            "y",
        )
    };
    agrees_with_the_reference("seven", &onnx(7).bytes());
    let said = refused(&onnx(8));
    assert!(said.contains("8 others"), "{said}");
}

#[test]
fn a_size_that_the_inputs_decide_is_refused_where_only_a_shape_is_read() {
    let onnx = Onnx::new(&[1, 1, 2, 4])
        .constant("k", &[4], vec![1.0; 4])
        .node("ReduceMax", &["x"], "m", vec![int("keepdims", 0)])
        .node("Add", &["k", "m"], "scales", vec![])
        .node("Resize", &["x", "", "scales"], "r", vec![])
        .node("Shape", &["r"], "s", vec![])
        .node("Cast", &["s"], "f", vec![int("to", DataType::Float as i64)])
        .node("LeakyRelu", &["x"], "l", vec![float("alpha", 0.5)])
        .node("Add", &["f", "l"], "y", vec![]);
    let said = refused(&onnx);
    assert!(
        said.contains("`r_Resize` (Resize): its input `scales` is computed"),
        "{said}"
    );
}
