//! Several images in one request are proved together, each bound to its own answer.

use zkml::graph::Op;

use super::*;
use crate::tests::{Onnx, ints};

in_every_proof_system! {
    each_image_of_a_batch_is_bound_to_its_answer,
    each_element_of_a_batch_has_its_own_matrix,
}

/// The second convolution has more weights than values: its images take turns.
fn images() -> Vec<u8> {
    Onnx::new(&[3, 2, 4, 4])
        .random("w", &[8, 2, 3, 3])
        .random("v", &[6, 8, 3, 3])
        .node("Conv", &["x", "w"], "a", vec![ints("pads", &[1, 1, 1, 1])])
        .node("Relu", &["a"], "b", vec![])
        .node(
            "MaxPool",
            &["b"],
            "c",
            vec![ints("kernel_shape", &[4, 4]), ints("strides", &[4, 4])],
        )
        .node("Conv", &["c", "v"], "y", vec![ints("pads", &[1, 1, 1, 1])])
        .bytes()
}

fn each_image_of_a_batch_is_bound_to_its_answer(system: Tested) {
    let model = Model::new(images(), 1, system);
    let nodes = &model.plan.graph.nodes;
    assert!(
        nodes.iter().any(|n| matches!(n.op, Op::Wiring(_))),
        "no images take turns"
    );
    refuses_each_other_value(&model, 3);
}

fn each_element_of_a_batch_has_its_own_matrix(system: Tested) {
    let onnx = Onnx::new(&[2, 3, 4])
        .random("w", &[2, 4, 5])
        .node("MatMul", &["x", "w"], "y", vec![]);
    refuses_each_other_value(&Model::new(onnx.bytes(), 1, system), 2);
}

/// The honest receipt is valid, and none is in which one value of any element of the batch is another.
fn refuses_each_other_value(model: &Model, batch: usize) {
    let receipt = model.run(&model.input(1), 1);
    let report = model.verify(&receipt.to_bytes());
    assert!(report.valid(), "{}", said(&report));
    let each = receipt.output[0].values.len() / batch;
    for element in 0..batch {
        let mut other = receipt.clone();
        other.output[0].values[element * each] ^= 1;
        let report = model.verify(&other.to_bytes());
        assert!(!report.valid(), "element {element} of the batch is free");
    }
}
