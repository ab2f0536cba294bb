//! Small files that would take much: errors, soon, and before the memory is taken.

use std::time::Instant;

use super::onnx::{Onnx, float, int, ints};
use crate::import::ImportError;
use crate::import::import;
use crate::samples::synthetic_count;

/// `op` on `x` again and again.
fn chain(
    onnx: Onnx,
    op: &str,
    more: &[&str],
    length: usize,
    attribute: &[tract_onnx::pb::AttributeProto],
) -> Onnx {
    (0..length).fold(onnx, |onnx, at| {
        let from = if at == 0 { "x".to_owned() } else { format!("h{at}") };
        let to = if at + 1 == length {
            "y".to_owned()
        } else {
            format!("h{}", at + 1)
        };
        let inputs: Vec<&str> = [from.as_str()].into_iter().chain(more.iter().copied()).collect();
        onnx.node(op, &inputs, &to, attribute.to_vec())
    })
}

fn refused(onnx: &Onnx, why: &str) {
    let began = Instant::now();
    let error = import(&onnx.bytes()).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
    assert!(began.elapsed().as_secs() < 20, "{why}: {:?}", began.elapsed());
}

#[test]
fn a_transposition_that_is_none_is_an_error_and_not_endless() {
    for perm in [
        &[0, 1, 1][..],
        &[0, 0, 0],
        &[1, 2, 3],
        &[0, 1, -1],
        &[0, 1, i64::MAX],
    ] {
        let onnx = Onnx::new(&[2, 3, 4]).node("Transpose", &["x"], "y", vec![ints("perm", perm)]);
        refused(&onnx, "is no permutation of axes");
        let of_constant = Onnx::new(&[2, 3, 4])
            .random("c", &[2, 3, 4])
            .node("Transpose", &["c"], "t", vec![ints("perm", perm)])
            .node("Add", &["x", "t"], "y", vec![]);
        refused(&of_constant, "is no permutation of axes");
    }
}

#[test]
fn a_node_of_many_operands_is_counted_by_its_operands() {
    let many = vec!["x"; 20_000];
    refused(
        &Onnx::new(&[1, 4]).node("Sum", &many, "y", vec![]),
        "more than 16384 names that nodes read and make",
    );
    let some = vec!["x"; 8_000];
    refused(
        &Onnx::new(&[1, 4]).node("Sum", &some, "y", vec![]),
        "operations that its nodes consist of",
    );
}

#[test]
fn what_all_nodes_hold_together_is_bounded() {
    let wide = Onnx::new(&[1, 1 << 22]);
    refused(&chain(wide, "Relu", &[], 40, &[]), "values in all tensors");
    // Every transposition keeps an index for each value.
    let square = Onnx::new(&[1024, 1024]);
    refused(
        &chain(square, "Transpose", &[], 70, &[ints("perm", &[1, 0])]),
        "coefficients and indices in all nodes",
    );
    // One constant in the file, and one for each node that reads it.
    let shared = Onnx::new(&[1, 512, 64, 64]).random("w", &[512, 512, 3, 3]);
    refused(
        &chain(shared, "Conv", &["w"], 9, &[ints("pads", &[1, 1, 1, 1])]),
        "more than 68719476736 multiplications",
    );
}

#[test]
fn fewer_samples_are_made_up_for_a_model_with_many_values() {
    let count = |shape: &[i64]| {
        let graph = import(&Onnx::new(shape).node("Relu", &["x"], "y", vec![]).bytes()).unwrap();
        synthetic_count(&graph)
    };
    assert_eq!(count(&[1, 64]), 64);
    assert_eq!(count(&[1, 3, 224, 224]), 55);
    assert_eq!(count(&[1, 1 << 22]), 4);
}

#[test]
fn training_is_refused_by_name() {
    let onnx = Onnx::new(&[1, 2, 3, 3])
        .random("s", &[2])
        .random("o", &[2])
        .random("m", &[2])
        .constant("v", &[2], vec![1.0, 2.0])
        .node(
            "BatchNormalization",
            &["x", "s", "o", "m", "v"],
            "y",
            vec![int("training_mode", 1), float("epsilon", 1e-3)],
        );
    let Err(ImportError::Unsupported(nodes)) = import(&onnx.bytes()) else {
        panic!("it was read");
    };
    assert!(nodes[0].reason.contains("as in training"), "{nodes:?}");
}

#[test]
fn reading_takes_ten_times_as_long_for_ten_times_the_nodes() {
    let time = |nodes: usize| {
        let bytes = chain(Onnx::new(&[1, 4]).random("c", &[1, 4]), "Max", &["c"], nodes, &[]).bytes();
        let run = |_| {
            let began = Instant::now();
            assert!(import(&bytes).is_ok());
            began.elapsed().as_secs_f64()
        };
        (0..3).map(run).fold(f64::INFINITY, f64::min)
    };
    let (few, many) = (time(130), time(1300));
    // What is quadratic takes a hundred times as long.
    assert!(many < 40.0 * few, "{few} s for 130 nodes, {many} s for 1300");
}
