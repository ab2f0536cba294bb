//! Dimensions that a file leaves free.

use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value;
use zkinfer_crds::dimensions::Dimensions;

use super::onnx::Onnx;
use crate::float::FloatGraph;
use crate::import::{ImportError, Sizes, import, import_sized};

/// Two inputs of `[batch, n]` each, and an inner size that has no name.
fn onnx() -> Onnx {
    let mut onnx = Onnx::new(&[0, 0, 0])
        .input("z", &[0, 0, 0])
        .node("Relu", &["x"], "a", vec![])
        .node("Add", &["a", "z"], "y", vec![]);
    for input in &mut onnx.graph.input {
        let Some(Value::TensorType(tensor)) = input.r#type.as_mut().unwrap().value.as_mut() else {
            unreachable!()
        };
        let names = [Some("batch"), Some("n"), None].map(|name| name.map(|n| Dim::DimParam(n.to_owned())));
        for (dimension, name) in tensor.shape.as_mut().unwrap().dim.iter_mut().zip(names) {
            dimension.value = name;
        }
    }
    onnx
}

fn named(sizes: &[(&str, u32)]) -> Result<FloatGraph, ImportError> {
    let sizes: Dimensions = sizes
        .iter()
        .map(|(name, size)| ((*name).to_owned(), *size))
        .collect();
    import_sized(&onnx().bytes(), Sizes::Named(&sizes))
}

fn shaped(x: &[u32], z: &[u32]) -> Result<FloatGraph, ImportError> {
    import_sized(&onnx().bytes(), Sizes::Shaped(&[("x", x), ("z", z)].into()))
}

fn shapes(graph: &FloatGraph) -> Vec<&[u32]> {
    let shape = |id: &zkml::graph::TensorId| graph.tensors[id.0 as usize].shape.as_slice();
    graph.inputs.iter().chain(&graph.outputs).map(shape).collect()
}

#[test]
fn free_dimensions_have_the_sizes_that_are_stated_and_a_batch_of_one() {
    let graph = named(&[("n", 3), ("x.2", 4), ("z.2", 4)]).unwrap();
    assert_eq!(shapes(&graph), [&[1, 3, 4]; 3]);
    let graph = named(&[("batch", 2), ("n", 3), ("x.2", 4), ("z.2", 4)]).unwrap();
    assert_eq!(shapes(&graph), [&[2, 3, 4]; 3]);
    // What a manifest has is all there is to say.
    assert_eq!(shaped(&[2, 3, 4], &[2, 3, 4]).unwrap(), graph);
}

#[test]
fn a_dimension_without_a_size_is_named_as_its_size_is_given() {
    let free = |sizes: &[(&str, u32)]| named(sizes).unwrap_err().to_string();
    let said = import(&onnx().bytes()).unwrap_err().to_string();
    assert!(
        said.starts_with("input `x`: dimension 1 is left free: say how large it is (--bind n=SIZE"),
        "{said}"
    );
    assert!(free(&[("n", 3)]).contains("--bind x.2=SIZE"));
    assert!(free(&[("n", 3), ("x.2", 4)]).starts_with("input `z`: dimension 2"));
}

#[test]
fn sizes_that_cannot_be_are_refused_by_name() {
    let said = |result: Result<FloatGraph, ImportError>| result.unwrap_err().to_string();
    assert_eq!(
        said(named(&[("seq", 3)])),
        "dimension `seq`: no input has a dimension of that name; those left free are batch, n, x.2, z.2"
    );
    let fixed = Onnx::new(&[1, 4]).node("Relu", &["x"], "y", vec![]);
    let one = [("n".to_owned(), 4)].into();
    let fixed = import_sized(&fixed.bytes(), Sizes::Named(&one));
    assert!(said(fixed).ends_with("the file fixes all sizes"));
    assert_eq!(
        said(shaped(&[1, 3, 4], &[1, 5, 4])),
        "dimension `n`: it is 3 and 5"
    );
    for size in [0, u32::MAX] {
        let said = said(named(&[("n", size)]));
        assert!(said.contains("is no size of a dimension"), "{said}");
    }
    // A shape of fewer dimensions says nothing of the rest.
    assert!(said(shaped(&[1, 3], &[1, 3])).contains("left free"));
    // Sizes that the operators contradict are the model's fault, not a panic.
    assert!(shaped(&[1, 3, 4], &[1, 3, 5]).is_err());
}
