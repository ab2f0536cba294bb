//! Attention: products of computed tensors, a softmax, a mask, each head bound to its own answer.

use super::*;
use crate::compile::CompileError;
use crate::slice::SliceError;
use crate::tests::{Onnx, int, ints};

in_every_proof_system! {
    attention_is_bound_to_its_answer_or_refused_by_node,
}

/// Two heads of three tokens, as exporters write it; what comes later counts for nothing.
fn heads() -> Vec<u8> {
    let mask = (0..9).map(|t| if t % 3 > t / 3 { -1e9 } else { 0.0 });
    Onnx::new(&[1, 2, 3, 4])
        .constant("mask", &[3, 3], mask.collect())
        .constant("root", &[], vec![2.0])
        .node("Transpose", &["x"], "k", vec![ints("perm", &[0, 1, 3, 2])])
        .node("MatMul", &["x", "k"], "raw", vec![])
        .node("Div", &["raw", "root"], "scores", vec![])
        .node("Add", &["scores", "mask"], "masked", vec![])
        .node("Softmax", &["masked"], "weights", vec![int("axis", -1)])
        .node("MatMul", &["weights", "x"], "y", vec![])
        .bytes()
}

fn attention_is_bound_to_its_answer_or_refused_by_node(system: Tested) {
    let options = CompileOptions {
        compare_top1: false,
        system,
        ..CompileOptions::new(ProofSystem::SumcheckWhir)
    };
    match plan(&heads(), None, &options) {
        Ok(_) => {}
        Err(CompileError::Slice(SliceError::Layout { node, .. })) => {
            assert_eq!(system.id(), HALO2.id());
            assert!(node.contains("MatMul"), "{node}");
            return;
        }
        Err(e) => panic!("{e}"),
    }
    let model = Model::new(heads(), 1, system);
    let receipt = model.run(&model.input(1), 1);
    let report = model.verify(&receipt.to_bytes());
    assert!(report.valid(), "{}", said(&report));
    for value in 0..receipt.output[0].values.len() {
        let mut other = receipt.clone();
        other.output[0].values[value] ^= 1;
        assert!(!model.verify(&other.to_bytes()).valid(), "value {value} is free");
    }
}
