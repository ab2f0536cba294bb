//! `If`: the branch that a condition takes is part of the graph; where the inputs' values decide, each output is chosen from both.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, TensorProto};
use zkml_reference::{Model, Tensor};

use super::onnx::{Onnx, float, int, ints, value_info};
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

/// The beginnings of a graph within a node.
pub(super) fn part() -> Onnx {
    Onnx::new(&[])
}

fn choice(onnx: Onnx, condition: &str, then: GraphProto, otherwise: GraphProto, output: &str) -> Onnx {
    let branches = vec![graph("then_branch", then), graph("else_branch", otherwise)];
    onnx.node("If", &[condition], output, branches)
}

/// Yes, as a constant.
pub(super) fn yes(mut onnx: Onnx, name: &str) -> Onnx {
    onnx.graph.initializer.push(TensorProto {
        name: name.into(),
        data_type: DataType::Bool as i32,
        raw_data: vec![1],
        ..TensorProto::default()
    });
    onnx
}

/// Why a file is not read.
pub(super) fn refused(onnx: &Onnx) -> String {
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

/// A condition that is true of inputs whose sum is above 0.
fn by_the_sum(onnx: Onnx) -> Onnx {
    onnx.constant("zero", &[], vec![0.0])
        .node("ReduceSum", &["x"], "sum", vec![int("keepdims", 0)])
        .node("Greater", &["sum", "zero"], "c", vec![])
}

/// What the graph makes of two inputs, for which the condition is true and false.
fn both_ways(onnx: &Onnx) -> [Vec<f64>; 2] {
    let bytes = onnx.bytes();
    agrees_with_the_reference("both ways", &bytes);
    let (graph, model) = (import(&bytes).unwrap(), Model::read(&bytes).unwrap());
    [[3.0, -1.0, 0.5, 2.0], [-3.0, 1.0, -0.5, -2.0]].map(|x| {
        let made = graph.evaluate(&[x.to_vec()]).unwrap();
        let made = made[graph.outputs[0].0 as usize].clone();
        let wanted = model
            .evaluate(&[Tensor::float(vec![2, 2], x.to_vec()).unwrap()])
            .unwrap();
        for (made, wanted) in made.iter().zip(wanted[0].to_f64()) {
            assert!((made - wanted).abs() < 1e-6, "{made}, not {wanted}");
        }
        made
    })
}

#[test]
fn where_the_inputs_decide_each_output_is_chosen_from_both_branches() {
    let [double, half] = doubled_or_halved();
    let onnx = by_the_sum(Onnx::new(&[2, 2])).node("Identity", &["x"], "a", vec![]);
    let onnx = choice(onnx, "c", double, half, "y");
    assert_eq!(
        both_ways(&onnx),
        [[6.0, -2.0, 1.0, 4.0], [-1.5, 0.5, -0.25, -1.0]]
    );
    // A condition of any shape with one value; branches that are constants, and values around the node.
    let onnx = Onnx::new(&[2, 2])
        .constant("zero", &[], vec![0.0])
        .node("ReduceSum", &["x"], "sum", vec![int("keepdims", 1)])
        .integers("three", &[1, 1, 1])
        .node("Reshape", &["sum", "three"], "s", vec![])
        .node("Greater", &["s", "zero"], "c", vec![]);
    let constant = branch(part().constant("k", &[2, 2], vec![1.0, 2.0, 3.0, 4.0]), &["k"]);
    let around = branch(part(), &["x"]);
    let onnx = choice(onnx, "c", constant, around, "y");
    assert_eq!(both_ways(&onnx), [[1.0, 2.0, 3.0, 4.0], [-3.0, 1.0, -0.5, -2.0]]);
}

#[test]
fn branches_of_computed_conditions_may_stand_in_each_other_and_in_known_ones() {
    let [double, half] = doubled_or_halved();
    let inner = by_the_sum(part()).node("Not", &["c"], "d", vec![]);
    let inner = branch(choice(inner, "d", double.clone(), half.clone(), "m"), &["m"]);
    let known = branch(choice(part(), "yes", inner.clone(), half.clone(), "n"), &["n"]);
    let onnx = yes(Onnx::new(&[2, 2]), "yes").node("Neg", &["x"], "a", vec![]);
    let onnx = onnx
        .constant("none", &[], vec![0.0])
        .node("ReduceMax", &["x"], "top", vec![int("keepdims", 0)])
        .node("Greater", &["top", "none"], "e", vec![]);
    let onnx = choice(onnx, "e", known, double, "y");
    assert_eq!(
        both_ways(&onnx),
        [[-1.5, 0.5, -0.25, -1.0], [6.0, -2.0, 1.0, 4.0]]
    );
}

#[test]
fn a_function_that_has_no_value_where_its_branch_is_not_taken_refuses_no_input() {
    let logarithm = part()
        .node("ReduceSum", &["x"], "t", vec![int("keepdims", 1)])
        .node("Log", &["t"], "l", vec![])
        .node("Sqrt", &["t"], "r", vec![])
        .node("Reciprocal", &["r"], "i", vec![])
        .node("Mul", &["l", "i"], "u", vec![])
        .node("Mul", &["x", "u"], "b", vec![]);
    let grows = part()
        .node("Mul", &["x", "x"], "q", vec![])
        .node("Exp", &["q"], "g", vec![])
        .node("Neg", &["g"], "b", vec![]);
    let (logarithm, grows) = (branch(logarithm, &["b"]), branch(grows, &["b"]));
    let onnx = by_the_sum(Onnx::new(&[2, 2]));
    let onnx = choice(onnx, "c", logarithm, grows, "y");
    let [taken, other] = both_ways(&onnx);
    assert!(taken.iter().chain(&other).all(|v| v.is_finite()));
    let graph = import(&onnx.bytes()).unwrap();
    // No tensor of any input is without a value.
    for x in [
        [3.0, -1.0, 0.5, 2.0],
        [-3.0, 1.0, -0.5, -2.0],
        [-9.0, -9.0, -9.0, -9.0],
    ] {
        let values = graph.evaluate(&[x.to_vec()]).unwrap();
        assert!(values.iter().flatten().all(|v| v.is_finite()), "{values:?}");
    }
    let mean = part().node(
        "MeanVarianceNormalization",
        &["x"],
        "b",
        vec![ints("axes", &[0, 1])],
    );
    let onnx = by_the_sum(Onnx::new(&[2, 2]));
    let onnx = choice(onnx, "c", branch(mean, &["b"]), branch(part(), &["x"]), "y");
    let said = refused(&onnx);
    assert!(
        said.contains("(MeanVarianceNormalization): in a branch of a computed condition"),
        "{said}"
    );
}

#[test]
fn branches_that_make_unlike_things_are_refused_by_both() {
    let known = branch(part().node("Relu", &["x"], "b", vec![]), &["b"]);
    let turned = branch(
        part().node("ReduceMax", &["x"], "t", vec![int("keepdims", 0)]),
        &["t"],
    );
    let onnx = by_the_sum(Onnx::new(&[2, 2]));
    let said = refused(&choice(onnx.clone(), "c", known.clone(), turned, "y"));
    assert!(
        said.contains(
            "`y_If` (If): its condition `c` is computed, so that both branches have to make the same"
        ),
        "{said}"
    );
    assert!(
        said.contains("the then_branch makes float [2, 2], the else_branch float []"),
        "{said}"
    );
    let cast = part().node("Cast", &["x"], "t", vec![int("to", DataType::Double as i64)]);
    let said = refused(&choice(onnx, "c", known.clone(), branch(cast, &["t"]), "y"));
    assert!(
        said.contains("float [2, 2], the else_branch double [2, 2]"),
        "{said}"
    );
    // Of as many yes and no as the input has.
    let onnx =
        Onnx::new(&[2, 2])
            .constant("zero", &[], vec![0.0])
            .node("Greater", &["x", "zero"], "c", vec![]);
    let said = refused(&choice(onnx, "c", known.clone(), known, "y"));
    assert!(
        said.contains("the condition `c` of an If is bool [2, 2], not one bool"),
        "{said}"
    );
}

#[test]
fn what_says_a_condition_has_to_be_supported() {
    let known = branch(part().node("Relu", &["x"], "b", vec![]), &["b"]);
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
fn a_condition_may_be_made_of_the_shape_of_what_the_inputs_choose() {
    let [double, half] = doubled_or_halved();
    let onnx = by_the_sum(Onnx::new(&[2, 2])).node("Relu", &["x"], "a", vec![]);
    let onnx = choice(onnx, "c", double.clone(), half.clone(), "b");
    let onnx = onnx
        .node("Size", &["b"], "s", vec![])
        .integers("four", &[4])
        .node("Equal", &["s", "four"], "d", vec![]);
    let inner = |factor: f32| {
        let part = part().constant("f", &[1], vec![factor]);
        branch(part.node("Mul", &["b", "f"], "m", vec![]), &["m"])
    };
    let onnx = choice(onnx, "d", inner(3.0), inner(5.0), "y");
    assert_eq!(both_ways(&onnx), [[18.0, 0.0, 3.0, 12.0], [0.0, 1.5, 0.0, 0.0]]);
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
