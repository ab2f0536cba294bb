//! Several inputs at once: what carries the axis that counts them, and what is refused because it does not.

use zkinfer_crds::ProofSystem;
use zkinfer_crds::dimensions::Dimensions;
use zkml::graph::Profile;

use super::{Onnx, int, ints};
use crate::batch::{BatchError, import, join};
use crate::compile::{CompileOptions, Sample, plan};
use crate::float::FloatGraph;
use crate::import::{Sizes, import as import_one, import_sized};
use crate::samples;

const BATCH: u32 = 4;

fn widened(onnx: &Onnx) -> Result<FloatGraph, BatchError> {
    let bytes = onnx.clone().bytes();
    let alone = import_one(&bytes).unwrap();
    let given = samples::made_up(&alone).unwrap();
    import(&bytes, &Dimensions::new(), BATCH, &alone, &given)
}

fn refused(onnx: &Onnx) -> String {
    widened(onnx).unwrap_err().to_string()
}

/// A perceptron whose file has this first dimension; 0 leaves it free.
fn perceptron(first: i64) -> Onnx {
    Onnx::new(&[first, 6])
        .random("w", &[6, 5])
        .random("v", &[5, 3])
        .node("MatMul", &["x", "w"], "h", vec![])
        .node("Relu", &["h"], "r", vec![])
        .node("MatMul", &["r", "v"], "y", vec![])
}

#[test]
fn a_free_first_axis_and_one_of_one_are_the_batchs() {
    for first in [0, 1] {
        let wide = widened(&perceptron(first)).unwrap();
        let shape = |id: &zkml::graph::TensorId| wide.tensors[id.0 as usize].shape.clone();
        assert_eq!(shape(&wide.inputs[0]), [BATCH, 6]);
        assert_eq!(shape(&wide.outputs[0]), [BATCH, 3]);
    }
}

#[test]
fn images_carry_their_axis_through_convolutions_and_pools() {
    let images = Onnx::new(&[1, 2, 4, 4])
        .random("w", &[3, 2, 3, 3])
        .node("Conv", &["x", "w"], "a", vec![ints("pads", &[1, 1, 1, 1])])
        .node("GlobalAveragePool", &["a"], "p", vec![])
        .node("Flatten", &["p"], "y", vec![int("axis", 1)]);
    let wide = widened(&images).unwrap();
    assert_eq!(wide.tensors[wide.outputs[0].0 as usize].shape, [BATCH, 3]);
}

#[test]
fn a_softmax_over_the_batch_is_refused_by_name_and_one_over_classes_is_not() {
    let softmax = |axis: i64| {
        Onnx::new(&[1, 5])
            .random("w", &[5, 3])
            .node("MatMul", &["x", "w"], "h", vec![])
            .node("Softmax", &["h"], "y", vec![int("axis", axis)])
    };
    assert!(widened(&softmax(1)).is_ok());
    let said = refused(&softmax(0));
    assert!(said.starts_with("node `y"), "{said}");
    assert!(said.contains("mixes the inputs of a batch"), "{said}");
}

#[test]
fn a_mean_over_the_batch_is_refused_wherever_it_is_hidden() {
    // What the mean takes away is the value itself, so that one input has 0 whatever it is.
    let centred = Onnx::new(&[1, 5])
        .node(
            "ReduceMean",
            &["x"],
            "m",
            vec![ints("axes", &[0]), int("keepdims", 1)],
        )
        .node("Sub", &["x", "m"], "d", vec![])
        .node("Add", &["d", "x"], "y", vec![]);
    let said = refused(&centred);
    assert!(said.contains("mixes the inputs of a batch"), "{said}");
}

#[test]
fn an_axis_that_a_constant_shape_hides_is_refused() {
    let flat = |shape: &[i64]| {
        Onnx::new(&[1, 2, 3])
            .integers("s", shape)
            .random("w", &[6, 4])
            .node("Reshape", &["x", "s"], "f", vec![])
            .node("MatMul", &["f", "w"], "y", vec![])
    };
    for (shape, node) in [
        (&[1, 6][..], "`f_Reshape` (Reshape)"),
        (&[1, -1], "`y_MatMul` (MatMul)"),
    ] {
        let said = refused(&flat(shape));
        assert!(said.starts_with("with 4 inputs at once"), "{said}");
        assert!(said.contains(node), "{said}");
    }
    // One that says nothing of it carries it.
    for shape in [&[-1, 6][..], &[0, 6], &[0, -1]] {
        assert!(widened(&flat(shape)).is_ok(), "{shape:?}");
    }
    let only = Onnx::new(&[1, 2, 3])
        .integers("s", &[1, -1])
        .node("Relu", &["x"], "r", vec![])
        .node("Reshape", &["r", "s"], "y", vec![]);
    assert!(
        refused(&only).contains("output `y` has the shape [1, 24] for 4 inputs at once and [1, 6] for one"),
        "{}",
        refused(&only)
    );
}

#[test]
fn a_transposed_batch_that_comes_back_is_carried() {
    let there_and_back = Onnx::new(&[1, 5])
        .random("w", &[5, 3])
        .node("Transpose", &["x"], "t", vec![ints("perm", &[1, 0])])
        .node("Relu", &["t"], "r", vec![])
        .node("Transpose", &["r"], "h", vec![ints("perm", &[1, 0])])
        .node("MatMul", &["h", "w"], "y", vec![]);
    assert!(widened(&there_and_back).is_ok());
}

#[test]
fn normalisation_by_the_batch_is_refused_as_it_is_for_one() {
    let trained = Onnx::new(&[1, 3, 2, 2]).random("s", &[3]).node(
        "BatchNormalization",
        &["x", "s", "s", "s", "s"],
        "y",
        vec![int("training_mode", 1)],
    );
    let bytes = trained.clone().bytes();
    let said = import_one(&bytes).unwrap_err().to_string();
    assert!(said.contains("normalisation by the batch"), "{said}");
    let said = import_sized(&bytes, Sizes::Batch(&Dimensions::new(), BATCH)).unwrap_err();
    assert!(said.to_string().contains("normalisation by the batch"), "{said}");
}

#[test]
fn inputs_that_have_no_axis_for_it_are_refused_by_name() {
    let two = |other: &[i64]| {
        perceptron(1)
            .input("z", other)
            .node("Identity", &["z"], "unused", vec![])
    };
    let sizes = Dimensions::new();
    let said = |onnx: Onnx| {
        let read = import_sized(&onnx.bytes(), Sizes::Batch(&sizes, BATCH));
        read.unwrap_err().to_string()
    };
    assert_eq!(
        said(two(&[3])),
        "input `z`: its first dimension is 3, not 1 or free, so that it cannot count the 4 inputs of a batch"
    );
    assert!(said(two(&[])).starts_with("input `z`: it has no first dimension"));
    // The name of the batch's axis stands for another size elsewhere.
    let square = Onnx::new(&[0, 0]).node("Relu", &["x"], "y", vec![]);
    let named = [("n".to_owned(), 4)].into();
    let read = import_sized(&square.clone().bytes(), Sizes::Batch(&named, BATCH));
    assert!(read.unwrap_err().to_string().contains("has the same name"));
    let read = import_sized(&perceptron(0).bytes(), Sizes::Batch(&named, BATCH + 1));
    assert!(
        read.unwrap_err()
            .to_string()
            .contains("cannot be bound to 4 beside")
    );
}

#[test]
fn samples_fill_batches_in_order_and_the_last_fills_what_is_left() {
    let samples: Vec<Sample> = (0..5).map(|v| vec![vec![f64::from(v)]]).collect();
    let joined = join(&samples, 3);
    assert_eq!(joined, [vec![vec![0.0, 1.0, 2.0]], vec![vec![3.0, 4.0, 4.0]]]);
    assert_eq!(join(&samples, 1), samples);
}

#[test]
fn forests_answer_several_rows_at_once() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/seeds/onnx");
    for file in ["ml-trees.onnx", "ml-trees-5.onnx"] {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let alone = import_one(&bytes).unwrap();
        let given = samples::made_up(&alone).unwrap();
        let wide = import(&bytes, &Dimensions::new(), BATCH, &alone, &given).unwrap();
        for (one, all) in alone.outputs.iter().zip(&wide.outputs) {
            let len = |graph: &FloatGraph, id: &zkml::graph::TensorId| graph.tensors[id.0 as usize].len();
            assert_eq!(len(&wide, all), BATCH as usize * len(&alone, one), "{file}");
        }
    }
}

#[test]
fn a_batch_is_measured_input_by_input() {
    let bytes = perceptron(1).bytes();
    // Of very different sizes, so that an error beside a large answer would look small.
    let samples: Vec<Sample> = (1..=5)
        .map(|at| {
            vec![
                (0..6)
                    .map(|i| f64::from(at * at) * (f64::from(i) - 2.5))
                    .collect(),
            ]
        })
        .collect();
    let planned = |batch: u32| {
        let options = CompileOptions {
            profile: Some(Profile::P12),
            batch,
            ..CompileOptions::new(ProofSystem::SumcheckWhir)
        };
        plan(&bytes, Some(&samples), &options).unwrap()
    };
    let (alone, together) = (planned(1).accuracy, planned(BATCH).accuracy);
    assert_eq!((alone.samples, together.samples), (5, 5));
    assert_eq!(alone.output_scale, together.output_scale);
    assert_eq!(alone.top1_agreement, together.top1_agreement);
    for (one, all) in [
        (alone.max_error, together.max_error),
        (alone.mean_error, together.mean_error),
    ] {
        assert!((one - all).abs() <= 1e-9, "{one} and {all}");
    }
    let none = CompileOptions {
        batch: 0,
        ..CompileOptions::new(ProofSystem::SumcheckWhir)
    };
    let said = plan(&bytes, None, &none).unwrap_err().to_string();
    assert_eq!(said, "a batch of 0 inputs; 1 to 64 are taken");
}
