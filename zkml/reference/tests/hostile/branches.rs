//! `If`: the branch that is taken is evaluated where it stands, and of the other nothing but its names has to be right.

use zkml_reference::{EvaluateError, Model, Tensor};

use super::file::{Graph, Node, Tensor as Stored, file, graph, list, node, port};
use super::refusal;

fn branch(nodes: Vec<Node>, outputs: &[&str]) -> Graph {
    Graph {
        node: nodes,
        output: outputs.iter().map(|name| port(name)).collect(),
        ..Graph::default()
    }
}

fn choice(condition: &str, then: Graph, otherwise: Graph, outputs: &[&str]) -> Node {
    Node {
        attribute: vec![graph("then_branch", then), graph("else_branch", otherwise)],
        ..node("If", &[condition], outputs)
    }
}

fn yes(name: &str) -> Stored {
    Stored {
        element: 9,
        raw: vec![1],
        name: name.into(),
        ..Stored::default()
    }
}

fn answer(bytes: &[u8], x: &[f64]) -> Result<Vec<f64>, EvaluateError> {
    let x = Tensor::float(vec![x.len()], x.to_vec()).expect("a tensor");
    let made = Model::read(bytes).expect("it is read").evaluate(&[x])?;
    Ok(made[0].to_f64())
}

#[test]
fn a_branch_reads_what_is_around_it_and_its_names_are_its_own() {
    let inner = |op: &str| branch(vec![node(op, &["a"], &["b"])], &["b"]);
    let nodes = vec![
        node("Neg", &["x"], &["a"]),
        choice("yes", inner("Relu"), inner("Abs"), &["c"]),
        node("Not", &["yes"], &["no"]),
        choice("no", inner("Relu"), inner("Abs"), &["d"]),
        node("Sub", &["c", "d"], &["y"]),
    ];
    let bytes = file(nodes, vec![yes("yes")]);
    assert_eq!(answer(&bytes, &[-2.0, 3.0]).expect("an answer"), [0.0, -3.0]);
}

#[test]
fn a_condition_that_is_computed_decides_anew_each_time() {
    let sum = vec![
        node("ReduceSum", &["x"], &["s"]),
        node("Greater", &["s", "x0"], &["c"]),
    ];
    let keep = branch(vec![node("Identity", &["x"], &["k"])], &["k"]);
    let turn = branch(vec![node("Neg", &["x"], &["k"])], &["k"]);
    let nodes = [sum, vec![choice("c", keep, turn, &["y"])]].concat();
    let zero = Stored {
        dims: vec![1],
        element: 1,
        raw: vec![0; 4],
        name: "x0".into(),
        ..Stored::default()
    };
    let bytes = file(nodes, vec![zero]);
    assert_eq!(answer(&bytes, &[2.0]).expect("an answer"), [2.0]);
    assert_eq!(answer(&bytes, &[-2.0]).expect("an answer"), [2.0]);
}

#[test]
fn what_is_not_evaluated_matters_in_the_branch_that_is_taken_alone() {
    let known = || branch(vec![node("Relu", &["x"], &["a"])], &["a"]);
    let unknown = || branch(vec![node("Nonsense", &["x"], &["a"])], &["a"]);
    let of = |then, otherwise| file(vec![choice("yes", then, otherwise, &["y"])], vec![yes("yes")]);
    assert_eq!(
        answer(&of(known(), unknown()), &[-1.0]).expect("an answer"),
        [0.0]
    );
    let said = answer(&of(unknown(), known()), &[-1.0])
        .expect_err("not evaluated")
        .to_string();
    assert!(
        said.contains("node `y` (If): its then_branch") && said.contains("node `a` (Nonsense)"),
        "{said}"
    );
}

#[test]
fn refuses_branches_that_contradict_the_file_by_name() {
    let relu = |from: &str, to: &str| branch(vec![node("Relu", &[from], &[to])], &[to]);
    let good = || relu("x", "a");
    let of = |then| file(vec![choice("yes", then, good(), &["y"])], vec![yes("yes")]);
    let of_list = |condition: &str| {
        file(
            vec![choice(condition, good(), good(), &["y"])],
            vec![list("l", &[1], &[1])],
        )
    };
    let mut with_input = good();
    with_input.input.push(port("z"));
    let mut nested = good();
    for _ in 0..9 {
        nested = branch(vec![choice("yes", nested, good(), &["n"])], &["n"]);
    }
    let mut missing = choice("yes", good(), good(), &["y"]);
    missing.attribute.pop();
    let later = vec![
        choice("yes", relu("late", "a"), good(), &["y"]),
        node("Relu", &["x"], &["late"]),
    ];
    let outside = vec![
        choice("yes", good(), good(), &["c"]),
        node("Relu", &["a"], &["y"]),
    ];
    let cases = [
        (of(relu("nothing", "a")), "reads `nothing`"),
        (of(relu("x", "yes")), "the value `yes` is made twice"),
        (of(branch(vec![], &["q"])), "nothing makes the output `q`"),
        (
            of(branch(vec![], &["x", "x"])),
            "its then_branch has 2 outputs, the node 1",
        ),
        (of(with_input), "its then_branch has inputs"),
        (
            file(vec![missing], vec![yes("yes")]),
            "its else_branch is missing",
        ),
        (file(later, vec![yes("yes")]), "reads `late`"),
        (file(outside, vec![yes("yes")]), "reads `a`"),
    ];
    for (bytes, wanted) in cases {
        let got = refusal(&bytes);
        assert!(got.contains(wanted), "{got}\n  has not: {wanted}");
    }
    let told = |bytes: &[u8]| answer(bytes, &[1.0]).expect_err("no answer").to_string();
    assert!(told(&of_list("l")).contains("its condition is int64, not bool"));
    let deep = told(&of(nested));
    assert!(deep.contains("is in more than 8 others"), "{deep}");
}
