//! A model's nodes are one to one with the file's, by a walk of the file's bytes that shares nothing with the reader.

#![allow(clippy::expect_used)] // a test may

use std::{fs, path::Path};

use zkml_reference::{Dimension, Model, Tensor};

mod onnx;

/// The bytes of every length-delimited field of a protobuf message, in order, with its number.
fn fields(mut rest: &[u8]) -> Vec<(u64, &[u8])> {
    let number = |rest: &mut &[u8]| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = rest[0];
            *rest = &rest[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    };
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = number(&mut rest);
        let skipped = match key & 7 {
            0 => {
                number(&mut rest);
                continue;
            }
            1 => 8,
            5 => 4,
            2 => number(&mut rest) as usize,
            other => panic!("wire type {other}"),
        };
        if key & 7 == 2 {
            found.push((key >> 3, &rest[..skipped]));
        }
        rest = &rest[skipped..];
    }
    found
}

/// `(name, operator, outputs)` of the file's nodes.
fn nodes_of(file: &[u8]) -> Vec<(String, String, Vec<String>)> {
    let graph = fields(file).into_iter().find(|f| f.0 == 7).expect("a graph").1;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let nodes = fields(graph).into_iter().filter(|f| f.0 == 1);
    nodes
        .map(|(_, node)| {
            let of = |tag: u64| {
                fields(node)
                    .into_iter()
                    .filter(move |f| f.0 == tag)
                    .map(|f| text(f.1))
            };
            (
                of(3).next().unwrap_or_default(),
                of(4).next().unwrap_or_default(),
                of(2).collect(),
            )
        })
        .collect()
}

/// How many nodes were held against the file's.
fn check(file: &[u8]) -> usize {
    let Ok(model) = Model::read(file) else { return 0 };
    let wanted = nodes_of(file);
    assert_eq!(model.nodes().len(), wanted.len());
    for (node, (name, op, outputs)) in model.nodes().iter().zip(&wanted) {
        let name = if name.is_empty() { &outputs[0] } else { name };
        assert_eq!((&node.name, &node.op, &node.outputs), (name, op, outputs));
    }
    wanted.len()
}

fn examples() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models");
    let entries = fs::read_dir(folder).expect("the example models");
    let files = entries.map(|e| e.expect("an entry").path());
    let models = files.filter(|f| f.extension().is_some_and(|e| e == "onnx"));
    models.map(|f| fs::read(f).expect("a model")).collect()
}

#[test]
fn the_nodes_of_every_example_are_the_files() {
    let examples = examples();
    assert!(examples.len() >= 3);
    assert!(examples.iter().all(|file| check(file) > 0));
}

#[test]
fn the_nodes_of_onnx_own_models_are_the_files() {
    let Some(folder) = onnx::node_tests() else { return };
    let read = |test: &std::path::PathBuf| fs::read(test.join("model.onnx")).expect("a model");
    let nodes: usize = onnx::folders(&folder).iter().map(|test| check(&read(test))).sum();
    assert!(nodes > 2000, "{nodes} nodes");
}

#[test]
fn every_value_that_a_node_makes_is_shown_in_the_files_order() {
    for file in examples() {
        let model = Model::read(&file).expect("it is read");
        let inputs = model.inputs().iter().map(|port| {
            let dims = port.shape.as_ref().expect("a shape").iter();
            let shape: Vec<usize> = dims
                .map(|d| if let Dimension::Fixed(n) = d { *n } else { 2 })
                .collect();
            let values = (0..shape.iter().product::<usize>())
                .map(|i| (i as f64).sin())
                .collect();
            Tensor::float(shape, values).expect("an input")
        });
        let mut seen = Vec::new();
        let inputs: Vec<Tensor> = inputs.collect();
        let outputs = model
            .evaluate_seeing(&inputs, &mut |name, tensor| {
                seen.push((name.to_owned(), tensor.clone()))
            })
            .expect("it is evaluated");
        let wanted: Vec<String> = nodes_of(&file).into_iter().flat_map(|n| n.2).collect();
        assert_eq!(seen.iter().map(|s| s.0.clone()).collect::<Vec<_>>(), wanted);
        for (port, output) in model.outputs().iter().zip(&outputs) {
            let shown = seen
                .iter()
                .find(|s| s.0 == port.name)
                .expect("the output was shown");
            assert_eq!(&shown.1, output);
        }
    }
}
